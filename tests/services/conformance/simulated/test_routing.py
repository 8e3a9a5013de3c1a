"""Routes, shares, profiles, retries and timeouts on the simulated data plane: green when well, red with the cause."""

from pathlib import Path

import pytest

from services.conformance.core.probes import filters, matches, profiles, retries, routes, splits, timeouts
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import filters as filters_broken
from tests.services.conformance.mutations import matches as matches_broken
from tests.services.conformance.mutations import retries as retries_broken
from tests.services.conformance.mutations import timeouts as timeouts_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_FAMILIES = (matches, routes, filters, splits, profiles, retries, timeouts)
_CHOSEN = {
    ("route.path", "path-ignored"),
    ("route.no-match", "no-route-ignored"),
    ("route.request-headers", "filters-ignored"),
    ("retry.http", "annotations-ignored"),
    ("timeout.request", "timeouts-halved"),
}
_TABLES = (matches_broken, filters_broken, retries_broken, timeouts_broken)
_ROWS = [row for table in _TABLES for row in table.MUTATIONS if (row.probe, row.name) in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_routing_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, [probe for family in _FAMILIES for probe in family.PROBES]) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_routing_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {(row.probe, row.name) for row in _ROWS} == _CHOSEN

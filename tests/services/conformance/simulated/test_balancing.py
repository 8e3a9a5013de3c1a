"""Balancing, breakers, failing fast, discovery, topology on the simulated data plane: green when well, red when not."""

from pathlib import Path

import pytest

from services.conformance.core.probes import balancing, breakers, discovery, failfast, topology
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import balancing as balancing_broken
from tests.services.conformance.mutations import breakers as breakers_broken
from tests.services.conformance.mutations import discovery as discovery_broken
from tests.services.conformance.mutations import failfast as failfast_broken
from tests.services.conformance.mutations import topology as topology_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_FAMILIES = (balancing, breakers, discovery, failfast, topology)
_CHOSEN = {
    ("lb.spread", "no-balancing"),
    ("cb.consecutive", "no-accrual"),
    ("failfast.unreachable", "no-failfast"),
    ("disc.new-target", "destination-down"),
    ("topo.zone-hints", "zone-hints-ignored"),
}
_TABLES = (balancing_broken, breakers_broken, discovery_broken, failfast_broken, topology_broken)
_ROWS = [row for table in _TABLES for row in table.MUTATIONS if (row.probe, row.name) in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_balancing_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, [probe for family in _FAMILIES for probe in family.PROBES]) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_balancing_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {(row.probe, row.name) for row in _ROWS} == _CHOSEN

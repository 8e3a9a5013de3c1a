"""Policies, limits, egress, injection and figures on the simulated data plane: green when well, red with the cause."""

from pathlib import Path

import pytest

from services.conformance.core.probes import (
    authorization,
    default_policies,
    egress,
    injection,
    lifecycle,
    observability,
    other_protocols_authorized,
    rate_limits,
)
from steward.conformance.results import Safety
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import authorization as authorization_broken
from tests.services.conformance.mutations import egress as egress_broken
from tests.services.conformance.mutations import injection as injection_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_POLICIES = (authorization, default_policies, other_protocols_authorized, egress)
_OTHERS = (injection, lifecycle, observability, rate_limits)
_CHOSEN = {
    ("authz.server", "inbound-authorization-ignored"),
    ("authz.meshtls", "authorizations-ignored"),
    ("egress.deny", "egress-allowed"),
    ("inj.levels", "injector-overlooks"),
    ("inj.resources", "injector-is-deaf"),
}
_TABLES = (authorization_broken, egress_broken, injection_broken)
_ROWS = [row for table in _TABLES for row in table.MUTATIONS if (row.probe, row.name) in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_policies_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, [probe for family in _POLICIES for probe in family.PROBES]) == []


async def test_on_a_healthy_mesh_every_probe_of_pods_and_figures_is_green(theatre: Theatre) -> None:
    probes = [probe for family in _OTHERS for probe in family.PROBES if probe.safety is not Safety.DISRUPTIVE]
    assert await unwell(theatre, probes) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_policies_and_pods_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {(row.probe, row.name) for row in _ROWS} == _CHOSEN

"""Workloads outside of the cluster on the simulated data plane: green when well, red when not."""

from pathlib import Path

import pytest

from services.conformance.core.probes import expansion
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import expansion as expansion_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_CHOSEN = {
    ("exp.external-workload", "external-slices-missing"),
    ("exp.external-workload", "forged-identity-passes"),
}
_ROWS = [row for row in expansion_broken.MUTATIONS if (row.probe, row.name) in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_expansion_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, expansion.PROBES) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_expansion_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {(row.probe, row.name) for row in _ROWS} == _CHOSEN

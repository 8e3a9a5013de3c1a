"""A meshed ingress on the simulated data plane: green when well, red with the right cause when not."""

from pathlib import Path

import pytest

from services.conformance.core.probes import ingress
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import ingress as ingress_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_CHOSEN = {"injector-knows-no-mode", "override-ignored"}
_ROWS = [row for row in ingress_broken.MUTATIONS if row.name in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_ingresses_is_green_and_leaves_no_pod(theatre: Theatre) -> None:
    assert await unwell(theatre, ingress.PROBES) == []
    stage = await theatre.stage()
    assert theatre.mesh.pods(stage.meshed, labels=f"app={ingress.INGRESS}") == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_ingresses_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {row.name for row in _ROWS} == _CHOSEN

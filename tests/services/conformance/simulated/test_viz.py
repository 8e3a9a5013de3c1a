"""The extension viz on the simulated data plane: green when well, red with the right cause, and nothing without it."""

from pathlib import Path

import pytest

from services.conformance.core.probes import viz
from steward.conformance.results import Capability
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import viz as viz_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, opened, told

_CHOSEN = {"tap-refuses", "tap-bundle-replaced", "tap-injector-scaled-to-0", "tap-without-tls", "tap-unfiltered"}
_ROWS = [row for row in viz_broken.MUTATIONS if row.name in _CHOSEN]


async def test_with_the_extension_every_probe_of_it_is_green(nats_server: NatsServer, tmp_path: Path) -> None:
    async with opened(nats_server.url, tmp_path, viz=True) as theatre:
        assert [theatre.supports(probe).capability for probe in viz.PROBES] == [Capability.SUPPORTED]
        assert await unwell(theatre, viz.PROBES) == []


async def test_without_the_extension_its_features_are_not_applicable(theatre: Theatre) -> None:
    found = [theatre.supports(probe) for probe in viz.PROBES]
    assert {(each.capability, each.reason) for each in found} == {(Capability.NOT_APPLICABLE, "NoViz")}


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_the_extension_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)

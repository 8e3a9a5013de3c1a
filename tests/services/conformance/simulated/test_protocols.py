"""Protocols and ports on the simulated data plane: green when well, red with the right cause when broken."""

from pathlib import Path

import pytest

from services.conformance.core.probes import grpc, http, opaque, ports, raw, streams
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.mutations.protocols import MUTATIONS
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_FAMILIES = (http, grpc, streams, raw, opaque, ports)
_CHOSEN = {
    ("proto.http1", "http-as-opaque"),
    ("proto.undefined-port", "undefined-port-open"),
    ("obs.admin-port", "v1-default-inbound-policy-all-authenticated"),
}
_ROWS = [row for row in MUTATIONS if (row.probe, row.name) in _CHOSEN]


async def test_on_a_healthy_mesh_every_probe_of_protocols_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, [probe for family in _FAMILIES for probe in family.PROBES]) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_a_protocol_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)

"""Control plane, identity and certificates on the simulated data plane: green when well, red with the right cause."""

from pathlib import Path

import pytest

from services.conformance.core.probes import certificates, control_plane, encryption, identity, webhooks
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import control_plane as control_plane_broken
from tests.services.conformance.mutations import identity as identity_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.playing import unwell
from tests.services.conformance.simulated.theatre import Theatre, told

_FAMILIES = (control_plane, webhooks, certificates, identity, encryption)
_CHOSEN = {
    ("mtls.identity", "inbound-client-id-missing"),
    ("mtls.identity", "expired-leaves"),
    ("mtls.identity", "cu-inject-enabled"),
    ("mtls.antispoof", "inbound-forged-client-id-kept"),
    ("mtls.coverage", "sp-restarted-under-injector-overlooks"),
    ("mtls.issuer", "issuer-of-another-anchor"),
}
_ROWS = [
    row for row in (*control_plane_broken.MUTATIONS, *identity_broken.MUTATIONS) if (row.probe, row.name) in _CHOSEN
]


async def test_on_a_healthy_mesh_every_probe_of_identity_is_green(theatre: Theatre) -> None:
    assert await unwell(theatre, [probe for family in _FAMILIES for probe in family.PROBES]) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_identity_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)

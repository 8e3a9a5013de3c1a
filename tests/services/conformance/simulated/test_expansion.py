"""Workloads outside of the cluster on the simulated data plane: green when well, red when not."""

from pathlib import Path

import pytest

from services.conformance.core import external
from services.conformance.core.ports import Landed
from services.conformance.core.probes import expansion
from services.conformance.edges.cluster import ProbedCluster
from services.conformance.edges.surveying import Surveyor
from steward.conformance.results import Capability
from steward.jsonvalue import table, text
from steward.kube.client import Kube
from steward.kube.resources import CRDS, NAMESPACES
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.nats import NatsServer
from tests.common.testing_linkerd import recorded
from tests.services.conformance.core.seen import MESHED, STAGE
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
    assert {theatre.supports(probe).capability for probe in expansion.PROBES} == {Capability.SUPPORTED}
    assert await unwell(theatre, expansion.PROBES) == []


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_expansion_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)


def test_every_chosen_row_is_there() -> None:
    assert {(row.probe, row.name) for row in _ROWS} == _CHOSEN


@pytest.mark.parametrize("version", recorded.VERSIONS)
async def test_the_definition_of_a_real_release_takes_the_workload_and_its_status_as_they_are(version: str) -> None:
    definitions = recorded.documents("linkerd", version, "crds.yaml")
    (definition,) = [each for each in definitions if text(each, "metadata", "name") == expansion.DEFINITION]
    sent, status = external.workload(STAGE), external.status(STAGE, ready=True)
    async with FakeKubernetes() as kubernetes, await Kube.connect(kubeconfig=kubernetes.kubeconfig()) as kube:
        kubernetes.cluster.create(CRDS, definition)
        kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": MESHED}})
        cluster = ProbedCluster(kube, Surveyor(kube, "linkerd"))
        landed = await cluster.apply(sent, "probe")
        assert isinstance(landed, Landed)
        stated = await cluster.state(status, "probe")
        assert isinstance(stated, dict)
        assert table(stated, "spec") == table(landed.object, "spec") == table(sent, "spec")
        assert table(stated, "status") == table(status, "status")

"""What `STEWARD_MESH_KUBECONFIG` starts, started on the simulated mesh: the same function, a few features of it."""

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from services.conformance.settings import TempoSettings
from steward.bus.settings import BusSettings
from steward.conformance.results import Verdict
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsServer
from tests.cluster.real_mesh import Asked, exercised
from tests.services.conformance.simulated.theatre import CLUSTER, IMAGE, LINKERD, PLANE, container_of

_QUICK = TempoSettings(look_again=timedelta(milliseconds=200), retry=timedelta(milliseconds=100))


async def test_a_mesh_that_a_kubeconfig_names_is_exercised_and_left_as_it_was(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    bus = BusSettings(servers=(nats_server.url,), cluster=CLUSTER)
    async with AsyncExitStack() as stack:
        kubernetes = await stack.enter_async_context(FakeKubernetes())
        mesh = await stack.enter_async_context(SimulatedMesh(kubernetes))
        images = {IMAGE: container_of(bus, tmp_path, lambda: plane)}
        plane = SimulatedDataPlane(mesh, images=images, timings=PLANE)
        await stack.enter_async_context(plane)
        await mesh.install(LINKERD)
        await plane.settled()
        only = ("cp.ready", "mtls.identity", "proto.http1")
        asked = Asked(kubernetes.kubeconfig(), IMAGE, bus, only=only, direct=True, tempo=_QUICK)
        found = await exercised(asked)
    assert found.run.status is not None
    assert {line.feature: line.verdict for line in found.run.status.features} == dict.fromkeys(only, Verdict.PASSED)
    assert found.failed == frozenset()
    assert "mtls.identity" in found.report
    assert found.left_behind == ()

"""One turn of the default suite by the real service, on the simulated data plane with the time-outs of real proxies.

The peer's figure is the bar: five minutes for all, once.
"""

import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from steward.bus.settings import BusSettings
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsServer
from tests.bench.row import Row
from tests.cluster.real_mesh import Asked, exercised
from tests.services.conformance.simulated.theatre import CLUSTER, IMAGE, LINKERD, container_of

BAR_SECONDS = 300.0


async def measure() -> list[Row]:
    """From the run's creation until nothing of it is left."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nats = await stack.enter_async_context(NatsServer())
        kubernetes = await stack.enter_async_context(FakeKubernetes())
        mesh = await stack.enter_async_context(SimulatedMesh(kubernetes))
        bus = BusSettings(servers=(nats.url,), cluster=CLUSTER)
        images = {IMAGE: container_of(bus, folder, lambda: plane)}
        plane = SimulatedDataPlane(mesh, images=images, zones=("a", "b"))
        await stack.enter_async_context(plane)
        await mesh.install(LINKERD)
        await plane.settled()
        began = time.perf_counter()
        found = await exercised(Asked(kubernetes.kubeconfig(), IMAGE, bus, direct=True))
        took = time.perf_counter() - began
    features = found.run.status.features if found.run.status else ()
    name = f"default suite, {len(features)} features, {len(found.failed)} failed"
    return [Row(name, "s", took, "the bar", BAR_SECONDS, BAR_SECONDS / took)]

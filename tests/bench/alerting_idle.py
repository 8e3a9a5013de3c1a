"""What alerting costs beside a mesh of a thousand pods in which nothing happens, for a minute.

A real Prometheus scrapes a page of each proxy every thirty seconds, as shipped; the pack for the control plane is in
force. The peer is a hundredth of a core, and the memory of the other services.
"""

import asyncio

from steward.kube.resources import PODS
from steward.testing.linkerd.mesh import SimulatedMesh
from tests.bench.alerting_process import Alerting, surroundings
from tests.bench.row import Row
from tests.services.alerting.running import HOME

NAMESPACES = 100
A_NAMESPACE = 10
_MINUTE = 60
_SETTLED = 35
"""Seconds: a look at everything after the start, and a scrape of everything."""
_BAR_PERCENT, _BAR_MB = 1.0, 80.0


async def measure(namespaces: int = NAMESPACES) -> list[Row]:
    """Processor time, memory, and the longest pass of the loop."""

    def fill(mesh: SimulatedMesh) -> None:
        for number in range(namespaces):
            mesh.workload("Deployment", f"team-{number}", "app", replicas=A_NAMESPACE)

    async with surroundings(fill) as around:
        around.world.policy("control-plane", {"controlPlane": {}}, HOME)
        async with Alerting.running(around.world) as alerting:
            await alerting.until(lambda said: said.get("applied", 0) >= 1)
            await asyncio.sleep(_SETTLED)  # noqa: TID251 - idleness takes time
            await alerting.busy()
            worked = alerting.processor
            await asyncio.sleep(_MINUTE)  # noqa: TID251 - idleness takes time
            share = (alerting.processor - worked) / _MINUTE * 100
            busy, memory = await alerting.busy(), alerting.memory()
            pods = len(around.world.kubernetes.cluster.list(PODS))
    name = f"alerting beside {pods:,} pods"
    return [
        Row(f"{name}: idle share of a core", "%", share, "bar", _BAR_PERCENT, _BAR_PERCENT / max(share, 0.01)),
        Row(f"{name}: idle memory", "MB", memory, "bar", _BAR_MB, _BAR_MB / memory),
        Row(f"{name}: longest pass of the loop, processor time", "ms", busy.processor * 1000),
    ]

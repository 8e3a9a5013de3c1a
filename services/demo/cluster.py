"""The cluster of the demonstration, with a mesh one release behind: simulated, or real and thrown away afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from steward.clock import SystemClock
from steward.linkerd import marks
from steward.testing.cluster import binaries as cluster_binaries
from steward.testing.cluster.artifacts import assemble
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import ControlPlane
from steward.testing.cluster.injector import Injector
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import mixed_fleet
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.executable import write_cli
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.simulation.engine import Pace

OLD, NEW = "edge-26.6.3", "edge-26.8.3"
"""One release behind, and the release that appears."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the services and the narrator need of it."""

    kubeconfig: Path
    artifacts: Path
    """Where the CLI and the charts of the releases are."""
    helm: Path
    description: str


def cluster_of(kind: str, folder: Path) -> AbstractAsyncContextManager[Cluster]:
    """The cluster that was asked for: `simulated` or `real`."""
    return _real(folder) if kind == "real" else _simulated(folder)


@asynccontextmanager
async def _simulated(folder: Path) -> AsyncIterator[Cluster]:
    """Workloads that roll at a pace that one can watch; Linkerd came by its CLI."""
    artifacts = folder / "artifacts"
    for version in (OLD, NEW):
        write_cli(artifacts, version)
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh:
        await mesh.install(OLD)
        for namespace in ("shop", "payments"):
            mesh.namespace(namespace, annotations={marks.PROXY_UPGRADE: "Auto"})
        for kind, namespace, name, replicas in (
            ("Deployment", "shop", "web", 3),
            ("Deployment", "shop", "cart", 2),
            ("StatefulSet", "shop", "orders", 2),
            ("Deployment", "payments", "api", 3),
            ("DaemonSet", "payments", "audit", 1),
            ("Deployment", "legacy", "billing", 2),
        ):
            mesh.workload(kind, namespace, name, replicas)
        await mesh.settled()
        mesh.pace = Pace.watchable()
        yield Cluster(kubernetes.kubeconfig(), artifacts, Path("helm"), "a simulated cluster, Linkerd by its CLI")


@asynccontextmanager
async def _real(folder: Path) -> AsyncIterator[Cluster]:
    """A control plane of our own, nodes by KWOK, Linkerd by real helm."""
    stage = _stage(folder)
    # Starting takes seconds and blocks: the loop has better things to do.
    cluster = await asyncio.to_thread(stage.__enter__)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(stage.__exit__, None, None, None)


@contextmanager
def _stage(folder: Path) -> Iterator[Cluster]:
    settings = ClusterTestSettings.from_environment()
    binaries = cluster_binaries.build(settings)
    now = SystemClock().now()
    artifacts = assemble(settings, folder / "artifacts", now)
    with ControlPlane(binaries, folder / "cluster", nodes=4) as control_plane:
        commands = Commands(binaries, control_plane.kubeconfig, folder)
        commands.install_gateway_api()
        with Injector(control_plane.access) as injector:
            linkerd = Linkerd(control_plane, commands, artifacts, injector, Trust.for_helm(now), folder)
            linkerd.by_helm(OLD)
            fleet = mixed_fleet()
            fleet.create(control_plane.api)
            fleet.until_ready(control_plane.api)
            yield Cluster(
                control_plane.kubeconfig,
                artifacts[NEW].linkerd.parent.parent,
                binaries.path("helm"),
                f"a real control plane on loopback, Linkerd by helm ({artifacts[NEW]})",
            )

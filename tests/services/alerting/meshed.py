"""A world with a mesh in it: two applications, the pages of metrics that their proxies and the control plane have."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS, SECRETS
from steward.linkerd.certificates import ISSUER_SECRET
from steward.linkerd.version import Version
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import ANCHOR_NAME, ISSUER_NAME, YEAR, Authority, Pair, Trust, Validity
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd_pages.faults import Fault
from steward.testing.linkerd_pages.synthetic import MeshPod, SyntheticLinkerd
from steward.testing.monitoring.tools import MonitoringTools
from tests.services.alerting.running import World, beside, cluster


@dataclass
class Meshed:
    """A cluster with a mesh, and the pages of metrics that its pods have."""

    around: World
    mesh: SimulatedMesh
    pages: SyntheticLinkerd
    authority: Authority
    """Who signs the issuer."""

    def break_it(self, fault: Fault) -> None:
        """On the pages, and where more than pages would show it, there too."""
        self.pages.break_it(fault)
        if fault is Fault.ISSUER_EXPIRING:
            # Before edge-25.2.1 no page tells of it.
            self._issue(timedelta(hours=2))

    def mend(self) -> None:
        """Nothing is wrong any more."""
        if Fault.ISSUER_EXPIRING in self.pages.faults:
            self._issue(YEAR)
        self.pages.mend()

    def _issue(self, life: timedelta) -> None:
        """Another certificate for the issuer."""
        kubernetes, pair = self.mesh.cluster, issuer(self.authority, life)
        found = kubernetes.get(SECRETS, ISSUER_SECRET, "linkerd")
        data: JsonObject = {
            name: base64.b64encode(content.encode()).decode()
            for name, content in (("crt.pem", pair.certificate), ("key.pem", pair.key))
        }
        kubernetes.replace(SECRETS, {**found, "data": data})


@asynccontextmanager
async def meshed_world(
    tools: MonitoringTools, folder: Path, version: Version, *, calls: str = "api.shop"
) -> AsyncIterator[Meshed]:
    """`web` and `api`, two pods each, of which one calls the other; Prometheus scrapes all of the mesh."""
    async with AsyncExitStack() as stack:
        kubernetes = await cluster(stack)
        mesh = await stack.enter_async_context(SimulatedMesh(kubernetes))
        authority = Authority.self_signed(ANCHOR_NAME, Validity.around(SystemClock().now(), 10 * YEAR))
        await mesh.install(str(version), trust=Trust(authority.pair.certificate, issuer(authority, YEAR)))
        mesh.namespace("shop", annotations={"linkerd.io/inject": "enabled"})
        for name in ("web", "api"):
            mesh.workload("Deployment", "shop", name, replicas=2)
        await mesh.settled()
        pages = await stack.enter_async_context(SyntheticLinkerd(version, pods=pods_of(kubernetes, calls)))
        yield Meshed(await beside(stack, kubernetes, tools, folder, pages), mesh, pages, authority)


def pods_of(kubernetes: FakeKubernetes, calls: str) -> list[MeshPod]:
    """Those of the cluster. `calls`: the Service in `shop` that the others there call."""
    found = []
    for pod in kubernetes.cluster.list(PODS):
        workload = text(pod, "metadata", "generateName").rstrip("-").rpartition("-")[0]
        namespace, name = text(pod, "metadata", "namespace"), text(pod, "metadata", "name")
        client = namespace == "shop" and not calls.startswith(f"{workload}.")
        found.append(MeshPod(namespace, name, workload, calls if client else ""))
    return found


def issuer(authority: Authority, life: timedelta) -> Pair:
    """A certificate for the issuer that lives so long from now on."""
    return authority.issue_authority(ISSUER_NAME, Validity.around(SystemClock().now(), life)).pair

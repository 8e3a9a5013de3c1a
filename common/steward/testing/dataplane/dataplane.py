"""`SimulatedDataPlane`: proxies, network, kubelet and control plane over one simulated mesh, on real sockets.

async with (
    FakeKubernetes() as kubernetes,
    SimulatedMesh(kubernetes) as mesh,
    SimulatedDataPlane(mesh, images={"exerciser": run}) as plane,
):
    await mesh.install("edge-26.8.3")
    mesh.workload("Deployment", "shop", "web")
    await plane.settled()
    plane.faults.switch_on(ROUTES_IGNORED)
"""

import asyncio
from collections.abc import Mapping, Sequence

from steward.jsonvalue import JsonObject, table, text
from steward.kube.resources import NODES, SERVICES, Resource
from steward.testing.dataplane.addresses import Addresses
from steward.testing.dataplane.config import Timings
from steward.testing.dataplane.containers import Images, Run
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.validation import Validator, validated
from steward.testing.dataplane.control.world import ZONE
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.kubelet import Kubelet
from steward.testing.dataplane.listeners import allow_many_files
from steward.testing.dataplane.names import Names
from steward.testing.dataplane.network import Network
from steward.testing.dataplane.network_faults import INJECTOR_OVERLOOKS
from steward.testing.dataplane.pod_proxy import PodProxy, Surroundings
from steward.testing.kubernetes.admission import AdmissionRequest
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.definitions import gateway_api
from steward.testing.linkerd.mesh import SimulatedMesh

_OPERATIONS = ("CREATE", "UPDATE")


class SimulatedDataPlane:
    """Everything between two applications. Nothing is broken at first; `faults` breaks one thing at a time."""

    def __init__(
        self,
        mesh: SimulatedMesh,
        *,
        images: Mapping[str, Run] | None = None,
        timings: Timings | None = None,
        zones: Sequence[str] = (),
        extra_ports: Sequence[int] = (),
    ) -> None:
        self.mesh = mesh
        self.faults = Faults()
        self.timings = timings or Timings()
        clock = mesh.kubernetes.clock
        self._zones = tuple(zones)
        self.control = ControlPlane(mesh.cluster, clock, self.faults, self.timings)
        self.addresses = Addresses()
        world = self.control.world
        self.network = Network(world, self.faults, self.addresses, clock, self.timings.failfast)
        self.network.extra_ports = tuple(extra_ports)
        self.names = Names(world, self.faults)
        publish = mesh.kubernetes.log
        around = Surroundings(self.control, self.network, self.faults, clock, self.timings, self.names, publish)
        self.kubelet = Kubelet(mesh.pod_control, Images(images or {}, self.control, clock), self.addresses, around)
        self._validator = Validator(world, self.faults, lambda: self.control.runs("destination"))
        self._validated: set[Resource] = set()
        self._joining: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SimulatedDataPlane":
        allow_many_files()
        kubernetes = self.mesh.kubernetes
        kubernetes.admit(SERVICES, self._with_cluster_ip, name="service addresses")
        for service in self.mesh.cluster.list(SERVICES):
            self._give_cluster_ip(service)
        if self._zones:
            for number, node in enumerate(self.mesh.cluster.list(NODES)):
                labels: JsonObject = {ZONE: self._zones[number % len(self._zones)]}
                patch = Patch("merge", {"metadata": {"labels": labels}})
                self.mesh.cluster.patch(NODES, text(node, "metadata", "name"), patch)
        self.mesh.apply(gateway_api(experimental=True), manager="kubectl")
        self.mesh.injector.overlooks = self._overlooks
        self.control.listeners.append(self._look_at_kinds)
        self.control.start()
        self.kubelet.start()
        self._joining = asyncio.create_task(self._follow(), name="simulated network")
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.kubelet.stop()
        finally:
            if self._joining is not None:
                self._joining.cancel()
                await asyncio.gather(self._joining, return_exceptions=True)
            await self.network.stop()
            await self.control.stop()
            self.addresses.close()

    def proxy(self, pod: str, namespace: str = "") -> PodProxy:
        """The proxy of a running pod, by the pod's name or the start of it."""
        for running in self.kubelet.running.values():
            name, home = text(running.pod, "metadata", "name"), text(running.pod, "metadata", "namespace")
            fits = name == pod or name.startswith(f"{pod}-")
            if fits and namespace in ("", home) and running.proxy is not None:
                return running.proxy
        known = ", ".join(sorted(text(one.pod, "metadata", "name") for one in self.kubelet.running.values()))
        raise LookupError(f"no running pod {pod!r} with a proxy; there are: {known or 'none'}")

    async def resolve(self, name: str, from_namespace: str, pod: str = "") -> tuple[str, ...]:
        """The addresses of a name for a pod of a namespace; what lies outside is stood for by a loopback address."""
        found = self.names.resolve(name, from_namespace, pod)
        return tuple([await self.network.alias(one) for one in found])

    async def settled(self) -> None:
        """Return when every pod that can be ready is, and the proxies know of it."""
        await self.mesh.settled()
        await self.control.settled()
        await self.network.reconcile()
        await self.mesh.settled()
        await self.control.settled()

    async def _follow(self) -> None:
        """Listen on new Services and ports as they come, also on those that come while we are at it."""
        heard = self.control.refreshes
        while True:
            heard = await self.control.refresh_after(heard)
            await self.network.reconcile()

    def _look_at_kinds(self) -> None:
        """Let the webhooks judge whatever kind of Linkerd's is served from now on."""
        for resource in validated([kind.resource for kind in self.mesh.cluster.kinds]):
            if resource not in self._validated:
                self._validated.add(resource)
                hook = "linkerd-policy-validator.linkerd.io"
                self.mesh.kubernetes.admit(resource, self._validator.admit, name=hook, operations=_OPERATIONS)

    def _overlooks(self, pod: JsonObject, namespace: str) -> bool:
        metadata = table(pod, "metadata")
        name = text(metadata, "name") or text(metadata, "generateName").rstrip("-")
        return self.faults.on(INJECTOR_OVERLOOKS, Client(pod=name, namespace=namespace))

    def _with_cluster_ip(self, request: AdmissionRequest) -> JsonObject | None:
        spec = table(request.value, "spec")
        if text(spec, "clusterIP") or text(spec, "type") == "ExternalName" or request.dry_run:
            return None
        address = self.addresses.service()
        return {**request.value, "spec": {**spec, "clusterIP": address, "clusterIPs": [address]}}

    def _give_cluster_ip(self, service: JsonObject) -> None:
        spec = table(service, "spec")
        if text(spec, "clusterIP") or text(spec, "type") == "ExternalName":
            return
        address = self.addresses.service()
        patch = Patch("merge", {"spec": {"clusterIP": address, "clusterIPs": [address]}})
        name, namespace = text(service, "metadata", "name"), text(service, "metadata", "namespace")
        self.mesh.cluster.patch(SERVICES, name, patch, namespace)

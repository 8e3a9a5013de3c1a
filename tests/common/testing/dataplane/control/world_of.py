"""A small simulated cluster with a control plane over it, and no network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from steward.jsonvalue import Json, JsonObject
from steward.kube.resources import PODS, SERVICES
from steward.testing.dataplane.config import OutboundTarget, Timings
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.targets import target_of
from steward.testing.dataplane.control.validation import Validator, validated
from steward.testing.dataplane.faults import Faults
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.definitions import gateway_api
from steward.testing.linkerd.mesh import SimulatedMesh

VERSION = "edge-26.8.3"


@dataclass
class Cluster:
    kubernetes: FakeKubernetes
    mesh: SimulatedMesh
    control: ControlPlane
    faults: Faults

    async def settled(self) -> None:
        await self.mesh.settled()
        await self.control.settled()

    def apply(self, *objects: JsonObject) -> None:
        self.mesh.apply(objects, manager="test")

    def validate(self) -> None:
        """Ask the webhooks about what is applied from here on."""
        validator = Validator(self.control.world, self.faults, lambda: self.control.runs("destination"))
        for resource in validated([kind.resource for kind in self.mesh.cluster.kinds]):
            self.kubernetes.admit(resource, validator.admit, name="validator", operations=("CREATE", "UPDATE"))

    def service(self, name: str, ip: str, **more: Json) -> None:
        spec: JsonObject = {
            "clusterIP": ip,
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            **more,
        }
        self.mesh.cluster.create(SERVICES, {"metadata": {"name": name}, "spec": spec}, "shop")

    def annotate(self, name: str, annotations: dict[str, str]) -> None:
        change: JsonObject = {"metadata": {"annotations": dict[str, Json](annotations)}}
        self.mesh.cluster.patch(SERVICES, name, Patch("merge", change), "shop")

    def target(self, ip: str, port: int = 80, client: Client | None = None) -> OutboundTarget:
        found = target_of(self.control.directory, ip, port, client or Client("cm-1", "shop"))
        assert found is not None
        return found

    def pods(self, app: str) -> list[JsonObject]:
        return self.mesh.cluster.list(PODS, "shop", labels=f"app={app}")


@asynccontextmanager
async def cluster(*, nodes: int = 3) -> AsyncIterator[Cluster]:
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes, nodes=nodes) as mesh:
        faults = Faults()
        timings = Timings(propagation=timedelta(milliseconds=1))
        control = ControlPlane(kubernetes.cluster, kubernetes.clock, faults, timings)
        await mesh.install(VERSION)
        mesh.apply(gateway_api(experimental=True), manager="kubectl")
        control.start()
        made = Cluster(kubernetes, mesh, control, faults)
        await made.settled()
        yield made
        await control.stop()

"""`SimulatedViz`: the extension viz on a simulated data plane, as its chart installs it.

async with SimulatedViz(plane) as viz:
    ...   # pods that are made from here on can be tapped

Its pods are pods of the mesh like any others; while those of `tap` or of `tap-injector` are gone, so is what they do.
"""

import asyncio
from base64 import b64encode

from steward.jsonvalue import Json, JsonObject, rows, table, text, texts
from steward.kube.resources import API_SERVICES, NAMESPACES, PODS, SERVICES
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.proxy.taps import SERVICE_NAME
from steward.testing.kubernetes.admission import AdmissionRequest
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.certificates import Pair, webhook_pair
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd.simulation.pods import is_ready
from steward.testing.viz.tap_server import ENABLED, NAMESPACE, TAP_IDENTITY, TapServer
from steward.viz.tap import API_SERVICE, GROUP, VERSION

_DISABLED = "viz.linkerd.io/disable-tap"
_HOST = f"tap.{NAMESPACE}.svc"
_API: JsonObject = {"group": GROUP, "version": VERSION}


class SimulatedViz:
    """Tap and what belongs to it; statistics and the dashboard are left out."""

    def __init__(self, plane: SimulatedDataPlane) -> None:
        self._plane = plane
        self._mesh = plane.mesh
        self._pair = _certified(plane.mesh)
        self.server = TapServer(plane)
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SimulatedViz":
        await self.server.start(self._pair)
        self._mesh.kubernetes.admit(PODS, self._enable, name="tap-injector.linkerd.io")
        labels: JsonObject = {"linkerd.io/extension": "viz"}
        namespace: JsonObject = {"name": NAMESPACE, "labels": labels, "annotations": {"linkerd.io/inject": "enabled"}}
        self._mesh.cluster.create(NAMESPACES, {"metadata": namespace})
        for component in ("tap", "tap-injector"):
            own: JsonObject = {"metadata": {"labels": {**labels, "component": component}}}
            template: JsonObject = {"template": {**own, "spec": {"serviceAccountName": component}}}
            self._mesh.workload("Deployment", NAMESPACE, component, changes={"spec": template})
        port: JsonObject = {"name": "apiserver", "port": 443, "targetPort": "apiserver"}
        selector: JsonObject = {**labels, "component": "tap"}
        service: JsonObject = {"metadata": {"name": "tap"}, "spec": {"selector": selector, "ports": [port]}}
        self._mesh.cluster.create(SERVICES, service, NAMESPACE)
        spec: JsonObject = {
            **_API,
            "groupPriorityMinimum": 1000,
            "versionPriority": 100,
            "service": {"name": "tap", "namespace": NAMESPACE},
            "caBundle": _encoded(self._pair.certificate),
        }
        self._mesh.cluster.create(API_SERVICES, {"metadata": {"name": API_SERVICE}, "spec": spec})
        self._mesh.cluster.store.table(("", "pods")).listeners.append(lambda _: self._reconcile())
        await self._plane.settled()
        self._reconcile()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.stop()

    def _reconcile(self) -> None:
        """The Service has an endpoint while a pod of tap is ready."""
        there = self.server.port if self._ready("tap") else None
        self._mesh.kubernetes.aggregate(NAMESPACE, "tap", there)

    def _ready(self, component: str) -> bool:
        return any(is_ready(pod) for pod in self._mesh.pods(NAMESPACE, labels=f"component={component}"))

    def _enable(self, request: AdmissionRequest) -> JsonObject | None:
        """What the injector of tap does to pods with a proxy; nothing where it is gone (`failurePolicy: Ignore`)."""
        pod, namespace = request.value, self._mesh.cluster.find(NAMESPACES, request.namespace) or {}
        declined = any(texts(each, "metadata", "annotations").get(_DISABLED) for each in (pod, namespace))
        known = ENABLED in texts(pod, "metadata", "annotations")
        if declined or known or not self._ready("tap-injector") or not _has_proxy(pod):
            return None
        metadata, spec = table(pod, "metadata"), table(pod, "spec")
        annotations: JsonObject = {**table(metadata, "annotations"), ENABLED: "true"}
        told = {part: _with_name(rows(spec, part)) for part in ("initContainers", "containers")}
        return {**pod, "metadata": {**metadata, "annotations": annotations}, "spec": {**spec, **told}}


def trust_another(mesh: SimulatedMesh) -> None:
    """Let the APIService trust a certificate that tap does not have, as after half a rotation."""
    patch = Patch("merge", {"spec": {"caBundle": _encoded(_certified(mesh).certificate)}})
    mesh.cluster.patch(API_SERVICES, API_SERVICE, patch)


def _certified(mesh: SimulatedMesh) -> Pair:
    """A certificate that vouches for itself, as each render of the chart makes a new one."""
    return webhook_pair("tap", mesh.kubernetes.clock.now(), name=_HOST, quick=True)


def _has_proxy(pod: JsonObject) -> bool:
    return any(
        text(one, "name") == PROXY for part in ("initContainers", "containers") for one in rows(pod, "spec", part)
    )


def _with_name(containers: list[JsonObject]) -> list[Json]:
    """The proxy among them learns whose taps it takes."""
    name: JsonObject = {"name": SERVICE_NAME, "value": TAP_IDENTITY}
    return [{**one, "env": [*rows(one, "env"), name]} if text(one, "name") == PROXY else one for one in containers]


def _encoded(certificate: str) -> str:
    return b64encode(certificate.encode()).decode()

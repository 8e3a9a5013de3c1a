"""The control plane as it is configured and as it runs, which during a roll are not the same."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, text, texts
from steward.linkerd import marks
from steward.linkerd.images import Image
from steward.linkerd.mesh_config import BUNDLE, MeshConfig, UnreadableConfig, parse_config
from steward.linkerd.pods import PodFacts, WorkloadRef, moment
from steward.linkerd.version import Version
from steward.linkerd.workloads import WorkloadFacts

FIRST_NATIVE = Version("edge", (26, 5, 2))
"""The first release that makes the proxy an init container unless told otherwise."""

COMPONENTS = ("destination", "identity", "proxy-injector")


@dataclass(frozen=True, slots=True)
class Component:
    """One Deployment of the control plane."""

    name: str
    ref: WorkloadRef
    intended: str
    """Tag of the controller's image in the Deployment."""
    desired: int
    ready: int
    running: tuple[tuple[str, int], ...]
    """Version → pods, of the pods that live."""

    @property
    def settled_on(self) -> str:
        """The one version that every pod runs; empty while there are several, or none."""
        return self.running[0][0] if len(self.running) == 1 else ""


@dataclass(frozen=True, slots=True)
class CrdFacts:
    """A CustomResourceDefinition of Linkerd or of the Gateway API."""

    name: str
    chart: str
    """Label `helm.sh/chart`; the only sign of the CRDs' version where Helm installed them."""
    labels: dict[str, str]
    annotations: dict[str, str]
    served: tuple[str, ...]
    stored: tuple[str, ...]
    established: bool

    @property
    def created_by(self) -> str:
        """The tool and version that Linkerd's own renderer noted."""
        return self.annotations.get(marks.CREATED_BY, "")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One installation of Linkerd."""

    namespace: str
    config: MeshConfig | None
    problem: str
    """Why linkerd-config could not be read, empty where it could."""
    install_uid: str
    installed_at: datetime | None
    created_by: str
    trust_sha256: str
    """SHA-256 of the trust bundle that new proxies get, empty where there is no bundle to be seen."""
    components: tuple[Component, ...]
    crds: tuple[CrdFacts, ...] = field(default=())

    @property
    def configured(self) -> str:
        """The version that linkerd-config names, empty where it cannot be read."""
        return self.config.version if self.config is not None else ""

    @property
    def expected_proxy(self) -> str:
        """The proxy version that new pods get."""
        return self.config.proxy_version if self.config is not None else ""

    @property
    def native_sidecar(self) -> bool | None:
        """Whether new proxies are init containers; None where nobody can tell."""
        if self.config is None:
            return None
        if self.config.native_sidecar is not None:
            return self.config.native_sidecar
        version = Version.maybe(self.config.version)
        return None if version is None or version.channel != FIRST_NATIVE.channel else version >= FIRST_NATIVE

    @property
    def running(self) -> tuple[str, ...]:
        """Every version that some part of the control plane runs."""
        return tuple(sorted({version for each in self.components for version, _ in each.running if version}))

    @property
    def version(self) -> Version | None:
        """The version that all of it runs and is configured for; None while it is not one."""
        running = self.running
        return Version.maybe(running[0]) if len(running) == 1 and running[0] == self.configured else None

    def component(self, name: str) -> Component | None:
        """The Deployment of that component."""
        return next((each for each in self.components if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The objects that a control plane is read from; an absent ConfigMap is None."""

    namespace: str
    config_map: JsonObject | None
    trust_roots: JsonObject | None
    workloads: tuple[WorkloadFacts, ...]
    pods: tuple[PodFacts, ...]
    crds: tuple[CrdFacts, ...] = ()


def read_control_plane(sighting: Sighting) -> ControlPlane | None:
    """The control plane in `sighting`, None where nothing of one is there."""
    components = _components(sighting)
    if sighting.config_map is None and not components:
        return None
    config, problem = _config(sighting.config_map)
    raw = sighting.config_map or {}
    return ControlPlane(
        namespace=sighting.namespace,
        config=config,
        problem=problem,
        install_uid=text(raw, "metadata", "uid"),
        installed_at=moment(text(raw, "metadata", "creationTimestamp")),
        created_by=text(raw, "metadata", "annotations", marks.CREATED_BY),
        trust_sha256=trust_hash(sighting.trust_roots),
        components=components,
        crds=sighting.crds,
    )


def trust_hash(trust_roots: JsonObject | None) -> str:
    """What the injector notes on a pod for this bundle: the SHA-256 of its exact bytes."""
    bundle = text(trust_roots, "data", BUNDLE)
    return hashlib.sha256(bundle.encode()).hexdigest() if bundle else ""


def trim_crd(raw: JsonObject) -> CrdFacts:
    """The facts of a CustomResourceDefinition, without its schemas."""
    labels = texts(raw, "metadata", "labels")
    return CrdFacts(
        name=text(raw, "metadata", "name"),
        chart=labels.get(marks.HELM_CHART, ""),
        labels=labels,
        annotations={
            key: value
            for key, value in texts(raw, "metadata", "annotations").items()
            if not key.startswith("kubectl.kubernetes.io/")
        },
        served=tuple(text(each, "name") for each in rows(raw, "spec", "versions") if flag(each, "served")),
        stored=tuple(strings(raw, "status", "storedVersions")),
        established=any(
            text(each, "type") == "Established" and text(each, "status") == "True"
            for each in rows(raw, "status", "conditions")
        )
        and dig(raw, "metadata", "deletionTimestamp") is None,
    )


def _config(config_map: JsonObject | None) -> tuple[MeshConfig | None, str]:
    if config_map is None:
        return None, "ConfigMap linkerd-config does not exist: was it deleted, or is this another namespace?"
    try:
        return parse_config(config_map), ""
    except UnreadableConfig as error:
        return None, str(error)


def _components(sighting: Sighting) -> tuple[Component, ...]:
    return tuple(
        Component(
            name=workload.component,
            ref=workload.ref,
            intended=_controller_tag(workload.images),
            desired=workload.replicas.desired,
            ready=workload.replicas.ready,
            running=_versions(sighting.pods, workload.ref),
        )
        for workload in sorted(sighting.workloads, key=lambda each: each.ref)
        if workload.ref.namespace == sighting.namespace and workload.component in COMPONENTS
    )


def _versions(pods: Iterable[PodFacts], ref: WorkloadRef) -> tuple[tuple[str, int], ...]:
    living = (pod for pod in pods if pod.workload == ref and not pod.finished and not pod.deleting)
    return tuple(sorted(Counter(pod.component_version for pod in living).items()))


def _controller_tag(images: Iterable[tuple[str, str]]) -> str:
    for name, image in images:
        if name not in (marks.PROXY_CONTAINER, "linkerd-init", "linkerd-network-validator"):
            return Image.parse(image).tag
    return ""

"""What Steward keeps of a pod: who owns it, and which proxy really runs in it.

`trim` makes a few hundred bytes of the tens of kilobytes that a pod is; what many pods have in common is one object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import NamedTuple

from steward.jsonvalue import JsonObject, dig, flag, rows, text, texts
from steward.linkerd import marks
from steward.linkerd.images import Image
from steward.linkerd.marks import Inject, native_sidecar_wish
from steward.linkerd.version import Version

_CRON_SUFFIX = 8
"""CronJobs name their Jobs `<name>-<minutes since 1970>`, which has had eight digits since 1989."""


class WorkloadRef(NamedTuple):
    """A workload by name. A tuple, because it is the key of everything and its hash must be cheap."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """The proxy container of a pod as it runs, not as it is configured. Build it with `ProxyFacts.of`."""

    image: Image
    annotated: str
    """What the injector noted as version; the image's tag wins over it."""
    native: bool
    """Among the init containers, restarted always: where edge-26.5.2 and later put it."""
    trust: str
    """SHA-256 of the trust bundle that the injector gave it, empty where it noted none."""
    version: Version | None
    """The version of the proxy, None where neither tag nor annotation name one."""
    label: str
    """The version as far as it can be told, for counting: empty where it cannot."""

    @classmethod
    def of(cls, image: str, annotated: str = "", *, native: bool = True, trust: str = "") -> "ProxyFacts":
        """The proxy that runs `image`."""
        parsed = Image.parse(image)
        version = parsed.version or Version.maybe(annotated)
        label = str(version) if version is not None else parsed.tag or annotated
        return cls(parsed, annotated, native, trust, version, intern(label))


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod."""

    namespace: str
    name: str
    uid: str
    workload: WorkloadRef
    """What a person would restart; the pod itself where nothing owns it."""
    revision: str
    """Hash of the template it was made from, empty where the owner notes none."""
    created_at: datetime | None
    phase: str
    problem: str
    """Why a container does not start, such as `ImagePullBackOff`; empty where nothing is said."""
    ready: bool
    deleting: bool
    host_network: bool
    mesh: str
    """Namespace of the control plane it belongs to, empty outside every mesh."""
    component: str
    """Which part of a control plane it is, empty for everybody else's pods."""
    component_version: str
    """Tag of the controller's image of a control plane's pod."""
    proxy: ProxyFacts | None
    proxy_ready: bool
    inject: Inject | None
    pin_version: str
    pin_image: str
    native_wish: bool | None
    foreign_sidecar: bool
    """Another mesh's sidecar is inside: Linkerd's injector leaves such a pod alone."""
    target: str
    """Steward's restart marker, inherited from the template."""
    address: str = ""
    """Its IP address, empty before it has one."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Whether its containers will never run again; such a pod proves and disproves nothing."""
        return self.phase in ("Succeeded", "Failed")


def trim(pod: JsonObject) -> PodFacts:
    """The facts of a pod as the API server returns it."""
    metadata, spec, status = _object(pod, "metadata"), _object(pod, "spec"), _object(pod, "status")
    labels, annotations = texts(metadata, "labels"), texts(metadata, "annotations")
    namespace = intern(text(metadata, "namespace"))
    component = intern(labels.get(marks.COMPONENT, ""))
    proxy = _proxy(spec, annotations)
    return PodFacts(
        namespace=namespace,
        name=text(metadata, "name"),
        uid=text(metadata, "uid"),
        workload=_workload(metadata, labels, namespace),
        revision=intern(labels.get("pod-template-hash") or labels.get("controller-revision-hash") or ""),
        created_at=moment(text(metadata, "creationTimestamp")),
        phase=intern(text(status, "phase")),
        problem=intern(_problem(status)),
        ready=_is_ready(status),
        deleting=dig(metadata, "deletionTimestamp") is not None,
        host_network=flag(spec, "hostNetwork"),
        mesh=intern(labels.get(marks.CONTROL_PLANE_NS, "")),
        component=component,
        component_version=intern(_component_version(spec)) if component else "",
        proxy=proxy,
        proxy_ready=proxy is not None and _proxy_ready(status),
        inject=Inject.read(annotations.get(marks.INJECT)),
        pin_version=intern(annotations.get(marks.PIN_VERSION, "")),
        pin_image=intern(annotations.get(marks.PIN_IMAGE, "")),
        native_wish=native_sidecar_wish(annotations),
        foreign_sidecar=any(
            text(container, "name") in marks.FOREIGN_SIDECARS
            for container in (*rows(spec, "containers"), *rows(spec, "initContainers"))
        ),
        target=intern(annotations.get(marks.PROXY_TARGET, "")),
        address=text(status, "podIP"),
    )


def moment(stamp: str) -> datetime | None:
    """A Kubernetes time stamp, None where there is none."""
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None


def _object(pod: JsonObject, member: str) -> JsonObject:
    found = pod.get(member)
    return found if isinstance(found, dict) else {}


def _proxy(spec: JsonObject, annotations: Mapping[str, str]) -> ProxyFacts | None:
    for member, native in (("initContainers", True), ("containers", False)):
        for container in rows(spec, member):
            if text(container, "name") == marks.PROXY_CONTAINER:
                return _shared_proxy(
                    text(container, "image"),
                    annotations.get(marks.PROXY_VERSION, ""),
                    native,
                    annotations.get(marks.TRUST_ROOT, ""),
                )
    return None


@lru_cache(maxsize=4096)
def _shared_proxy(image: str, annotated: str, native: bool, trust: str) -> ProxyFacts:  # noqa: FBT001 - a cache key
    return ProxyFacts.of(image, annotated, native=native, trust=trust)


@lru_cache(maxsize=65536)
def _shared_ref(kind: str, namespace: str, name: str) -> WorkloadRef:
    return WorkloadRef(kind, namespace, name)


def _workload(metadata: JsonObject, labels: Mapping[str, str], namespace: str) -> WorkloadRef:
    owner = next((each for each in rows(metadata, "ownerReferences") if flag(each, "controller")), None)
    if owner is None:
        return WorkloadRef("Pod", namespace, text(metadata, "name"))
    kind, name = text(owner, "kind"), text(owner, "name")
    if kind == "ReplicaSet":
        kind, name = _behind_replica_set(name, labels)
    elif kind == "Job":
        kind, name = _behind_job(name, labels)
    return _shared_ref(intern(kind), namespace, intern(name))


def _behind_replica_set(name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """A ReplicaSet of a Deployment or of an Argo Rollout ends with the template's hash; a bare one has no hash."""
    for kind, label in (("Deployment", "pod-template-hash"), ("Rollout", "rollouts-pod-template-hash")):
        suffix = f"-{labels.get(label, '')}"
        if len(suffix) > 1 and name.endswith(suffix):
            return kind, name.removesuffix(suffix)
    deployment = labels.get(f"{marks.PROXY_OWNER_PREFIX}deployment")
    return ("Deployment", deployment) if deployment else ("ReplicaSet", name)


def _behind_job(name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    cron_job = labels.get(f"{marks.PROXY_OWNER_PREFIX}cronjob")
    if cron_job:
        return "CronJob", cron_job
    head, _, minutes = name.rpartition("-")
    return ("CronJob", head) if head and len(minutes) == _CRON_SUFFIX and minutes.isdigit() else ("Job", name)


def _component_version(spec: JsonObject) -> str:
    for container in rows(spec, "containers"):
        if text(container, "name") != marks.PROXY_CONTAINER:
            return Image.parse(text(container, "image")).tag
    return ""


def _is_ready(status: JsonObject) -> bool:
    return any(
        text(condition, "type") == "Ready" and text(condition, "status") == "True"
        for condition in rows(status, "conditions")
    )


def _statuses(status: JsonObject) -> list[JsonObject]:
    return [*rows(status, "initContainerStatuses"), *rows(status, "containerStatuses")]


def _proxy_ready(status: JsonObject) -> bool:
    return any(flag(each, "ready") for each in _statuses(status) if text(each, "name") == marks.PROXY_CONTAINER)


def _problem(status: JsonObject) -> str:
    for each in _statuses(status):
        reason = text(each, "state", "waiting", "reason")
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            return reason
    unscheduled = (each for each in rows(status, "conditions") if text(each, "type") == "PodScheduled")
    return next((text(each, "reason") for each in unscheduled if text(each, "status") == "False"), "") or text(
        status, "reason"
    )

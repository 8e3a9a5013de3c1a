"""What Steward keeps of a Deployment, StatefulSet or DaemonSet, and of a namespace."""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, table, text, texts, whole
from steward.linkerd import marks
from steward.linkerd.marks import Inject, kept
from steward.linkerd.pods import WorkloadRef

RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds whose pods are replaced when their template changes."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many pods a workload should have and has."""

    desired: int
    updated: int
    ready: int
    available: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """One workload. Of its labels and annotations only those that a decision reads are kept."""

    ref: WorkloadRef
    uid: str
    resource_version: str
    generation: int
    observed_generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    template_labels: Mapping[str, str]
    template_annotations: Mapping[str, str]
    selector: str
    """Label selector of its pods, as the API server takes it."""
    replicas: Replicas
    strategy: str
    """`RollingUpdate`, `Recreate` or `OnDelete`."""
    partition: int
    """A StatefulSet replaces only pods whose ordinal is this or higher."""
    paused: bool
    stalled: str
    """Why the controller gave up, such as `ProgressDeadlineExceeded`; empty where it did not."""
    owner: str
    """`Kind/name` of the object that controls it and may undo edits of its template; empty where nothing does."""
    manual_proxy: bool
    """The proxy is written into the template (`linkerd inject --manual`): a restart changes nothing."""
    host_network: bool
    images: tuple[tuple[str, str], ...]
    """Container → image; kept for the parts of a control plane only."""
    deleting: bool

    @property
    def settled(self) -> bool:
        """Whether the controller has seen the template and every pod is of it and available."""
        count = self.replicas
        return (
            self.observed_generation >= self.generation
            and count.updated == count.total == count.available
            and count.updated >= count.desired
        )

    @property
    def component(self) -> str:
        """Which part of a control plane it is, empty for everybody else's workloads."""
        return self.labels.get(marks.COMPONENT, "")


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """One namespace. All labels are kept: webhooks select by any of them."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    deleting: bool

    @property
    def inject(self) -> Inject | None:
        """What the namespace asks of the injector for pods that ask nothing themselves."""
        return Inject.read(self.annotations.get(marks.INJECT))

    @property
    def extension(self) -> str:
        """The Linkerd extension it belongs to, empty where it is none's."""
        return self.labels.get(marks.EXTENSION, "")


def wish(key: str, workload: WorkloadFacts | None, namespace: NamespaceFacts | None) -> str | None:
    """What people ask of Steward with `key`: the workload wins over the namespace, annotations over labels."""
    for marked in (workload, namespace):
        if marked is not None:
            value = marked.annotations.get(key, marked.labels.get(key))
            if value is not None:
                return value
    return None


def trim_namespace(raw: JsonObject) -> NamespaceFacts:
    """The facts of a namespace as the API server returns it."""
    return NamespaceFacts(
        name=text(raw, "metadata", "name"),
        labels=texts(raw, "metadata", "labels"),
        annotations=kept(texts(raw, "metadata", "annotations")),
        deleting=dig(raw, "metadata", "deletionTimestamp") is not None,
    )


def trim_workload(raw: JsonObject) -> WorkloadFacts:
    """The facts of a Deployment, StatefulSet or DaemonSet as the API server returns it."""
    metadata, spec, status = table(raw, "metadata"), table(raw, "spec"), table(raw, "status")
    template = table(spec, "template")
    kind = text(raw, "kind")
    labels = kept(texts(metadata, "labels"))
    containers = [*rows(template, "spec", "initContainers"), *rows(template, "spec", "containers")]
    return WorkloadFacts(
        ref=WorkloadRef(intern(kind), intern(text(metadata, "namespace")), intern(text(metadata, "name"))),
        uid=text(metadata, "uid"),
        resource_version=text(metadata, "resourceVersion"),
        generation=whole(metadata, "generation"),
        observed_generation=whole(status, "observedGeneration"),
        labels=labels,
        annotations=kept(texts(metadata, "annotations")),
        template_labels=kept(texts(template, "metadata", "labels")),
        template_annotations=kept(texts(template, "metadata", "annotations")),
        selector=_selector(table(spec, "selector")),
        replicas=_replicas(kind, spec, status),
        strategy=intern(
            text(spec, "strategy", "type") or text(spec, "updateStrategy", "type") or "RollingUpdate",
        ),
        partition=whole(spec, "updateStrategy", "rollingUpdate", "partition"),
        paused=flag(spec, "paused"),
        stalled=_stalled(status),
        owner=_owner(metadata),
        manual_proxy=any(text(each, "name") == marks.PROXY_CONTAINER for each in containers),
        host_network=flag(template, "spec", "hostNetwork"),
        images=tuple((text(each, "name"), text(each, "image")) for each in containers)
        if marks.COMPONENT in labels
        else (),
        deleting=dig(metadata, "deletionTimestamp") is not None,
    )


def _replicas(kind: str, spec: JsonObject, status: JsonObject) -> Replicas:
    if kind == "DaemonSet":
        return Replicas(
            desired=whole(status, "desiredNumberScheduled"),
            updated=whole(status, "updatedNumberScheduled"),
            ready=whole(status, "numberReady"),
            available=whole(status, "numberAvailable"),
            total=whole(status, "currentNumberScheduled"),
        )
    return Replicas(
        desired=whole(spec, "replicas", default=1),
        updated=whole(status, "updatedReplicas"),
        ready=whole(status, "readyReplicas"),
        available=whole(status, "availableReplicas"),
        total=whole(status, "replicas"),
    )


def _stalled(status: JsonObject) -> str:
    for condition in rows(status, "conditions"):
        if text(condition, "type") == "Progressing" and text(condition, "status") == "False":
            return text(condition, "reason")
    return ""


def _owner(metadata: JsonObject) -> str:
    for each in rows(metadata, "ownerReferences"):
        if flag(each, "controller"):
            return f"{text(each, 'kind')}/{text(each, 'name')}"
    return ""


def _selector(selector: JsonObject) -> str:
    parts = [f"{key}={value}" for key, value in sorted(texts(selector, "matchLabels").items())]
    for expression in rows(selector, "matchExpressions"):
        key, values = text(expression, "key"), ",".join(strings(expression, "values"))
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }.get(text(expression, "operator"), key)
        )
    return ",".join(parts)

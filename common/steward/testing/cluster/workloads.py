"""The applications of a test: workloads of every kind that a mesh upgrade meets, each with what must become of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from secrets import token_hex

from steward.jsonvalue import JsonObject, rows, table, text, texts, whole
from steward.testing.cluster.api import Api

ASKS = {"steward.linkerd.io/proxy-upgrade": "Auto"}
DECLINES = {"steward.linkerd.io/proxy-upgrade": "Disabled"}
MESHED = {"linkerd.io/inject": "enabled"}
NOT_MESHED = {"linkerd.io/inject": "disabled"}
PINNED = "config.linkerd.io/proxy-version"

_IMAGE = "registry.k8s.io/pause:3.10"
_WAIT = timedelta(seconds=180)


class Kind(StrEnum):
    """What a workload is."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    JOB = "Job"
    POD = "Pod"


class Fate(StrEnum):
    """What a complete upgrade of the mesh makes of a workload."""

    UPGRADED = "upgraded"
    """It asked, and every one of its pods runs the new proxy afterwards."""
    UNTOUCHED = "untouched"
    """It did not ask, or said no: its pods are the same ones as before."""
    REPORTED = "reported"
    """It asked, but nobody can restart it or the restart would change nothing; that is said, not forgotten."""


_PLURALS = {
    Kind.DEPLOYMENT: "apis/apps/v1/namespaces/{}/deployments",
    Kind.STATEFUL_SET: "apis/apps/v1/namespaces/{}/statefulsets",
    Kind.DAEMON_SET: "apis/apps/v1/namespaces/{}/daemonsets",
    Kind.JOB: "apis/batch/v1/namespaces/{}/jobs",
    Kind.POD: "api/v1/namespaces/{}/pods",
}
ROLLING = (Kind.DEPLOYMENT, Kind.STATEFUL_SET, Kind.DAEMON_SET)


def unique(name: str) -> str:
    """`name` with a suffix that no other test has had, nor an earlier run whose namespaces are still going."""
    return f"{name}-{token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace and what it says for all workloads in it."""

    name: str
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def manifest(self) -> JsonObject:
        """The object."""
        metadata: JsonObject = {
            "name": self.name,
            "annotations": dict(self.annotations),
            "labels": dict(self.labels),
        }
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@dataclass(frozen=True, slots=True)
class Workload:
    """One application."""

    kind: Kind
    namespace: str
    name: str
    fate: Fate = Fate.UPGRADED
    replicas: int = 2
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    pod_annotations: dict[str, str] = field(default_factory=dict)
    host_network: bool = False

    @property
    def collection(self) -> str:
        """Where the API server keeps its kind."""
        return "/" + _PLURALS[self.kind].format(self.namespace)

    @property
    def path(self) -> str:
        """Where the API server keeps it."""
        return f"{self.collection}/{self.name}"

    def manifest(self) -> JsonObject:
        """The object."""
        metadata: JsonObject = {
            "name": self.name,
            "namespace": self.namespace,
            "annotations": dict(self.annotations),
            "labels": {"app": self.name, **self.labels},
        }
        if self.kind is Kind.POD:
            metadata["annotations"] = {**self.annotations, **self.pod_annotations}
            return {"apiVersion": "v1", "kind": self.kind.value, "metadata": metadata, "spec": self._pod_spec()}
        group = "batch/v1" if self.kind is Kind.JOB else "apps/v1"
        return {"apiVersion": group, "kind": self.kind.value, "metadata": metadata, "spec": self._spec()}

    def _spec(self) -> JsonObject:
        labels: JsonObject = {"app": self.name}
        metadata: JsonObject = {"labels": labels, "annotations": dict(self.pod_annotations)}
        spec: JsonObject = {"template": {"metadata": metadata, "spec": self._pod_spec()}}
        if self.kind is not Kind.JOB:
            spec["selector"] = {"matchLabels": labels}
        if self.kind in (Kind.DEPLOYMENT, Kind.STATEFUL_SET):
            spec["replicas"] = self.replicas
        if self.kind is Kind.STATEFUL_SET:
            spec["serviceName"] = self.name
        return spec

    def _pod_spec(self) -> JsonObject:
        spec: JsonObject = {"containers": [{"name": "app", "image": _IMAGE, "ports": [{"containerPort": 8080}]}]}
        if self.host_network:
            spec["hostNetwork"] = True
        if self.kind is Kind.JOB:
            spec["restartPolicy"] = "Never"
        return spec


@dataclass(frozen=True, slots=True)
class Fleet:
    """Namespaces and workloads that belong together."""

    namespaces: tuple[Namespace, ...]
    workloads: tuple[Workload, ...]

    def create(self, api: Api) -> None:
        """Create everything. Pods get their proxies now, if the injector is up."""
        for namespace in self.namespaces:
            api.create("/api/v1/namespaces", namespace.manifest())
        for namespace in self.namespaces:
            # Pods are refused until the namespace has its ServiceAccount.
            collection = f"/api/v1/namespaces/{namespace.name}/serviceaccounts"
            api.until("a default ServiceAccount", collection, lambda accounts: "default" in _names(accounts))
        for workload in self.workloads:
            api.create(workload.collection, workload.manifest())

    def until_ready(self, api: Api, *, within: timedelta = _WAIT) -> None:
        """Wait until every rolling workload has all its pods, updated and ready, and no pod is on its way out."""
        for kind in ROLLING:
            for namespace in self.namespaces:
                names = {w.name for w in self.workloads if w.kind is kind and w.namespace == namespace.name}
                if names:
                    collection = "/" + _PLURALS[kind].format(namespace.name)
                    what = f"{kind} {', '.join(sorted(names))} rolled out in {namespace.name}"
                    api.until(what, collection, partial(_all_rolled_out, names), within=within)
        for namespace in self.namespaces:
            collection = f"/api/v1/namespaces/{namespace.name}/pods"
            api.until(f"no ending pod in {namespace.name}", collection, _none_ending, within=within)

    def pods(self, api: Api, workload: Workload) -> list[JsonObject]:
        """The pods of one workload."""
        collection = f"/api/v1/namespaces/{workload.namespace}/pods"
        return api.items(collection, labels=f"app={workload.name}")

    def of(self, fate: Fate) -> list[Workload]:
        """The workloads that an upgrade must leave in that state."""
        return [workload for workload in self.workloads if workload.fate is fate]

    def remove(self, api: Api) -> None:
        """Delete the namespaces. They take ten seconds to go; give the next fleet other names and do not wait."""
        for namespace in self.namespaces:
            api.delete(f"/api/v1/namespaces/{namespace.name}")


def rolled_out(workload: JsonObject) -> bool:
    """Whether a Deployment, StatefulSet or DaemonSet has all its pods, updated and ready."""
    if whole(workload, "status", "observedGeneration") < whole(workload, "metadata", "generation"):
        return False
    status = table(workload, "status")
    if text(workload, "kind") == Kind.DAEMON_SET or "desiredNumberScheduled" in status:
        wanted = whole(status, "desiredNumberScheduled")
        return wanted == whole(status, "updatedNumberScheduled") == whole(status, "numberReady")
    wanted = whole(workload, "spec", "replicas", default=1)
    counts = (whole(status, "updatedReplicas"), whole(status, "readyReplicas"), whole(status, "replicas"))
    return all(count == wanted for count in counts)


def proxy_version(pod: JsonObject) -> str:
    """The tag of the proxy that runs in `pod`, as a native sidecar or an ordinary container; empty without one."""
    containers = [*rows(pod, "spec", "initContainers"), *rows(pod, "spec", "containers")]
    proxies = (text(container, "image") for container in containers if text(container, "name") == "linkerd-proxy")
    return next((image.rpartition(":")[2] for image in proxies), "")


def mixed_fleet(suffix: str = "") -> Fleet:
    """Twenty meshed workloads that ask to be upgraded, in three namespaces, and all that must be left alone."""
    shop, billing, legacy, quiet, plain = (
        f"{name}{suffix}" for name in ("shop", "billing", "legacy", "quiet", "plain")
    )
    asked_by_annotation = Namespace(shop, annotations={**MESHED, **ASKS})
    asked_by_label = Namespace(billing, annotations=MESHED, labels=ASKS)
    asked_by_workload = Namespace(legacy, annotations=MESHED)
    not_asked = Namespace(quiet, annotations=MESHED)
    outside = Namespace(plain)
    workloads = (
        *_rolling(shop, Kind.DEPLOYMENT, ("web", "cart", "search", "catalog", "checkout", "images")),
        *_rolling(shop, Kind.STATEFUL_SET, ("sessions", "queue")),
        *_rolling(shop, Kind.DAEMON_SET, ("agent",)),
        *_rolling(billing, Kind.DEPLOYMENT, ("invoices", "payments", "refunds", "taxes")),
        *_rolling(billing, Kind.STATEFUL_SET, ("ledger", "archive")),
        *_rolling(billing, Kind.DAEMON_SET, ("collector",)),
        Workload(Kind.DEPLOYMENT, legacy, "mailer", annotations=ASKS),
        Workload(Kind.DEPLOYMENT, legacy, "reports", labels=ASKS),
        Workload(Kind.STATEFUL_SET, legacy, "store", annotations=ASKS),
        Workload(Kind.DAEMON_SET, legacy, "probe", labels=ASKS),
        Workload(Kind.DEPLOYMENT, legacy, "cobol", Fate.UNTOUCHED),
        Workload(Kind.DEPLOYMENT, shop, "frozen", Fate.UNTOUCHED, annotations=DECLINES),
        Workload(Kind.DEPLOYMENT, quiet, "whisper", Fate.UNTOUCHED),
        Workload(Kind.STATEFUL_SET, quiet, "memory", Fate.UNTOUCHED),
        Workload(Kind.DEPLOYMENT, plain, "unmeshed", Fate.UNTOUCHED),
        Workload(Kind.DEPLOYMENT, shop, "opted-out", Fate.REPORTED, pod_annotations=NOT_MESHED),
        Workload(Kind.DEPLOYMENT, shop, "host-network", Fate.REPORTED, replicas=1, host_network=True),
        Workload(Kind.JOB, shop, "import", Fate.REPORTED),
        Workload(Kind.POD, shop, "bare", Fate.REPORTED),
    )
    return Fleet((asked_by_annotation, asked_by_label, asked_by_workload, not_asked, outside), workloads)


def pinned(namespace: str, name: str, version: str) -> Workload:
    """A Deployment whose pods ask the injector for one version of the proxy, whatever the control plane's is."""
    return Workload(Kind.DEPLOYMENT, namespace, name, Fate.REPORTED, pod_annotations={PINNED: version})


def _rolling(namespace: str, kind: Kind, names: Iterable[str]) -> list[Workload]:
    return [Workload(kind, namespace, name) for name in names]


def _names(items: Iterable[JsonObject]) -> list[str]:
    return [texts(item, "metadata").get("name", "") for item in items]


def _all_rolled_out(names: set[str], items: list[JsonObject]) -> bool:
    named = {text(item, "metadata", "name"): item for item in items}
    return all(name in named and rolled_out(named[name]) for name in names)


def _none_ending(pods: list[JsonObject]) -> bool:
    return not any(text(pod, "metadata", "deletionTimestamp") for pod in pods)

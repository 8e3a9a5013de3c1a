"""What a check may look at: the cluster through a memory that can be cleared, the flags, the clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from steward.clock import Clock
from steward.jsonvalue import JsonObject, rows, text, texts
from steward.kube.resources import CONFIG_MAPS, CRDS, NAMESPACES, PODS, SECRETS, Resource
from steward.testing.linkerd.cli.api import Cluster
from steward.testing.linkerd.objects import CONTROL_PLANE_NS, opened
from steward.testing.linkerd.proxy import PROXY, TRUST_ROOTS
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import load


@dataclass(frozen=True, slots=True)
class Options:
    """How this run was asked for."""

    release: Release
    namespace: str = ""
    """`-n`: the data plane to look at; empty for all of it."""
    control_plane: str = "linkerd"
    expected: str = ""
    feed: str = ""
    """Where the latest version is asked for; without one, the executable takes its own for the latest."""
    names_installation: bool = True
    """Whether the feed is told which installation asks; `--crds` does not look for one."""
    wait: timedelta = timedelta(minutes=5)


@dataclass
class Seen:
    """The cluster as this run sees it. What was read once is not read again until `forget`."""

    cluster: Cluster
    options: Options
    clock: Clock
    _lists: dict[tuple[Resource, str, str], list[JsonObject]] = field(default_factory=dict)

    def forget(self) -> None:
        """Look again from here on."""
        self._lists.clear()
        for name in ("config", "values", "anchors"):
            self.__dict__.pop(name, None)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.clock.now()

    def all(self, resource: Resource, namespace: str = "", labels: str = "") -> list[JsonObject]:
        """All objects."""
        key = (resource, namespace, labels)
        if key not in self._lists:
            self._lists[key] = self.cluster.list(resource, namespace, labels)
        return self._lists[key]

    def named(self, resource: Resource, name: str, namespace: str = "") -> JsonObject | None:
        """The object of that name, or None."""
        return next((one for one in self.all(resource, namespace) if text(one, "metadata", "name") == name), None)

    @cached_property
    def config(self) -> JsonObject | None:
        """The ConfigMap `linkerd-config`."""
        return self.cluster.find(CONFIG_MAPS, "linkerd-config", self.options.control_plane)

    @cached_property
    def values(self) -> JsonObject:
        """The values in it."""
        return load(text(self.config or {}, "data", "values"))

    @cached_property
    def anchors(self) -> str:
        """The bundle that the proxies are given."""
        roots = self.cluster.find(CONFIG_MAPS, TRUST_ROOTS, self.options.control_plane)
        return text(roots or {}, "data", "ca-bundle.crt")

    def secret(self, name: str) -> dict[str, str]:
        """The decoded content of a Secret in the control plane's namespace."""
        return opened(self.cluster.find(SECRETS, name, self.options.control_plane) or {})

    def definition(self, name: str) -> JsonObject | None:
        """A CustomResourceDefinition."""
        return self.named(CRDS, name)

    @property
    def control_plane_pods(self) -> list[JsonObject]:
        """Pods in the control plane's namespace that carry a component's label, by name."""
        pods = self.all(PODS, self.options.control_plane, "linkerd.io/control-plane-component")
        return sorted(pods, key=pod_name)

    @property
    def meshed_pods(self) -> list[JsonObject]:
        """Pods of the data plane that are still there to run, by name."""
        labels = f"{CONTROL_PLANE_NS}={self.options.control_plane}"
        pods = self.all(PODS, self.options.namespace, labels)
        return sorted((pod for pod in pods if self._of_data_plane(pod)), key=pod_name)

    def _of_data_plane(self, pod: JsonObject) -> bool:
        finished = text(pod, "status", "phase") in ("Succeeded", "Failed")
        return not finished and text(pod, "metadata", "namespace") != self.options.control_plane

    @property
    def namespaces(self) -> list[JsonObject]:
        """All namespaces."""
        return self.all(NAMESPACES)


def pod_name(pod: JsonObject) -> str:
    """Its name."""
    return text(pod, "metadata", "name")


def proxy_of(pod: JsonObject) -> JsonObject:
    """The container of the proxy, wherever it stands; empty where there is none."""
    both = (*rows(pod, "spec", "initContainers"), *rows(pod, "spec", "containers"))
    return next((one for one in both if text(one, "name") == PROXY), {})


def proxy_version(pod: JsonObject) -> str:
    """The tag of the proxy's image."""
    return text(proxy_of(pod), "image").rpartition(":")[2]


def proxy_is_ready(pod: JsonObject) -> bool:
    """What the kubelet says about the proxy's container."""
    both = (*rows(pod, "status", "initContainerStatuses"), *rows(pod, "status", "containerStatuses"))
    return any(text(one, "name") == PROXY and one.get("ready") is True for one in both)


def component_of(pod: JsonObject) -> str:
    """The Deployment of the control plane that a pod belongs to."""
    component = texts(pod, "metadata", "labels").get("linkerd.io/control-plane-component", "")
    return f"linkerd-{component}"

"""The objects of the fake cluster, as the simulated controllers look at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from steward.jsonvalue import JsonObject, rows, strings, table, text, texts, whole
from steward.kube.resources import CONFIG_MAPS, NAMESPACES, NODES, PODS, SERVICES, Resource
from steward.testing.dataplane.config import Meta
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd.values import NAMESPACE, load

OPAQUE_PORTS = "config.linkerd.io/opaque-ports"
SIMULATED_NETWORK = "127.16.0.0/12"
"""Pods and Services of the simulation live on loopback, which no real `clusterNetworks` names."""
ZONE = "topology.kubernetes.io/zone"
INBOUND_PORT = 4143


@dataclass(frozen=True, slots=True)
class MeshValues:
    """What `linkerd-config` says about defaults."""

    cluster_domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    default_policy: str = "all-unauthenticated"
    opaque_ports: frozenset[int] = frozenset({25, 587, 3306, 4444, 5432, 6379, 9300, 11211})
    cluster_networks: tuple[str, ...] = (SIMULATED_NETWORK,)
    skip_inbound: frozenset[int] = frozenset({4567, 4568})
    skip_outbound: frozenset[int] = frozenset({4567, 4568})
    global_egress: str = "linkerd-egress"


class World:
    """Reads the store. Lists are kept until the next write anywhere."""

    def __init__(self, cluster: ClusterState) -> None:
        self.cluster = cluster
        self._version = 0
        self._lists: dict[tuple[tuple[str, str], str], list[JsonObject]] = {}
        self._by_ip: dict[str, JsonObject] = {}
        self._frozen: dict[tuple[str, str], list[JsonObject]] = {}

    def freeze(self, kinds: tuple[Resource, ...]) -> None:
        """From here on tell of these kinds as they are now; of none of them to end it."""
        wanted = {(kind.group, kind.plural) for kind in kinds}
        kept = {key: value for key, value in self._frozen.items() if key in wanted}
        self._frozen = {key: kept.get(key, self.cluster.store.select(key, "")) for key in wanted}

    def all(self, resource: Resource, namespace: str = "") -> list[JsonObject]:
        """Every object, in the order of namespace and name; empty where the kind is not served."""
        self._refresh()
        key = ((resource.group, resource.plural), namespace)
        frozen = self._frozen.get(key[0])
        if frozen is not None:
            return [one for one in frozen if not namespace or namespace_of(one) == namespace]
        if key not in self._lists:
            self._lists[key] = self.cluster.store.select(*key)
        return self._lists[key]

    def find(self, resource: Resource, name: str, namespace: str = "") -> JsonObject | None:
        """One object, or None."""
        return self.cluster.store.get((resource.group, resource.plural), (namespace, name))

    @property
    def values(self) -> MeshValues:
        """The defaults of the installation."""
        config = self.find(CONFIG_MAPS, "linkerd-config", NAMESPACE)
        return _values(text(config or {}, "data", "values"))

    def pod_at(self, ip: str) -> JsonObject | None:
        """The pod that has this address now."""
        return self._at(ip, PODS)

    def service_at(self, ip: str) -> JsonObject | None:
        """The Service with this ClusterIP."""
        return self._at(ip, SERVICES)

    def namespace_annotations(self, namespace: str) -> dict[str, str]:
        """Annotations of a namespace."""
        return texts(self.find(NAMESPACES, namespace) or {}, "metadata", "annotations")

    def zone_of(self, node: str) -> str:
        """The zone of a node, or nothing."""
        return texts(self.find(NODES, node) or {}, "metadata", "labels").get(ZONE, "")

    def identity(self, account: str, namespace: str) -> str:
        """The identity of a ServiceAccount."""
        return f"{account}.{namespace}.serviceaccount.identity.{NAMESPACE}.{self.values.trust_domain}"

    def identity_of(self, pod: JsonObject) -> str | None:
        """The identity of a pod with a proxy; None for one without."""
        if proxy_of(pod) is None:
            return None
        return self.identity(account_of(pod), namespace_of(pod))

    def service_name(self, service: JsonObject) -> str:
        """The full name of a Service."""
        return f"{name_of(service)}.{namespace_of(service)}.svc.{self.values.cluster_domain}"

    def _at(self, ip: str, resource: Resource) -> JsonObject | None:
        self._refresh()
        if not self._by_ip:
            self._by_ip = dict(self._addressed())
        found = self._by_ip.get(ip)
        return found if found is not None and text(found, "kind") == resource.kind else None

    def _addressed(self) -> Iterator[tuple[str, JsonObject]]:
        for pod in self.all(PODS):
            if text(pod, "status", "podIP") and text(pod, "status", "phase") in ("Pending", "Running"):
                yield text(pod, "status", "podIP"), pod
        for service in self.all(SERVICES):
            yield text(service, "spec", "clusterIP"), service

    def _refresh(self) -> None:
        if self._version != self.cluster.store.version:
            self._version = self.cluster.store.version
            self._lists.clear()
            self._by_ip.clear()


def name_of(value: JsonObject) -> str:
    """`metadata.name`."""
    return text(value, "metadata", "name")


def namespace_of(value: JsonObject) -> str:
    """`metadata.namespace`."""
    return text(value, "metadata", "namespace")


def annotations_of(value: JsonObject) -> dict[str, str]:
    """`metadata.annotations`."""
    return texts(value, "metadata", "annotations")


def labels_of(value: JsonObject) -> dict[str, str]:
    """`metadata.labels`."""
    return texts(value, "metadata", "labels")


def account_of(pod: JsonObject) -> str:
    """The ServiceAccount that a pod runs as."""
    return text(pod, "spec", "serviceAccountName") or "default"


def proxy_of(pod: JsonObject) -> JsonObject | None:
    """The proxy's container."""
    for kind in ("initContainers", "containers"):
        for one in rows(pod, "spec", kind):
            if text(one, "name") == PROXY:
                return one
    return None


def meta_of(value: JsonObject, *, port: int = 0) -> Meta:
    """An object as metrics name it; what has no group is `core` there."""
    group, _, _ = text(value, "apiVersion").rpartition("/")
    return Meta(group or "core", text(value, "kind"), name_of(value), namespace_of(value), port)


def by_age(values: list[JsonObject]) -> list[JsonObject]:
    """The oldest first, then by name, as the Gateway API decides conflicts."""
    return sorted(values, key=lambda one: (text(one, "metadata", "creationTimestamp"), name_of(one)))


def port_numbers(declared: str, named: dict[str, int] | None = None) -> frozenset[int]:
    """`25,8000-8002,web` as numbers; names that are unknown are left out."""
    found: set[int] = set()
    for word in (part.strip() for part in declared.split(",")):
        first, _, last = word.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            found.update(range(int(first), int(last or first) + 1))
        elif named and word in named:
            found.add(named[word])
    return frozenset(found)


def container_ports(pod: JsonObject) -> dict[str, int]:
    """Named ports of the containers of a pod."""
    return {
        text(port, "name"): whole(port, "containerPort")
        for kind in ("initContainers", "containers")
        for container in rows(pod, "spec", kind)
        for port in rows(container, "ports")
        if text(port, "name")
    }


@lru_cache(maxsize=16)
def _values(raw: str) -> MeshValues:
    if not raw:
        return MeshValues()
    values = load(raw)
    proxy, init = table(values, "proxy"), table(values, "proxyInit")
    networks = [one for one in text(values, "clusterNetworks").split(",") if one]
    fallback = MeshValues()
    return MeshValues(
        cluster_domain=text(values, "clusterDomain", default="cluster.local"),
        trust_domain=text(values, "identityTrustDomain", default="cluster.local"),
        default_policy=text(proxy, "defaultInboundPolicy", default=fallback.default_policy),
        opaque_ports=port_numbers(text(proxy, "opaquePorts")) or fallback.opaque_ports,
        cluster_networks=(*networks, SIMULATED_NETWORK),
        skip_inbound=port_numbers(text(init, "ignoreInboundPorts", default="4567,4568")),
        skip_outbound=port_numbers(text(init, "ignoreOutboundPorts", default="4567,4568")),
        global_egress=text(values, "egress", "globalEgressNetworkNamespace", default=fallback.global_egress),
    )


def strings_of(value: JsonObject, *path: str) -> tuple[str, ...]:
    """The strings of a list."""
    return tuple(strings(value, *path))

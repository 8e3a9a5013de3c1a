"""The EndpointSlices of the pods of a simulated cluster, written as Kubernetes' controller writes them."""

from collections.abc import Iterable, Iterator

from steward.jsonvalue import Json, JsonObject, flag, rows, table, text, texts, whole
from steward.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, STATEFUL_SETS
from steward.testing.dataplane.control.world import (
    World,
    annotations_of,
    container_ports,
    labels_of,
    name_of,
    namespace_of,
)
from steward.testing.linkerd.simulation.pods import is_ready

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_KUBERNETES = "endpointslice-controller.k8s.io"
_TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")


def keep(world: World, manager: str, slices: Iterable[JsonObject]) -> None:
    """Of the slices of one manager write what differs, and remove what is not wanted any more."""
    cluster = world.cluster
    wanted = {(namespace_of(one), name_of(one)): one for one in slices}
    for there in list(world.all(ENDPOINT_SLICES)):
        key = (namespace_of(there), name_of(there))
        if labels_of(there).get(MANAGED_BY) == manager and key not in wanted:
            cluster.remove(cluster.kinds.of(ENDPOINT_SLICES), there)
    for (namespace, name), slice_ in wanted.items():
        before = cluster.find(ENDPOINT_SLICES, name, namespace)
        if before is None:
            cluster.create(ENDPOINT_SLICES, slice_, namespace)
        elif any(before.get(part) != slice_[part] for part in ("endpoints", "ports")):
            changed: JsonObject = {"endpoints": slice_["endpoints"], "ports": slice_["ports"]}
            kind = cluster.kinds.of(ENDPOINT_SLICES)
            cluster.put(kind, {**before, "metadata": dict(table(before, "metadata")), **changed})


class Slices:
    """Keeps one slice for the pods of each Service."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cluster = world.cluster

    def reconcile(self) -> None:
        """Write what differs, remove what has no Service any more."""
        keep(self._world, _KUBERNETES, self._wanted())

    def _wanted(self) -> Iterator[JsonObject]:
        for service in self._world.all(SERVICES):
            selector = texts(service, "spec", "selector")
            if not selector or text(service, "spec", "type") == "ExternalName":
                continue
            namespace = namespace_of(service)
            pods = [one for one in self._world.all(PODS, namespace) if selected(one, selector) and _has_address(one)]
            yield self._slice(service, pods)

    def _slice(self, service: JsonObject, pods: list[JsonObject]) -> JsonObject:
        endpoints: list[Json] = [self._endpoint(service, one) for one in pods]
        return {
            "metadata": {
                "name": f"{name_of(service)}-pods",
                "labels": {SERVICE_NAME: name_of(service), MANAGED_BY: _KUBERNETES},
                "ownerReferences": [owned_by(service)],
                "namespace": namespace_of(service),
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": _ports(service, pods),
        }

    def _endpoint(self, service: JsonObject, pod: JsonObject) -> JsonObject:
        ending = bool(text(pod, "metadata", "deletionTimestamp"))
        ready = is_ready(pod) or flag(service, "spec", "publishNotReadyAddresses")
        node = text(pod, "spec", "nodeName")
        endpoint: JsonObject = {
            "addresses": [text(pod, "status", "podIP")],
            "conditions": {"ready": ready, "serving": ready, "terminating": ending},
            "targetRef": {
                "kind": text(pod, "kind"),
                "name": name_of(pod),
                "namespace": namespace_of(pod),
                "uid": text(pod, "metadata", "uid"),
            },
        }
        if node:
            endpoint["nodeName"] = node
        zone = self._world.zone_of(node)
        if zone:
            endpoint["zone"] = zone
        if zone and _wants_hints(service):
            endpoint["hints"] = {"forZones": [{"name": zone}]}
        hostname = self._hostname(service, pod)
        if hostname:
            endpoint["hostname"] = hostname
        return endpoint

    def _hostname(self, service: JsonObject, pod: JsonObject) -> str:
        """A StatefulSet's pods have names of their own below its Service."""
        if text(pod, "spec", "subdomain") == name_of(service):
            return text(pod, "spec", "hostname")
        for owner in rows(pod, "metadata", "ownerReferences"):
            if text(owner, "kind") == STATEFUL_SETS.kind:
                above = self._cluster.find(STATEFUL_SETS, text(owner, "name"), namespace_of(pod))
                if text(above or {}, "spec", "serviceName") == name_of(service):
                    return name_of(pod)
        return ""


def owned_by(service: JsonObject) -> JsonObject:
    """The reference by which a slice goes with its Service."""
    return {"apiVersion": "v1", "kind": "Service", "name": name_of(service), "uid": text(service, "metadata", "uid")}


def target_port(port: JsonObject, pod: JsonObject | None) -> int:
    """The number that a Service's port leads to on a pod; 0 where its name is unknown there."""
    wanted = port.get("targetPort")
    if isinstance(wanted, int):
        return wanted
    if isinstance(wanted, str) and wanted:
        return int(wanted) if wanted.isdigit() else container_ports(pod or {}).get(wanted, 0)
    return whole(port, "port")


def _ports(service: JsonObject, pods: list[JsonObject]) -> list[Json]:
    sample = pods[0] if pods else None
    made: list[Json] = []
    for port in rows(service, "spec", "ports"):
        one: JsonObject = {
            "name": text(port, "name"),
            "port": target_port(port, sample),
            "protocol": text(port, "protocol", default="TCP"),
        }
        if text(port, "appProtocol"):
            one["appProtocol"] = text(port, "appProtocol")
        made.append(one)
    return made


def selected(target: JsonObject, selector: dict[str, str]) -> bool:
    """Whether a pod or a workload has the labels that a Service asks for."""
    labels = labels_of(target)
    return all(labels.get(key) == value for key, value in selector.items())


def _has_address(pod: JsonObject) -> bool:
    return bool(text(pod, "status", "podIP")) and text(pod, "status", "phase") not in ("Succeeded", "Failed")


def _wants_hints(service: JsonObject) -> bool:
    annotations = annotations_of(service)
    asked = any(annotations.get(key, "").lower() == "auto" for key in _TOPOLOGY)
    return asked or text(service, "spec", "trafficDistribution").startswith("Prefer")

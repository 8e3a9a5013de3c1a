"""The EndpointSlices of a simulated cluster, written as Kubernetes' and Linkerd's controllers write them."""

from collections.abc import Iterator

from steward.jsonvalue import Json, JsonObject, flag, rows, table, text, texts, whole
from steward.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, STATEFUL_SETS
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
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
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_KUBERNETES = "endpointslice-controller.k8s.io"
_LINKERD = "linkerd-external-workloads-controller"
_TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")


class Slices:
    """Keeps one slice for the pods of each Service, and one for its ExternalWorkloads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cluster = world.cluster

    def reconcile(self) -> None:
        """Write what differs, remove what has no Service any more."""
        wanted = {(namespace_of(one), name_of(one)): one for one in self._wanted()}
        for there in list(self._world.all(ENDPOINT_SLICES)):
            key = (namespace_of(there), name_of(there))
            if labels_of(there).get(_MANAGED_BY) in (_KUBERNETES, _LINKERD) and key not in wanted:
                self._cluster.remove(self._cluster.kinds.of(ENDPOINT_SLICES), there)
        for (namespace, name), slice_ in wanted.items():
            self._write(namespace, name, slice_)

    def _write(self, namespace: str, name: str, wanted: JsonObject) -> None:
        there = self._cluster.find(ENDPOINT_SLICES, name, namespace)
        if there is None:
            self._cluster.create(ENDPOINT_SLICES, wanted, namespace)
        elif any(there.get(part) != wanted[part] for part in ("endpoints", "ports")):
            kind = self._cluster.kinds.of(ENDPOINT_SLICES)
            changed: JsonObject = {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            self._cluster.put(kind, {**there, "metadata": dict(table(there, "metadata")), **changed})

    def _wanted(self) -> Iterator[JsonObject]:
        for service in self._world.all(SERVICES):
            selector = texts(service, "spec", "selector")
            if not selector or text(service, "spec", "type") == "ExternalName":
                continue
            namespace = namespace_of(service)
            pods = [one for one in self._world.all(PODS, namespace) if _selected(one, selector) and _has_address(one)]
            yield self._slice(service, pods, "pods", _KUBERNETES)
            outside = [one for one in self._world.all(EXTERNAL_WORKLOADS, namespace) if _selected(one, selector)]
            if outside:
                yield self._slice(service, outside, "external", _LINKERD)

    def _slice(self, service: JsonObject, targets: list[JsonObject], suffix: str, manager: str) -> JsonObject:
        endpoints: list[Json] = [self._endpoint(service, one) for one in targets]
        return {
            "metadata": {
                "name": f"{name_of(service)}-{suffix}",
                "labels": {SERVICE_NAME: name_of(service), _MANAGED_BY: manager},
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": name_of(service),
                        "uid": text(service, "metadata", "uid"),
                    }
                ],
                "namespace": namespace_of(service),
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": _ports(service, targets),
        }

    def _endpoint(self, service: JsonObject, target: JsonObject) -> JsonObject:
        external = text(target, "kind") == EXTERNAL_WORKLOADS.kind
        ending = bool(text(target, "metadata", "deletionTimestamp"))
        ready = _external_is_ready(target) if external else is_ready(target)
        ready = ready or flag(service, "spec", "publishNotReadyAddresses")
        address = (
            text(next(iter(rows(target, "spec", "workloadIPs")), {}), "ip")
            if external
            else text(target, "status", "podIP")
        )
        node = text(target, "spec", "nodeName")
        endpoint: JsonObject = {
            "addresses": [address],
            "conditions": {"ready": ready, "serving": ready, "terminating": ending},
            "targetRef": {
                "kind": text(target, "kind"),
                "name": name_of(target),
                "namespace": namespace_of(target),
                "uid": text(target, "metadata", "uid"),
            },
        }
        if node:
            endpoint["nodeName"] = node
        zone = self._world.zone_of(node)
        if zone:
            endpoint["zone"] = zone
        if zone and _wants_hints(service):
            endpoint["hints"] = {"forZones": [{"name": zone}]}
        hostname = self._hostname(service, target)
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


def target_port(port: JsonObject, target: JsonObject | None) -> int:
    """The number that a Service's port leads to on a pod or ExternalWorkload; 0 where its name is unknown there."""
    wanted = port.get("targetPort")
    if isinstance(wanted, int):
        return wanted
    if isinstance(wanted, str) and wanted:
        if wanted.isdigit():
            return int(wanted)
        outside = {text(one, "name"): whole(one, "port") for one in rows(target or {}, "spec", "ports")}
        return {**outside, **container_ports(target or {})}.get(wanted, 0)
    return whole(port, "port")


def _ports(service: JsonObject, targets: list[JsonObject]) -> list[Json]:
    sample = targets[0] if targets else None
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


def _selected(target: JsonObject, selector: dict[str, str]) -> bool:
    labels = labels_of(target)
    return all(labels.get(key) == value for key, value in selector.items())


def _has_address(pod: JsonObject) -> bool:
    return bool(text(pod, "status", "podIP")) and text(pod, "status", "phase") not in ("Succeeded", "Failed")


def _external_is_ready(workload: JsonObject) -> bool:
    return any(
        text(one, "type") == "Ready" and text(one, "status") == "True" for one in rows(workload, "status", "conditions")
    )


def _wants_hints(service: JsonObject) -> bool:
    annotations = annotations_of(service)
    asked = any(annotations.get(key, "").lower() == "auto" for key in _TOPOLOGY)
    return asked or text(service, "spec", "trafficDistribution").startswith("Prefer")

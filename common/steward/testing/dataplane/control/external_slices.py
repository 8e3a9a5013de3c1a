"""The EndpointSlices of ExternalWorkloads, as the leader among the pods of linkerd-destination writes them.

Its rules differ from those of Kubernetes: a port is one only if the workload documents it, and an endpoint is as ready
as the status of its workload says, whatever the Service asks for.
"""

from collections.abc import Iterator
from hashlib import sha256

from steward.jsonvalue import Json, JsonObject, dig, flag, rows, text, texts, whole
from steward.kube.resources import ENDPOINT_SLICES, SERVICES
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
from steward.testing.dataplane.control.slices import MANAGED_BY, SERVICE_NAME, keep, owned_by, selected
from steward.testing.dataplane.control.world import ZONE, World, labels_of, name_of, namespace_of
from steward.testing.dataplane.faults import Faults

MANAGER = "linkerd-external-workloads-controller"
_HEADLESS = "service.kubernetes.io/headless"
_SUFFIX = 5
_ASTRAY = 1
"""By how much a port is wrong where ports are to be wrong."""


class ExternalSlices:
    """Keeps one slice for the workloads of a Service that document the same ports. Faults name the workload."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def reconcile(self) -> None:
        """Write what differs, remove what selects nobody any more."""
        keep(self._world, MANAGER, self._wanted())

    def _wanted(self) -> Iterator[JsonObject]:
        for service in self._world.all(SERVICES):
            selector = texts(service, "spec", "selector")
            if not selector or text(service, "spec", "type") == "ExternalName":
                continue
            grouped: dict[tuple[tuple[str, int], ...], list[JsonObject]] = {}
            for workload in self._world.all(EXTERNAL_WORKLOADS, namespace_of(service)):
                if selected(workload, selector) and _address(workload) and not self._unseen(workload):
                    grouped.setdefault(self._ports(service, workload), []).append(workload)
            for ports, workloads in grouped.items():
                yield self._slice(service, workloads, ports)

    def _unseen(self, workload: JsonObject) -> bool:
        return self._faults.on(broken.EXTERNAL_SLICES_MISSING, _place(workload))

    def _ports(self, service: JsonObject, workload: JsonObject) -> tuple[tuple[str, int], ...]:
        astray = _ASTRAY if self._faults.on(broken.EXTERNAL_PORTS_WRONG, _place(workload)) else 0
        found = ((text(one, "name"), _documented(workload, one)) for one in rows(service, "spec", "ports"))
        return tuple((name, number + astray) for name, number in found if number)

    def _slice(
        self, service: JsonObject, workloads: list[JsonObject], ports: tuple[tuple[str, int], ...]
    ) -> JsonObject:
        name = _named(service, ports)
        labels = {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER}
        if text(service, "spec", "clusterIP") == "None":
            labels[_HEADLESS] = ""
        listed: list[Json] = [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports]
        endpoints: list[Json] = [self._endpoint(service, one, name) for one in workloads]
        return {
            "metadata": {
                "name": name,
                "namespace": namespace_of(service),
                "labels": dict[str, Json](labels),
                "ownerReferences": [owned_by(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": listed,
        }

    def _endpoint(self, service: JsonObject, workload: JsonObject, slice_name: str) -> JsonObject:
        ready = self._ready(workload, slice_name)
        endpoint: JsonObject = {
            "addresses": [_address(workload)],
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "targetRef": {
                "kind": EXTERNAL_WORKLOADS.kind,
                "name": name_of(workload),
                "namespace": namespace_of(workload),
                "uid": text(workload, "metadata", "uid"),
            },
        }
        if ZONE in labels_of(workload):
            endpoint["zone"] = labels_of(workload)[ZONE]
        if text(service, "spec", "clusterIP") == "None":
            endpoint["hostname"] = name_of(workload)
        return endpoint

    def _ready(self, workload: JsonObject, slice_name: str) -> bool:
        if not self._faults.on(broken.EXTERNAL_READINESS_IGNORED, _place(workload)):
            return is_ready(workload)
        there = self._world.find(ENDPOINT_SLICES, slice_name, namespace_of(workload)) or {}
        uid = text(workload, "metadata", "uid")
        return any(
            flag(one, "conditions", "ready") for one in rows(there, "endpoints") if text(one, "targetRef", "uid") == uid
        )


def is_ready(workload: JsonObject) -> bool:
    """Whether whoever looks after it says so."""
    return any(
        text(one, "type") == "Ready" and text(one, "status") == "True" for one in rows(workload, "status", "conditions")
    )


def _address(workload: JsonObject) -> str:
    return text(next(iter(rows(workload, "spec", "workloadIPs")), {}), "ip")


def _documented(workload: JsonObject, port: JsonObject) -> int:
    """Where a port of a Service leads to on a workload; 0 where the workload does not say that it has it."""
    wanted = dig(port, "targetPort") or whole(port, "port")
    protocol = text(port, "protocol", default="TCP")
    for one in rows(workload, "spec", "ports"):
        known = (text(one, "name"), whole(one, "port"))
        if wanted in known and text(one, "protocol", default="TCP") == protocol:
            return whole(one, "port")
    return 0


def _named(service: JsonObject, ports: tuple[tuple[str, int], ...]) -> str:
    """The same for the same Service and ports: Kubernetes would add characters by chance."""
    seed = f"{text(service, 'metadata', 'uid')} {ports}"
    return f"linkerd-external-{name_of(service)}-{sha256(seed.encode()).hexdigest()[:_SUFFIX]}"


def _place(workload: JsonObject) -> Client:
    return Client(name_of(workload), namespace_of(workload))

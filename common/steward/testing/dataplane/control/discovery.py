"""The destination controller's view: which endpoints a Service, or one pod, has for a certain client."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from steward.jsonvalue import JsonObject, dig, flag, rows, strings, table, text, whole
from steward.kube.resources import ENDPOINT_SLICES, PODS, SERVICES
from steward.testing.dataplane.config import Endpoint, Labels, Protocol
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS, SERVERS
from steward.testing.dataplane.control.slices import SERVICE_NAME
from steward.testing.dataplane.control.world import (
    OPAQUE_PORTS,
    ZONE,
    World,
    account_of,
    annotations_of,
    container_ports,
    labels_of,
    name_of,
    namespace_of,
    port_numbers,
)
from steward.testing.dataplane.faults import Faults, Place
from steward.testing.kubernetes.selectors import selects
from steward.testing.linkerd.values import NAMESPACE

_H2_WEIGHT = 10_000
_APP_PROTOCOLS = {
    "http": Protocol.HTTP1,
    "kubernetes.io/h2c": Protocol.HTTP2,
    "linkerd.io/opaque": Protocol.OPAQUE,
    "linkerd.io/tcp": Protocol.OPAQUE,
    "linkerd.io/tls": Protocol.TLS,
}
_SKIP_INBOUND = "config.linkerd.io/skip-inbound-ports"
_PAST = (broken.STALE_ENDPOINTS, broken.STALE_REPLICA, broken.NEW_PODS_MISSING, broken.REMOVED_PODS_STAY)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: a proxy, or somebody who pretends to be one."""

    pod: str = ""
    namespace: str = ""
    node: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which endpoints: those of a Service's port, or with a hostname only the pod of that name."""

    service: str
    namespace: str
    port: int
    hostname: str = ""


class Directory:
    """Finds endpoints. Some of its faults are about telling what was true when they were switched on."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self._before: dict[Asked, tuple[Endpoint, ...]] | None = None
        self._found: dict[Asked, tuple[Endpoint, ...]] = {}
        self._version = 0

    def endpoints(self, asked: Asked, client: Client, *, replica: str = "") -> tuple[Endpoint, ...]:
        """For one client, by one replica of the controller (any, where none is named)."""
        found = self._remembered(asked, client, replica)
        located = tuple(self._localised(one, client) for one in self._filtered(asked, found, client))
        if not self.faults.on(broken.NO_IDENTITY_OF_ENDPOINTS, client):
            return tuple(self._unidentified(one) for one in located)
        return tuple(replace(one, identity=None, h2=False, opaque=False) for one in located)

    def remember(self) -> None:
        """A fault was switched on or off: note every Service's endpoints as they are, if one needs them."""
        if not any(self.faults.anywhere(one) for one in _PAST):
            self._before = None
        elif self._before is None:
            everything = (
                Asked(name_of(service), namespace_of(service), whole(port, "port"))
                for service in self.world.all(SERVICES)
                for port in rows(service, "spec", "ports")
            )
            self._before = {asked: self._now(asked) for asked in everything}

    def at_pod(self, pod: JsonObject, port: int, client: Client) -> Endpoint:
        """A pod that is dialled by its own address; no Service is in play."""
        endpoint = self._of_pod(pod, port, text(pod, "status", "podIP"), ())
        return self._unidentified(self._localised(endpoint, client))

    def service(self, name: str, namespace: str) -> JsonObject | None:
        """A Service."""
        return self.world.find(SERVICES, name, namespace)

    def cluster_ip(self, name: str) -> str:
        """The ClusterIP of a Service by its full name; nothing where there is none."""
        short = name.removesuffix(f".svc.{self.world.values.cluster_domain}")
        service, _, namespace = short.partition(".")
        found = self.service(service, namespace) if short != name else None
        address = text(found or {}, "spec", "clusterIP")
        return address if address != "None" else ""

    def protocol(self, service: JsonObject, port: int, client: Client) -> Protocol:
        """How proxies are told to treat a Service's port."""
        declared = _port_of(service, port)
        said = text(declared or {}, "appProtocol")
        if said and not self.faults.on(broken.APP_PROTOCOL_IGNORED, client):
            return _APP_PROTOCOLS.get(said.lower(), Protocol.OPAQUE)
        annotations = annotations_of(service)
        at_home = self.world.namespace_annotations(namespace_of(service))
        opaque = port in self._opaque(annotations.get(OPAQUE_PORTS, at_home.get(OPAQUE_PORTS)))
        if opaque and not self.faults.on(broken.OPAQUE_IGNORED, client):
            return Protocol.OPAQUE
        return Protocol.DETECT

    def opaque_at(self, pod: JsonObject, port: int) -> bool:
        """Whether a pod's port is opaque: by a Server, by its annotation, or by default."""
        for server in self.world.all(SERVERS, namespace_of(pod)):
            if server_selects(server, pod, port):
                return text(server, "spec", "proxyProtocol") in ("opaque", "TLS")
        declared = annotations_of(pod).get(OPAQUE_PORTS)
        return port in self._opaque(declared, container_ports(pod))

    def defines(self, service: JsonObject, port: int) -> bool:
        """Whether the Service has this port."""
        return _port_of(service, port) is not None

    def ports(self, service: JsonObject) -> tuple[int, ...]:
        """The ports that the Service has."""
        return tuple(whole(one, "port") for one in rows(service, "spec", "ports"))

    def _opaque(self, declared: str | None, named: dict[str, int] | None = None) -> frozenset[int]:
        return self.world.values.opaque_ports if declared is None else port_numbers(declared, named)

    def _remembered(self, asked: Asked, client: Client, replica: str) -> tuple[Endpoint, ...]:
        whole_service = replace(asked, hostname="")
        current = self._now(whole_service)
        if self._before is None:
            return current
        if current:
            # Of a Service that came later, the first endpoints that it ever had are those of the past.
            self._before.setdefault(whole_service, current)
        before = self._before.get(whole_service, current)
        at_replica = Client(pod=replica, namespace=NAMESPACE)
        if self.faults.on(broken.STALE_ENDPOINTS, client) or (
            replica and self.faults.on(broken.STALE_REPLICA, at_replica)
        ):
            return before
        told = self._without_new(current, before)
        if not self.faults.on(broken.REMOVED_PODS_STAY, client):
            return told
        there = {(one.ip, one.port) for one in told}
        return told + tuple(one for one in before if (one.ip, one.port) not in there)

    def _now(self, asked: Asked) -> tuple[Endpoint, ...]:
        """As the objects say; looked up once for every state of the cluster."""
        version = self.world.cluster.store.version
        if self._version != version:
            self._version = version
            self._found.clear()
        if asked not in self._found:
            self._found[asked] = tuple(self._current(asked))
        return self._found[asked]

    def _without_new(self, current: tuple[Endpoint, ...], before: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        old = {(one.ip, one.port) for one in before}
        return tuple(
            one
            for one in current
            if (one.ip, one.port) in old or not self.faults.on(broken.NEW_PODS_MISSING, _place(one))
        )

    def _current(self, asked: Asked) -> Iterator[Endpoint]:
        service = self.service(asked.service, asked.namespace)
        if service is None:
            return
        wanted = _port_of(service, asked.port)
        for slice_ in self.world.all(ENDPOINT_SLICES, asked.namespace):
            if labels_of(slice_).get(SERVICE_NAME) != asked.service:
                continue
            for port in rows(slice_, "ports"):
                if wanted is not None and text(port, "name") == text(wanted, "name"):
                    yield from self._of_slice(asked, slice_, whole(port, "port"))

    def _of_slice(self, asked: Asked, slice_: JsonObject, port: int) -> Iterator[Endpoint]:
        for one in rows(slice_, "endpoints"):
            if not flag(one, "conditions", "ready"):
                continue
            address = text(one, "addresses", 0)
            service: Labels = (("namespace", asked.namespace), ("service", asked.service))
            name, kind = text(one, "targetRef", "name"), text(one, "targetRef", "kind")
            external = kind == EXTERNAL_WORKLOADS.kind
            target = self.world.find(EXTERNAL_WORKLOADS if external else PODS, name, asked.namespace) if name else None
            if not port or (name and target is None):
                continue
            if target is None:
                # Written by hand: nobody knows what is behind the address.
                yield Endpoint(ip=address, port=port, labels=service)
            elif external:
                yield self._of_workload(target, port, address, service)
            else:
                yield self._of_pod(target, port, address, service)

    def _of_pod(self, pod: JsonObject, port: int, ip: str, service: Labels) -> Endpoint:
        # Nobody would answer TLS on a port that is not redirected to the proxy.
        identity = None if port in self._skipped(pod) else self.world.identity_of(pod)
        opaque = identity is not None and self.opaque_at(pod, port)
        node = text(pod, "spec", "nodeName")
        labels = service or (("namespace", namespace_of(pod)),)
        return Endpoint(
            ip=ip,
            port=port,
            identity=identity,
            opaque=opaque,
            h2=identity is not None and not opaque,
            weight=_H2_WEIGHT,
            zone=self.world.zone_of(node),
            node=node,
            labels=(*labels, *_pod_labels(pod)),
        )

    def _skipped(self, pod: JsonObject) -> frozenset[int]:
        declared = annotations_of(pod).get(_SKIP_INBOUND)
        return frozenset() if declared is None else port_numbers(declared, container_ports(pod))

    def _of_workload(self, workload: JsonObject, port: int, ip: str, service: Labels) -> Endpoint:
        documented = {text(one, "name"): whole(one, "port") for one in rows(workload, "spec", "ports")}
        opaque = port in self._opaque(annotations_of(workload).get(OPAQUE_PORTS), documented)
        return Endpoint(
            ip=ip,
            port=port,
            identity=text(workload, "spec", "meshTLS", "identity") or None,
            server_name=text(workload, "spec", "meshTLS", "serverName"),
            opaque=opaque,
            h2=not opaque,
            weight=_H2_WEIGHT,
            zone=labels_of(workload).get(ZONE, ""),
            labels=(*service, ("external_workload", name_of(workload))),
        )

    def _filtered(self, asked: Asked, found: tuple[Endpoint, ...], client: Client) -> tuple[Endpoint, ...]:
        if self.faults.on(broken.EXTERNAL_WORKLOADS_IGNORED, client):
            found = tuple(one for one in found if "external_workload" not in dict(one.labels))
        if asked.hostname:
            alone = tuple(one for one in found if dict(one.labels).get("pod") == asked.hostname)
            return found if self.faults.on(broken.HEADLESS_ANSWERS_ALL, client) else alone
        service = self.service(asked.service, asked.namespace) or {}
        local = text(service, "spec", "internalTrafficPolicy") == "Local"
        if local and client.node and not self.faults.on(broken.LOCAL_POLICY_IGNORED, client):
            return tuple(one for one in found if one.node == client.node)
        if client.zone and not self.faults.on(broken.ZONE_HINTS_IGNORED, client):
            return self._hinted(asked, found, client.zone)
        return found

    def _hinted(self, asked: Asked, found: tuple[Endpoint, ...], zone: str) -> tuple[Endpoint, ...]:
        """Only those meant for the zone; all of them where one has no hint, or none is meant for it."""
        hints: dict[str, frozenset[str]] = {}
        for slice_ in self.world.all(ENDPOINT_SLICES, asked.namespace):
            if labels_of(slice_).get(SERVICE_NAME) == asked.service:
                hints.update(_hints(slice_))
        if any(not hints.get(one.ip) for one in found):
            return found
        return tuple(one for one in found if zone in hints[one.ip]) or found

    def _localised(self, endpoint: Endpoint, client: Client) -> Endpoint:
        locality = "unknown"
        if client.zone and endpoint.zone:
            locality = "local" if client.zone == endpoint.zone else "remote"
        labels = (*endpoint.labels, ("zone", endpoint.zone), ("zone_locality", locality))
        return replace(endpoint, labels=labels)

    def _unidentified(self, endpoint: Endpoint) -> Endpoint:
        place = _place(endpoint)
        if self.faults.on(broken.NO_IDENTITY_OF_ENDPOINTS, place):
            endpoint = replace(endpoint, identity=None, h2=False, opaque=False)
        if self.faults.on(broken.OPAQUE_IGNORED, place):
            endpoint = replace(endpoint, opaque=False)
        return endpoint


def _place(endpoint: Endpoint) -> Place:
    labels = dict(endpoint.labels)
    return Client(labels.get("pod", ""), labels.get("namespace", ""), endpoint.node, endpoint.zone)


def _pod_labels(pod: JsonObject) -> Labels:
    labels = labels_of(pod)
    found = {"pod": name_of(pod), "serviceaccount": account_of(pod)}
    if "linkerd.io/control-plane-ns" in labels:
        found["control_plane_ns"] = labels["linkerd.io/control-plane-ns"]
    for key, value in labels.items():
        if key.startswith("linkerd.io/proxy-"):
            found[key.removeprefix("linkerd.io/proxy-")] = value
    if "pod-template-hash" in labels:
        found["pod_template_hash"] = labels["pod-template-hash"]
    return tuple(sorted(found.items()))


def _port_of(service: JsonObject, port: int) -> JsonObject | None:
    return next((one for one in rows(service, "spec", "ports") if whole(one, "port") == port), None)


def _hints(slice_: JsonObject) -> Iterator[tuple[str, frozenset[str]]]:
    for one in rows(slice_, "endpoints"):
        zones = frozenset(text(zone, "name") for zone in rows(one, "hints", "forZones"))
        for address in strings(one, "addresses"):
            yield address, zones


def server_selects(server: JsonObject, pod: JsonObject, port: int) -> bool:
    """Whether a Server is about this port of this pod."""
    wanted = dig(server, "spec", "port")
    number = container_ports(pod).get(wanted, 0) if isinstance(wanted, str) else wanted
    if number != port or dig(server, "spec", "podSelector") is None:
        return False
    return selects(table(server, "spec", "podSelector"), labels_of(pod))

"""NetworkPolicies: who may reach which port of a pod, as a CNI plugin would have it."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from steward.jsonvalue import JsonObject, dig, rows, strings, table, text
from steward.kube.resources import NAMESPACES
from steward.testing.dataplane.control.kinds import NETWORK_POLICIES
from steward.testing.dataplane.control.world import World, container_ports, labels_of, namespace_of
from steward.testing.kubernetes.selectors import selects

NODE = "127.0.0.1"
"""From where the kubelet asks."""


class Firewall:
    """Decides from the objects as they are."""

    def __init__(self, world: World) -> None:
        self._world = world

    def lets(
        self, source: JsonObject | None, source_ip: str, target: JsonObject | None, target_ip: str, port: int
    ) -> bool:
        """Whether a connection arrives. Pods are None for whatever is no pod; the node itself is never kept out."""
        if source is None and source_ip == NODE:
            return True
        if target is not None and not self._passes(target, "Ingress", source, source_ip, _number(target, port)):
            return False
        return source is None or self._passes(source, "Egress", target, target_ip, _number(target, port))

    def _passes(self, pod: JsonObject, way: str, peer: JsonObject | None, peer_ip: str, port: "PortOf") -> bool:
        mine = [
            one
            for one in self._world.all(NETWORK_POLICIES, namespace_of(pod))
            if way in _types(one) and selects(table(one, "spec", "podSelector"), labels_of(pod))
        ]
        if not mine:
            return True
        return any(self._allows(one, way, peer, peer_ip, port) for one in mine)

    def _allows(self, policy: JsonObject, way: str, peer: JsonObject | None, peer_ip: str, port: "PortOf") -> bool:
        member, who = ("ingress", "from") if way == "Ingress" else ("egress", "to")
        for rule in rows(policy, "spec", member):
            peers, ports = rows(rule, who), rows(rule, "ports")
            if ports and not any(port.fits(one) for one in ports):
                continue
            if not peers or any(self._is(one, policy, peer, peer_ip) for one in peers):
                return True
        return False

    def _is(self, wanted: JsonObject, policy: JsonObject, peer: JsonObject | None, peer_ip: str) -> bool:
        block = table(wanted, "ipBlock")
        if block:
            return _within(peer_ip, [text(block, "cidr")]) and not _within(peer_ip, strings(block, "except"))
        if peer is None:
            return False
        home = namespace_of(peer)
        if "namespaceSelector" in wanted:
            labels = labels_of(self._world.find(NAMESPACES, home) or {})
            if not selects(table(wanted, "namespaceSelector"), labels):
                return False
        elif home != namespace_of(policy):
            return False
        return selects(table(wanted, "podSelector"), labels_of(peer))


class PortOf:
    """A port of a pod by its number, and by the name that a policy may use instead."""

    def __init__(self, number: int, names: dict[str, int]) -> None:
        self._number = number
        self._names = names

    def fits(self, wanted: JsonObject) -> bool:
        """Whether a rule names it."""
        port, last = dig(wanted, "port"), dig(wanted, "endPort")
        if port is None:
            return True
        if isinstance(port, str):
            return self._names.get(port) == self._number
        if isinstance(port, int) and isinstance(last, int):
            return port <= self._number <= last
        return port == self._number


def _number(pod: JsonObject | None, port: int) -> PortOf:
    return PortOf(port, container_ports(pod or {}))


def _types(policy: JsonObject) -> tuple[str, ...]:
    declared = tuple(strings(policy, "spec", "policyTypes"))
    if declared:
        return declared
    return ("Ingress", "Egress") if "egress" in table(policy, "spec") else ("Ingress",)


def _within(address: str, networks: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(one, strict=False) for one in networks)

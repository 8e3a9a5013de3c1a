"""Who may do what on a port of a pod, decided from values alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from steward.testing.dataplane.config import Authorization, InboundRoute, InboundServer, Match, Meta, Network, Protocol

DEFAULT_ROUTE = Meta("", "default", "default")
_AUDIT = Meta("", "default", "audit")


class Verdict(StrEnum):
    """What happens to a request or a connection."""

    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks. `identity` is empty where the connection proved none; `meshed` is TLS by a proxy."""

    ip: str
    identity: str = ""
    meshed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and the authorization that gave it. `audited`: nothing authorized it, yet it passes."""

    verdict: Verdict
    authorization: Meta | None = None
    audited: bool = False

    @property
    def allowed(self) -> bool:
        """Whether it passes."""
        return self.verdict is Verdict.ALLOWED


def routes_of(server: InboundServer) -> tuple[InboundRoute, ...]:
    """The routes in force. A server without any has one for everything, which only the server's own policies guard."""
    return server.routes or (InboundRoute(DEFAULT_ROUTE, (Match(path_prefix="/"),)),)


def is_http(server: InboundServer) -> bool:
    """Whether requests are looked at, rather than bytes."""
    return server.protocol not in (Protocol.OPAQUE, Protocol.TLS)


def authorize(server: InboundServer, route: InboundRoute | None, peer: Peer) -> Decision:
    """By the policies of the route, then by those of the server; connections have no route."""
    own = route.authorizations if route is not None else ()
    granted = next((each for each in (*own, *server.authorizations) if _grants(each, peer)), None)
    if granted is not None:
        return Decision(Verdict.ALLOWED, granted.meta)
    if server.audit:
        return Decision(Verdict.ALLOWED, _AUDIT, audited=True)
    return Decision(Verdict.DENIED)


def _grants(authorization: Authorization, peer: Peer) -> bool:
    return _within(authorization.networks, peer.ip) and _is_one_of(authorization.identities, peer)


def _is_one_of(identities: tuple[str, ...] | None, peer: Peer) -> bool:
    if identities is None:
        return True
    return bool(peer.identity) and any(_names(pattern, peer.identity) for pattern in identities)


def _names(pattern: str, identity: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return identity.endswith(pattern[1:])
    return pattern == identity


def _within(networks: Iterable[Network], ip: str) -> bool:
    address = ip_address(ip)
    return any(
        _holds(network.cidr, address) and not any(_holds(each, address) for each in network.excluded)
        for network in networks
    )


def _holds(cidr: str, address: IPv4Address | IPv6Address) -> bool:
    return address in ip_network(cidr, strict=False)

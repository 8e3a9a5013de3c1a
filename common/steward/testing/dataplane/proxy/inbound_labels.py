"""The labels that the inbound half of a proxy writes, and where a connection came from."""

from dataclasses import dataclass

from steward.testing.dataplane.config import InboundRoute, InboundServer, Meta
from steward.testing.dataplane.proxy.policy import Peer
from steward.testing.dataplane.proxy.stream import Address

LabelSet = dict[str, str]
ADMIN_PORT = 4191
INBOUND_PORT = 4143
OUTBOUND_PORT = 4140
NO_TLS = (("tls", "no_identity"), ("no_tls_reason", "no_tls_from_remote"))
SKIPPED = (("tls", "no_identity"), ("no_tls_reason", "port_skipped"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection that came in. `port` is the one that was meant; `reached` the one of the proxy that was dialled."""

    ip: str
    port: int
    reached: int
    peer: Peer
    client: Address
    tls: tuple[tuple[str, str], ...]

    @property
    def chain(self) -> str:
        """Where it came from and to, as messages of errors begin."""
        return f"client {self.client[0]}:{self.client[1]}: server: {self.ip}:{self.reached}"

    @property
    def target(self) -> LabelSet:
        """The port that was meant. The admin server listens on every address, and says so."""
        ip = "0.0.0.0" if self.port == ADMIN_PORT else self.ip
        return _target(ip, self.port)

    @property
    def door(self) -> LabelSet:
        """The port that was dialled: what errors are counted under."""
        return _target(self.ip, self.reached)


def meshed_tls(identity: str) -> tuple[tuple[str, str], ...]:
    """Mutual TLS."""
    return (("tls", "true"), ("client_id", identity))


def passed_tls(sni: str) -> tuple[tuple[str, str], ...]:
    """TLS that is not ours."""
    return (("tls", "opaque"), ("sni", sni))


def server(of: InboundServer, port: int) -> LabelSet:
    """`srv_*`."""
    meta = of.meta
    return {"srv_group": meta.group, "srv_kind": meta.kind, "srv_name": meta.name, "srv_port": str(port)}


def route(of: InboundRoute) -> LabelSet:
    """`route_*`."""
    return _named("route", of.meta)


def authorization(meta: Meta) -> LabelSet:
    """`authz_*`."""
    return _named("authz", meta)


def limit(meta: Meta, scope: str) -> LabelSet:
    """`ratelimit_*`."""
    return {**_named("ratelimit", meta), "ratelimit_scope": scope}


def parent(of: InboundServer, port: int) -> LabelSet:
    """`parent_*`: the Server again, as the newer families call it."""
    return {**_named("parent", of.meta), "parent_port": str(port)}


def _named(prefix: str, meta: Meta) -> LabelSet:
    return {f"{prefix}_group": meta.group, f"{prefix}_kind": meta.kind, f"{prefix}_name": meta.name}


def _target(ip: str, port: int) -> LabelSet:
    return {"target_addr": f"{ip}:{port}", "target_ip": ip, "target_port": str(port)}

"""What the control plane told, read: answers are its messages as `steward.proxy_api` puts them into JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.conformance.core.evidence import Evidence, NotTold
from steward.jsonvalue import JsonObject, dig, rows, text, whole


@dataclass(frozen=True, slots=True)
class ToldEndpoint:
    """One address of a target as destination tells it."""

    ip: str
    port: int
    identity: str
    opaque: bool
    pod: str
    server_name: str = ""
    h2: bool = False

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


def endpoints(answer: JsonObject) -> tuple[ToldEndpoint, ...]:
    """The addresses in one answer to `Destination.Get`, in a steady order."""
    found = (_endpoint(address) for address in rows(answer, "add", "addrs"))
    return tuple(sorted(found, key=lambda each: (each.ip, each.port)))


def endpoints_told(evidence: Evidence, step: str) -> Mapping[str, tuple[ToldEndpoint, ...]] | NotTold:
    """What each replica of destination answered to a `Destinations` step."""
    told = evidence.told(step)
    if isinstance(told, NotTold):
        return told
    return {replica: endpoints(answer) for replica, answer in told.answers.items()}


def _endpoint(address: JsonObject) -> ToldEndpoint:
    return ToldEndpoint(
        ip=text(address, "addr", "ip"),
        port=whole(address, "addr", "port"),
        identity=text(address, "tlsIdentity", "dnsLikeIdentity", "name")
        or text(address, "tlsIdentity", "uriLikeIdentity", "uri"),
        opaque=dig(address, "protocolHint", "opaque") is not None,
        pod=text(address, "metricLabels", "pod"),
        server_name=text(address, "tlsIdentity", "serverName", "name"),
        h2=dig(address, "protocolHint", "h2") is not None,
    )

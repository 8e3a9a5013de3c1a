"""Messages of the proxy API as plain values: addresses as people write them, errors with the name of their code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject, rows, table, text, texts, whole
from steward.proxy_api.net_pb2 import IPAddress, IPv6


class ProxyApiError(StewardError):
    """The controller gave no answer. `code` is the name of the gRPC code, such as `NotFound`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint. `identity` is empty where no proxy was found there that could speak TLS."""

    ip: str
    port: int
    weight: int = 0
    identity: str = ""
    opaque: bool = False
    h2: bool = False
    inbound_port: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The first message about an authority. `answer` is all of it, as JSON."""

    addresses: tuple[Address, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    exists: bool = True
    answer: JsonObject = field(default_factory=dict)

    @property
    def targets(self) -> frozenset[str]:
        """`ip:port` of each endpoint, to be compared with another replica or with EndpointSlices."""
        return frozenset(f"{one.ip}:{one.port}" for one in self.addresses)


def as_json(message: Message) -> JsonObject:
    """The message with JSON's names of its fields; every IP address is text."""
    return cast("JsonObject", _readable(MessageToDict(message)))


def endpoints_of(answer: JsonObject) -> Endpoints:
    """What an `Update` says."""
    added = table(answer, "add")
    addresses = tuple(_address(one) for one in rows(added, "addrs"))
    exists = "noEndpoints" not in answer or table(answer, "noEndpoints").get("exists") is True
    return Endpoints(addresses, texts(added, "metricLabels"), exists, answer)


def to_wire(address: str) -> IPAddress:
    """An IP address as the proxy API writes it."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return IPAddress(ipv4=int(parsed))
    number = int(parsed)
    return IPAddress(ipv6=IPv6(first=number >> 64, last=number & 0xFFFF_FFFF_FFFF_FFFF))


def from_wire(address: IPAddress) -> str:
    """The other way round."""
    if address.WhichOneof("ip") == "ipv6":
        return str(IPv6Address((address.ipv6.first << 64) | address.ipv6.last))
    return str(IPv4Address(address.ipv4))


def _address(one: JsonObject) -> Address:
    hint = table(one, "protocolHint")
    return Address(
        ip=text(one, "addr", "ip"),
        port=whole(one, "addr", "port"),
        weight=whole(one, "weight"),
        identity=text(one, "tlsIdentity", "dnsLikeIdentity", "name")
        or text(one, "tlsIdentity", "uriLikeIdentity", "uri"),
        opaque="opaque" in hint,
        h2="h2" in hint,
        inbound_port=whole(hint, "opaqueTransport", "inboundPort"),
        labels=texts(one, "metricLabels"),
    )


def _readable(value: Json) -> Json:
    if isinstance(value, list):
        return [_readable(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and ("ipv4" in value or "ipv6" in value):
        return _ip(value)
    return {key: _readable(member) for key, member in value.items()}


def _ip(value: JsonObject) -> str:
    if "ipv4" in value:
        return str(IPv4Address(whole(value, "ipv4")))
    # JSON has no integers of 64 bits, so protobuf writes them as text.
    first, last = (int(text(value, "ipv6", part, default="0")) for part in ("first", "last"))
    return str(IPv6Address((first << 64) | last))

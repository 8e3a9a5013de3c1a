"""Labels of the outbound families, and how messages name the objects that they come from."""

from collections.abc import Mapping

from steward.testing.dataplane.config import Endpoint, Meta
from steward.testing.dataplane.proxy.exchange import Version
from steward.testing.dataplane.proxy.families import FAMILIES

LabelSet = dict[str, str]
_DESTINATION = frozenset(name for name in FAMILIES["request_total"].labels if name.startswith("dst_"))
_USUAL_PORT = ":80"


def full(prefix: str, meta: Meta) -> LabelSet:
    """Of a parent or a backend."""
    return {
        **short(prefix, meta),
        f"{prefix}_port": str(meta.port) if meta.port else "",
        f"{prefix}_section_name": meta.section,
    }


def short(prefix: str, meta: Meta) -> LabelSet:
    """Of a route, which has no port."""
    return {
        f"{prefix}_group": meta.group,
        f"{prefix}_kind": meta.kind,
        f"{prefix}_namespace": meta.namespace,
        f"{prefix}_name": meta.name,
    }


def named(meta: Meta) -> str:
    """As error messages name an object: `Service.shop.cart:8080`, `HTTPRoute.shop.split`, `default.http`."""
    place = f"{meta.namespace}." if meta.namespace else ""
    port = f":{meta.port}" if meta.port else ""
    return f"{meta.kind}.{place}{meta.name}{port}"


def address(ip: str, port: int) -> LabelSet:
    """Of something that is connected to."""
    return {"target_addr": f"{ip}:{port}", "target_ip": ip, "target_port": str(port)}


def client_side(ip: str, port: int) -> LabelSet:
    """Of a connection that the application made."""
    local = {"tls": "no_identity", "no_tls_reason": "loopback"}
    return {"direction": "outbound", "peer": "src", **address(ip, port), **local}


def server_side(endpoint: Endpoint, authority: str, *, secure: bool) -> LabelSet:
    """Of requests and connections to one endpoint. Without an authority it was dialled by its own address."""
    labels: LabelSet = {"direction": "outbound", **address(endpoint.ip, endpoint.port)}
    if authority:
        labels["authority"] = authority.removesuffix(_USUAL_PORT)
    if secure and endpoint.identity is not None:
        labels |= {"tls": "true", "server_id": endpoint.identity}
    else:
        labels |= {"tls": "no_identity", "no_tls_reason": "not_provided_by_service_discovery"}
    found = {f"dst_{name}": value for name, value in endpoint.labels}
    if not authority:
        found.pop("dst_zone_locality", None)
    return labels | {name: value for name, value in found.items() if name in _DESTINATION}


def protocol(version: Version) -> str:
    """The word of `outbound_tcp_protocol_connections_total`."""
    return "http/1" if version is Version.HTTP1 else "http/2"


def chosen(labels: Mapping[str, str], *names: str) -> LabelSet:
    """Only some of them."""
    return {name: labels[name] for name in names if name in labels}

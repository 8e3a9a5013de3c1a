"""What a proxy is told about an address that its application dials: a Service, a pod, something outside, nothing."""

from dataclasses import replace

from steward.jsonvalue import JsonObject, text
from steward.testing.dataplane.config import (
    Backend,
    Endpoint,
    Match,
    Meta,
    OutboundTarget,
    Protocol,
    Route,
    Rule,
)
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.annotations import accrual_of, penalizes, retry_of, timeouts_of
from steward.testing.dataplane.control.backends import Backends
from steward.testing.dataplane.control.discovery import Asked, Client, Directory
from steward.testing.dataplane.control.egress import denies, egress_network, is_outside
from steward.testing.dataplane.control.profiles import profile_of
from steward.testing.dataplane.control.routes import Routes
from steward.testing.dataplane.control.world import meta_of, name_of, namespace_of

NOT_ALLOWED = "traffic not allowed"
_EVERYTHING = (Match(path_prefix="/"),)
_ENDPOINT = Meta("", "default", "endpoint")
_UNKNOWN = Meta("", "default", "unknown")
_FALLBACK = Meta("", "default", "egress-fallback")


def target_of(directory: Directory, ip: str, port: int, client: Client) -> OutboundTarget | None:
    """None: the control plane knows nothing about the address."""
    network = egress_network(directory.world, directory.faults, ip, client)
    service = directory.world.service_at(ip)
    if service is not None:
        return _of_service(directory, service, port, client)
    if network is not None:
        return _of_network(directory, network, (ip, port), client)
    pod = directory.world.pod_at(ip)
    if pod is not None:
        return _of_pod(directory, pod, port, client)
    return _outside(ip, port) if is_outside(directory.world, ip) else None


def _of_service(directory: Directory, service: JsonObject, port: int, client: Client) -> OutboundTarget:
    backends = Backends(directory)
    authority = f"{directory.world.service_name(service)}:{port}"
    undefined = not directory.defines(service, port)
    default = backends.of_service(service, port, client)
    if undefined and directory.faults.on(broken.UNDEFINED_PORT_OPEN, client):
        default, undefined = _opened(directory, service, port, client, default), False
    target = OutboundTarget(
        parent=meta_of(service, port=port),
        authority=authority,
        default=default,
        protocol=directory.protocol(service, port, client),
        profile=profile_of(directory, service, port, client),
        undefined_port=undefined,
    )
    routes = Routes(backends, service, port, client)
    annotations = routes.annotations
    return replace(
        _routed(target, routes, default, names=("http", "opaq")),
        accrual=accrual_of(annotations),
        penalize_failures=penalizes(annotations),
    )


def _routed(target: OutboundTarget, routes: Routes, default: Backend, *, names: tuple[str, str]) -> OutboundTarget:
    """With the routes of the strongest kind there is: gRPC, then HTTP, TLS, TCP."""
    http, opaque = names
    annotations = routes.annotations
    usual = Rule(_EVERYTHING, (default,), retry=retry_of(annotations), timeouts=timeouts_of(annotations))
    by_http = (Route(Meta("", "default", http), (usual,)),)
    by_bytes = (Route(Meta("", "default", opaque), (Rule((), (default,)),)),)
    if target.protocol is Protocol.OPAQUE:
        return replace(target, opaque_routes=routes.tcp(default) or by_bytes)
    if target.protocol is Protocol.TLS:
        return replace(target, opaque_routes=routes.tls(default) or by_bytes)
    grpc = routes.grpc(default)
    if grpc:
        return replace(target, protocol=Protocol.GRPC, grpc_routes=grpc)
    own = routes.http(default)
    if own or target.protocol is not Protocol.DETECT:
        return replace(target, http_routes=own or by_http, opaque_routes=by_bytes)
    tls, tcp = routes.tls(default), routes.tcp(default)
    if tls:
        return replace(target, protocol=Protocol.TLS, opaque_routes=tls)
    if tcp:
        return replace(target, protocol=Protocol.OPAQUE, opaque_routes=tcp)
    return replace(target, http_routes=by_http, opaque_routes=by_bytes)


def _opened(directory: Directory, service: JsonObject, port: int, client: Client, default: Backend) -> Backend:
    """The pods of the Service at a port that it does not define."""
    defined = next((one for one in directory.ports(service)), 0)
    asked = Asked(name_of(service), namespace_of(service), defined)
    found = directory.endpoints(asked, client)
    return replace(default, endpoints=tuple(replace(one, port=port) for one in found))


def _of_network(directory: Directory, network: JsonObject, address: tuple[str, int], client: Client) -> OutboundTarget:
    ip, port = address
    backends = Backends(directory, ip=ip, port=port)
    allowed = backends.of_network()
    denied = denies(network)
    fallback = replace(allowed, endpoints=(), forbidden=NOT_ALLOWED) if denied else allowed
    target = OutboundTarget(
        parent=meta_of(network, port=port), authority="", default=fallback, egress_denied=denied, balance=False
    )
    word = "deny" if denied else "allow"
    routes = Routes(backends, network, port, client)
    found = _routed(target, routes, allowed, names=(f"http-egress-{word}", f"tcp-egress-{word}"))
    if not denied:
        return found
    # What routes allow goes out; everything else meets the last route, which lets nothing pass.
    http = (Route(Meta("", "default", "http-egress-deny"), (Rule(_EVERYTHING, (fallback,)),)),)
    opaque = (Route(Meta("", "default", "tcp-egress-deny"), (Rule((), (fallback,)),)),)
    own_http = tuple(one for one in found.http_routes if one.meta.kind != "default")
    own_opaque = tuple(one for one in found.opaque_routes if one.meta.kind != "default")
    if found.protocol is Protocol.GRPC:
        return replace(found, grpc_routes=(*found.grpc_routes, *http))
    return replace(found, http_routes=(*own_http, *http), opaque_routes=(*own_opaque, *opaque))


def _of_pod(directory: Directory, pod: JsonObject, port: int, client: Client) -> OutboundTarget:
    endpoint = directory.at_pod(pod, port, client)
    protocol = Protocol.OPAQUE if endpoint.opaque else Protocol.DETECT
    return replace(
        _forwarding(_ENDPOINT, endpoint), protocol=protocol, authority=f"{text(pod, 'status', 'podIP')}:{port}"
    )


def _outside(ip: str, port: int) -> OutboundTarget:
    return _forwarding(_FALLBACK, Endpoint(ip, port))


def _forwarding(name: Meta, endpoint: Endpoint) -> OutboundTarget:
    backend = Backend(_UNKNOWN, (endpoint,))
    return OutboundTarget(
        parent=name,
        authority="",
        http_routes=(Route(name, (Rule(_EVERYTHING, (backend,)),)),),
        opaque_routes=(Route(name, (Rule((), (backend,)),)),),
        default=backend,
        balance=False,
    )

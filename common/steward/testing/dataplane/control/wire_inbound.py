"""Inbound servers and ServiceProfiles as the controllers tell them."""

from datetime import timedelta
from ipaddress import ip_network

from steward.proxy_api.answers import to_wire
from steward.proxy_api.destination_pb2 import (
    HttpStatusRange,
    RequestMatch,
    ResponseClass,
    ResponseMatch,
    RetryBudget,
)
from steward.proxy_api.destination_pb2 import Route as WireProfileRoute
from steward.proxy_api.inbound_pb2 import (
    Authn,
    Authz,
    GrpcRoute,
    HttpLocalRateLimit,
    HttpRoute,
    Identity,
    IdentitySuffix,
    ProxyProtocol,
    Server,
)
from steward.proxy_api.inbound_pb2 import Network as WireNetwork
from steward.proxy_api.net_pb2 import IPNetwork
from steward.testing.dataplane.config import (
    Authorization,
    InboundRoute,
    InboundServer,
    Meta,
    Network,
    Profile,
    ProfileRoute,
    Protocol,
    RateLimit,
)
from steward.testing.dataplane.control import wire_shared as shared


def inbound_server(server: InboundServer) -> Server:
    """All that is told about a port."""
    authorizations = [_authorization(one) for one in server.authorizations]
    return Server(protocol=_protocol(server), authorizations=authorizations, labels=_labels(server.meta))


def profile_routes(profile: Profile) -> list[WireProfileRoute]:
    """The routes of a ServiceProfile."""
    return [_profile_route(one) for one in profile.routes]


def retry_budget(profile: Profile | None) -> RetryBudget:
    """How many retries there may be, by default where no profile says so."""
    ratio, least = (profile.retry_ratio, profile.min_retries_per_second) if profile else (0.2, 10)
    return RetryBudget(retry_ratio=ratio, min_retries_per_second=least, ttl=shared.duration(timedelta(seconds=10)))


def _protocol(server: InboundServer) -> ProxyProtocol:
    http = [_http_route(one) for one in server.routes]
    limit = _rate_limit(server.rate_limit)
    match server.protocol:
        case Protocol.HTTP1:
            return ProxyProtocol(http1=ProxyProtocol.Http(routes=http, local_rate_limit=limit))
        case Protocol.HTTP2:
            return ProxyProtocol(http2=ProxyProtocol.Http(routes=http, local_rate_limit=limit))
        case Protocol.GRPC:
            return ProxyProtocol(grpc=ProxyProtocol.Grpc(routes=[_grpc_route(one) for one in server.routes]))
        case Protocol.OPAQUE:
            return ProxyProtocol(opaque=ProxyProtocol.Opaque())
        case Protocol.TLS:
            return ProxyProtocol(tls=ProxyProtocol.Tls())
        case Protocol.DETECT:
            timeout = shared.duration(server.detect)
            return ProxyProtocol(
                detect=ProxyProtocol.Detect(timeout=timeout, http_routes=http, http_local_rate_limit=limit)
            )


def _http_route(route: InboundRoute) -> HttpRoute:
    rule = HttpRoute.Rule(
        matches=[shared.http_match(one) for one in route.matches],
        filters=shared.filters(route.requests, None, route.redirect),
    )
    authorizations = [_authorization(one) for one in route.authorizations]
    return HttpRoute(metadata=shared.metadata(route.meta), authorizations=authorizations, rules=[rule])


def _grpc_route(route: InboundRoute) -> GrpcRoute:
    rule = GrpcRoute.Rule(
        matches=[shared.grpc_match(one) for one in route.matches], filters=shared.filters(route.requests)
    )
    authorizations = [_authorization(one) for one in route.authorizations]
    return GrpcRoute(metadata=shared.metadata(route.meta), authorizations=authorizations, rules=[rule])


def _authorization(authorization: Authorization) -> Authz:
    return Authz(
        networks=[_network(one) for one in authorization.networks],
        authentication=_authentication(authorization.identities),
        labels=_labels(authorization.meta),
        metadata=shared.metadata(authorization.meta),
    )


def _authentication(identities: tuple[str, ...] | None) -> Authn:
    if identities is None:
        return Authn(unauthenticated=Authn.PermitUnauthenticated())
    clients = Authn.PermitClientIdentities(
        identities=[Identity(name=one) for one in identities if not one.startswith("*")],
        suffixes=[
            IdentitySuffix(parts=one[2:].split(".") if one != "*" else []) for one in identities if one[0] == "*"
        ],
    )
    return Authn(meshTLS=Authn.PermitMeshTLS(identities=clients))


def _network(network: Network) -> WireNetwork:
    holes = [_cidr(one) for one in network.excluded]
    made = WireNetwork(net=_cidr(network.cidr))
    getattr(made, "except").extend(holes)  # a word of Python's own
    return made


def _cidr(cidr: str) -> IPNetwork:
    parsed = ip_network(cidr, strict=False)
    return IPNetwork(ip=to_wire(str(parsed.network_address)), prefix_len=parsed.prefixlen)


def _rate_limit(limit: RateLimit | None) -> HttpLocalRateLimit | None:
    if limit is None:
        return None
    overrides = [
        HttpLocalRateLimit.Override(
            limit=HttpLocalRateLimit.Limit(requestsPerSecond=number),
            clients=HttpLocalRateLimit.Override.ClientIdentities(identities=[Identity(name=name)]),
        )
        for name, number in limit.overrides
    ]
    return HttpLocalRateLimit(
        metadata=shared.metadata(limit.meta),
        total=HttpLocalRateLimit.Limit(requestsPerSecond=limit.total) if limit.total else None,
        identity=HttpLocalRateLimit.Limit(requestsPerSecond=limit.identity) if limit.identity else None,
        overrides=overrides,
    )


def _labels(meta: Meta) -> dict[str, str]:
    return {"group": meta.group, "kind": meta.kind, "name": meta.name}


def _profile_route(route: ProfileRoute) -> WireProfileRoute:
    conditions = []
    if route.method:
        conditions.append(RequestMatch(method=shared.method(route.method)))
    if route.path_regex:
        conditions.append(RequestMatch(path=RequestMatch.Path(regex=route.path_regex)))
    return WireProfileRoute(
        condition=RequestMatch(all=RequestMatch.Seq(matches=conditions)),
        response_classes=[
            ResponseClass(condition=ResponseMatch(status=HttpStatusRange(min=first, max=last)), is_failure=is_failure)
            for first, last, is_failure in route.failures
        ],
        metrics_labels={"route": route.name},
        is_retryable=route.retryable,
        timeout=shared.duration(route.timeout),
    )

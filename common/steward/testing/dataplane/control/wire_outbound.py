"""Outbound targets as the policy controller tells them."""

from datetime import timedelta

from steward.proxy_api.answers import to_wire
from steward.proxy_api.destination_pb2 import ProtocolHint, TlsIdentity, WeightedAddr
from steward.proxy_api.net_pb2 import TcpAddress
from steward.proxy_api.outbound_pb2 import Backend as WireBackend
from steward.proxy_api.outbound_pb2 import (
    Distribution,
    ExponentialBackoff,
    FailureAccrual,
    GrpcRoute,
    HttpRoute,
    OpaqueDistribution,
    OpaqueFilter,
    OpaqueRoute,
    OutboundPolicy,
    ProxyProtocol,
    Queue,
    RouteBackend,
    WeightedRouteBackend,
)
from steward.proxy_api.route_pb2 import Timeouts as WireTimeouts
from steward.testing.dataplane.config import (
    Backend,
    ConsecutiveAccrual,
    Endpoint,
    OutboundTarget,
    Protocol,
    RateAccrual,
    Retry,
    Route,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.control import wire_shared as shared
from steward.testing.dataplane.control.world import INBOUND_PORT

_SET_LABELS = ("namespace", "service")
_DETECT = timedelta(seconds=10)
_FAILFAST = timedelta(seconds=3)
_PENALTY = timedelta(seconds=5)
_CONDITIONS = {1: "cancelled", 4: "deadine_exceeded", 8: "resource_exhausted", 13: "internal", 14: "unavailable"}


def weighted(endpoint: Endpoint) -> WeightedAddr:
    """One endpoint."""
    labels = {name: value for name, value in endpoint.labels if name not in _SET_LABELS}
    made = WeightedAddr(
        addr=TcpAddress(ip=to_wire(endpoint.ip), port=endpoint.port), weight=endpoint.weight, metric_labels=labels
    )
    if endpoint.identity is not None:
        made.tls_identity.CopyFrom(_identity(endpoint, endpoint.identity))
        made.protocol_hint.CopyFrom(_hint(endpoint))
    return made


def _identity(endpoint: Endpoint, name: str) -> TlsIdentity:
    """That of an ExternalWorkload is told as a URI whatever it is, for only SPIRE is expected to give it."""
    if endpoint.server_name:
        asked = TlsIdentity.DnsLikeIdentity(name=endpoint.server_name)
        return TlsIdentity(uri_like_identity=TlsIdentity.UriLikeIdentity(uri=name), server_name=asked)
    itself = TlsIdentity.DnsLikeIdentity(name=name)
    return TlsIdentity(dns_like_identity=itself, server_name=itself)


def outbound_policy(target: OutboundTarget) -> OutboundPolicy:
    """All that is told about a target."""
    protocol = ProxyProtocol()
    opaque = ProxyProtocol.Opaque(routes=[_opaque_route(one) for one in target.opaque_routes])
    accrual = _accrual(target.accrual)
    http = _http(target, accrual)
    match target.protocol:
        case Protocol.DETECT:
            protocol.detect.CopyFrom(
                ProxyProtocol.Detect(timeout=shared.duration(_DETECT), opaque=opaque, http1=http, http2=http)
            )
        case Protocol.HTTP1:
            protocol.http1.CopyFrom(http)
        case Protocol.HTTP2:
            protocol.http2.CopyFrom(http)
        case Protocol.GRPC:
            routes = [_grpc_route(one) for one in target.grpc_routes]
            protocol.grpc.CopyFrom(ProxyProtocol.Grpc(routes=routes, failure_accrual=accrual))
        case Protocol.TLS:
            protocol.tls.CopyFrom(opaque)
        case Protocol.OPAQUE:
            protocol.opaque.CopyFrom(opaque)
    return OutboundPolicy(protocol=protocol, metadata=shared.metadata(target.parent))


def _http(target: OutboundTarget, accrual: FailureAccrual | None) -> ProxyProtocol.Http:
    http = ProxyProtocol.Http(routes=[_http_route(one) for one in target.http_routes])
    if target.penalize_failures:
        _penalise(http)
    if accrual is not None:
        http.failure_accrual.CopyFrom(accrual)
    return http


def _penalise(http: ProxyProtocol.Http) -> None:
    """Every balancer counts a failure as a slow answer."""
    distributions = [rule.backends for route in http.routes for rule in route.rules]
    first = [one.backend for each in distributions for one in each.first_available.backends]
    weighed = [one.backend.backend for each in distributions for one in each.random_available.backends]
    for backend in (*first, *weighed):
        if not backend.HasField("balancer"):
            continue
        usual = backend.balancer.peak_ewma
        backend.balancer.penalty_peak_ewma.CopyFrom(
            WireBackend.BalanceP2c.PenaltyPeakEwma(
                default_rtt=usual.default_rtt, decay=usual.decay, penalty=shared.duration(_PENALTY)
            )
        )


def _hint(endpoint: Endpoint) -> ProtocolHint:
    transport = ProtocolHint.OpaqueTransport(inbound_port=INBOUND_PORT)
    if endpoint.opaque:
        return ProtocolHint(opaque=ProtocolHint.Opaque(), opaque_transport=transport)
    return ProtocolHint(h2=ProtocolHint.H2() if endpoint.h2 else None, opaque_transport=transport)


def _http_route(route: Route) -> HttpRoute:
    rules = [
        HttpRoute.Rule(
            matches=[shared.http_match(match) for match in rule.matches],
            filters=shared.filters(rule.requests, rule.responses, rule.redirect),
            backends=_distribution(rule),
            timeouts=_timeouts(rule.timeouts),
            retry=_http_retry(rule.retry),
            allow_l5d_request_headers=rule.allow_headers,
        )
        for rule in route.rules
    ]
    return HttpRoute(metadata=shared.metadata(route.meta), hosts=shared.hosts(route.hosts), rules=rules)


def _grpc_route(route: Route) -> GrpcRoute:
    rules = [
        GrpcRoute.Rule(
            matches=[shared.grpc_match(match) for match in rule.matches],
            filters=shared.filters(rule.requests, rule.responses, rule.redirect),
            backends=_distribution(rule),
            timeouts=_timeouts(rule.timeouts),
            retry=_grpc_retry(rule.retry),
            allow_l5d_request_headers=rule.allow_headers,
        )
        for rule in route.rules
    ]
    return GrpcRoute(metadata=shared.metadata(route.meta), hosts=shared.hosts(route.hosts), rules=rules)


def _opaque_route(route: Route) -> OpaqueRoute:
    rules = [OpaqueRoute.Rule(backends=_opaque_distribution(rule)) for rule in route.rules]
    return OpaqueRoute(metadata=shared.metadata(route.meta), snis=shared.hosts(route.hosts), rules=rules)


def _distribution(rule: Rule) -> Distribution:
    if len(rule.backends) == 1 and rule.backends[0].weight == 1:
        first = Distribution.FirstAvailable(backends=[_route_backend(rule.backends[0])])
        return Distribution(first_available=first)
    backends = [WeightedRouteBackend(backend=_route_backend(one), weight=one.weight) for one in rule.backends]
    if not any(one.weight for one in rule.backends):
        return Distribution(empty=Distribution.Empty())
    return Distribution(random_available=Distribution.RandomAvailable(backends=backends))


def _route_backend(backend: Backend) -> RouteBackend:
    filters = shared.filters(backend.requests)
    if backend.missing:
        filters.append(shared.failure(500, backend.missing))
    if backend.forbidden:
        filters.append(shared.failure(403, backend.forbidden))
    return RouteBackend(backend=_backend(backend), filters=filters)


def _opaque_distribution(rule: Rule) -> OpaqueDistribution:
    kept = OpaqueDistribution.WeightedRouteBackend
    backends = []
    for one in rule.backends:
        filters = [OpaqueFilter(invalid=OpaqueFilter.Invalid(message=one.missing))] if one.missing else []
        if one.forbidden:
            filters.append(OpaqueFilter(forbidden=OpaqueFilter.Forbidden()))
        inner = OpaqueDistribution.RouteBackend(backend=_backend(one), filters=filters)
        backends.append(kept(backend=inner, weight=one.weight))
    return OpaqueDistribution(random_available=OpaqueDistribution.RandomAvailable(backends=backends))


def _backend(backend: Backend) -> WireBackend:
    made = WireBackend(
        metadata=shared.metadata(backend.meta), queue=Queue(capacity=100, failfast_timeout=shared.duration(_FAILFAST))
    )
    if backend.authority:
        discovery = WireBackend.EndpointDiscovery(
            dst=WireBackend.EndpointDiscovery.DestinationGet(path=backend.authority)
        )
        ewma = WireBackend.BalanceP2c.PeakEwma(
            default_rtt=shared.duration(timedelta(milliseconds=30)), decay=shared.duration(timedelta(seconds=10))
        )
        made.balancer.CopyFrom(WireBackend.BalanceP2c(discovery=discovery, peak_ewma=ewma))
    elif backend.endpoints:
        made.forward.CopyFrom(weighted(backend.endpoints[0]))
    return made


def _timeouts(limits: Timeouts) -> WireTimeouts:
    return WireTimeouts(
        request=shared.duration(limits.request),
        response=shared.duration(limits.response),
        idle=shared.duration(limits.idle),
    )


def _http_retry(retry: Retry | None) -> HttpRoute.Retry | None:
    if retry is None:
        return None
    ranges = [HttpRoute.Retry.Conditions.StatusRange(start=first, end=last) for first, last in retry.statuses]
    return HttpRoute.Retry(
        max_retries=retry.limit,
        max_request_bytes=65_536,
        conditions=HttpRoute.Retry.Conditions(status_ranges=ranges),
        timeout=shared.duration(retry.timeout),
    )


def _grpc_retry(retry: Retry | None) -> GrpcRoute.Retry | None:
    if retry is None:
        return None
    conditions = GrpcRoute.Retry.Conditions()
    for code in retry.codes:
        setattr(conditions, _CONDITIONS[code], True)
    return GrpcRoute.Retry(
        max_retries=retry.limit,
        max_request_bytes=65_536,
        conditions=conditions,
        timeout=shared.duration(retry.timeout),
    )


def _accrual(accrual: ConsecutiveAccrual | RateAccrual | None) -> FailureAccrual | None:
    if accrual is None:
        return None
    backoff = ExponentialBackoff(
        min_backoff=shared.duration(accrual.min_penalty),
        max_backoff=shared.duration(accrual.max_penalty),
        jitter_ratio=0.5,
    )
    if isinstance(accrual, ConsecutiveAccrual):
        consecutive = FailureAccrual.ConsecutiveFailures(max_failures=accrual.failures, backoff=backoff)
        return FailureAccrual(consecutive_failures=consecutive)
    return FailureAccrual(
        unified=FailureAccrual.Unified(
            success_rate_threshold=accrual.threshold,
            decay=shared.duration(accrual.window),
            min_requests=accrual.min_requests,
            max_consecutive_failures=7,
            backoff=backoff,
        )
    )

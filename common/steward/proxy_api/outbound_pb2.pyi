import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from steward.proxy_api import destination_pb2 as _destination_pb2
from steward.proxy_api import meta_pb2 as _meta_pb2
from steward.proxy_api import net_pb2 as _net_pb2
from steward.proxy_api import route_pb2 as _route_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrafficSpec(_message.Message):
    __slots__ = ("source_workload", "addr", "authority")
    SOURCE_WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    source_workload: str
    addr: _net_pb2.TcpAddress
    authority: str
    def __init__(self, source_workload: _Optional[str] = ..., addr: _Optional[_Union[_net_pb2.TcpAddress, _Mapping]] = ..., authority: _Optional[str] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("capacity", "failfast_timeout")
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    FAILFAST_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    capacity: int
    failfast_timeout: _duration_pb2.Duration
    def __init__(self, capacity: _Optional[int] = ..., failfast_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Backend(_message.Message):
    __slots__ = ("metadata", "forward", "balancer", "queue")
    class EndpointDiscovery(_message.Message):
        __slots__ = ("dst",)
        class DestinationGet(_message.Message):
            __slots__ = ("path",)
            PATH_FIELD_NUMBER: _ClassVar[int]
            path: str
            def __init__(self, path: _Optional[str] = ...) -> None: ...
        DST_FIELD_NUMBER: _ClassVar[int]
        dst: Backend.EndpointDiscovery.DestinationGet
        def __init__(self, dst: _Optional[_Union[Backend.EndpointDiscovery.DestinationGet, _Mapping]] = ...) -> None: ...
    class BalanceP2c(_message.Message):
        __slots__ = ("discovery", "peak_ewma", "penalty_peak_ewma")
        class PeakEwma(_message.Message):
            __slots__ = ("default_rtt", "decay")
            DEFAULT_RTT_FIELD_NUMBER: _ClassVar[int]
            DECAY_FIELD_NUMBER: _ClassVar[int]
            default_rtt: _duration_pb2.Duration
            decay: _duration_pb2.Duration
            def __init__(self, default_rtt: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        class PenaltyPeakEwma(_message.Message):
            __slots__ = ("default_rtt", "decay", "penalty", "max_retry_after", "penalty_decay")
            DEFAULT_RTT_FIELD_NUMBER: _ClassVar[int]
            DECAY_FIELD_NUMBER: _ClassVar[int]
            PENALTY_FIELD_NUMBER: _ClassVar[int]
            MAX_RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
            PENALTY_DECAY_FIELD_NUMBER: _ClassVar[int]
            default_rtt: _duration_pb2.Duration
            decay: _duration_pb2.Duration
            penalty: _duration_pb2.Duration
            max_retry_after: _duration_pb2.Duration
            penalty_decay: _duration_pb2.Duration
            def __init__(self, default_rtt: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., penalty: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., penalty_decay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        DISCOVERY_FIELD_NUMBER: _ClassVar[int]
        PEAK_EWMA_FIELD_NUMBER: _ClassVar[int]
        PENALTY_PEAK_EWMA_FIELD_NUMBER: _ClassVar[int]
        discovery: Backend.EndpointDiscovery
        peak_ewma: Backend.BalanceP2c.PeakEwma
        penalty_peak_ewma: Backend.BalanceP2c.PenaltyPeakEwma
        def __init__(self, discovery: _Optional[_Union[Backend.EndpointDiscovery, _Mapping]] = ..., peak_ewma: _Optional[_Union[Backend.BalanceP2c.PeakEwma, _Mapping]] = ..., penalty_peak_ewma: _Optional[_Union[Backend.BalanceP2c.PenaltyPeakEwma, _Mapping]] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    BALANCER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_pb2.Metadata
    forward: _destination_pb2.WeightedAddr
    balancer: Backend.BalanceP2c
    queue: Queue
    def __init__(self, metadata: _Optional[_Union[_meta_pb2.Metadata, _Mapping]] = ..., forward: _Optional[_Union[_destination_pb2.WeightedAddr, _Mapping]] = ..., balancer: _Optional[_Union[Backend.BalanceP2c, _Mapping]] = ..., queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class ExponentialBackoff(_message.Message):
    __slots__ = ("min_backoff", "max_backoff", "jitter_ratio", "respect_retry_after_hint")
    MIN_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    JITTER_RATIO_FIELD_NUMBER: _ClassVar[int]
    RESPECT_RETRY_AFTER_HINT_FIELD_NUMBER: _ClassVar[int]
    min_backoff: _duration_pb2.Duration
    max_backoff: _duration_pb2.Duration
    jitter_ratio: float
    respect_retry_after_hint: bool
    def __init__(self, min_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., jitter_ratio: _Optional[float] = ..., respect_retry_after_hint: _Optional[bool] = ...) -> None: ...

class FailureAccrual(_message.Message):
    __slots__ = ("consecutive_failures", "unified")
    class ConsecutiveFailures(_message.Message):
        __slots__ = ("max_failures", "backoff")
        MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
        BACKOFF_FIELD_NUMBER: _ClassVar[int]
        max_failures: int
        backoff: ExponentialBackoff
        def __init__(self, max_failures: _Optional[int] = ..., backoff: _Optional[_Union[ExponentialBackoff, _Mapping]] = ...) -> None: ...
    class Unified(_message.Message):
        __slots__ = ("success_rate_threshold", "decay", "min_requests", "max_consecutive_failures", "backoff")
        SUCCESS_RATE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
        DECAY_FIELD_NUMBER: _ClassVar[int]
        MIN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
        MAX_CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
        BACKOFF_FIELD_NUMBER: _ClassVar[int]
        success_rate_threshold: float
        decay: _duration_pb2.Duration
        min_requests: int
        max_consecutive_failures: int
        backoff: ExponentialBackoff
        def __init__(self, success_rate_threshold: _Optional[float] = ..., decay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., min_requests: _Optional[int] = ..., max_consecutive_failures: _Optional[int] = ..., backoff: _Optional[_Union[ExponentialBackoff, _Mapping]] = ...) -> None: ...
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    UNIFIED_FIELD_NUMBER: _ClassVar[int]
    consecutive_failures: FailureAccrual.ConsecutiveFailures
    unified: FailureAccrual.Unified
    def __init__(self, consecutive_failures: _Optional[_Union[FailureAccrual.ConsecutiveFailures, _Mapping]] = ..., unified: _Optional[_Union[FailureAccrual.Unified, _Mapping]] = ...) -> None: ...

class RouteBackend(_message.Message):
    __slots__ = ("backend", "filters")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    backend: Backend
    filters: _containers.RepeatedCompositeFieldContainer[_route_pb2.HttpFilter]
    def __init__(self, backend: _Optional[_Union[Backend, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[_route_pb2.HttpFilter, _Mapping]]] = ...) -> None: ...

class WeightedRouteBackend(_message.Message):
    __slots__ = ("backend", "weight")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    backend: RouteBackend
    weight: int
    def __init__(self, backend: _Optional[_Union[RouteBackend, _Mapping]] = ..., weight: _Optional[int] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("empty", "first_available", "random_available")
    class Empty(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class FirstAvailable(_message.Message):
        __slots__ = ("backends",)
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        backends: _containers.RepeatedCompositeFieldContainer[RouteBackend]
        def __init__(self, backends: _Optional[_Iterable[_Union[RouteBackend, _Mapping]]] = ...) -> None: ...
    class RandomAvailable(_message.Message):
        __slots__ = ("backends",)
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        backends: _containers.RepeatedCompositeFieldContainer[WeightedRouteBackend]
        def __init__(self, backends: _Optional[_Iterable[_Union[WeightedRouteBackend, _Mapping]]] = ...) -> None: ...
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    FIRST_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    RANDOM_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    empty: Distribution.Empty
    first_available: Distribution.FirstAvailable
    random_available: Distribution.RandomAvailable
    def __init__(self, empty: _Optional[_Union[Distribution.Empty, _Mapping]] = ..., first_available: _Optional[_Union[Distribution.FirstAvailable, _Mapping]] = ..., random_available: _Optional[_Union[Distribution.RandomAvailable, _Mapping]] = ...) -> None: ...

class HttpRoute(_message.Message):
    __slots__ = ("metadata", "hosts", "rules")
    class Retry(_message.Message):
        __slots__ = ("max_retries", "max_request_bytes", "conditions", "timeout", "backoff")
        class Conditions(_message.Message):
            __slots__ = ("status_ranges",)
            class StatusRange(_message.Message):
                __slots__ = ("start", "end")
                START_FIELD_NUMBER: _ClassVar[int]
                END_FIELD_NUMBER: _ClassVar[int]
                start: int
                end: int
                def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...
            STATUS_RANGES_FIELD_NUMBER: _ClassVar[int]
            status_ranges: _containers.RepeatedCompositeFieldContainer[HttpRoute.Retry.Conditions.StatusRange]
            def __init__(self, status_ranges: _Optional[_Iterable[_Union[HttpRoute.Retry.Conditions.StatusRange, _Mapping]]] = ...) -> None: ...
        MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
        MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
        CONDITIONS_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        BACKOFF_FIELD_NUMBER: _ClassVar[int]
        max_retries: int
        max_request_bytes: int
        conditions: HttpRoute.Retry.Conditions
        timeout: _duration_pb2.Duration
        backoff: ExponentialBackoff
        def __init__(self, max_retries: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., conditions: _Optional[_Union[HttpRoute.Retry.Conditions, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., backoff: _Optional[_Union[ExponentialBackoff, _Mapping]] = ...) -> None: ...
    class Rule(_message.Message):
        __slots__ = ("matches", "filters", "backends", "timeouts", "retry", "allow_l5d_request_headers")
        MATCHES_FIELD_NUMBER: _ClassVar[int]
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
        RETRY_FIELD_NUMBER: _ClassVar[int]
        ALLOW_L5D_REQUEST_HEADERS_FIELD_NUMBER: _ClassVar[int]
        matches: _containers.RepeatedCompositeFieldContainer[_route_pb2.HttpMatch]
        filters: _containers.RepeatedCompositeFieldContainer[_route_pb2.HttpFilter]
        backends: Distribution
        timeouts: _route_pb2.Timeouts
        retry: HttpRoute.Retry
        allow_l5d_request_headers: bool
        def __init__(self, matches: _Optional[_Iterable[_Union[_route_pb2.HttpMatch, _Mapping]]] = ..., filters: _Optional[_Iterable[_Union[_route_pb2.HttpFilter, _Mapping]]] = ..., backends: _Optional[_Union[Distribution, _Mapping]] = ..., timeouts: _Optional[_Union[_route_pb2.Timeouts, _Mapping]] = ..., retry: _Optional[_Union[HttpRoute.Retry, _Mapping]] = ..., allow_l5d_request_headers: _Optional[bool] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_pb2.Metadata
    hosts: _containers.RepeatedCompositeFieldContainer[_route_pb2.HostMatch]
    rules: _containers.RepeatedCompositeFieldContainer[HttpRoute.Rule]
    def __init__(self, metadata: _Optional[_Union[_meta_pb2.Metadata, _Mapping]] = ..., hosts: _Optional[_Iterable[_Union[_route_pb2.HostMatch, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[HttpRoute.Rule, _Mapping]]] = ...) -> None: ...

class GrpcRoute(_message.Message):
    __slots__ = ("metadata", "hosts", "rules")
    class Retry(_message.Message):
        __slots__ = ("max_retries", "max_request_bytes", "conditions", "timeout", "backoff")
        class Conditions(_message.Message):
            __slots__ = ("cancelled", "deadine_exceeded", "resource_exhausted", "internal", "unavailable")
            CANCELLED_FIELD_NUMBER: _ClassVar[int]
            DEADINE_EXCEEDED_FIELD_NUMBER: _ClassVar[int]
            RESOURCE_EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
            INTERNAL_FIELD_NUMBER: _ClassVar[int]
            UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
            cancelled: bool
            deadine_exceeded: bool
            resource_exhausted: bool
            internal: bool
            unavailable: bool
            def __init__(self, cancelled: _Optional[bool] = ..., deadine_exceeded: _Optional[bool] = ..., resource_exhausted: _Optional[bool] = ..., internal: _Optional[bool] = ..., unavailable: _Optional[bool] = ...) -> None: ...
        MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
        MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
        CONDITIONS_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        BACKOFF_FIELD_NUMBER: _ClassVar[int]
        max_retries: int
        max_request_bytes: int
        conditions: GrpcRoute.Retry.Conditions
        timeout: _duration_pb2.Duration
        backoff: ExponentialBackoff
        def __init__(self, max_retries: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., conditions: _Optional[_Union[GrpcRoute.Retry.Conditions, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., backoff: _Optional[_Union[ExponentialBackoff, _Mapping]] = ...) -> None: ...
    class Rule(_message.Message):
        __slots__ = ("matches", "filters", "backends", "timeouts", "retry", "allow_l5d_request_headers")
        MATCHES_FIELD_NUMBER: _ClassVar[int]
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
        RETRY_FIELD_NUMBER: _ClassVar[int]
        ALLOW_L5D_REQUEST_HEADERS_FIELD_NUMBER: _ClassVar[int]
        matches: _containers.RepeatedCompositeFieldContainer[_route_pb2.GrpcMatch]
        filters: _containers.RepeatedCompositeFieldContainer[_route_pb2.HttpFilter]
        backends: Distribution
        timeouts: _route_pb2.Timeouts
        retry: GrpcRoute.Retry
        allow_l5d_request_headers: bool
        def __init__(self, matches: _Optional[_Iterable[_Union[_route_pb2.GrpcMatch, _Mapping]]] = ..., filters: _Optional[_Iterable[_Union[_route_pb2.HttpFilter, _Mapping]]] = ..., backends: _Optional[_Union[Distribution, _Mapping]] = ..., timeouts: _Optional[_Union[_route_pb2.Timeouts, _Mapping]] = ..., retry: _Optional[_Union[GrpcRoute.Retry, _Mapping]] = ..., allow_l5d_request_headers: _Optional[bool] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_pb2.Metadata
    hosts: _containers.RepeatedCompositeFieldContainer[_route_pb2.HostMatch]
    rules: _containers.RepeatedCompositeFieldContainer[GrpcRoute.Rule]
    def __init__(self, metadata: _Optional[_Union[_meta_pb2.Metadata, _Mapping]] = ..., hosts: _Optional[_Iterable[_Union[_route_pb2.HostMatch, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[GrpcRoute.Rule, _Mapping]]] = ...) -> None: ...

class OpaqueFilter(_message.Message):
    __slots__ = ("invalid", "forbidden")
    class Invalid(_message.Message):
        __slots__ = ("message",)
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        message: str
        def __init__(self, message: _Optional[str] = ...) -> None: ...
    class Forbidden(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    INVALID_FIELD_NUMBER: _ClassVar[int]
    FORBIDDEN_FIELD_NUMBER: _ClassVar[int]
    invalid: OpaqueFilter.Invalid
    forbidden: OpaqueFilter.Forbidden
    def __init__(self, invalid: _Optional[_Union[OpaqueFilter.Invalid, _Mapping]] = ..., forbidden: _Optional[_Union[OpaqueFilter.Forbidden, _Mapping]] = ...) -> None: ...

class OpaqueDistribution(_message.Message):
    __slots__ = ("empty", "first_available", "random_available")
    class RouteBackend(_message.Message):
        __slots__ = ("backend", "filters")
        BACKEND_FIELD_NUMBER: _ClassVar[int]
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        backend: Backend
        filters: _containers.RepeatedCompositeFieldContainer[OpaqueFilter]
        def __init__(self, backend: _Optional[_Union[Backend, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[OpaqueFilter, _Mapping]]] = ...) -> None: ...
    class WeightedRouteBackend(_message.Message):
        __slots__ = ("backend", "weight")
        BACKEND_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        backend: OpaqueDistribution.RouteBackend
        weight: int
        def __init__(self, backend: _Optional[_Union[OpaqueDistribution.RouteBackend, _Mapping]] = ..., weight: _Optional[int] = ...) -> None: ...
    class Empty(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class FirstAvailable(_message.Message):
        __slots__ = ("backends",)
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        backends: _containers.RepeatedCompositeFieldContainer[OpaqueDistribution.RouteBackend]
        def __init__(self, backends: _Optional[_Iterable[_Union[OpaqueDistribution.RouteBackend, _Mapping]]] = ...) -> None: ...
    class RandomAvailable(_message.Message):
        __slots__ = ("backends",)
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        backends: _containers.RepeatedCompositeFieldContainer[OpaqueDistribution.WeightedRouteBackend]
        def __init__(self, backends: _Optional[_Iterable[_Union[OpaqueDistribution.WeightedRouteBackend, _Mapping]]] = ...) -> None: ...
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    FIRST_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    RANDOM_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    empty: OpaqueDistribution.Empty
    first_available: OpaqueDistribution.FirstAvailable
    random_available: OpaqueDistribution.RandomAvailable
    def __init__(self, empty: _Optional[_Union[OpaqueDistribution.Empty, _Mapping]] = ..., first_available: _Optional[_Union[OpaqueDistribution.FirstAvailable, _Mapping]] = ..., random_available: _Optional[_Union[OpaqueDistribution.RandomAvailable, _Mapping]] = ...) -> None: ...

class OpaqueRoute(_message.Message):
    __slots__ = ("metadata", "snis", "rules")
    class Rule(_message.Message):
        __slots__ = ("backends", "filters")
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        backends: OpaqueDistribution
        filters: _containers.RepeatedCompositeFieldContainer[OpaqueFilter]
        def __init__(self, backends: _Optional[_Union[OpaqueDistribution, _Mapping]] = ..., filters: _Optional[_Iterable[_Union[OpaqueFilter, _Mapping]]] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SNIS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_pb2.Metadata
    snis: _containers.RepeatedCompositeFieldContainer[_route_pb2.HostMatch]
    rules: _containers.RepeatedCompositeFieldContainer[OpaqueRoute.Rule]
    def __init__(self, metadata: _Optional[_Union[_meta_pb2.Metadata, _Mapping]] = ..., snis: _Optional[_Iterable[_Union[_route_pb2.HostMatch, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[OpaqueRoute.Rule, _Mapping]]] = ...) -> None: ...

class ProxyProtocol(_message.Message):
    __slots__ = ("detect", "opaque", "http1", "http2", "grpc", "tls")
    class Opaque(_message.Message):
        __slots__ = ("routes",)
        ROUTES_FIELD_NUMBER: _ClassVar[int]
        routes: _containers.RepeatedCompositeFieldContainer[OpaqueRoute]
        def __init__(self, routes: _Optional[_Iterable[_Union[OpaqueRoute, _Mapping]]] = ...) -> None: ...
    class Http(_message.Message):
        __slots__ = ("routes", "failure_accrual")
        ROUTES_FIELD_NUMBER: _ClassVar[int]
        FAILURE_ACCRUAL_FIELD_NUMBER: _ClassVar[int]
        routes: _containers.RepeatedCompositeFieldContainer[HttpRoute]
        failure_accrual: FailureAccrual
        def __init__(self, routes: _Optional[_Iterable[_Union[HttpRoute, _Mapping]]] = ..., failure_accrual: _Optional[_Union[FailureAccrual, _Mapping]] = ...) -> None: ...
    class Grpc(_message.Message):
        __slots__ = ("routes", "failure_accrual")
        ROUTES_FIELD_NUMBER: _ClassVar[int]
        FAILURE_ACCRUAL_FIELD_NUMBER: _ClassVar[int]
        routes: _containers.RepeatedCompositeFieldContainer[GrpcRoute]
        failure_accrual: FailureAccrual
        def __init__(self, routes: _Optional[_Iterable[_Union[GrpcRoute, _Mapping]]] = ..., failure_accrual: _Optional[_Union[FailureAccrual, _Mapping]] = ...) -> None: ...
    class Detect(_message.Message):
        __slots__ = ("timeout", "opaque", "http1", "http2")
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        OPAQUE_FIELD_NUMBER: _ClassVar[int]
        HTTP1_FIELD_NUMBER: _ClassVar[int]
        HTTP2_FIELD_NUMBER: _ClassVar[int]
        timeout: _duration_pb2.Duration
        opaque: ProxyProtocol.Opaque
        http1: ProxyProtocol.Http
        http2: ProxyProtocol.Http
        def __init__(self, timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., opaque: _Optional[_Union[ProxyProtocol.Opaque, _Mapping]] = ..., http1: _Optional[_Union[ProxyProtocol.Http, _Mapping]] = ..., http2: _Optional[_Union[ProxyProtocol.Http, _Mapping]] = ...) -> None: ...
    DETECT_FIELD_NUMBER: _ClassVar[int]
    OPAQUE_FIELD_NUMBER: _ClassVar[int]
    HTTP1_FIELD_NUMBER: _ClassVar[int]
    HTTP2_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    detect: ProxyProtocol.Detect
    opaque: ProxyProtocol.Opaque
    http1: ProxyProtocol.Http
    http2: ProxyProtocol.Http
    grpc: ProxyProtocol.Grpc
    tls: ProxyProtocol.Opaque
    def __init__(self, detect: _Optional[_Union[ProxyProtocol.Detect, _Mapping]] = ..., opaque: _Optional[_Union[ProxyProtocol.Opaque, _Mapping]] = ..., http1: _Optional[_Union[ProxyProtocol.Http, _Mapping]] = ..., http2: _Optional[_Union[ProxyProtocol.Http, _Mapping]] = ..., grpc: _Optional[_Union[ProxyProtocol.Grpc, _Mapping]] = ..., tls: _Optional[_Union[ProxyProtocol.Opaque, _Mapping]] = ...) -> None: ...

class OutboundPolicy(_message.Message):
    __slots__ = ("protocol", "metadata")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    protocol: ProxyProtocol
    metadata: _meta_pb2.Metadata
    def __init__(self, protocol: _Optional[_Union[ProxyProtocol, _Mapping]] = ..., metadata: _Optional[_Union[_meta_pb2.Metadata, _Mapping]] = ...) -> None: ...

"""Every metric family that a proxy may export, as data: its name, kind, labels, and the first version that has it.

Two generators write one page. The older one forgets series that rest; the registry keeps its own for ever.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

Minor = tuple[int, int]


class Kind(StrEnum):
    """How Prometheus reads a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `fades`: series that rest are forgotten. `later`: labels that came after the family itself."""

    name: str
    kind: Kind
    labels: frozenset[str] = frozenset()
    since: Minor = (2, 16)
    fades: bool = False
    buckets: tuple[float, ...] = ()
    later: tuple[tuple[str, Minor], ...] = ()

    def labels_of(self, minor: Minor) -> frozenset[str]:
        """The labels that it has in that version."""
        return self.labels - {label for label, since in self.later if minor < since}


LATENCY_MS = (
    *(1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500),
    *(1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000),
)
_ATTEMPT = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0)
_ROUTE = (0.05, 0.5, 1.0, 10.0)
_QUEUE = (0.0005, 0.005, 0.05, 0.5, 1.0, 3.0)
_DETECT = (0.001, 0.1)
_FRAME = (128.0, 1024.0, 10240.0)


def _labels(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _prefixed(prefix: str, text: str) -> frozenset[str]:
    return frozenset(f"{prefix}_{word}" for word in text.split())


_TARGET = _labels("target_addr target_ip target_port")
_SERVER = _prefixed("srv", "group kind name port")
_INBOUND_ROUTE = _prefixed("route", "group kind name")
_AUTHORIZATION = _prefixed("authz", "group kind name")
_LIMIT = _prefixed("ratelimit", "group kind name scope")
_CLIENT = _labels("tls no_tls_reason client_id")
_DESTINATION = _prefixed(
    "dst",
    "control_plane_ns deployment statefulset daemonset replicaset replicationcontroller job cronjob namespace pod "
    "pod_template_hash service serviceaccount zone zone_locality target_cluster target_cluster_name",
)
_STATUS = _labels("status_code classification grpc_status error")
_REQUEST = (
    _labels("direction authority server_id") | _TARGET | _CLIENT | _SERVER | _INBOUND_ROUTE | _AUTHORIZATION
) | _DESTINATION
_CONNECTION = _labels("direction peer authority server_id sni") | _TARGET | _CLIENT | _SERVER | _DESTINATION
_PROFILE = _labels("direction dst rt_route")
_CONTROL = _labels("addr tls server_id no_tls_reason")
_PARENT = _prefixed("parent", "group kind namespace name port section_name")
_BACKEND = _prefixed("backend", "group kind namespace name port section_name")
_OUTBOUND_ROUTE = _prefixed("route", "group kind namespace name")
_INBOUND_PARENT = _prefixed("parent", "group kind name port") | _INBOUND_ROUTE
_TCP_BALANCER = _PARENT | _BACKEND | _labels("logical concrete")
_STACK = _labels("direction name protocol")


def _counter(name: str, labels: frozenset[str] = frozenset(), *, since: Minor = (2, 16)) -> Family:
    return Family(name, Kind.COUNTER, labels, since)


def _gauge(name: str, labels: frozenset[str] = frozenset(), *, since: Minor = (2, 16)) -> Family:
    return Family(name, Kind.GAUGE, labels, since)


def _histogram(name: str, labels: frozenset[str], buckets: tuple[float, ...], *, since: Minor = (2, 16)) -> Family:
    return Family(name, Kind.HISTOGRAM, labels, since, buckets=buckets)


def _fading(name: str, labels: frozenset[str], kind: Kind = Kind.COUNTER, *, since: Minor = (2, 16)) -> Family:
    return Family(name, kind, labels, since, fades=True, buckets=LATENCY_MS if kind is Kind.HISTOGRAM else ())


def _requests(prefix: str, labels: frozenset[str]) -> Iterator[Family]:
    yield _fading(f"{prefix}request_total", labels)
    yield _fading(f"{prefix}response_total", labels | _STATUS)
    yield _fading(f"{prefix}response_latency_ms", labels | {"status_code"}, Kind.HISTOGRAM)


def _legacy() -> Iterator[Family]:
    yield from _requests("", _REQUEST)
    yield from _requests("route_", _PROFILE)
    yield _fading("route_actual_request_total", _PROFILE)
    yield _fading("route_actual_response_total", _PROFILE | _STATUS)
    yield _fading("route_retryable_total", _PROFILE | {"skipped"})
    yield from _requests("control_", _CONTROL)
    yield _fading("tcp_open_total", _CONNECTION)
    yield _fading("tcp_open_connections", _CONNECTION, Kind.GAUGE)
    yield _fading("tcp_read_bytes_total", _CONNECTION)
    yield _fading("tcp_write_bytes_total", _CONNECTION)
    yield _fading("tcp_close_total", _CONNECTION | {"errno"})
    yield _counter("inbound_http_authz_allow_total", _TARGET | _SERVER | _INBOUND_ROUTE | _AUTHORIZATION | _CLIENT)
    yield _counter("inbound_http_authz_deny_total", _TARGET | _SERVER | _INBOUND_ROUTE | _CLIENT)
    yield _counter("inbound_http_route_not_found_total", _TARGET | _SERVER | _CLIENT)
    yield _counter("inbound_http_local_ratelimit_total", _TARGET | _SERVER | _LIMIT | _CLIENT, since=(2, 17))
    yield _counter("inbound_tcp_authz_allow_total", _TARGET | _SERVER | _AUTHORIZATION | _CLIENT | {"sni"})
    yield _counter("inbound_tcp_authz_deny_total", _TARGET | _SERVER | _CLIENT | {"sni"})
    yield _counter("inbound_tcp_authz_terminate_total", _TARGET | _SERVER | _CLIENT | {"sni"})
    yield _counter("inbound_http_errors_total", _TARGET | _SERVER | {"error"})
    yield _counter("inbound_tcp_errors_total", _TARGET | {"error"})
    yield _counter("outbound_http_errors_total", _labels("error"))
    yield _counter("outbound_tcp_errors_total", _TARGET | {"error"})
    for word in ("streams", "requests"):
        yield _counter(f"opentelemetry_span_export_{word}")
    yield _counter("opentelemetry_span_exports")
    for name, labels in (("create_total", _STACK), ("drop_total", _STACK), ("poll_total_ms", _STACK)):
        yield _counter(f"stack_{name}", labels)
    yield _counter("stack_poll_total", _STACK | {"ready"})


def _balancer(prefix: str, labels: frozenset[str]) -> Iterator[Family]:
    yield _gauge(f"{prefix}_endpoints", labels | {"endpoint_state"})
    yield _gauge(f"{prefix}_p2c_endpoints", labels)
    yield _counter(f"{prefix}_p2c_updates_total", labels | {"op"})
    yield _gauge(f"{prefix}_queue_length", labels)
    yield _counter(f"{prefix}_queue_requests_total", labels)
    yield _histogram(f"{prefix}_queue_latency_seconds", labels, _QUEUE)
    for word in ("open", "shut"):
        yield _counter(f"{prefix}_queue_gate_{word}_total", labels)
        yield _gauge(f"{prefix}_queue_gate_{word}_time_seconds", labels)
    yield _gauge(f"{prefix}_queue_gate_timeout_seconds", labels)


def _routes(protocol: str, status: str) -> Iterator[Family]:
    """`hostname` is a label of requests since 2.17; of backends never."""
    prefix = f"outbound_{protocol}_route"
    host = (("hostname", (2, 17)),)
    named = _PARENT | _OUTBOUND_ROUTE | {"hostname"}
    backend = _PARENT | _OUTBOUND_ROUTE | _BACKEND
    outcome = _labels(f"{status} error")
    yield Family(f"{prefix}_request_duration_seconds", Kind.HISTOGRAM, named, buckets=_ROUTE, later=host)
    yield Family(f"{prefix}_request_statuses_total", Kind.COUNTER, named | outcome, later=host)
    yield _histogram(f"{prefix}_request_frame_size_bytes", named, _FRAME, since=(2, 17))
    for word in ("requests", "successes", "limit_exceeded", "overflow"):
        yield Family(f"{prefix}_retry_{word}_total", Kind.COUNTER, named, later=host)
    yield _counter(f"{prefix}_backend_requests_total", backend)
    yield _histogram(f"{prefix}_backend_response_duration_seconds", backend, _ATTEMPT)
    yield _counter(f"{prefix}_backend_response_statuses_total", backend | outcome)
    yield _histogram(f"{prefix}_backend_response_frame_size_bytes", backend, _FRAME, since=(2, 17))


def _outbound() -> Iterator[Family]:
    yield from _routes("http", "http_status")
    yield from _routes("grpc", "grpc_status")
    yield from _balancer("outbound_http_balancer", _PARENT | _BACKEND)
    yield from _balancer("outbound_tcp_balancer", _TCP_BALANCER)
    yield from _balancer("outbound_tls_balancer", _TCP_BALANCER)
    connection = _PARENT | _OUTBOUND_ROUTE | _labels("target_ip target_port")
    for protocol in ("tcp", "tls"):
        yield _counter(f"outbound_{protocol}_route_open_total", connection, since=(2, 17))
        yield _counter(f"outbound_{protocol}_route_close_total", connection | {"error"}, since=(2, 17))
    yield _counter("outbound_tcp_protocol_connections_total", _PARENT | {"protocol"})
    yield _counter("outbound_tcp_detect_http_results_total", _PARENT | {"result"})
    yield _histogram("outbound_tcp_detect_http_duration_seconds", _PARENT, _DETECT)
    yield _counter("outbound_tcp_transfer_cost_bytes_total", _labels("op zone_locality"), since=(2, 17))


def _inbound() -> Iterator[Family]:
    for protocol in ("http", "grpc"):
        prefix = f"inbound_{protocol}"
        yield _counter(f"{prefix}_requests_total", _INBOUND_PARENT, since=(2, 19))
        yield _histogram(f"{prefix}_request_frame_size_bytes", _INBOUND_PARENT, _FRAME, since=(2, 19))
        yield _histogram(f"{prefix}_response_frame_size_bytes", _INBOUND_PARENT, _FRAME, since=(2, 19))
        yield _counter(f"{prefix}_statuses_total", _INBOUND_PARENT | {"status"}, since=(2, 20))
        yield _histogram(f"{prefix}_response_duration_seconds", _INBOUND_PARENT, _ROUTE, since=(2, 20))
        yield _histogram(f"{prefix}_request_duration_seconds", _INBOUND_PARENT, _ATTEMPT, since=(2, 20))
    yield _counter("inbound_tcp_detect_http_results_total", _SERVER | {"result"})
    yield _histogram("inbound_tcp_detect_http_duration_seconds", _SERVER, _DETECT)
    yield _counter(
        "inbound_tcp_transport_header_connections_total",
        _labels("session_protocol target_port target_name client_id"),
    )


def _process() -> Iterator[Family]:
    yield _gauge("proxy_build_info", _labels("version git_sha date profile vendor"))
    yield _gauge("rustls_info", _labels("tls_suites tls_kx_groups tls_rand tls_key_provider tls_fips"), since=(2, 19))
    for word in ("start_time_seconds", "clock_time_seconds", "open_fds", "max_fds", "threads"):
        yield _gauge(f"process_{word}")
    for word in ("virtual_memory_bytes", "resident_memory_bytes"):
        yield _gauge(f"process_{word}")
    for word in ("uptime_seconds", "cpu_seconds", "network_receive_bytes", "network_transmit_bytes"):
        yield _counter(f"process_{word}_total")
    for word in ("workers", "injection_queue_depth", "local_queue_depth"):
        yield _gauge(f"tokio_rt_{word}", since=(2, 17))
    for word in (
        *("park", "noop", "steal", "steal_operations", "remote_schedule", "local_schedule", "overflow", "polls"),
        *("busy_seconds", "budget_forced_yield", "io_driver_ready"),
    ):
        yield _counter(f"tokio_rt_{word}_total", since=(2, 17))


def _control() -> Iterator[Family]:
    yield _gauge("control_identity_cert_expiration_timestamp_seconds")
    yield _gauge("control_identity_cert_refresh_timestamp_seconds")
    yield _counter("control_identity_cert_refreshes_total", _labels("result"))
    yield _counter("control_dns_resolutions_total", _labels("client record_type result"), since=(2, 18))
    for client in ("identity", "destination", "policy"):
        yield from _balancer(f"control_{client}_balancer", _labels("addr"))


FAMILIES: Mapping[str, Family] = {
    family.name: family for part in (_legacy, _outbound, _inbound, _control, _process) for family in part()
}
"""By exposed name, in the order of a page: the older generator first."""

OLDER_GENERATOR: frozenset[str] = frozenset(family.name for family in _legacy())
"""Names that come before the registry's; of these some fade and some stay."""

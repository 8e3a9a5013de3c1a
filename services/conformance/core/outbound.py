"""The series by which the proxy of a client tells what it does with the requests to one Service."""

from services.conformance.core.evidence import Evidence
from services.conformance.core.proofs import Between, Series, between
from services.conformance.core.stage import Port, Stage
from services.conformance.core.targets import number

READY = "ready"
PENDING = "pending"


def _of(stage: Stage, service: str, port: Port | int, role: str = "parent") -> dict[str, str]:
    return {
        f"{role}_kind": "Service",
        f"{role}_namespace": stage.meshed,
        f"{role}_name": service,
        f"{role}_port": str(number(port)),
    }


def routed(stage: Stage, service: str, route: str = "", *, port: Port | int = Port.HTTP, **labels: str) -> Series:
    """Requests by the status that the client got; `route` is the name of an object, none is any."""
    kind = {"route_name": route} if route else {}
    name = "outbound_grpc_route_request_statuses_total" if port is Port.GRPC and route else _STATUSES
    return Series(name, _of(stage, service, port) | kind | labels)


_STATUSES = "outbound_http_route_request_statuses_total"


def sent(
    stage: Stage, service: str, backend: str, *, route: str = "", port: Port | int = Port.HTTP, protocol: str = "http"
) -> Series:
    """Requests, attempts each, that were sent to one backend."""
    labels = _of(stage, service, port) | {"backend_name": backend} | ({"route_name": route} if route else {})
    return Series(f"outbound_{protocol}_route_backend_requests_total", labels)


def attempts(stage: Stage, service: str, *, status: str, protocol: str = "http") -> Series:
    """Attempts by the status that a backend answered with."""
    label = "grpc_status" if protocol == "grpc" else "http_status"
    return Series(
        f"outbound_{protocol}_route_backend_response_statuses_total",
        {"parent_name": service, "parent_namespace": stage.meshed, label: status},
    )


def retries(stage: Stage, service: str, what: str, *, protocol: str = "http") -> Series:
    """What became of retries: `requests`, `successes`, `limit_exceeded`, `overflow`."""
    labels = {"parent_name": service, "parent_namespace": stage.meshed}
    return Series(f"outbound_{protocol}_route_retry_{what}_total", labels)


def endpoints(stage: Stage, service: str, state: str = "", *, port: Port | int = Port.HTTP) -> Series:
    """How many endpoints the balancer has; `pending` are those it connects to, and those that a breaker opened."""
    condition = {"endpoint_state": state} if state else {}
    return Series("outbound_http_balancer_endpoints", _of(stage, service, port, "backend") | condition)


def failed(error: str) -> Series:
    """Errors that the client's proxy made: `failfast`, `loadshed`, `response timeout`, `identity required`."""
    return Series("outbound_http_errors_total", {"error": error})


def profiled(stage: Stage, service: str, name: str, *, route: str = "", **labels: str) -> Series:
    """What a ServiceProfile counts: `route_request_total`, `route_actual_request_total`, `route_response_total`."""
    where = {"direction": "outbound", "dst": f"{stage.service(service)}:{number(Port.HTTP)}"}
    return Series(name, where | ({"rt_route": route} if route else {}) | labels)


def opaque(stage: Stage, service: str, *, port: Port | int = Port.HTTP) -> Series:
    """Connections that were carried to the Service without a look at their requests."""
    return Series("outbound_tcp_route_open_total", _of(stage, service, port))


def around(evidence: Evidence) -> Between:
    """The pages of the client's proxies, `before` and `after`."""
    return between(evidence, "before", "after")

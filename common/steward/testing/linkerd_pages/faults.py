"""What is wrong on the pages when something is wrong in the mesh. Each is what a real mesh was seen to show."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from steward.alerting.families import Exposer, Family
from steward.testing.linkerd_pages.page import Series
from steward.testing.linkerd_pages.portrait import Container

Change = Callable[[Container, tuple[Series, ...], float], tuple[Series, ...]]


class Fault(StrEnum):
    """One thing that is wrong, and nothing else."""

    EXPIRED_LEAVES = "expired-leaves"
    """Certificates of proxies ran out and are never renewed: traffic goes on, `linkerd check --proxy` is green."""
    IDENTITY_UNREACHABLE = "identity-unreachable"
    """Proxies ask for certificates in vain; the counter of refused refreshes stays 0."""
    ISSUER_EXPIRING = "issuer-expiring"
    ISSUANCE_FAILING = "issuance-failing"
    DESTINATION_ERRORS = "destination-errors"
    DESTINATION_NO_STREAMS = "destination-no-streams"
    CONTROL_PLANE_ERRORS = "control-plane-errors"
    INJECTOR_FAILS_OPEN = "injector-fails-open"
    INJECTOR_BLOCKS = "injector-blocks"
    PROXIES_ISOLATED = "proxies-isolated"
    SERVICE_FAILS = "service-fails"
    """The Service that clients call answers 5xx, three times out of four."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault does to one family, on the pages of those that it concerns."""

    family: str
    change: Change
    on: Callable[[Container], bool] = lambda _container: True


def _expired(_container: Container, series: tuple[Series, ...], now: float) -> tuple[Series, ...]:
    return tuple(Series(each.labels, value=now - 600) for each in series)


def _stale(_container: Container, series: tuple[Series, ...], now: float) -> tuple[Series, ...]:
    return tuple(Series(each.labels, value=now - 24 * 3600 - 600) for each in series)


def _identity_fails(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    to_identity = next(each.labels for each in series if "identity" in each.labels.get("addr", ""))
    failing = {
        **to_identity,
        "classification": "failure",
        "error": "unclassified",
        "status_code": "",
        "grpc_status": "",
    }
    return *series, Series(failing, value=1, rate=0.5)


def _two_hours_left(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    return tuple(Series(each.labels, value=7200) for each in series)


def _with_code(code: str) -> Change:
    def change(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
        return *series, *(Series({**each.labels, "grpc_code": code}, value=1, rate=0.5) for each in series)

    return change


def _no_streams(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    return tuple(Series(each.labels, value=50, rate=each.rate) for each in series)


def _failing(status: str) -> Change:
    def change(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
        served = [each for each in series if each.labels.get("target_port") != "4191"]
        failed = {"classification": "failure", "status_code": status}
        return *series, *(Series({**each.labels, **failed}, value=1, rate=each.rate * 3) for each in served)

    return change


def _route_fails(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    return *series, *(Series({**each.labels, "http_status": "503"}, value=1, rate=each.rate * 3) for each in series)


def _fails_open(_container: Container, _series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    return (Series({"name": "linkerd-proxy-injector.linkerd.io", "type": "admit"}, value=1, rate=0.2),)


def _blocks(_container: Container, _series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    labels = {"name": "linkerd-proxy-injector.linkerd.io", "error_type": "calling_webhook_error", "type": "admit"}
    return (Series({**labels, "rejection_code": "0"}, value=1, rate=0.2),)


def _pending(_container: Container, series: tuple[Series, ...], _now: float) -> tuple[Series, ...]:
    values = {"ready": 0.0, "pending": 1.0}
    return tuple(Series(each.labels, value=values.get(each.labels["endpoint_state"], 0)) for each in series)


def _is(exposer: Exposer) -> Callable[[Container], bool]:
    return lambda container: container.exposer is exposer


def _calls(container: Container) -> bool:
    return bool(container.calls)


def _of_mesh(container: Container) -> bool:
    return container.of_mesh


def _of_applications(container: Container) -> bool:
    return not container.of_mesh


EFFECTS: dict[Fault, tuple[Effect, ...]] = {
    Fault.EXPIRED_LEAVES: (
        Effect("control_identity_cert_expiration_timestamp_seconds", _expired, _of_applications),
        Effect("control_identity_cert_refresh_timestamp_seconds", _stale, _of_applications),
    ),
    Fault.IDENTITY_UNREACHABLE: (Effect("control_response_total", _identity_fails),),
    Fault.ISSUER_EXPIRING: (Effect("issuer_cert_ttl_seconds", _two_hours_left),),
    Fault.ISSUANCE_FAILING: (Effect("grpc_server_handled_total", _with_code("Unknown"), _is(Exposer.IDENTITY)),),
    Fault.DESTINATION_ERRORS: (Effect("grpc_server_handled_total", _with_code("Internal"), _is(Exposer.DESTINATION)),),
    Fault.DESTINATION_NO_STREAMS: (Effect("grpc_server_started_total", _no_streams, _is(Exposer.DESTINATION)),),
    Fault.CONTROL_PLANE_ERRORS: (Effect("response_total", _failing("503"), _of_mesh),),
    Fault.INJECTOR_FAILS_OPEN: (Effect("apiserver_admission_webhook_fail_open_count", _fails_open),),
    Fault.INJECTOR_BLOCKS: (Effect("apiserver_admission_webhook_rejection_count", _blocks),),
    Fault.PROXIES_ISOLATED: (Effect("control_destination_balancer_endpoints", _pending),),
    Fault.SERVICE_FAILS: (
        Effect("outbound_http_route_request_statuses_total", _route_fails, _calls),
        Effect("response_total", _failing("503"), _of_applications),
    ),
}
"""Every fault, and the families by which it shows."""


def changed(
    fault: Fault, container: Container, family: Family, series: tuple[Series, ...], now: float
) -> tuple[Series, ...]:
    """The series of a family as they are while something is wrong."""
    for effect in EFFECTS[fault]:
        if effect.family == family.name and effect.on(container):
            series = effect.change(container, series, now)
    return series

"""What the series of a healthy mesh say: on whose page, with which labels, growing how fast.

A family of the catalogue that has no portrait of its own is shown with one series, at rest, with the first value that
each of its labels can have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from steward.alerting.families import Appears, Exposer, Family
from steward.linkerd.version import Version
from steward.testing.linkerd_pages.page import Series

LEAF_HOURS = 24.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Container:
    """One container that is scraped, and where it is in the mesh."""

    exposer: Exposer
    namespace: str
    pod: str
    workload: str
    component: str = ""
    """Of a controller: its container's name, as `component` says."""
    proxy_version: str = "edge-26.8.3"
    born: float = 0
    """When it began, in seconds since 1970."""
    calls: str = ""
    """Of a client's proxy: the Service that it calls, as `name.namespace`."""

    @property
    def of_mesh(self) -> bool:
        """Whether it is the proxy of the control plane itself."""
        return self.namespace == "linkerd"


Portrait = Callable[[Container, Family, float], tuple[Series, ...]]
"""Container, family and the present second since 1970 → its series."""


def _leaf_expiry(_container: Container, _family: Family, now: float) -> tuple[Series, ...]:
    return (Series(value=now + 0.7 * LEAF_HOURS * _HOUR),)


def _leaf_refreshed(_container: Container, _family: Family, now: float) -> tuple[Series, ...]:
    return (Series(value=now - 0.3 * LEAF_HOURS * _HOUR),)


def _refreshes(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return Series({"result": "ok"}, value=1), Series({"result": "error"})


def _build(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series({"version": container.proxy_version.removeprefix("edge-")}, value=1),)


def _born(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series(value=container.born),)


def _inbound(status: str, classification: str) -> dict[str, str]:
    return {
        "direction": "inbound",
        "target_port": "8080",
        "tls": "true",
        "status_code": status,
        "classification": classification,
        "srv_kind": "default",
        "srv_name": "all-unauthenticated",
        "route_kind": "default",
        "route_name": "default",
    }


def _admin(status: str) -> dict[str, str]:
    return {**_inbound(status, "success"), "target_port": "4191", "route_name": "probe", "tls": "no_identity"}


def _outbound(container: Container) -> dict[str, str]:
    service, _, namespace = container.calls.partition(".")
    return {
        "direction": "outbound",
        "authority": f"{service}.{namespace}.svc.cluster.local:8080",
        "dst_service": service,
        "dst_namespace": namespace,
        "tls": "true",
    }


def _responses(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    found = [Series(_inbound("200", "success"), rate=10), Series(_admin("200"), rate=1)]
    if container.calls:
        answered = {**_outbound(container), "status_code": "200", "classification": "success"}
        found.append(Series(answered, rate=10))
    return tuple(found)


def _latency(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    found = [Series({**_inbound("200", ""), "classification": ""}, value=4, rate=10)]
    if container.calls:
        found.append(Series({**_outbound(container), "status_code": "200"}, value=5, rate=10))
    return tuple(found)


_ADDRESSES = (
    "linkerd-dst-headless.linkerd.svc.cluster.local:8086",
    "linkerd-policy.linkerd.svc.cluster.local:8090",
    "linkerd-identity-headless.linkerd.svc.cluster.local:8080",
)


def _control(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    labels = {"tls": "true", "classification": "success", "status_code": "200", "grpc_status": "0"}
    return tuple(Series({**labels, "addr": address}, value=3, rate=0.01) for address in _ADDRESSES)


def _endpoints(_container: Container, family: Family, _now: float) -> tuple[Series, ...]:
    # A healthy idle proxy shows none for identity: it has nothing to ask there.
    ready = 0.0 if "identity" in family.name else 1.0
    address = next((each for each in _ADDRESSES if f"-{_short(family.name)}" in each), _ADDRESSES[0])
    return (
        Series({"addr": address, "endpoint_state": "ready"}, value=ready),
        Series({"addr": address, "endpoint_state": "pending"}),
    )


def _short(name: str) -> str:
    return {"destination": "dst", "policy": "policy", "identity": "identity"}.get(name.split("_")[1], "dst")


def _route_statuses(container: Container, family: Family, _now: float) -> tuple[Series, ...]:
    if not container.calls:
        return ()
    status = {"grpc_status": "OK"} if "grpc" in family.name else {"http_status": "200"}
    return (Series({**_route_of(container), **status}, rate=10),)


def _route_seconds(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series(_route_of(container), value=0.02, rate=10),) if container.calls else ()


def _route_of(container: Container) -> dict[str, str]:
    service, _, namespace = container.calls.partition(".")
    parent = {"parent_group": "core", "parent_kind": "Service", "parent_namespace": namespace, "parent_name": service}
    route = {"route_group": "", "route_kind": "default", "route_namespace": "", "route_name": "http"}
    return {**parent, "parent_port": "8080", **route}


_SERVED = {
    Exposer.DESTINATION: (
        ("io.linkerd.proxy.destination.Destination", "Get", "server_stream", 12.0),
        ("io.linkerd.proxy.destination.Destination", "GetProfile", "server_stream", 20.0),
    ),
    Exposer.IDENTITY: (("io.linkerd.proxy.identity.Identity", "Certify", "unary", 0.0),),
    Exposer.POLICY: (("io.linkerd.proxy.inbound.InboundServerPolicies", "WatchPort", "server_stream", 16.0),),
}
"""Service, method, type, and how many streams are open: started and not yet handled."""


def _started(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return tuple(
        Series(_method(served), value=50 + served[3], rate=0.2) for served in _SERVED.get(container.exposer, ())
    )


def _handled(container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return tuple(
        Series({**_method(served), "grpc_code": "OK"}, value=50, rate=0.2)
        for served in _SERVED.get(container.exposer, ())
    )


def _method(served: tuple[str, str, str, float]) -> dict[str, str]:
    return {"grpc_service": served[0], "grpc_method": served[1], "grpc_type": served[2]}


def _issuer(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series(value=300 * 24 * _HOUR),)


def _lag(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series(value=0.2, rate=0.5),)


def _injected(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return (Series({"owner_kind": "deployment", "namespace": "shop"}, value=4, rate=0.01),)


def _webhook(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    labels = {
        "name": "linkerd-proxy-injector.linkerd.io",
        "type": "admit",
        "operation": "CREATE",
        "rejected": "false",
    }
    return (Series(labels, value=0.02, rate=0.1),)


def _none(_container: Container, _family: Family, _now: float) -> tuple[Series, ...]:
    return ()


PORTRAITS: Mapping[str, Portrait] = MappingProxyType(
    {
        "control_identity_cert_expiration_timestamp_seconds": _leaf_expiry,
        "control_identity_cert_refresh_timestamp_seconds": _leaf_refreshed,
        "control_identity_cert_refreshes_total": _refreshes,
        "proxy_build_info": _build,
        "process_start_time_seconds": _born,
        "response_total": _responses,
        "request_total": _responses,
        "response_latency_ms": _latency,
        "control_response_total": _control,
        "control_request_total": _control,
        "control_destination_balancer_endpoints": _endpoints,
        "control_policy_balancer_endpoints": _endpoints,
        "control_identity_balancer_endpoints": _endpoints,
        "outbound_http_route_request_statuses_total": _route_statuses,
        "outbound_http_route_request_duration_seconds": _route_seconds,
        "grpc_server_started_total": _started,
        "grpc_server_handled_total": _handled,
        "issuer_cert_ttl_seconds": _issuer,
        "endpointslices_informer_lag_seconds": _lag,
        "services_informer_lag_seconds": _lag,
        "pods_informer_lag_seconds": _lag,
        "proxy_inject_admission_requests_total": _injected,
        "proxy_inject_admission_responses_total": _injected,
        "apiserver_admission_webhook_admission_duration_seconds": _webhook,
        "apiserver_admission_webhook_rejection_count": _none,
        "apiserver_admission_webhook_fail_open_count": _none,
    }
)


def at_rest(_container: Container, family: Family, _now: float) -> tuple[Series, ...]:
    """One series that never moves, for what nothing more is known of."""
    return (Series({label: values[0] for label, values in family.values.items()}),)


def is_shown(family: Family, exposer: Exposer, edge: Version | None) -> bool:
    """Whether a healthy mesh of that edge has the family on the page of `exposer`."""
    always = family.appears is Appears.ALWAYS or family.name in PORTRAITS
    return always and family.exposed(edge, exposer)

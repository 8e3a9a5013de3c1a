"""How proxies treat the ports of a Service, and so in which family the requests to each are counted.

A GRPCRoute on a port wins over the HTTPRoutes there, and an appProtocol that proxies do not know makes the port opaque
(linkerd2 `policy-controller/grpc/src/outbound.rs` and `policy-controller/core/src/outbound.rs`, since 2.18). gRPC
without a GRPCRoute is counted as HTTP, and every call of it as 200 (data-plane.md §1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.alerting.objectives.counters import GRPC_ROUTES, HTTP_ROUTES, Counters
from steward.alerting.objectives.facts import Place, PortFacts, RouteFacts, ServiceFacts
from steward.alerting.objectives.refusals import Refused
from steward.resources.alert_policy import TargetKind


@dataclass(frozen=True, slots=True)
class PortView:
    """A port, and who counts the requests to it; None where proxies do not look into them."""

    port: PortFacts
    counters: Counters | None

    @property
    def blind(self) -> bool:
        """Whether calls that fail look like calls that succeed."""
        return self.counters is HTTP_ROUTES and self.port.says_grpc


def port_views(service: ServiceFacts, routes: Iterable[RouteFacts]) -> tuple[PortView, ...]:
    """All ports of a Service, under the routes that are attached to it."""
    grpc = [route for route in routes if route.kind is TargetKind.GRPC_ROUTE and not route.refused]
    return tuple(PortView(port, _counters(port, service, grpc)) for port in service.ports)


def attached(route: RouteFacts, service: Place, port: int) -> bool:
    """Whether a route is for requests to this port."""
    return any(parent.service == service and parent.port in (None, port) for parent in route.parents)


def _counters(port: PortFacts, service: ServiceFacts, grpc: Iterable[RouteFacts]) -> Counters | None:
    protocol = port.app_protocol.lower()
    if protocol == "http":
        return HTTP_ROUTES
    # What a port says of itself goes before the annotation of its Service.
    if protocol not in ("", "kubernetes.io/h2c") or (not protocol and port.number in service.opaque_ports):
        return None
    return GRPC_ROUTES if any(attached(route, service.place, port.number) for route in grpc) else HTTP_ROUTES


def unreachable(service: ServiceFacts) -> Refused | None:
    """Why no client counts requests for a Service, whatever its ports."""
    name = service.place.name
    if service.external:
        return Refused(
            "ExternalName",
            f"Service {name!r} is a name of something outside of the mesh (ExternalName), and nobody counts requests "
            "by it: set the objective on a Service with pods",
        )
    if service.headless:
        return Refused(
            "HeadlessService",
            f"Service {name!r} is headless: clients call its pods by their own addresses, and no proxy counts requests "
            "for the Service: look at it from the side of the server",
        )
    return None


def opaque(service: ServiceFacts) -> Refused:
    """Why the requests of a Service are not counted whose ports proxies do not look into."""
    said = sorted({port.app_protocol for port in service.ports if port.app_protocol})
    why = f"appProtocol {', '.join(said)}" if said else "opaque by config.linkerd.io/opaque-ports or by default"
    return Refused(
        "OpaquePorts",
        f"proxies look into no port of Service {service.place.name!r} ({why}), so its requests are not counted: "
        "if they are HTTP, write appProtocol http or kubernetes.io/h2c",
    )


def grpc_without_route(service: ServiceFacts, blind: Iterable[PortView]) -> Refused:
    """Why success cannot be told of gRPC that has no GRPCRoute."""
    ports = ", ".join(str(view.port.number) for view in blind)
    return Refused(
        "GrpcWithoutRoute",
        f"port {ports} of Service {service.place.name!r} is gRPC and has no GRPCRoute, so its clients count every call "
        "as 200, the failed ones too: make a GRPCRoute for it",
    )

"""Who counts the requests of a target: which proxies, in which family of metrics, under which labels.

A ServiceProfile with routes or targets wins over routes in every proxy that begins to talk to its Service while it is
there. A proxy that was talking before goes on counting as it did until it pauses for five seconds (data-plane.md §1).
So where there is a profile both counters are asked: each request is in one of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from steward.alerting.objectives.counters import GRPC_ROUTES, HTTP_ROUTES, PROFILE, Counters
from steward.alerting.objectives.facts import MeshFacts, Place, ProfileFacts, RouteFacts, ServiceFacts
from steward.alerting.objectives.ports import (
    PortView,
    attached,
    grpc_without_route,
    opaque,
    port_views,
    unreachable,
)
from steward.alerting.objectives.refusals import Refused
from steward.alerting.promql import Matcher, literally


class CountedBy(StrEnum):
    """Whose counters they are."""

    SERVICE_PROFILE = "ServiceProfile"
    """Of the clients, by a ServiceProfile: `route_*`."""
    ROUTES = "Routes"
    """Of the clients, by HTTPRoutes, GRPCRoutes or none of them: `outbound_http_route_*`, `outbound_grpc_route_*`."""
    PODS = "Pods"
    """Of the Service's own pods: `response_total`, or `route_*` of their side."""


@dataclass(frozen=True, slots=True)
class Source:
    """Series of one family."""

    counters: Counters
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people should know of what is counted."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Where the requests of a target are counted. No request is in two of the sources."""

    by: CountedBy
    service: Place
    sources: tuple[Source, ...]
    """Those of the family that is in force come first."""
    route: str = ""
    """The one route that is looked at, such as HTTPRoute/shop/list."""
    blind: Refused | None = None
    """Why these counters do not tell success; they tell latency all the same."""
    notes: tuple[Note, ...] = ()


Counting = Counted | Refused

OUTBOUND = Matcher.equal("direction", "outbound")
INBOUND = Matcher.equal("direction", "inbound")


def counted_by_clients(service: ServiceFacts, facts: MeshFacts) -> Counting:
    """Where clients count the requests to a Service."""
    refused = unreachable(service)
    if refused is not None:
        return refused
    routes = [route for route in facts.routes_of.get(service.place, ()) if not route.refused]
    views = port_views(service, routes)
    counters = tuple(dict.fromkeys(view.counters for view in views if view.counters is not None))
    if views and not counters:
        return opaque(service)
    profiles = [profile for profile in facts.profiles_of.get(service.place, ()) if profile.wins]
    at_home = next((profile for profile in profiles if profile.for_everybody), None)
    by_routes = _by_parent(service.place, counters or (HTTP_ROUTES,))
    by_profile = _by_profiles(service, profiles, at_home)
    blind = [view for view in views if view.blind] if at_home is None else []
    all_blind = bool(blind) and len(blind) == sum(view.counters is not None for view in views)
    return Counted(
        CountedBy.SERVICE_PROFILE if at_home else CountedBy.ROUTES,
        service.place,
        (*by_profile, *by_routes) if at_home else (*by_routes, *by_profile),
        blind=grpc_without_route(service, blind) if all_blind else None,
        notes=(
            *_notes_on_profiles(service, profiles, routes),
            *_notes_on_ports(service, views, () if all_blind else blind),
        ),
    )


def counted_by_profile(profile: ProfileFacts, facts: MeshFacts) -> Counting:
    """Where the requests are counted that a ServiceProfile is for."""
    if not profile.wins:
        return Refused(
            "EmptyProfile",
            f"ServiceProfile {profile.place.name!r} has neither routes nor dstOverrides, so nobody counts by it: "
            "give it routes, or set the objective on the Service",
        )
    service = None if profile.service is None else facts.services.get(profile.service)
    if service is not None and profile.for_everybody:
        return counted_by_clients(service, facts)
    clients = () if profile.for_everybody else (Matcher.equal("namespace", profile.place.namespace),)
    by_routes = () if profile.service is None else _by_parent(profile.service, (HTTP_ROUTES,), clients)
    return Counted(
        CountedBy.SERVICE_PROFILE,
        profile.service or profile.place,
        (Source(PROFILE, (OUTBOUND, by_address(profile.place.name, service), *clients)), *by_routes),
    )


def counted_by_route(found: Sequence[RouteFacts], parent: Place, facts: MeshFacts) -> Counting:
    """Where the requests are counted that routes of one name take to a Service."""
    name = f"{found[0].kind} {found[0].place.name!r}"
    taken = [route for route in found if not route.refused]
    if not taken:
        return Refused("RouteNotAccepted", f"Linkerd does not take {name}: {found[0].refused}: mend its parentRefs")
    service = facts.services.get(parent)
    if service is None:
        return Refused(
            "NoSuchService",
            f"{name} is attached to Service {parent.name!r} in namespace {parent.namespace!r}, which is not there",
        )
    why_not = unreachable(service) or _profile_wins(name, service, facts)
    if why_not is not None:
        return why_not
    wanted = HTTP_ROUTES if found[0].kind == "HTTPRoute" else GRPC_ROUTES
    views = [
        view
        for view in port_views(service, facts.routes_of.get(parent, ()))
        if any(attached(route, parent, view.port.number) for route in taken)
    ]
    served = [view for view in views if view.counters is wanted]
    if views and not served:
        return _other_counters(name, service, views)
    return Counted(
        CountedBy.ROUTES,
        parent,
        _by_parent(parent, (wanted,), _of_route(taken)),
        route=f"{found[0].kind}/{found[0].place.namespace}/{found[0].place.name}",
        blind=grpc_without_route(service, served) if served and all(view.blind for view in served) else None,
        notes=tuple(_notes_on_rules(taken)),
    )


def by_address(address: str, service: ServiceFacts | None) -> Matcher:
    """The requests to an address that a ServiceProfile has for its name."""
    if service is None or not service.ports:
        return Matcher.fits("dst", f"{literally(address)}(:[0-9]+)?")
    # A list of names is looked up, where for a pattern Prometheus would try every name that it has.
    return Matcher.any_of("dst", (address, *(f"{address}:{port.number}" for port in service.ports)))


def _by_parent(service: Place, counters: Iterable[Counters], more: Sequence[Matcher] = ()) -> tuple[Source, ...]:
    parent = (
        Matcher.equal("parent_group", "core"),
        Matcher.equal("parent_kind", "Service"),
        Matcher.equal("parent_namespace", service.namespace),
        Matcher.equal("parent_name", service.name),
    )
    return tuple(Source(family, (*parent, *more)) for family in counters)


def _of_route(routes: Sequence[RouteFacts]) -> tuple[Matcher, ...]:
    first = routes[0]
    return (
        Matcher.any_of("route_group", (route.group for route in routes)),
        Matcher.equal("route_kind", first.kind),
        Matcher.equal("route_namespace", first.place.namespace),
        Matcher.equal("route_name", first.place.name),
    )


def _by_profiles(
    service: ServiceFacts, profiles: Sequence[ProfileFacts], at_home: ProfileFacts | None
) -> tuple[Source, ...]:
    if not profiles:
        return ()
    whose = () if at_home else (Matcher.any_of("namespace", (profile.place.namespace for profile in profiles)),)
    return (Source(PROFILE, (OUTBOUND, by_address(profiles[0].place.name, service), *whose)),)


def _profile_wins(name: str, service: ServiceFacts, facts: MeshFacts) -> Refused | None:
    for profile in facts.profiles_of.get(service.place, ()):
        if profile.wins and profile.for_everybody:
            return Refused(
                "ServiceProfileWins",
                f"{name} has no effect, and its counters do not move, as long as ServiceProfile {profile.place.name!r} "
                f"is there: delete the profile, or set the objective on Service {service.place.name!r}",
            )
    return None


def _other_counters(name: str, service: ServiceFacts, views: Sequence[PortView]) -> Refused:
    if all(view.counters is None for view in views):
        return opaque(service)
    if any(view.counters is GRPC_ROUTES for view in views):
        return Refused(
            "GrpcRouteWins",
            f"{name} has no effect as long as a GRPCRoute is attached to the same ports of Service "
            f"{service.place.name!r}: set the objective on the GRPCRoute or on the Service",
        )
    return Refused(
        "NotGrpc",
        f"{name} has no effect: the ports of Service {service.place.name!r} that it is attached to say appProtocol "
        "http: write kubernetes.io/h2c, or leave it out",
    )


def _notes_on_profiles(
    service: ServiceFacts, profiles: Sequence[ProfileFacts], routes: Sequence[RouteFacts]
) -> Iterator[Note]:
    for profile in profiles:
        if not profile.for_everybody:
            yield Note(
                "ProfileOfClients",
                f"clients in namespace {profile.place.namespace!r} have a ServiceProfile of their own for Service "
                f"{service.place.name!r}: its routes and response classes are in force for them, and for nobody else",
            )
        elif routes:
            names = ", ".join(sorted({route.place.name for route in routes}))
            yield Note(
                "RoutesWithoutEffect",
                f"ServiceProfile {profile.place.name!r} wins over the HTTPRoutes and GRPCRoutes of the Service, and "
                f"{names} have no effect as long as it is there",
            )


def _notes_on_ports(service: ServiceFacts, views: Sequence[PortView], blind: Sequence[PortView]) -> Iterator[Note]:
    if blind:
        yield Note("GrpcWithoutRoute", grpc_without_route(service, blind).message)
    dark = ", ".join(str(view.port.number) for view in views if view.counters is None)
    if dark:
        yield Note("OpaquePorts", f"proxies do not look into port {dark}, and requests to it are not counted")


def _notes_on_rules(routes: Sequence[RouteFacts]) -> Iterator[Note]:
    for route in routes:
        if route.rules > 1:
            yield Note(
                "RulesSummed",
                f"the {route.rules} rules of {route.kind} {route.place.name!r} are counted together: "
                "make a route of its own for each rule that needs an objective",
            )

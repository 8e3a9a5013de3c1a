"""What is known of Services, ServiceProfiles and routes: frozen, and indexed by the Service that they are about."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from steward.jsonvalue import JsonObject, dig, rows, text, texts, whole
from steward.resources.alert_policy import TargetKind

ANNOTATION_PREFIX = "alerts.steward.linkerd.io/"
_OPAQUE_PORTS = "config.linkerd.io/opaque-ports"
_POLICY_CONTROLLER = "linkerd.io/policy-controller"
_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?")
OPAQUE_BY_DEFAULT = frozenset({25, 587, 3306, 4444, 5432, 6379, 9300, 11211})
"""Ports that proxies do not look into where nobody says otherwise: `proxy.opaquePorts` of Linkerd's charts."""
GATEWAY = "gateway.networking.k8s.io"
POLICY = "policy.linkerd.io"


class Place(NamedTuple):
    """A name in a namespace."""

    namespace: str
    name: str

    def seen_from(self, namespace: str) -> str:
        """The name alone at home, `name.namespace` elsewhere."""
        return self.name if namespace == self.namespace else f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port of a Service."""

    number: int
    name: str = ""
    app_protocol: str = ""
    target: int | None = None
    """Port of the container; None where it is given by its name."""

    @property
    def says_grpc(self) -> bool:
        """Whether its name or its appProtocol call it gRPC."""
        words = {*self.app_protocol.lower().split("/"), self.name.lower().split("-", 1)[0]}
        return "grpc" in words


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A Service."""

    place: Place
    ports: tuple[PortFacts, ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    headless: bool = False
    external: bool = False
    """It is a name of something outside of the cluster."""
    opaque_ports: frozenset[int] = frozenset()
    """By annotation, or by default. What an annotation of the namespace says is not known."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those of alerting, here and below."""


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """A ServiceProfile. Its name is the address of a Service, its namespace says whose requests it is for."""

    place: Place
    service: Place | None
    """None where the name is none of a Service in this cluster."""
    routes: tuple[str, ...] = ()
    overrides: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def wins(self) -> bool:
        """Whether proxies take it over HTTPRoutes and GRPCRoutes: one without routes and targets does not count."""
        return bool(self.routes) or self.overrides

    @property
    def for_everybody(self) -> bool:
        """Whether it is for the requests of all clients: it lies beside its Service."""
        return self.service is not None and self.service.namespace == self.place.namespace


@dataclass(frozen=True, slots=True)
class Parent:
    """What a route is attached to: a Service, or one port of it."""

    service: Place
    port: int | None = None


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """An HTTPRoute or a GRPCRoute. Parents that are no Services are left out."""

    kind: TargetKind
    group: str
    place: Place
    parents: tuple[Parent, ...] = ()
    rules: int = 0
    refused: str = ""
    """Why Linkerd's policy controller does not take it, in its word; empty where it does or has said nothing yet."""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MeshFacts:
    """All of them, by the Service that they are about and by their own names."""

    services: Mapping[Place, ServiceFacts] = field(default_factory=dict)
    profiles: Mapping[Place, ProfileFacts] = field(default_factory=dict)
    routes: Mapping[tuple[TargetKind, Place], tuple[RouteFacts, ...]] = field(default_factory=dict)
    """Two HTTPRoutes may have one name, in two API groups."""
    profiles_of: Mapping[Place, tuple[ProfileFacts, ...]] = field(default_factory=dict)
    routes_of: Mapping[Place, tuple[RouteFacts, ...]] = field(default_factory=dict)

    @classmethod
    def gathered(
        cls,
        services: Iterable[ServiceFacts] = (),
        profiles: Iterable[ProfileFacts] = (),
        routes: Iterable[RouteFacts] = (),
    ) -> Self:
        """The facts, indexed. The order in which they come does not matter."""
        ordered = sorted(profiles, key=lambda profile: profile.place)
        of_profiles: dict[Place, tuple[ProfileFacts, ...]] = {}
        for profile in ordered:
            if profile.service is not None:
                of_profiles[profile.service] = (*of_profiles.get(profile.service, ()), profile)
        named: dict[tuple[TargetKind, Place], tuple[RouteFacts, ...]] = {}
        attached: dict[Place, tuple[RouteFacts, ...]] = {}
        for route in sorted(routes, key=lambda route: (route.place, route.kind, route.group)):
            named[route.kind, route.place] = (*named.get((route.kind, route.place), ()), route)
            for service in dict.fromkeys(parent.service for parent in route.parents):
                attached[service] = (*attached.get(service, ()), route)
        return cls(
            services={service.place: service for service in services},
            profiles={profile.place: profile for profile in ordered},
            routes=named,
            profiles_of=of_profiles,
            routes_of=attached,
        )


def service_facts(service: JsonObject) -> ServiceFacts:
    """A Service as the API server gives it."""
    cluster_ip = text(service, "spec", "clusterIP")
    return ServiceFacts(
        place=_place(service),
        ports=tuple(_port(port) for port in rows(service, "spec", "ports")),
        selector=tuple(sorted(texts(service, "spec", "selector").items())),
        headless=cluster_ip == "None",
        external=text(service, "spec", "type") == "ExternalName",
        opaque_ports=_opaque_ports(texts(service, "metadata", "annotations").get(_OPAQUE_PORTS)),
        annotations=_of_alerting(service),
    )


def profile_facts(profile: JsonObject) -> ProfileFacts:
    """A ServiceProfile as the API server gives it."""
    place = _place(profile)
    labels = place.name.rstrip(".").split(".")
    of_service = len(labels) > 2 and labels[2] == "svc"
    return ProfileFacts(
        place=place,
        service=Place(labels[1], labels[0]) if of_service else None,
        routes=tuple(text(route, "name") for route in rows(profile, "spec", "routes")),
        overrides=bool(rows(profile, "spec", "dstOverrides")),
        annotations=_of_alerting(profile),
    )


def http_route_facts(route: JsonObject, group: str = GATEWAY) -> RouteFacts:
    """An HTTPRoute of the Gateway API, or of Linkerd's own group."""
    return _route(route, TargetKind.HTTP_ROUTE, group)


def grpc_route_facts(route: JsonObject) -> RouteFacts:
    """A GRPCRoute."""
    return _route(route, TargetKind.GRPC_ROUTE, GATEWAY)


def _route(route: JsonObject, kind: TargetKind, group: str) -> RouteFacts:
    place = _place(route)
    parents = (_parent(parent, place.namespace) for parent in rows(route, "spec", "parentRefs"))
    return RouteFacts(
        kind=kind,
        group=group,
        place=place,
        parents=tuple(parent for parent in parents if parent is not None),
        rules=len(rows(route, "spec", "rules")),
        refused=_refused(route),
        annotations=_of_alerting(route),
    )


def _parent(reference: JsonObject, namespace: str) -> Parent | None:
    if text(reference, "kind", default="Gateway") != "Service" or text(reference, "group", default=GATEWAY) not in (
        "",
        "core",
    ):
        return None
    place = Place(text(reference, "namespace", default=namespace), text(reference, "name"))
    return Parent(place, whole(reference, "port") or None)


def _refused(route: JsonObject) -> str:
    accepted = [
        condition
        for parent in rows(route, "status", "parents")
        if text(parent, "controllerName") == _POLICY_CONTROLLER
        for condition in rows(parent, "conditions")
        if text(condition, "type") == "Accepted"
    ]
    if not accepted or any(text(condition, "status") == "True" for condition in accepted):
        return ""
    return text(accepted[0], "reason", default="Unknown")


def _port(port: JsonObject) -> PortFacts:
    number = whole(port, "port")
    target = dig(port, "targetPort")
    return PortFacts(
        number=number,
        name=text(port, "name"),
        app_protocol=text(port, "appProtocol"),
        target=None if isinstance(target, str) else whole(port, "targetPort", default=number),
    )


def _opaque_ports(said: str | None) -> frozenset[int]:
    if said is None:
        return OPAQUE_BY_DEFAULT
    ports: set[int] = set()
    for word in said.replace(" ", "").split(","):
        match = _PORTS.fullmatch(word)
        if match is not None:
            ports.update(range(int(match["first"]), int(match["last"] or match["first"]) + 1))
    return frozenset(ports)


def _of_alerting(thing: JsonObject) -> dict[str, str]:
    return {
        key: value
        for key, value in texts(thing, "metadata", "annotations").items()
        if key.startswith(ANNOTATION_PREFIX)
    }


def _place(thing: JsonObject) -> Place:
    return Place(text(thing, "metadata", "namespace"), text(thing, "metadata", "name"))

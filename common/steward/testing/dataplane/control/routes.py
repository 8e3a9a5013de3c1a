"""Which routes are attached to a Service or EgressNetwork, for whom, and what they say."""

from steward.jsonvalue import JsonObject, rows, strings, table, text, whole
from steward.testing.dataplane.config import Backend, Retry, Route, Rule, Timeouts
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.annotations import Annotations, length, retry_of, timeouts_of
from steward.testing.dataplane.control.backends import Backends
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import GRPC_ROUTES, HTTP, TCP_ROUTES, TLS_ROUTES
from steward.testing.dataplane.control.matches import header_change, matches_of, redirect_of, unsupported_filters
from steward.testing.dataplane.control.world import annotations_of, by_age, meta_of, name_of, namespace_of
from steward.testing.dataplane.faults import Faults

_CORE = ("", "core")


class Routes:
    """The outbound routes of one parent, as one client is told of them."""

    def __init__(self, backends: Backends, parent: JsonObject, port: int, client: Client) -> None:
        self._backends = backends
        self._faults: Faults = backends.directory.faults
        self._parent = parent
        self._port = port
        self._client = client

    def http(self, default: Backend) -> tuple[Route, ...]:
        """HTTPRoutes of both groups."""
        return tuple(self._route(one, default) for one in self._attached(*HTTP))

    def grpc(self, default: Backend) -> tuple[Route, ...]:
        """GRPCRoutes."""
        return tuple(self._route(one, default) for one in self._attached(GRPC_ROUTES))

    def tls(self, default: Backend) -> tuple[Route, ...]:
        """TLSRoutes; their hosts are names of SNI."""
        return tuple(self._route(one, default) for one in self._attached(TLS_ROUTES))

    def tcp(self, default: Backend) -> tuple[Route, ...]:
        """TCPRoutes."""
        return tuple(self._route(one, default) for one in self._attached(TCP_ROUTES))

    @property
    def annotations(self) -> Annotations:
        """Those of the parent, where they are looked at."""
        ignored = self._faults.on(broken.ANNOTATIONS_IGNORED, self._client)
        return {} if ignored else annotations_of(self._parent)

    def _attached(self, *kinds: object) -> list[JsonObject]:
        if self._faults.on(broken.ROUTES_IGNORED, self._client):
            return []
        world = self._backends.directory.world
        found = [
            route
            for kind in (*HTTP, GRPC_ROUTES, TLS_ROUTES, TCP_ROUTES)
            if kind in kinds
            for route in world.all(kind)
            if is_attached(route, self._parent, self._port) and not unsupported_filters(route)
        ]
        # A route of the client's own namespace is meant for that client alone, and hides those of the Service's.
        consumers = [one for one in found if namespace_of(one) not in (namespace_of(self._parent),)]
        if self._faults.anywhere(broken.CONSUMER_ROUTES_FOR_ALL) and consumers:
            return by_age(consumers)
        own = [one for one in consumers if namespace_of(one) == self._client.namespace]
        return by_age(own or [one for one in found if namespace_of(one) == namespace_of(self._parent)])

    def _route(self, route: JsonObject, default: Backend) -> Route:
        kind = text(route, "kind")
        rules = tuple(self._rule(route, one, kind, default) for one in rows(route, "spec", "rules"))
        return Route(meta_of(route), rules, tuple(strings(route, "spec", "hostnames")))

    def _rule(self, route: JsonObject, rule: JsonObject, kind: str, default: Backend) -> Rule:
        own = {} if self._faults.on(broken.ANNOTATIONS_IGNORED, self._client) else annotations_of(route)
        backends = tuple(self._backend(route, one) for one in rows(rule, "backendRefs"))
        if self._faults.on(broken.WEIGHTS_IGNORED, self._client):
            backends = tuple(self._backends.evened(one) for one in backends)
        return Rule(
            matches=matches_of(rule, kind) if kind in ("HTTPRoute", "GRPCRoute") else (),
            backends=backends or (default,),
            requests=header_change(rule, "RequestHeaderModifier"),
            responses=header_change(rule, "ResponseHeaderModifier"),
            redirect=redirect_of(rule),
            retry=self._retry(own),
            timeouts=timeouts_of(own, timeouts_of(self.annotations, _declared(rule))),
        )

    def _retry(self, own: Annotations) -> Retry | None:
        return retry_of(own) or retry_of(self.annotations)

    def _backend(self, route: JsonObject, reference: JsonObject) -> Backend:
        namespace = text(reference, "namespace") or namespace_of(route)
        return self._backends.referred(reference, namespace, self._client, self._parent)


def is_attached(route: JsonObject, parent: JsonObject, port: int) -> bool:
    """Whether one of the route's parents is this object, at this port."""
    return any(refers_to(one, route, parent, port) for one in rows(route, "spec", "parentRefs"))


def refers_to(reference: JsonObject, route: JsonObject, parent: JsonObject, port: int) -> bool:
    """Whether a parentRef of the route means this object, at this port (0: at any)."""
    group = text(parent, "apiVersion").rpartition("/")[0]
    if text(reference, "kind", default="Gateway") != text(parent, "kind"):
        return False
    named = text(reference, "group", default="gateway.networking.k8s.io")
    if named != group and not (group == "" and named in _CORE):
        return False
    if text(reference, "name") != name_of(parent):
        return False
    if (text(reference, "namespace") or namespace_of(route)) != namespace_of(parent):
        return False
    return not port or whole(reference, "port") in (0, port)


def _declared(rule: JsonObject) -> Timeouts:
    """The `timeouts` of an HTTPRoute's rule."""
    limits = table(rule, "timeouts")
    return Timeouts(request=length(text(limits, "request")), response=length(text(limits, "backendRequest")))

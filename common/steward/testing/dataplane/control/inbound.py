"""What a proxy is told about the ports of its own pod."""

from collections.abc import Iterator

from steward.jsonvalue import JsonObject, dig, rows, text, whole
from steward.testing.dataplane.config import (
    Authorization,
    InboundRoute,
    InboundServer,
    Match,
    Meta,
    Protocol,
    RateLimit,
)
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.authorizations import EVERYWHERE, Authorizations
from steward.testing.dataplane.control.discovery import Client, Directory, server_selects
from steward.testing.dataplane.control.kinds import GRPC_ROUTES, HTTP, RATE_LIMITS, SERVERS
from steward.testing.dataplane.control.matches import header_change, matches_of, redirect_of, unsupported_filters
from steward.testing.dataplane.control.routes import is_attached
from steward.testing.dataplane.control.world import (
    annotations_of,
    by_age,
    container_ports,
    name_of,
    namespace_of,
)

DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
ADMIN_PORT = 4191
PROBE = Meta("", "default", "probe")
_DEFAULT_ROUTE = Meta("", "default", "default")
_PROTOCOLS = {
    "HTTP/1": Protocol.HTTP1,
    "HTTP/2": Protocol.HTTP2,
    "gRPC": Protocol.GRPC,
    "opaque": Protocol.OPAQUE,
    "TLS": Protocol.TLS,
}
_PROXY_PATHS = ("/live", "/ready")


class InboundPolicies:
    """The policy controller's view of pods."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._world = directory.world
        self._faults = directory.faults
        self._authorizations = Authorizations(directory.world)

    def server(self, pod: JsonObject, port: int) -> InboundServer:
        """What is in force on one port."""
        place = Client(name_of(pod), namespace_of(pod), text(pod, "spec", "nodeName"))
        server = self._server(pod, port)
        if server is None or self._faults.on(broken.SERVERS_IGNORED, place):
            return self._without_server(pod, port, place)
        access = text(server, "spec", "accessPolicy", default="deny")
        granted = (
            () if self._faults.on(broken.AUTHORIZATIONS_IGNORED, place) else self._authorizations.of_server(server)
        )
        ignored = self._faults.on(broken.INBOUND_ROUTES_IGNORED, place)
        limits = None if self._faults.on(broken.RATE_LIMITS_IGNORED, place) else self._rate_limit(server)
        routes = () if ignored else tuple(self._routes(server))
        protocol = _PROTOCOLS.get(text(server, "spec", "proxyProtocol"), Protocol.DETECT)
        return InboundServer(
            meta=Meta(SERVERS.group, "server", name_of(server), namespace_of(server), port),
            protocol=protocol,
            routes=routes or self._usual_routes(pod, port),
            authorizations=(*granted, *self._authorizations.default(access)),
            rate_limit=limits,
            audit=access == "audit" and not self._faults.on(broken.AUDIT_IGNORED, place),
        )

    def default_policy(self, pod: JsonObject) -> str:
        """The default policy of a pod: by its annotation (which the injector takes over from its namespace)."""
        return annotations_of(pod).get(DEFAULT_POLICY) or self._world.values.default_policy

    def _without_server(self, pod: JsonObject, port: int, place: Client) -> InboundServer:
        ignored = self._faults.on(broken.DEFAULT_POLICY_IGNORED, place)
        policy = "all-unauthenticated" if ignored else self.default_policy(pod)
        if self._faults.on(broken.DEFAULT_POLICY_DENIES, place):
            policy = "deny"
        opaque = self._directory.opaque_at(pod, port) and not self._faults.on(broken.OPAQUE_IGNORED, place)
        return InboundServer(
            meta=Meta("", "default", policy, "", port),
            protocol=Protocol.OPAQUE if opaque else Protocol.DETECT,
            routes=() if opaque else self._usual_routes(pod, port),
            authorizations=self._authorizations.default(policy),
            audit=policy == "audit" and not self._faults.on(broken.AUDIT_IGNORED, place),
        )

    def _server(self, pod: JsonObject, port: int) -> JsonObject | None:
        """The oldest Server that selects the port; two of them are a mistake of whoever made the second."""
        return next(
            (one for one in by_age(self._world.all(SERVERS, namespace_of(pod))) if server_selects(one, pod, port)), None
        )

    def _routes(self, server: JsonObject) -> Iterator[InboundRoute]:
        for kind in (*HTTP, GRPC_ROUTES):
            for route in by_age(self._world.all(kind, namespace_of(server))):
                if is_attached(route, server, 0) and not unsupported_filters(route):
                    yield from self._of_route(route)

    def _of_route(self, route: JsonObject) -> Iterator[InboundRoute]:
        group = text(route, "apiVersion").partition("/")[0]
        meta = Meta(group, text(route, "kind"), name_of(route), namespace_of(route))
        for rule in rows(route, "spec", "rules"):
            yield InboundRoute(
                meta=meta,
                matches=matches_of(rule, text(route, "kind")),
                authorizations=self._authorizations.of_route(route),
                requests=header_change(rule, "RequestHeaderModifier"),
                redirect=redirect_of(rule),
            )

    def _usual_routes(self, pod: JsonObject, port: int) -> tuple[InboundRoute, ...]:
        """Where nobody attached a route: one for the kubelet's probes, one for everything."""
        everything = InboundRoute(_DEFAULT_ROUTE, (Match(path_prefix="/"),))
        paths = sorted(set(_probed(pod, port)))
        if not paths:
            return (everything,)
        matches = tuple(Match(path_exact=path, method="GET") for path in paths)
        return InboundRoute(PROBE, matches, (Authorization(PROBE, EVERYWHERE),)), everything

    def _rate_limit(self, server: JsonObject) -> RateLimit | None:
        """Of the oldest policy that targets the Server; later ones are ignored."""
        for policy in by_age(self._world.all(RATE_LIMITS, namespace_of(server))):
            if text(policy, "spec", "targetRef", "name") == name_of(server):
                return RateLimit(
                    meta=Meta(RATE_LIMITS.group, RATE_LIMITS.kind, name_of(policy), namespace_of(policy)),
                    total=whole(policy, "spec", "total", "requestsPerSecond"),
                    identity=whole(policy, "spec", "identity", "requestsPerSecond"),
                    overrides=tuple(self._overrides(policy)),
                )
        return None

    def _overrides(self, policy: JsonObject) -> Iterator[tuple[str, int]]:
        for one in rows(policy, "spec", "overrides"):
            for client in rows(one, "clientRefs"):
                namespace = text(client, "namespace") or namespace_of(policy)
                yield self._world.identity(text(client, "name"), namespace), whole(one, "requestsPerSecond")


def _probed(pod: JsonObject, port: int) -> Iterator[str]:
    """The paths on this port that the kubelet asks for, those of the proxy's own admin port included."""
    if port == ADMIN_PORT:
        yield from _PROXY_PATHS
    named = container_ports(pod)
    for kind in ("initContainers", "containers"):
        for container in rows(pod, "spec", kind):
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                wanted = dig(container, probe, "httpGet", "port")
                number = named.get(wanted, 0) if isinstance(wanted, str) else wanted
                if number == port:
                    yield text(container, probe, "httpGet", "path", default="/").partition("?")[0]

"""Connections that are not HTTP, or not to be looked into: carried as bytes to an endpoint of their route."""

from steward.testing.dataplane.config import Backend, Meta, OutboundTarget, Route, Rule
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.failures import ExchangeFailed
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import FORBIDDEN, MISSING_BACKEND, OwnError
from steward.testing.dataplane.proxy.routing import serves
from steward.testing.dataplane.proxy.spoiled_stream import Spoiled
from steward.testing.dataplane.proxy.stream import Stream, copy_both_ways
from steward.testing.dataplane.proxy.target import Target

_ERRORS = ("", "forbidden", "invalid_backend", "invalid_policy", "unexpected")
_UNDEFINED = Meta("", "default", "undefined-port")
_OPAQUE = Meta("", "default", "opaq")


class ByteWay:
    """For the connections of one target. `family` is `tcp`, or `tls` where routes go by the name that is asked for."""

    def __init__(self, context: OutboundContext, target: Target) -> None:
        self._context = context
        self._target = target

    async def carry(self, stream: Stream, family: str = "tcp", sni: str = "") -> None:
        """Until both sides have finished. Resets the client's connection when there is nowhere to go."""
        route = self._route(family, sni)
        if route is None:
            stream.abort()
            return
        counted = self._opened(family, route.meta)
        try:
            error = await self._carried(stream, family, route)
        except BaseException:
            self._closed(counted, family, "unexpected")
            stream.abort()
            raise
        self._closed(counted, family, error)

    def undefined(self, stream: Stream) -> None:
        """The Service has no such port."""
        counted = self._opened("tcp", _UNDEFINED)
        self._closed(counted, "tcp", "unexpected")
        self._failed("unexpected")
        stream.abort()

    async def _carried(self, stream: Stream, family: str, route: Route) -> str:
        """The word under which the end of the connection is counted."""
        try:
            upstream = await self._upstream(family, route)
        except OwnError as error:
            self._failed(error.kind.label)
            # A client that is denied sees an orderly end; one that speaks TLS would wait for an alert.
            stream.close() if error.kind is FORBIDDEN and family == "tcp" else stream.abort()
            return {FORBIDDEN: "forbidden", MISSING_BACKEND: "invalid_backend"}.get(error.kind, "unexpected")
        except ExchangeFailed:
            self._failed("i/o")
            stream.abort()
            return "unexpected"
        try:
            await copy_both_ways(stream, Spoiled.where_broken(self._context, upstream))
        except ExchangeFailed:
            return "unexpected"
        return ""

    async def _upstream(self, family: str, route: Route) -> Stream:
        backend = self._picked(route)
        if backend.forbidden and not self._context.broken(broken.EGRESS_ALLOWED):
            raise OwnError(FORBIDDEN, backend.forbidden)
        if backend.missing:
            raise OwnError(MISSING_BACKEND, backend.missing)
        slot = await self._target.balancer(family, backend).ready()
        return await slot.connections.raw()

    def _route(self, family: str, sni: str) -> Route | None:
        target = self._target.current
        if not target.opaque_routes:
            return _plain(target)
        if family == "tcp":
            return target.opaque_routes[0]
        fitting = [route for route in target.opaque_routes if serves(route.hosts, sni)]
        return max(fitting, key=lambda route: len(max(route.hosts, key=len, default="")), default=None)

    def _picked(self, route: Route) -> Backend:
        if self._context.broken(broken.EGRESS_DENIED) and self._target.current.parent.kind == "EgressNetwork":
            raise OwnError(FORBIDDEN, "traffic not allowed")
        backends = tuple(backend for rule in route.rules for backend in rule.backends)
        picked = self._target.shares.pick(backends, lambda backend: backend.weight)
        if picked is None:
            raise OwnError(MISSING_BACKEND, "no backend has any weight")
        return picked

    def _opened(self, family: str, route: Meta) -> dict[str, str]:
        target = self._target.current
        # Only what is forwarded to the address itself is counted under it.
        ip = "" if target.parent.kind == "Service" and not target.undefined_port else self._target.ip
        where = {"target_ip": ip, "target_port": str(self._target.port)}
        counted = {**labels.full("parent", target.parent), **labels.short("route", route), **where}
        self._context.metrics.count(f"outbound_{family}_route_open_total", **counted)
        for error in _ERRORS:
            self._context.metrics.count(f"outbound_{family}_route_close_total", 0, **counted, error=error)
        return counted

    def _closed(self, counted: dict[str, str], family: str, error: str) -> None:
        self._context.metrics.count(f"outbound_{family}_route_close_total", **counted, error=error)

    def _failed(self, error: str) -> None:
        asked = labels.address(self._target.ip, self._target.port)
        self._context.metrics.count("outbound_tcp_errors_total", **asked, error=error)


def _plain(target: OutboundTarget) -> Route | None:
    """The route of a target that has none."""
    return Route(_OPAQUE, (Rule(backends=(target.default,)),)) if target.default is not None else None

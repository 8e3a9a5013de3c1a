"""Requests of one connection of the application: sent on their way, or answered by the proxy itself."""

from dataclasses import replace

from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.carried_faults import spoiled_request, spoiled_response
from steward.testing.dataplane.proxy.exchange import Request, Response, without
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import PROXY_ERROR, OwnError, respond
from steward.testing.dataplane.proxy.profile_way import ProfileWay
from steward.testing.dataplane.proxy.route_way import RouteWay
from steward.testing.dataplane.proxy.target import Target
from steward.testing.dataplane.proxy.tracing import End, traced


class HttpWay:
    """An `exchange.Handler` for one target."""

    def __init__(self, context: OutboundContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._profiled = ProfileWay(context, target)
        self._routed = RouteWay(context, target)

    async def __call__(self, request: Request) -> Response:
        return await traced(self._context.tracing, End.OUTBOUND_SERVER, request, self._answered)

    async def _answered(self, request: Request) -> Response:
        if self._context.broken(broken.SLOW):
            await self._context.clock.sleep(self._context.faults.delay(broken.SLOW, self._context.settings))
        request = spoiled_request(self._context, request)
        try:
            return spoiled_response(self._context, await self._sent(request))
        except OwnError as error:
            return self._own(error, request)

    async def _sent(self, request: Request) -> Response:
        profile = self._target.profile
        logical = profile.authority if profile is not None else self._target.logical
        try:
            if profile is not None:
                return await self._profiled.handle(request, profile)
            return await self._routed.handle(request)
        except OwnError as error:
            raise error.within(f"logical service {logical}") from None

    def _own(self, error: OwnError, request: Request) -> Response:
        self._context.metrics.count("outbound_http_errors_total", error=error.kind.label)
        kind = error.kind if not self._context.broken(broken.OWN_STATUS_WRONG) else replace(error.kind, status=500)
        response = respond(kind, error.message, request, self._context.clock.now())
        if self._context.broken(broken.PROXY_ERROR_MISSING):
            return replace(response, headers=without(response.headers, (PROXY_ERROR,)))
        return response

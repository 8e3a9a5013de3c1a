"""One HTTP request at the inbound proxy: policy, headers, the application, and the figures of all that."""

import asyncio
from dataclasses import replace
from functools import partial

from steward.testing.dataplane.config import InboundRoute, InboundServer, Redirect
from steward.testing.dataplane.proxy import inbound_labels as labels
from steward.testing.dataplane.proxy.access_log import AccessLog
from steward.testing.dataplane.proxy.application import Application, TooSlow
from steward.testing.dataplane.proxy.exchange import Handler, Headers, Request, Response, Version, with_header, without
from steward.testing.dataplane.proxy.failures import REFUSED, ConnectFailed, ExchangeFailed, StreamReset
from steward.testing.dataplane.proxy.http_server import ORIGINAL_PROTOCOL
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_decision import Decider
from steward.testing.dataplane.proxy.inbound_faults import (
    CLIENT_ID_MISSING,
    ERROR_STATUS_WRONG,
    FILTERS_IGNORED,
    FORGED_CLIENT_ID_KEPT,
    GRPC_REFUSED_AS_HTTP,
    PROTOCOL_NOT_RESTORED,
    TLS_LABELS_WRONG,
)
from steward.testing.dataplane.proxy.inbound_labels import Arrival, LabelSet
from steward.testing.dataplane.proxy.matching import rank_of
from steward.testing.dataplane.proxy.passing_body import passing
from steward.testing.dataplane.proxy.refusals import (
    CLOSED,
    FAILING_FAST,
    NO_ROUTE,
    SHEDDING,
    UNAUTHORIZED,
    UNREACHABLE,
    Refusal,
    answer,
    too_many,
)
from steward.testing.dataplane.proxy.response_figures import ResponseFigures
from steward.testing.dataplane.proxy.routing import changed, location
from steward.testing.dataplane.proxy.tracing import End, traced

CLIENT_ID = "l5d-client-id"


class InboundHttp:
    """Handles the requests of all connections of one proxy. `serve` is where those that pass go in the end."""

    def __init__(self, context: InboundContext, application: Application) -> None:
        self._context = context
        self._application = application
        self._decider = Decider(context)
        self._access_log = AccessLog(context)
        self._shedding_until: dict[int, float] = {}
        self._under_way = 0
        self._idle = asyncio.Event()
        self._ended = False

    def handler(self, arrival: Arrival, inside: Handler | None = None) -> Handler:
        """For one connection. `inside` answers instead of the application: the admin server."""

        async def judged(request: Request) -> Response:
            return await self._handle(arrival, request, inside)

        async def handle(request: Request) -> Response:
            if self._ended:
                raise StreamReset("this proxy takes no requests any more", REFUSED)
            self._under_way += 1
            try:
                response = await traced(self._context.tracing, End.INBOUND_SERVER, request, judged)
            except BaseException:
                self._over()
                raise
            self._access_log.write(arrival, request, response)
            if response.body.empty:
                self._over()
                return response
            return replace(response, body=passing(response.body, lambda _: None, lambda _: self._over()))

        return handle

    async def quiet(self) -> None:
        """Return when no request is under way."""
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()

    def end(self) -> None:
        """Refuse whatever comes from here on, so that whoever sends it may safely send it elsewhere."""
        self._ended = True

    def _over(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def _handle(self, arrival: Arrival, request: Request, inside: Handler | None) -> Response:
        server = self._context.policy(arrival.port)
        route = self._decider.route(server, request)
        if route is None:
            self._context.metrics.count("inbound_http_route_not_found_total", **self._asked(arrival, server))
            return self._refuse(NO_ROUTE, arrival, request)
        decision = self._decider.request(server, route, arrival.peer)
        named = {**self._asked(arrival, server), **labels.route(route)}
        if not decision.allowed or decision.authorization is None:
            self._context.metrics.count("inbound_http_authz_deny_total", **named)
            self._note("Request denied", arrival, server, route)
            return self._refuse(UNAUTHORIZED, arrival, request)
        named |= labels.authorization(decision.authorization)
        self._context.metrics.count("inbound_http_authz_allow_total", **named)
        if decision.audited:
            self._note("Request allowed", arrival, server, route)
        limited = self._decider.limited(server, arrival.port, arrival.peer)
        if limited is not None and server.rate_limit is not None:
            scope = labels.limit(server.rate_limit.meta, limited[0])
            asked = self._asked(arrival, server)
            self._context.metrics.count("inbound_http_local_ratelimit_total", **asked, **scope)
            return self._failed(too_many(*limited), arrival, server, request)
        figures = ResponseFigures(self._context, server, route, arrival.port, {"direction": "inbound", **named})
        return await self._pass(arrival, request, inside, figures)

    async def _pass(
        self, arrival: Arrival, request: Request, inside: Handler | None, figures: ResponseFigures
    ) -> Response:
        route = figures.route
        filtered = not self._context.broken(FILTERS_IGNORED)
        if filtered and route.redirect is not None:
            return figures.of(_redirected(route, route.redirect, request))
        headers = self._identified(arrival, request.headers)
        if filtered:
            headers = changed(headers, route.requests)
        request = replace(request, headers=headers, body=figures.reading(request.body))
        if inside is not None:
            return figures.of(await inside(request))
        # Only what a proxy sent was ever anything else than what was asked.
        if self._context.broken(PROTOCOL_NOT_RESTORED) and dict(arrival.tls).get("tls") == "true":
            carried = with_header(request.headers, ORIGINAL_PROTOCOL, request.version.value)
            request = replace(request, version=Version.HTTP2, headers=carried)
        if self._context.taps is None:
            return await self._ask_application(arrival, request, figures)
        tapped = self._context.taps.request(arrival, request)
        try:
            return tapped.answered(await self._ask_application(arrival, request, figures))
        except BaseException:
            tapped.ended()
            raise

    async def _ask_application(self, arrival: Arrival, request: Request, figures: ResponseFigures) -> Response:
        if self._shedding_until.get(arrival.port, 0.0) > self._context.clock.monotonic():
            figures.failed()
            return self._failed(SHEDDING, arrival, figures.server, request)
        try:
            ask = partial(self._application.send, arrival.port)
            return figures.of(await traced(self._context.tracing, End.INBOUND_CLIENT, request, ask))
        except TooSlow:
            patience = self._context.timings.inbound_failfast.total_seconds()
            self._shedding_until[arrival.port] = self._context.clock.monotonic() + patience
            figures.failed()
            return self._failed(FAILING_FAST, arrival, figures.server, request)
        except ConnectFailed:
            refusal = SHEDDING if self._context.broken(ERROR_STATUS_WRONG) else UNREACHABLE
            return figures.of(self._refuse(refusal, arrival, request))
        except StreamReset:
            figures.failed()
            raise
        except ExchangeFailed:
            figures.failed()
            return self._failed(CLOSED, arrival, figures.server, request)

    def _identified(self, arrival: Arrival, headers: Headers) -> Headers:
        if not self._context.broken(FORGED_CLIENT_ID_KEPT):
            headers = without(headers, (CLIENT_ID,))
        elif CLIENT_ID in dict(headers):
            return headers
        if not arrival.peer.identity or self._context.broken(CLIENT_ID_MISSING):
            return headers
        return with_header(headers, CLIENT_ID, arrival.peer.identity)

    def _asked(self, arrival: Arrival, server: InboundServer) -> LabelSet:
        tls = labels.NO_TLS if self._context.broken(TLS_LABELS_WRONG) else arrival.tls
        return {**arrival.target, **labels.server(server, arrival.port), **dict(tls)}

    def _failed(self, refusal: Refusal, arrival: Arrival, server: InboundServer, request: Request) -> Response:
        """A refusal that counts as an error of the proxy."""
        named = {**arrival.door, **labels.server(server, arrival.port)}
        self._context.metrics.count("inbound_http_errors_total", error=refusal.label, **named)
        return self._refuse(refusal, arrival, request)

    def _refuse(self, refusal: Refusal, arrival: Arrival, request: Request) -> Response:
        told = f"{arrival.chain}: {refusal.reason}" if arrival.peer.meshed else ""
        self._context.log.write(f"INFO {request.version} request failed error={arrival.chain}: {refusal.reason}")
        if self._context.broken(GRPC_REFUSED_AS_HTTP):
            request = replace(request, headers=())
        return answer(refusal, request, self._context.clock.now(), told=told)

    def _note(self, what: str, arrival: Arrival, server: InboundServer, route: InboundRoute) -> None:
        named = {**labels.server(server, arrival.port), **labels.route(route)}
        where = " ".join(f"{name.replace('_', '.')}={value}" for name, value in named.items())
        self._context.log.write(
            f"INFO {what} {where} client.tls={arrival.peer.identity or 'None'} client.ip={arrival.peer.ip}"
        )


def _redirected(route: InboundRoute, redirect: Redirect, request: Request) -> Response:
    prefix = next((each.path_prefix for each in route.matches if rank_of(each, request) is not None), "")
    return Response(redirect.status, (("location", location(redirect, request, prefix)), ("content-length", "0")))

"""The admin server of a proxy: readiness, figures, and what only the pod itself may ask for.

It stands behind the inbound policy like any port, except that probes of the kubelet always pass.
"""

import json
from collections.abc import Callable
from dataclasses import replace

from steward.testing.dataplane.config import Authorization, InboundRoute, InboundServer, Match, Meta
from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response
from steward.testing.dataplane.proxy.inbound_context import InboundContext, Policy
from steward.testing.dataplane.proxy.inbound_faults import ADMIN_NOT_READY, ADMIN_OPEN, ADMIN_REFUSES
from steward.testing.dataplane.proxy.inbound_labels import ADMIN_PORT, Arrival
from steward.testing.dataplane.proxy.page import render
from steward.testing.dataplane.proxy.policy import DEFAULT_ROUTE
from steward.testing.dataplane.proxy.vitals import Vitals

_PROBE = Meta("", "default", "probe")
_PROBES = InboundRoute(
    _PROBE,
    (Match(path_exact="/live", method="GET"), Match(path_exact="/ready", method="GET")),
    (Authorization(_PROBE),),
)
_EVERYTHING = InboundRoute(DEFAULT_ROUTE, (Match(path_prefix="/"),))
_EVERYBODY = Authorization(Meta("", "default", "all-unauthenticated"))
_PLAIN: Headers = (("content-type", "text/plain"),)
_ENDPOINT_ENABLED = "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED"
_LOG = "LINKERD2_PROXY_LOG"
_MACHINE = "127.0.0.1"


def guarding_admin(context: InboundContext) -> Policy:
    """The policy of the context, with what the proxy adds for its own admin port."""

    def policy(port: int) -> InboundServer:
        server = context.policy(port)
        if port != ADMIN_PORT:
            return server
        routes = server.routes or (_EVERYTHING,)
        if not any(each.meta.name == _PROBE.name for each in routes):
            routes = (_PROBES, *routes)
        if context.broken(ADMIN_OPEN):
            return replace(server, routes=routes, authorizations=(_EVERYBODY,))
        if context.broken(ADMIN_REFUSES):
            closed = tuple(
                each if each.meta.name == _PROBE.name else replace(each, authorizations=()) for each in routes
            )
            return replace(server, routes=closed, authorizations=(), audit=False)
        return replace(server, routes=routes)

    return policy


class Admin:
    """Answers what has passed the policy. `stop` is called when the pod asks its proxy to end."""

    def __init__(self, context: InboundContext, vitals: Vitals, stop: Callable[[], None]) -> None:
        self._context = context
        self._vitals = vitals
        self._stop = stop

    def handler(self, arrival: Arrival) -> Handler:
        """For one connection."""

        async def handle(request: Request) -> Response:
            path = request.path.partition("?")[0]
            match path:
                case "/metrics":
                    return self._metrics()
                case "/ready":
                    return self._ready()
                case "/live":
                    return _said(200, "live\n")
                case "/shutdown" | "/proxy-log-level" | "/env.json":
                    return self._private(path, request) if self._is_own_pod(arrival) else _said(403, "")
                case _:
                    return _said(404, "")

        return handle

    def _is_own_pod(self, arrival: Arrival) -> bool:
        """What the kernel tells a real proxy: pods have an address of their own here, the machine stands for nodes."""
        return arrival.peer.ip in {self._context.settings.ip, _MACHINE}

    def _metrics(self) -> Response:
        self._vitals.refresh()
        context = self._context
        page = render(context.metrics, context.settings, context.faults)
        return Response(200, _PLAIN, Body.of(page.encode()))

    def _ready(self) -> Response:
        # A certificate that has expired since is still a certificate: readiness is never taken back.
        if self._context.broken(ADMIN_NOT_READY) or self._context.credentials() is None:
            return _said(503, "not ready\n")
        return _said(200, "ready\n")

    def _private(self, path: str, request: Request) -> Response:
        environment = dict(self._context.settings.environment)
        if path == "/env.json":
            return Response(200, (("content-type", "application/json"),), Body.of(json.dumps(environment).encode()))
        if path == "/proxy-log-level":
            return _said(200, environment.get(_LOG, "warn,linkerd=info") + "\n")
        if request.method != "POST":
            return _said(405, "")
        if environment.get(_ENDPOINT_ENABLED) != "true":
            return _said(404, "")
        self._stop()
        return _said(200, "shutdown\n")


def _said(status: int, what: str) -> Response:
    return Response(status, (*_PLAIN, ("content-length", str(len(what)))), Body.of(what.encode()))

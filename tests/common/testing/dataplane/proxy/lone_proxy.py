"""One inbound proxy on real sockets, in front of an application of a few lines, with clients inside and outside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from steward.clock import Clock, SystemClock
from steward.testing.dataplane.config import Authorization, InboundServer, Meta, ProxySettings, Timings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.exchange import Body, Handler, Request, Response, Version
from steward.testing.dataplane.proxy.failures import ConnectFailed
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.inbound import InboundProxy
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.metrics import ProxyMetrics
from steward.testing.dataplane.proxy.page import render
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.dataplane.proxy.tls import Identity, TransportHeader, dial
from tests.common.testing.dataplane.proxy.loopback import Trust, listening

POD = "127.0.0.7"
CLIENT = "127.0.0.9"
DOMAIN = "serviceaccount.identity.linkerd.cluster.local"
ANN, BOB, ECHO = f"ann.shop.{DOMAIN}", f"bob.shop.{DOMAIN}", f"echo.shop.{DOMAIN}"
EVERYBODY = Authorization(Meta("", "default", "all-unauthenticated"))
OPEN = InboundServer(Meta("", "default", "all-unauthenticated"), authorizations=(EVERYBODY,))
TRUST = Trust()
IDENTITIES = {name: TRUST.identity(name) for name in (ANN, BOB, ECHO)}
SETTINGS = ProxySettings("echo-1", "shop", POD, "edge-26.8.3")
TIMINGS = Timings(
    failfast=timedelta(milliseconds=100),
    detect=timedelta(milliseconds=500),
    inbound_failfast=timedelta(milliseconds=500),
    metrics_idle=timedelta(minutes=10),
)


class LoneProxy:
    """`policies` are in force by port, everything else is open. `inside` are the ports the application listens on."""

    def __init__(self, stack: AsyncExitStack, settings: ProxySettings = SETTINGS, clock: Clock | None = None) -> None:
        self.faults = Faults()
        self.policies: dict[int, InboundServer] = {}
        self.inside: dict[int, int] = {}
        self.identity: Identity | None = IDENTITIES[ECHO]
        self.clock: Clock = clock or SystemClock()
        self.metrics = ProxyMetrics(settings, self.clock, TIMINGS, self.faults)
        self.hangs = False
        self._stack = stack
        context = InboundContext(
            settings,
            lambda: self.identity,
            lambda port: self.policies.get(port, OPEN),
            self._reach,
            self.metrics,
            self.clock,
            TIMINGS,
            self.faults,
        )
        self.proxy = InboundProxy(context)
        self.log = context.log.lines

    async def _reach(self, port: int) -> Stream:
        if self.hangs:
            await asyncio.Event().wait()
        if port not in self.inside:
            raise ConnectFailed(f"nothing listens on {port}")
        return await open_stream("127.0.0.1", self.inside[port])

    async def application(self, port: int, handler: Handler, version: Version = Version.HTTP1) -> None:
        """Serve HTTP inside of the pod."""
        await self.bytes_application(port, lambda stream: serve_http(stream, handler, version))

    async def bytes_application(self, port: int, accept: Callable[[Stream], Awaitable[None]]) -> None:
        """Serve anything inside of the pod."""
        self.inside[port] = await self._stack.enter_async_context(listening(accept))

    async def plain(self, port: int, *, source: str = CLIENT) -> Stream:
        """Connect to the pod from outside of the mesh."""
        outside = await self._stack.enter_async_context(
            listening(lambda stream: self.proxy.accept_plain(stream, port, stream.peer[0]), POD)
        )
        return self._opened(await open_stream(POD, outside, source=source))

    async def mesh(self, port: int, protocol: str = "", identity: str | Identity = ANN) -> Stream:
        """Connect through port 4143 as another proxy does."""
        mesh_port = await self._stack.enter_async_context(listening(self.proxy.accept_mesh, POD))
        below = self._opened(await open_stream(POD, mesh_port, source=CLIENT))
        own = IDENTITIES[identity] if isinstance(identity, str) else identity
        secured = await dial(below, own, ECHO)
        await secured.send(TransportHeader(port, protocol).encode())
        return secured

    async def meshed_http(self, port: int, identity: str = ANN) -> HttpConnection:
        """Requests of a proxy."""
        return self._kept(connect_http(await self.mesh(port, Version.HTTP2, identity), Version.HTTP2))

    async def plain_http(self, port: int, version: Version = Version.HTTP1, source: str = CLIENT) -> HttpConnection:
        """Requests of somebody outside."""
        return self._kept(connect_http(await self.plain(port, source=source), version))

    def page(self, name: str, **labels: str) -> float:
        """The sum of samples in what the admin server would show."""
        return sum(
            value for sample, named, value in self.samples() if sample == name and labels.items() <= named.items()
        )

    async def until(self, name: str, value: float, **labels: str) -> None:
        """Return when the page shows that sum; the time-out of the test tells when it never does."""
        while self.page(name, **labels) != value:
            await SystemClock().sleep(timedelta(milliseconds=2))

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        """Everything on the page."""
        self.proxy.vitals.refresh()
        text = render(self.metrics, self.proxy.context.settings, self.faults)
        return [
            (sample.name, dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def _opened(self, stream: Stream) -> Stream:
        self._stack.callback(stream.close)
        return stream

    def _kept(self, connection: HttpConnection) -> HttpConnection:
        self._stack.callback(connection.close)
        return connection


@asynccontextmanager
async def lone_proxy(settings: ProxySettings = SETTINGS, clock: Clock | None = None) -> AsyncIterator[LoneProxy]:
    """An inbound proxy of a pod without an application yet."""
    async with AsyncExitStack() as stack:
        lone = LoneProxy(stack, settings, clock)
        try:
            yield lone
        finally:
            stack.push_async_callback(lone.proxy.shutdown)


async def echo(request: Request) -> Response:
    """Answer with the headers that arrived, one a line, unless the path is a number: then with that status."""
    body = await request.body.read()
    if request.path[1:4].isdigit():
        return Response(int(request.path[1:4]), (("content-length", "0"),))
    lines = [f"{name}: {value}" for name, value in request.headers] + [request.version, body.decode()]
    return Response(200, (("x-served-by", "echo-1"),), Body.of("\n".join(lines).encode()))

"""One outbound proxy on real sockets: servers behind it, with or without a real inbound proxy, told by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from random import Random

from steward.clock import Clock, SystemClock
from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import (
    Authorization,
    Backend,
    Endpoint,
    InboundServer,
    Match,
    Meta,
    OutboundTarget,
    Protocol,
    ProxySettings,
    Route,
    Rule,
    Timings,
)
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response, Version
from steward.testing.dataplane.proxy.failures import ConnectFailed
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.inbound import InboundProxy
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.metrics import ProxyMetrics
from steward.testing.dataplane.proxy.outbound import OutboundProxy
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.dataplane.proxy.tls import Identity
from tests.common.testing.dataplane.proxy.loopback import Trust, listening

DOMAIN = "serviceaccount.identity.linkerd.cluster.local"
CLIENT_ID, SERVER_ID = f"client.lab.{DOMAIN}", f"echo.lab.{DOMAIN}"
TRUST = Trust()
CLIENT, SERVER = TRUST.identity(CLIENT_ID), TRUST.identity(SERVER_ID)
TIMINGS = Timings(
    failfast=timedelta(milliseconds=150),
    inbound_failfast=timedelta(seconds=2),
    detect=timedelta(milliseconds=100),
    discovery_idle=timedelta(milliseconds=20),
)
SETTINGS = ProxySettings("client-1", "lab", "10.1.0.1", "edge-26.8.3")
SERVICE = Meta("core", "Service", "echo", "lab", 8080)
IP, PORT = "10.96.0.1", 8080
EVERYBODY = Authorization(Meta("", "default", "all-unauthenticated"))
OPEN = InboundServer(Meta("", "default", "all-unauthenticated"), authorizations=(EVERYBODY,))
ANYTHING = (Match(path_prefix="/"),)
DEFAULT_ROUTE = Meta("", "default", "http")


class Told:
    """A discovery that a test changes."""

    def __init__(self, target: OutboundTarget) -> None:
        self.current = target
        self.closed = asyncio.Event()
        self._told = asyncio.Event()

    def tell(self, target: OutboundTarget) -> None:
        self.current = target
        self._told.set()

    async def changed(self, seen: OutboundTarget) -> OutboundTarget:
        while self.current is seen:
            self._told.clear()
            await self._told.wait()
        return self.current

    def close(self) -> None:
        self.closed.set()


class OutboundSide:
    """`told` is what the control plane says by address; an address that is not there makes discovery hang."""

    def __init__(self, stack: AsyncExitStack, clock: Clock) -> None:
        self.faults = Faults()
        self.clock = clock
        self.patience = timedelta(seconds=20)
        self.identity: Identity | None = CLIENT
        self.told: dict[tuple[str, int], Told | None] = {}
        self.asked: list[tuple[str, int]] = []
        self.known = asyncio.Event()
        self._asked = asyncio.Event()
        self.metrics = ProxyMetrics(SETTINGS, self.clock, TIMINGS, self.faults)
        self._reachable: dict[tuple[str, int], int] = {}
        self._stack = stack
        self._pods = 0
        self.names: dict[str, str] = {}
        """Services by their full names, and their addresses."""
        self.proxy = self._proxy(SETTINGS)

    def _proxy(self, settings: ProxySettings) -> OutboundProxy:
        context = OutboundContext(
            settings, lambda: self.identity, self._connect, self.metrics, self.clock, TIMINGS, self.faults, Random(7)
        )
        return OutboundProxy(context, self._discover, lambda name: self.names.get(name, ""))

    def as_ingress(self) -> None:
        """From now on the proxy is one in ingress mode."""
        self.proxy = self._proxy(replace(SETTINGS, ingress=True))

    async def _discover(self, ip: str, port: int) -> Told | None:
        self.asked.append((ip, port))
        self._asked.set()
        while (ip, port) not in self.told:
            self.known.clear()
            await self.known.wait()
        return self.told[ip, port]

    async def until_asked(self) -> None:
        """Return when the control plane has been asked for anything."""
        await self._asked.wait()

    async def _connect(self, ip: str, port: int) -> Stream:
        if (ip, port) not in self._reachable:
            raise ConnectFailed(f"nothing listens on {ip}:{port}")
        return await open_stream("127.0.0.1", self._reachable[ip, port])

    def tell(self, target: OutboundTarget, address: tuple[str, int] = (IP, PORT)) -> Told:
        """Say what an address means."""
        known = self.told.get(address)
        if known is not None:
            known.tell(target)
            return known
        told = self.told[address] = Told(target)
        self.known.set()
        return told

    async def forgotten(self, ip: str, port: int) -> None:
        """Return when the proxy knows nothing about an address any more, and neither does the control plane."""
        told = self.told.pop((ip, port))
        if told is not None:
            await told.closed.wait()

    async def listen(self, ip: str, port: int, accept: Callable[[Stream], Awaitable[None]]) -> None:
        """Make an address reachable."""
        self._reachable[ip, port] = await self._stack.enter_async_context(listening(accept))

    def unreachable(self, ip: str, port: int) -> None:
        """Nobody listens there any more."""
        self._reachable.pop((ip, port), None)

    async def plain(self, handler: Handler, version: Version = Version.HTTP1) -> Endpoint:
        """A pod without a proxy."""
        return await self.plain_bytes(lambda stream: serve_http(stream, handler, version))

    async def plain_bytes(self, accept: Callable[[Stream], Awaitable[None]]) -> Endpoint:
        """A pod without a proxy that does not speak HTTP."""
        endpoint = self._endpoint(None)
        await self.listen(endpoint.ip, endpoint.port, accept)
        return endpoint

    async def meshed(
        self, handler: Handler, version: Version = Version.HTTP1, identity: Identity = SERVER, opaque: bool = False
    ) -> Endpoint:
        """A pod with a real inbound proxy."""
        return await self.meshed_bytes(lambda stream: serve_http(stream, handler, version), identity, opaque)

    async def meshed_bytes(
        self, accept: Callable[[Stream], Awaitable[None]], identity: Identity = SERVER, opaque: bool = True
    ) -> Endpoint:
        """A pod with a real inbound proxy in front of something else than HTTP."""
        endpoint = self._endpoint(identity.name, opaque=opaque)
        port = await self._stack.enter_async_context(listening(accept))
        server = replace(OPEN, protocol=Protocol.OPAQUE) if opaque else OPEN

        async def reach(_: int) -> Stream:
            return await open_stream("127.0.0.1", port)

        settings = ProxySettings(f"echo-{self._pods}", "lab", endpoint.ip, "edge-26.8.3")
        metrics = ProxyMetrics(settings, self.clock, TIMINGS, self.faults)
        context = InboundContext(
            settings, lambda: identity, lambda _: server, reach, metrics, self.clock, TIMINGS, Faults()
        )
        inbound = InboundProxy(context)
        self._stack.push_async_callback(inbound.shutdown)
        await self.listen(endpoint.ip, 4143, inbound.accept_mesh)
        return endpoint

    def _endpoint(self, identity: str | None, *, opaque: bool = False) -> Endpoint:
        self._pods += 1
        labels = (("pod", f"echo-{self._pods}"), ("namespace", "lab"), ("service", "echo"), ("zone", ""))
        meshed = identity is not None
        return Endpoint(f"10.1.1.{self._pods}", 8080, identity, opaque, h2=meshed and not opaque, labels=labels)

    async def dial(self, ip: str = IP, port: int = PORT) -> Stream:
        """A connection of the application."""
        listener = await self._stack.enter_async_context(
            listening(lambda stream: self.proxy.accept(stream, ip, port), "127.0.0.1")
        )
        stream = await open_stream("127.0.0.1", listener)
        self._stack.callback(stream.close)
        return stream

    async def http(self, version: Version = Version.HTTP1, ip: str = IP, port: int = PORT) -> HttpConnection:
        """A connection of the application that speaks HTTP."""
        connection = connect_http(await self.dial(ip, port), version)
        self._stack.callback(connection.close)
        return connection

    async def ask(
        self, path: str = "/", headers: Headers = (), version: Version = Version.HTTP1, body: Body | None = None
    ) -> Response:
        """One request on a connection of its own."""
        connection = await self.http(version)
        method = "GET" if body is None else "POST"
        authority = "echo.lab.svc.cluster.local:8080"
        return await connection.send(Request(method, path, authority, headers, body or Body(), version))

    def counted(self, name: str, **labels: str) -> float:
        """The sum of a family under some labels."""
        return self.metrics.value(name, **labels)

    async def until(self, name: str, value: float, **labels: str) -> None:
        """Return when it has been counted; the time-out of the test tells when it never is."""
        while self.counted(name, **labels) != value:
            await SystemClock().sleep(timedelta(milliseconds=2))


@asynccontextmanager
async def outbound_side(clock: Clock | None = None) -> AsyncIterator[OutboundSide]:
    """A proxy that knows nothing yet."""
    async with AsyncExitStack() as stack:
        side = OutboundSide(stack, clock or SystemClock())
        try:
            yield side
        finally:
            with suppress(ConnectionError):
                await side.proxy.shutdown()


def service(*endpoints: Endpoint, rule: Rule | None = None, **more: object) -> OutboundTarget:
    """A Service of these endpoints, with the default route or a route of one rule."""
    default = backend(*endpoints)
    meta = DEFAULT_ROUTE if rule is None else Meta("gateway.networking.k8s.io", "HTTPRoute", "split", "lab")
    routes = (Route(meta, (rule or Rule(ANYTHING, (default,)),)),)
    opaque = (Route(Meta("", "default", "opaq"), (Rule((), (default,)),)),)
    target = OutboundTarget(
        SERVICE, "echo.lab.svc.cluster.local:8080", http_routes=routes, opaque_routes=opaque, default=default
    )
    return replace(target, **more)  # type: ignore[arg-type]


def backend(*endpoints: Endpoint, name: str = "echo", weight: int = 1) -> Backend:
    """A Service as a backend."""
    authority = f"{name}.lab.svc.cluster.local:8080"
    return Backend(Meta("core", "Service", name, "lab", 8080), endpoints, weight, authority)


def answering(name: str, status: int = 200) -> Handler:
    """An application that says its name and what it saw."""

    async def handle(request: Request) -> Response:
        body = await request.body.read()
        seen = "\n".join(f"{key}: {value}" for key, value in request.headers)
        headers = (("x-served-by", name), ("x-seen", seen.replace("\n", "; ")), ("x-proto", request.version))
        return Response(status, headers, Body.of(body or name.encode()))

    return handle


class Slow:
    """An application that takes its time, on a clock that nobody else moves."""

    def __init__(self, clock: Clock) -> None:
        assert isinstance(clock, ManualClock)
        self.calls = 0
        self._clock = clock

    async def __call__(self, request: Request) -> Response:
        self.calls += 1
        await self._clock.advance(timedelta(milliseconds=400))
        return await answering("slow")(request)

"""All ports of the echo server, opened and closed together."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from services.conformance.core.stage import SPARE_PORTS, Port
from services.conformance.exerciser.serving.certificate import server_context
from services.conformance.exerciser.serving.echoing import Echoing
from services.conformance.exerciser.serving.http1 import Http1Echo
from services.conformance.exerciser.serving.http2 import Http2Echo
from services.conformance.exerciser.serving.listener import Converse, Listener
from services.conformance.exerciser.serving.raw import RawEcho
from services.conformance.exerciser.serving.rpc import RpcEcho, RpcServer
from services.conformance.exerciser.serving.spans import LARGEST_EXPORT, Collector
from services.conformance.exerciser.settings import ExerciserGroup
from steward.clock import Clock


class Server:
    """Listens until it is closed. `ports` are the numbers as they are."""

    def __init__(self, settings: ExerciserGroup, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._closing: list[Callable[[timedelta], Awaitable[None]]] = []
        self.ports: dict[Port, int] = {}

    async def open(self) -> None:
        """Open every port; the first HTTP port last, so that who reaches it reaches all."""
        echoing, who = Echoing(self._settings, self._clock), self._settings
        await self._open_rpc(Port.GRPC, RpcServer(RpcEcho(echoing)))
        await self._open_rpc(Port.OTLP, RpcServer(Collector(echoing.spans), largest=LARGEST_EXPORT))
        http = partial(Http1Echo, echoing)
        for number in SPARE_PORTS if who.spare_ports else ():
            await self._listen(http, who.listen, number)
        await self._listen_raw(echoing)
        await self._open(Port.H2C, partial(Http2Echo, echoing))
        for port in (Port.WEBSOCKET, Port.SKIPPED, Port.LOOPBACK, Port.HTTP):
            await self._open(port, http)

    async def close(self, grace: timedelta) -> None:
        """Accept nobody more; answers under way have `grace` to end."""
        await asyncio.gather(*(close(grace) for close in self._closing))

    async def _open_rpc(self, port: Port, server: RpcServer) -> None:
        self._closing.append(server.close)
        self.ports[port] = await server.listen(self._settings.listen, self._settings.port(port))

    async def _listen_raw(self, echoing: Echoing) -> None:
        speaking_first = partial(RawEcho, echoing, speaks_first=True)
        await self._open(Port.TCP, partial(RawEcho, echoing))
        await self._open(Port.SERVER_FIRST, speaking_first)
        await self._open(Port.OPAQUE, speaking_first)
        await self._open(Port.TLS, partial(RawEcho, echoing), server_context(self._settings.pod, self._clock))

    async def _open(self, port: Port, converse: Converse, tls: ssl.SSLContext | None = None) -> None:
        who = self._settings
        host = who.loopback if port is Port.LOOPBACK else who.listen
        self.ports[port] = await self._listen(converse, host, who.port(port), tls)

    async def _listen(self, converse: Converse, host: str, number: int, tls: ssl.SSLContext | None = None) -> int:
        listener = Listener(converse, self._clock)
        self._closing.append(listener.close)
        return await listener.listen(host, number, tls=tls)


@asynccontextmanager
async def serving(settings: ExerciserGroup, clock: Clock) -> AsyncIterator[Server]:
    """An echo server; at the end it is closed within the grace of its settings."""
    server = Server(settings, clock)
    try:
        await server.open()
        yield server
    finally:
        await server.close(settings.grace)

"""All ports of the echo server, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from services.conformance.core.stage import SPARE_PORTS, Port
from services.conformance.exerciser.serving.echoing import Echoing
from services.conformance.exerciser.serving.http1 import Http1Echo
from services.conformance.exerciser.serving.listener import Converse, Listener
from services.conformance.exerciser.settings import ExerciserGroup
from steward.clock import Clock


class Server:
    """Listens until it is closed. `ports` are the numbers as they are."""

    def __init__(self, settings: ExerciserGroup, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._listeners: list[Listener] = []
        self.ports: dict[Port, int] = {}

    async def open(self) -> None:
        """Open every port; the first HTTP port last, so that who reaches it reaches all."""
        echoing = Echoing(self._settings, self._clock)
        if self._settings.spare_ports:
            for number in SPARE_PORTS:
                await self._listen(lambda r, w: Http1Echo(echoing, r, w), self._settings.listen, number)
        for port, (converse, host) in self._plain(echoing).items():
            self.ports[port] = await self._listen(converse, host, self._settings.port(port))

    async def close(self, grace: timedelta) -> None:
        """Accept nobody more; answers under way have `grace` to end."""
        await asyncio.gather(*(listener.close(grace) for listener in self._listeners))

    def _plain(self, echoing: Echoing) -> Mapping[Port, tuple[Converse, str]]:
        http: Converse = lambda r, w: Http1Echo(echoing, r, w)  # noqa: E731
        who = self._settings
        return {
            Port.WEBSOCKET: (http, who.listen),
            Port.SKIPPED: (http, who.listen),
            Port.LOOPBACK: (http, who.loopback),
            Port.HTTP: (http, who.listen),
        }

    async def _listen(self, converse: Converse, host: str, number: int) -> int:
        listener = Listener(converse, self._clock)
        self._listeners.append(listener)
        return await listener.listen(host, number)


@asynccontextmanager
async def serving(settings: ExerciserGroup, clock: Clock) -> AsyncIterator[Server]:
    """An echo server; at the end it is closed within the grace of its settings."""
    server = Server(settings, clock)
    try:
        await server.open()
        yield server
    finally:
        await server.close(settings.grace)

"""Connections from a proxy to the application of its own pod, kept for the next request."""

import asyncio
from collections.abc import Awaitable, Callable

from steward.testing.dataplane.config import Timings
from steward.testing.dataplane.proxy.connection_figures import ConnectionFigures
from steward.testing.dataplane.proxy.exchange import Request, Response, Version
from steward.testing.dataplane.proxy.failures import ConnectFailed
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.metrics import ProxyMetrics
from steward.testing.dataplane.proxy.stream import Stream

Reach = Callable[[int], Awaitable[Stream]]
"""A connection to a port inside of the pod; raises `failures.ConnectFailed`."""
_LABELS = {"direction": "inbound", "peer": "dst", "tls": "no_identity", "no_tls_reason": "loopback"}


class TooSlow(ConnectFailed):
    """The application took longer to accept than the proxy waits."""


class Application:
    """The application as the proxy knows it."""

    def __init__(self, reach: Reach, metrics: ProxyMetrics, timings: Timings) -> None:
        self._reach = reach
        self._metrics = metrics
        self._patience = timings.inbound_failfast.total_seconds()
        self._http: dict[tuple[int, Version], list[HttpConnection]] = {}

    async def connect(self, port: int) -> Stream:
        """A connection of its own, counted until it is closed."""
        try:
            async with asyncio.timeout(self._patience):
                stream = await self._reach(port)
        except TimeoutError as error:
            raise TooSlow(f"the application did not accept on port {port} within {self._patience} s") from error
        figures = ConnectionFigures(self._metrics, _LABELS)
        stream.meter = figures
        stream.on_close = figures.closed
        return stream

    async def send(self, port: int, request: Request) -> Response:
        """Over a connection that rests, or a new one."""
        key = port, request.version
        self._http[key] = [each for each in self._http.get(key, []) if not each.closed]
        connection = next((each for each in self._http[key] if each.ready), None)
        if connection is None:
            connection = connect_http(await self.connect(port), request.version)
            # Others may have tidied up meanwhile: what is kept now is another list than before.
            self._http.setdefault(key, []).append(connection)
        return await connection.send(request)

    def close(self) -> None:
        """Give up every connection that is kept."""
        for kept in self._http.values():
            for connection in kept:
                connection.close()
        self._http.clear()

"""Servers on loopback that are gone when the test is, and certificates for proxies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from steward.clock import SystemClock
from steward.testing.dataplane.proxy.stream import SocketStream, Stream
from steward.testing.dataplane.proxy.tls import Identity
from steward.testing.linkerd.certificates import Authority, Validity

NOW = SystemClock().now()
YEAR = timedelta(days=365)


@asynccontextmanager
async def listening(
    accept: Callable[[Stream], Awaitable[None]], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Give the port of a server that hands every connection to `accept`."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await accept(SocketStream(reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(accepted, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Trust:
    """One trust anchor and who it made."""

    def __init__(self, name: str = "root.linkerd.cluster.local") -> None:
        self.anchor = Authority.self_signed(name, Validity.around(NOW, YEAR))

    def identity(self, name: str, *, expired: bool = False) -> Identity:
        start = NOW - timedelta(days=2)
        validity = Validity(start, NOW - timedelta(days=1)) if expired else Validity.around(NOW, YEAR)
        leaf = self.anchor.issue_leaf(name, validity)
        anchors = self.anchor.pair.certificate
        return Identity(name, leaf.certificate, leaf.key, anchors, validity.end)

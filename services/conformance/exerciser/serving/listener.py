"""A listening socket and the conversations on it, each a task that ends with it."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from steward.clock import Clock, within
from steward.errors import ConfigurationError


class Conversation(Protocol):
    """One connection, from its first byte to its last."""

    async def run(self) -> None:
        """Answer until there is nothing more to answer."""
        ...

    def wind_down(self) -> None:
        """End when what is under way is answered; at once where nothing is."""
        ...


Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Conversation]


class Listener:
    """Accepts connections on one port until it is closed."""

    def __init__(self, converse: Converse, clock: Clock) -> None:
        self._converse = converse
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], Conversation] = {}

    async def listen(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the number of the port."""
        try:
            self._server = await asyncio.start_server(self._accept, host or None, port, ssl=tls, backlog=512)
        except OSError as error:
            raise ConfigurationError(
                f"nobody can listen on {host or '*'}:{port} ({error.strerror}): choose another address, or another "
                "number for this port"
            ) from None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, grace: timedelta) -> None:
        """Accept nobody more, let conversations come to an end within `grace`, then cut them off."""
        if self._server is not None:
            self._server.close()
        for conversation in tuple(self._open.values()):
            conversation.wind_down()
        if self._open and grace > timedelta():
            with suppress(TimeoutError):
                async with within(self._clock, grace):
                    await asyncio.wait(tuple(self._open))
        for task in tuple(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self._converse(reader, writer)
        task = asyncio.create_task(_held(conversation, writer))
        self._open[task] = conversation
        task.add_done_callback(lambda done: self._open.pop(done, None))


async def _held(conversation: Conversation, writer: asyncio.StreamWriter) -> None:
    try:
        # The other side may leave whenever it likes, and in the middle of whatever it likes.
        with suppress(OSError, asyncio.IncompleteReadError):
            await conversation.run()
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection politely; one that does not go within a moment is cut off."""
    writer.close()
    try:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
    finally:
        writer.transport.abort()


def remote_of(writer: asyncio.StreamWriter) -> str:
    """The address of the other side."""
    peer = writer.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""

"""A duplex stream of bytes that can be looked into before it is read: a socket, or TLS on top of one."""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from steward.testing.dataplane.proxy.failures import ConnectFailed, ConnectionClosed, ExchangeFailed

Address = tuple[str, int]
CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Meter(Protocol):
    """Told of every byte that crosses a stream."""

    def was_read(self, amount: int) -> None: ...

    def was_written(self, amount: int) -> None: ...


class Stream(ABC):
    """What both kinds have in common: looking ahead, and putting back.

    One task may read while another one writes. A cancelled read or peek loses nothing.
    """

    def __init__(self, peer: Address, local: Address) -> None:
        self.peer = peer
        self.local = local
        self.meter: Meter | None = None
        self.on_close: Callable[[], None] | None = None
        self._ahead = b""

    async def read(self, limit: int = CHUNK) -> bytes:
        """Some bytes; nothing after the peer has finished."""
        if not self._ahead:
            return await self._receive(limit)
        taken, self._ahead = self._ahead[:limit], self._ahead[limit:]
        return taken

    async def peek(self, at_least: int = 1) -> bytes:
        """What comes next, left where it is: at least so many bytes unless the peer finishes before."""
        while len(self._ahead) < at_least:
            chunk = await self._receive(CHUNK)
            if not chunk:
                break
            self._ahead += chunk
        return self._ahead

    def unread(self, content: bytes) -> None:
        """Put bytes back: the next read returns them."""
        self._ahead = content + self._ahead

    async def read_exactly(self, size: int) -> bytes:
        """Exactly so many bytes, or `ConnectionClosed`."""
        if len(await self.peek(size)) < size:
            raise ConnectionClosed(f"the peer {self.peer} closed before it sent {size} bytes")
        return await self.read(size)

    async def send(self, content: bytes) -> None:
        """Write, and wait while the peer is slow."""
        self.write(content)
        await self.drain()

    async def _receive(self, limit: int) -> bytes:
        chunk = await self._read(limit)
        if self.meter is not None:
            self.meter.was_read(len(chunk))
        return chunk

    def write(self, content: bytes) -> None:
        """Hand bytes over without waiting; `drain` keeps the buffer small."""
        if self.meter is not None:
            self.meter.was_written(len(content))
        self._write(content)

    def _closing(self) -> None:
        """Tell who wants to know, once."""
        told, self.on_close = self.on_close, None
        if told is not None:
            told()

    @abstractmethod
    async def _read(self, limit: int) -> bytes: ...

    @abstractmethod
    def _write(self, content: bytes) -> None: ...

    @abstractmethod
    async def drain(self) -> None:
        """Wait until there is room for more."""

    @abstractmethod
    async def finish(self) -> None:
        """Half-close: nothing more will be written, reading goes on."""

    @abstractmethod
    def close(self) -> None:
        """Close in order, both ways, in the background."""

    @abstractmethod
    def abort(self) -> None:
        """Reset the connection."""


class SocketStream(Stream):
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(_address(writer, "peername"), _address(writer, "sockname"))
        self._reader = reader
        self._writer = writer

    async def _read(self, limit: int) -> bytes:
        try:
            return await self._reader.read(limit)
        except OSError as error:
            raise ConnectionClosed(f"the connection with {self.peer} broke: {error}") from error

    def _write(self, content: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(content)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionClosed(f"the connection with {self.peer} broke: {error}") from error

    async def finish(self) -> None:
        if self._writer.is_closing() or not self._writer.can_write_eof():
            return
        with suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        self._closing()
        self._writer.close()

    def abort(self) -> None:
        self._closing()
        sock = self._writer.get_extra_info("socket")
        if sock is not None and not self._writer.is_closing():
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()


async def open_stream(ip: str, port: int, *, source: str | None = None) -> SocketStream:
    """Connect, from a certain address of this machine if one is given."""
    local = (source, 0) if source else None
    try:
        reader, writer = await asyncio.open_connection(ip, port, local_addr=local)
    except OSError as error:
        raise ConnectFailed(f"no connection to {ip}:{port}: {error}") from error
    return SocketStream(reader, writer)


async def copy_both_ways(one: Stream, other: Stream) -> None:
    """Carry bytes until both directions ended; a broken one breaks the other.

    Raises a kind of `ExchangeFailed` when a side broke, after both have been reset.
    """
    ways = (asyncio.ensure_future(_copy(one, other)), asyncio.ensure_future(_copy(other, one)))
    try:
        await asyncio.gather(*ways)
    except ExchangeFailed:
        one.abort()
        other.abort()
        raise
    finally:
        for way in ways:
            way.cancel()
        one.close()
        other.close()


async def _copy(source: Stream, sink: Stream) -> None:
    while chunk := await source.read():
        await sink.send(chunk)
    await sink.finish()


def _address(writer: asyncio.StreamWriter, which: str) -> Address:
    address = writer.get_extra_info(which) or ("", 0)
    return str(address[0]), int(address[1])

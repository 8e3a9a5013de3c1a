"""Faults of carried bytes, as a stream around the good one."""

from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.stream import Stream

_LARGE = 32 * 1024


class Spoiled(Stream):
    """Changes late bytes on their way back, or knows only one way to end a connection."""

    def __init__(self, below: Stream, *, corrupts: bool, closes_whole: bool) -> None:
        super().__init__(below.peer, below.local)
        self._below = below
        self._corrupts = corrupts
        self._closes_whole = closes_whole
        self._seen = 0

    @classmethod
    def where_broken(cls, context: OutboundContext, stream: Stream) -> Stream:
        """The stream itself where nothing is broken."""
        corrupts, closes = context.broken(broken.TCP_CORRUPTED), context.broken(broken.HALF_CLOSE_LOST)
        return cls(stream, corrupts=corrupts, closes_whole=closes) if corrupts or closes else stream

    async def _read(self, limit: int) -> bytes:
        chunk = await self._below.read(limit)
        self._seen += len(chunk)
        if self._corrupts and chunk and self._seen > _LARGE:
            return chunk[:-1] + bytes([chunk[-1] ^ 0xFF])
        return chunk

    def _write(self, content: bytes) -> None:
        self._below.write(content)

    async def drain(self) -> None:
        await self._below.drain()

    async def finish(self) -> None:
        if self._closes_whole:
            self._below.close()
            return
        await self._below.finish()

    def close(self) -> None:
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

"""A request body that can be sent again, as long as it is small."""

import asyncio
from collections.abc import AsyncIterator

from steward.testing.dataplane.proxy.exchange import Body

_KEPT_AT_MOST = 64 * 1024


class Replay:
    """Keeps what was read of a body. `body()` gives it from the start, each time.

    An earlier attempt may still wait for a chunk when the next one begins: whoever gets it, both have it.
    """

    def __init__(self, source: Body) -> None:
        self._source = source
        self._kept: list[bytes] = []
        self._size = 0
        self._ended = source.empty
        self._lost = False
        self._reading = asyncio.Lock()

    @property
    def possible(self) -> bool:
        """Whether everything that was read is still here."""
        return not self._lost

    def once(self) -> Body:
        """For a request that is not tried again: nothing is kept."""
        return self._source

    def body(self) -> Body:
        """From the start; reads on where nobody has read yet."""
        if self._source.empty:
            return Body()
        return Body(self._chunks(), lambda: self._source.trailers)

    async def _chunks(self) -> AsyncIterator[bytes]:
        at = 0
        while True:
            for chunk in self._kept[at:]:
                at += 1
                yield chunk
            async with self._reading:
                fresh = await self._more() if at >= len(self._kept) else b""
            if fresh is None:
                return
            if self._lost and fresh:
                yield fresh

    async def _more(self) -> bytes | None:
        """Another chunk, kept if there is room; None at the end."""
        if self._ended:
            return None
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            self._ended = True
            return None
        self._size += len(chunk)
        if self._size <= _KEPT_AT_MOST:
            self._kept.append(chunk)
        elif not self._lost:
            self._lost = True
            self._kept.clear()
        return chunk

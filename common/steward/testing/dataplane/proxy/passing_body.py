"""A body that is watched while it passes: its chunks, and how it ended."""

from collections.abc import AsyncIterator, Callable

from steward.testing.dataplane.proxy.exchange import Body


class _Passing(AsyncIterator[bytes]):
    def __init__(self, body: Body, chunk: Callable[[bytes], None], over: Callable[[bool], None]) -> None:
        self._body = body
        self._chunks = aiter(body)
        self._chunk = chunk
        self._over: Callable[[bool], None] | None = over

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._end(whole=True)
            raise
        except ConnectionError:
            self._end(whole=False)
            raise
        self._chunk(chunk)
        return chunk

    async def aclose(self) -> None:
        """Also when nothing was taken: whoever sends must learn that nobody listens."""
        await self._body.close()
        self._end(whole=True)

    def _end(self, *, whole: bool) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(whole)


def passing(body: Body, chunk: Callable[[bytes], None], over: Callable[[bool], None]) -> Body:
    """The same body. `over` is called once, with False if the sender broke off."""
    return Body(_Passing(body, chunk, over), lambda: body.trailers)

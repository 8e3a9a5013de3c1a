"""Something on the way that takes the queries out of requests, as a stream around the one to the server."""

import re

from steward.testing.dataplane.proxy.stream import Stream

_REQUEST = re.compile(rb"^([A-Z]+ [^ ?]*)\?[^ ]* (?=HTTP/1\.[01]\r\n)")


class WithoutQueries(Stream):
    """Looks at what begins a write, for that is where clients begin a request."""

    def __init__(self, below: Stream) -> None:
        super().__init__(below.peer, below.local)
        self._below = below

    async def _read(self, limit: int) -> bytes:
        return await self._below.read(limit)

    def _write(self, content: bytes) -> None:
        self._below.write(_REQUEST.sub(rb"\1 ", content))

    async def drain(self) -> None:
        await self._below.drain()

    async def finish(self) -> None:
        await self._below.finish()

    def close(self) -> None:
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

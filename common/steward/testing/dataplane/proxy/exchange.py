"""One HTTP exchange as values: the seam between the wire (`http_server`, `http_client`) and what a proxy does.

Failures are those of `failures`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from steward.testing.dataplane.proxy.stream import Stream

Headers = tuple[tuple[str, str], ...]
"""In the order of the wire, names in lower case."""


class Version(StrEnum):
    """What is spoken on a connection."""

    HTTP1 = "HTTP/1.1"
    HTTP2 = "HTTP/2"


class Body:
    """Chunks of one message, once; then its trailers. Bytes move only as fast as they are taken."""

    def __init__(
        self, chunks: AsyncIterator[bytes] | None = None, trailers: Callable[[], Headers] | None = None
    ) -> None:
        self._chunks = chunks
        self._trailers = trailers

    @staticmethod
    def of(content: bytes, trailers: Headers = ()) -> "Body":
        """A body that is known already; empty and without trailers it is no body at all."""
        if not content and not trailers:
            return Body()
        return Body(_once(content), lambda: trailers)

    @property
    def empty(self) -> bool:
        """Whether it is known beforehand that neither bytes nor trailers follow."""
        return self._chunks is None

    @property
    def trailers(self) -> Headers:
        """Complete once all chunks were taken."""
        return self._trailers() if self._trailers is not None else ()

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            raise StopAsyncIteration
        return await anext(self._chunks)

    async def read(self) -> bytes:
        """All of it; for small messages."""
        return b"".join([chunk async for chunk in self])

    async def close(self) -> None:
        """Not wanted any further: the sender is told (HTTP/2) or the connection ends (HTTP/1.1)."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


@dataclass(frozen=True, slots=True)
class Request:
    """`path` holds the query too. `authority` is the `Host` of HTTP/1.1 and is not among the headers."""

    method: str
    path: str
    authority: str = ""
    headers: Headers = ()
    body: Body = field(default_factory=Body)
    version: Version = Version.HTTP1
    scheme: str = "http"

    @property
    def wants_upgrade(self) -> bool:
        """Whether it asks to leave HTTP, as a WebSocket does."""
        return self.version is Version.HTTP1 and bool(header(self.headers, "upgrade"))


@dataclass(frozen=True, slots=True)
class Response:
    """`upgrade`: after status 101 the raw connection to whom the request went; both ends then speak what they like."""

    status: int
    headers: Headers = ()
    body: Body = field(default_factory=Body)
    upgrade: Stream | None = None


Handler = Callable[[Request], Awaitable[Response]]


def header(headers: Headers, name: str) -> str:
    """The first value of that name (lower case), or nothing."""
    return next((value for key, value in headers if key == name), "")


def without(headers: Headers, names: Iterable[str]) -> Headers:
    """Without every header of these names."""
    unwanted = frozenset(names)
    return tuple(pair for pair in headers if pair[0] not in unwanted)


def with_header(headers: Headers, name: str, value: str) -> Headers:
    """With exactly this value under the name."""
    return (*without(headers, (name,)), (name, value))

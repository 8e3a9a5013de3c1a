"""How viz sends its messages over HTTP: each one after its length, in four bytes, the lowest first."""

from collections.abc import AsyncGenerator, AsyncIterator

ERROR_HEADER = "linkerd-error"
"""An answer with this header is an `ApiError` and nothing else, whatever its status is."""
_LENGTH = 4
_LARGEST = 1 << 20


class Malformed(Exception):
    """Whoever answers does not speak so."""


def payload(message: bytes) -> bytes:
    """One message as it is sent."""
    return len(message).to_bytes(_LENGTH, "little") + message


async def messages(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Whole messages, as they come; one that breaks off is left out."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _LENGTH:
            length = int.from_bytes(waiting[:_LENGTH], "little")
            if length > _LARGEST:
                raise Malformed(f"a message of {length} bytes is announced")
            if len(waiting) < _LENGTH + length:
                break
            yield bytes(waiting[_LENGTH : _LENGTH + length])
            del waiting[: _LENGTH + length]

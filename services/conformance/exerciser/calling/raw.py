"""TCP and TLS without a protocol above them: bytes go out, and must come back as they were."""

import asyncio
import hashlib
import random
import ssl
from datetime import timedelta

from services.conformance.core.orders import Conversation, Protocol, Reply
from services.conformance.exerciser.calling.sight import Means, Sight, echo_in, seen
from services.conformance.exerciser.calling.trouble import BrokenOff
from services.conformance.exerciser.serving.certificate import common_name
from services.conformance.exerciser.serving.listener import closed

_USUAL = 64
_BLOCK = 65_536
_LONGEST_LINE = 65_536
_NO_PROTOCOL = b"\x81\xfe"
"""How every message begins: no text, no HTTP, no TLS."""


class _Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        self.introduced = ""

    @property
    def usable(self) -> bool:
        """Whether the other side has not closed it yet."""
        return not self.reader.at_eof() and not self.writer.is_closing()


class RawCaller:
    """Conversations one after another, on one connection where that is wanted."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._line: _Line | None = None

    async def call(self) -> Reply:
        """One conversation: `messages` go out, and each is waited for."""
        reply = await seen(self._means, self._call)
        if self._line is not None and (reply.trouble is not None or not self._means.call.keep):
            await self.close()
        return reply

    async def close(self) -> None:
        """Close the connection."""
        line, self._line = self._line, None
        if line is not None:
            await closed(line.writer)

    async def _call(self, sight: Sight) -> None:
        call = self._means.call
        line = await self._connected()
        sight.connection, sight.certificate = line.number, _shown(line.writer)
        if call.conversation is Conversation.SERVER_FIRST:
            await self._hear_introduction(line, sight)
        if call.conversation is Conversation.SILENT_THEN_CLIENT:
            await self._means.clock.sleep(timedelta(seconds=call.silence_seconds))
        for number in range(call.messages):
            await self._exchange(line, sight, number)
        sight.echo = echo_in(line.introduced)

    async def _connected(self) -> _Line:
        if self._line is not None and not self._line.usable:
            await self.close()
        if self._line is None:
            call = self._means.call
            connected = await self._means.dialler.dial(call.target)
            context = _trusting_anybody() if call.protocol is Protocol.TLS else None
            name = (call.server_name or call.target.host) if context is not None else None
            try:
                reader, writer = await asyncio.open_connection(
                    sock=connected, ssl=context, server_hostname=name, limit=_LONGEST_LINE
                )
            except BaseException:
                connected.close()
                raise
            self._line = _Line(reader, writer, next(self._means.numbers))
        return self._line

    async def _hear_introduction(self, line: _Line, sight: Sight) -> None:
        if line.introduced:
            return
        try:
            said = await line.reader.readline()
        except ValueError:
            raise BrokenOff("the other side sends no line that says who it is") from None
        if not said:
            raise BrokenOff("the connection was closed without an answer")
        sight.answered()
        line.introduced = said.decode(errors="replace")

    async def _exchange(self, line: _Line, sight: Sight, number: int) -> None:
        size = max(self._means.call.body_bytes or _USUAL, len(_NO_PROTOCOL))
        sent = hashlib.sha256()
        sending = asyncio.create_task(_send(line.writer, size, number, sent))
        try:
            await self._hear_introduction(line, sight)
            came = await self._receive(line, sight, size)
            await sending
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        sight.received_messages += 1
        sight.compared(equal=came == sent.hexdigest())

    async def _receive(self, line: _Line, sight: Sight, size: int) -> str:
        hashed, left = hashlib.sha256(), size
        while left:
            data = await line.reader.read(min(left, _BLOCK))
            if not data:
                raise BrokenOff(f"the connection was closed {left} bytes before the end")
            sight.answered()
            hashed.update(data)
            left -= len(data)
            sight.received_bytes += len(data)
        return hashed.hexdigest()


async def _send(writer: asyncio.StreamWriter, size: int, number: int, hashed: "hashlib._Hash") -> None:
    """Send `size` bytes that look like nothing, the same ones for the same number."""
    source, left = random.Random(number), size
    while left:
        piece = source.randbytes(min(left, _BLOCK))
        if left == size:
            piece = (_NO_PROTOCOL + piece)[: len(piece)]
        hashed.update(piece)
        writer.write(piece)
        await writer.drain()
        left -= len(piece)


def _trusting_anybody() -> ssl.SSLContext:
    """Whose certificate is shown is a finding, not a condition."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(writer: asyncio.StreamWriter) -> str:
    secured = writer.get_extra_info("ssl_object")
    shown = secured.getpeercert(binary_form=True) if isinstance(secured, ssl.SSLObject) else None
    return common_name(shown) if shown else ""

"""gRPC as a client, on HTTP/2 itself.

The library's own client can neither be told which address to call from, nor does it tell whether a status came from the
other side or was made up on this one; both are what reports are about. Servers are the library's.
"""

import asyncio
import hashlib
import random
from urllib.parse import quote, unquote

from h2.events import DataReceived, ResponseReceived, TrailersReceived

from services.conformance.core.orders import GRPC_SERVICE, Conversation, Reply
from services.conformance.core.wishes import Wishes
from services.conformance.exerciser.calling.http2 import given, note
from services.conformance.exerciser.calling.sight import Body, Means, Sight, echo_in, seen
from services.conformance.exerciser.calling.streams import RawHeaders, Stream, Streams
from services.conformance.exerciser.calling.trouble import NotUnderstood
from services.conformance.exerciser.serving.echoing import DIGEST_HEADER, ECHO_HEADER, digest, filling
from services.conformance.exerciser.serving.rpc import CONVERSATION_KEY, QUERY_KEY

_HEAD = 5
_USUAL = 64
_LARGEST_MESSAGE = 256 * 1024 * 1024


class Talk:
    """One gRPC call: messages out, messages in."""

    def __init__(self, stream: Stream, sight: Sight) -> None:
        self.stream = stream
        self._sight = sight
        self._body = Body(sight)
        self._buffer = bytearray()
        self._ended = False

    def resume(self, sight: Sight) -> None:
        """From here on this is what is seen."""
        self._sight, self._body = sight, Body(sight)

    async def say(self, message: bytes) -> None:
        """Send a message."""
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        await self.stream.line.body(self.stream.number, framed)

    async def end(self) -> None:
        """Say no more."""
        await self.stream.line.end(self.stream.number)

    async def hear(self) -> bytes | None:
        """The next message; None when there is none any more and the status is known."""
        while True:
            if (message := self._whole()) is not None:
                self._sight.received_messages += 1
                return message
            event = None if self._ended else await self.stream.event()
            if event is None:
                self._ended = True
                return None
            note(event, self._sight, self._body)
            if isinstance(event, DataReceived):
                self._buffer += event.data or b""
            elif isinstance(event, ResponseReceived | TrailersReceived):
                self._judge(trailers=isinstance(event, TrailersReceived))

    def _whole(self) -> bytes | None:
        if len(self._buffer) < _HEAD:
            return None
        size = int.from_bytes(self._buffer[1:_HEAD], "big")
        if self._buffer[0] or size > _LARGEST_MESSAGE:
            raise NotUnderstood(f"what came is no message of gRPC: it begins with {bytes(self._buffer[:_HEAD])!r}")
        if len(self._buffer) < _HEAD + size:
            return None
        message = bytes(self._buffer[_HEAD : _HEAD + size])
        del self._buffer[: _HEAD + size]
        return message

    def _judge(self, *, trailers: bool) -> None:
        sight = self._sight
        named = dict(sight.trailers if trailers else sight.headers)
        if ECHO_HEADER in named:
            sight.echo = echo_in(named[ECHO_HEADER]) or sight.echo
        if "grpc-status" not in named:
            return
        if not trailers:
            # An answer of trailers only.
            sight.trailers = sight.headers
        code = named["grpc-status"]
        sight.grpc_status = int(code) if code.isascii() and code.isdigit() else 2
        sight.grpc_message = unquote(named.get("grpc-message", ""))


class RpcCaller:
    """Calls, also many at once; on one connection where that is wanted."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._streams = Streams(means)

    async def call(self) -> Reply:
        """Make one call."""
        reply = await seen(self._means, self._call)
        if not self._means.call.keep:
            await self.close()
        return reply

    async def close(self) -> None:
        """Close every connection."""
        await self._streams.close()

    async def begin(self, sight: Sight, *, limited: bool = True) -> Talk:
        """Open a call; `limited`: the server is to end it when its time is over."""
        stream = await self._streams.open(_headers(self._means, limited=limited), end=False)
        sight.connection = stream.connection
        return Talk(stream, sight)

    async def _call(self, sight: Sight) -> None:
        talk = await self.begin(sight)
        try:
            if self._means.call.conversation is Conversation.BIDIRECTIONAL:
                await self._to_and_fro(talk, sight)
            else:
                await self._ask(talk, sight)
        finally:
            await talk.stream.leave()
        if sight.grpc_status is None and sight.status == 200:
            raise NotUnderstood("the answer has no grpc-status")

    async def _ask(self, talk: Talk, sight: Sight) -> None:
        """Send one message, whatever comes back."""
        size, hashed = self._means.call.body_bytes, hashlib.sha256()
        asking = asyncio.create_task(_ask(talk, size))
        try:
            while (message := await talk.hear()) is not None:
                hashed.update(message)
                sight.echo = echo_in(message.decode(errors="replace")) or sight.echo
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                asking.exception()
        if size and sight.echo is not None and sight.grpc_status == 0:
            sight.compared(equal=sight.echo.body_digest == digest(filling(size)))
        if DIGEST_HEADER in (named := dict(sight.headers)):
            sight.compared(equal=named[DIGEST_HEADER] == hashed.hexdigest())

    async def _to_and_fro(self, talk: Talk, sight: Sight) -> None:
        """Each message comes back before the next one goes out."""
        for number in range(self._means.call.messages):
            if not await exchange(talk, sight, self._means.call.body_bytes, number):
                return
        await talk.end()
        await talk.hear()


class HeldRpcCaller:
    """One bidirectional call for as long as it lives, a message at a time; then the next one."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._caller = RpcCaller(means)
        self._talk: Talk | None = None
        self._number = 0

    async def call(self) -> Reply:
        """Send a message and have it back; the number of the connection is that of the call."""
        reply = await seen(self._means, self._call)
        if reply.trouble is not None or reply.grpc_status is not None:
            await self._leave()
        return reply

    async def close(self) -> None:
        """End the call and its connection."""
        await self._leave()
        await self._caller.close()

    async def _leave(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            await talk.stream.leave()

    async def _call(self, sight: Sight) -> None:
        if self._talk is None:
            self._number = next(self._means.numbers)
            # The time is that of each message; the call itself goes on for days.
            self._talk = await self._caller.begin(sight, limited=False)
        else:
            self._talk.resume(sight)
        sight.connection = self._number
        await exchange(self._talk, sight, self._means.call.body_bytes, self._number)


async def exchange(talk: Talk, sight: Sight, size: int, number: int) -> bool:
    """Send a message and compare what comes back; False where the call is over."""
    sent = random.Random(number).randbytes(size or _USUAL)
    await talk.say(sent)
    came = await talk.hear()
    if came is None:
        return False
    sight.answered()
    sight.compared(equal=came == sent)
    return True


async def _ask(talk: Talk, size: int) -> None:
    await talk.say(b"".join(filling(size)))
    await talk.end()


def _headers(means: Means, *, limited: bool) -> RawHeaders:
    """A path that is nothing but wishes is that of our own service."""
    call = means.one()
    path, _, query = call.path.partition("?")
    if call.conversation is Conversation.SERVER_STREAM and "stream=" not in query:
        query = Wishes(stream=call.messages).on(f"?{query}" if query else "").removeprefix("?")
    method = path if path.strip("/") else f"/{GRPC_SERVICE}/{call.conversation.value}"
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", means.authority.encode()),
        (b":path", method.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *([(b"grpc-timeout", b"%dm" % max(1, round(call.timeout_seconds * 1000)))] if limited else []),
        (b"user-agent", b"linkerd-steward-exerciser"),
        (CONVERSATION_KEY.encode(), call.conversation.value.encode()),
        *([(QUERY_KEY.encode(), quote(query, safe="=&-.%+~").encode())] if query else []),
        *given(call),
    ]

"""HTTP/2 in clear with prior knowledge: many requests at once on one connection."""

import asyncio
import hashlib

from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamReset
from h2.exceptions import ProtocolError

from services.conformance.exerciser.http2_line import Http2Line, plain, pseudo
from services.conformance.exerciser.serving.echoing import (
    Cut,
    Echoing,
    HttpAnswer,
    Request,
    delayed,
    http_answer,
)
from services.conformance.exerciser.serving.listener import remote_of


class Http2Echo:
    """One connection."""

    def __init__(self, echoing: Echoing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._echoing = echoing
        self._writer = writer
        self._line = Http2Line(reader, writer, client=False, requested=self._requested)
        self._answering: set[asyncio.Task[None]] = set()

    def wind_down(self) -> None:
        """Answer what was asked, and take no more."""
        self._line.go_away()
        if not self._line.busy:
            self._writer.close()

    async def run(self) -> None:
        """Answer until the other side leaves."""
        try:
            await self._line.greet()
            await self._line.run()
        finally:
            for task in tuple(self._answering):
                task.cancel()
            if self._answering:
                await asyncio.wait(self._answering)

    def _requested(self, event: RequestReceived) -> None:
        task = asyncio.create_task(self._exchange(event))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _exchange(self, event: RequestReceived) -> None:
        stream, reset = event.stream_id, None
        try:
            reset = await self._answer(event)
        except (OSError, ProtocolError):
            # The other side has left, or wants no answer any more.
            reset = ErrorCodes.CANCEL
        finally:
            await self._line.forget(stream, reset=reset)
            if self._line.going_away and not self._line.busy:
                self._writer.close()

    async def _answer(self, event: RequestReceived) -> ErrorCodes | None:
        """Answer; the code with which the stream is to be reset, if it is."""
        stream, hashed, length = event.stream_id, hashlib.sha256(), 0
        async for each in self._line.events(stream):
            if isinstance(each, DataReceived):
                hashed.update(each.data or b"")
                length += len(each.data or b"")
            elif isinstance(each, StreamReset):
                return None
        named = pseudo(event.headers)
        request = Request(
            protocol="HTTP/2",
            method=named.get(":method", ""),
            path=named.get(":path", ""),
            headers=(("host", named[":authority"]), *plain(event.headers))
            if ":authority" in named
            else plain(event.headers),
            remote=remote_of(self._writer),
            body_digest=hashed.hexdigest() if length else "",
        )
        answer = self._echoing.answer(request)
        await delayed(answer, self._echoing.clock)
        if answer.wishes.close:
            return ErrorCodes.INTERNAL_ERROR
        try:
            await self._send(stream, http_answer(answer))
        except Cut:
            return ErrorCodes.INTERNAL_ERROR
        return None

    async def _send(self, stream: int, answer: HttpAnswer) -> None:
        headers = [(b":status", b"%d" % answer.status)]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers]
        if answer.length is not None and answer.status != 204:
            headers.append((b"content-length", b"%d" % answer.length))
        await self._line.head(stream, headers, end=not answer.has_body)
        if answer.has_body:
            async for piece in answer.body(self._echoing.clock):
                await self._line.body(stream, piece)
            await self._line.end(stream)

"""HTTP/1.1, with keep-alive and expectations; a WebSocket begins here, server-sent events are an answer like others."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import h11

from services.conformance.core.orders import Headers
from services.conformance.exerciser.serving.echoing import (
    Cut,
    Echoing,
    HttpAnswer,
    Request,
    delayed,
    http_answer,
)
from services.conformance.exerciser.serving.listener import remote_of
from services.conformance.exerciser.serving.websocket import WebSocketEcho

LARGEST_HEAD = 262_144
_CHUNK = 65_536
_LINGER = 0.5
_VERSIONS = (b"1.0", b"1.1")


class Http1Echo:
    """One connection."""

    def __init__(self, echoing: Echoing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._echoing = echoing
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._ending = False
        self._idle = True
        self._messages: WebSocketEcho | None = None

    def wind_down(self) -> None:
        """Say `connection: close` with the answer under way; close an idle connection."""
        self._ending = True
        if self._idle:
            self._writer.close()
        if self._messages is not None:
            self._messages.wind_down()

    async def run(self) -> None:
        """One request after another."""
        try:
            while (request := await self._request()) is not None:
                self._idle = False
                if request.http_version not in _VERSIONS:
                    await self._refuse(505, f"this port speaks HTTP/1.1, not HTTP/{request.http_version.decode()}")
                    return
                if _wants_websocket(request):
                    await self._websocket(request)
                    return
                if not await self._exchange(request):
                    return
                self._connection.start_next_cycle()
                self._idle = True
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, str(error))

    async def _exchange(self, request: h11.Request) -> bool:
        """Answer; whether the connection may be used again."""
        hashed, length = hashlib.sha256(), 0
        async for piece in self._body():
            hashed.update(piece)
            length += len(piece)
        answer = self._echoing.answer(self._told(request, hashed.hexdigest() if length else ""))
        await delayed(answer, self._echoing.clock)
        if answer.wishes.close:
            return False
        try:
            await self._send_answer(http_answer(answer))
        except Cut:
            await self._writer.drain()
            return False
        return self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE

    def _told(self, request: h11.Request, digest: str) -> Request:
        return Request(
            protocol=f"HTTP/{request.http_version.decode()}",
            method=request.method.decode(),
            path=request.target.decode(errors="replace"),
            headers=_texts(request),
            remote=remote_of(self._writer),
            body_digest=digest,
        )

    async def _request(self) -> h11.Request | None:
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def _body(self) -> AsyncIterator[bytes]:
        while True:
            if self._connection.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            event = await self._event()
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    async def _event(self) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_CHUNK)
            if not data and self._connection.their_state is h11.SEND_BODY:
                raise asyncio.IncompleteReadError(b"", None)
            self._connection.receive_data(data)
        return event

    async def _websocket(self, request: h11.Request) -> None:
        # The body of an upgrade request is empty; what came behind it are frames.
        await self._event()
        answer = self._echoing.answer(self._told(request, ""))
        await delayed(answer, self._echoing.clock)
        if answer.problem or answer.wishes.answered(answer.echo.attempt, fine=101, failing=503) in range(200, 1000):
            await self._send_answer(http_answer(answer))
        elif not answer.wishes.close:
            behind = self._connection.trailing_data[0]
            self._messages = WebSocketEcho(answer, self._reader, self._writer)
            await self._messages.run(request.headers.raw_items(), behind)

    async def _refuse(self, status: int, why: str) -> None:
        if self._connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        said = why.encode()
        headers = [(b"content-length", b"%d" % len(said)), (b"connection", b"close")]
        await self._send(h11.Response(status_code=status, headers=headers, reason=_reason(status)))
        await self._send(h11.Data(data=said))
        await self._send(h11.EndOfMessage())
        # Closed with something unread, the connection would be reset, and the answer lost with it.
        self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while await self._reader.read(_CHUNK):
                    pass

    async def _send(self, event: h11.Event) -> None:
        data = self._connection.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def _send_answer(self, answer: HttpAnswer) -> None:
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        if answer.length is not None and answer.status != 204:
            headers.append((b"content-length", b"%d" % answer.length))
        if self._ending:
            headers.append((b"connection", b"close"))
        await self._send(h11.Response(status_code=answer.status, headers=headers, reason=_reason(answer.status)))
        if answer.has_body:
            async for piece in answer.body(self._echoing.clock):
                await self._send(h11.Data(data=piece))
        await self._send(h11.EndOfMessage())


def _texts(request: h11.Request) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)


def _wants_websocket(request: h11.Request) -> bool:
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in request.headers)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""

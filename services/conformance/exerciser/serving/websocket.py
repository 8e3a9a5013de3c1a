"""A WebSocket that sends back every message; the handshake's answer tells who it is."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from services.conformance.exerciser.serving.echoing import ECHO_HEADER, POD_HEADER, Answer, brief, encoded

_CHUNK = 65_536
_LARGEST_MESSAGE = 16 * 1024 * 1024
_OWN_CODES = range(3000, 5000)
_PATIENCE_WITH_CLOSE = 1.0
_MESSAGES = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class WebSocketEcho:
    """One connection, from the request that asks for it on."""

    def __init__(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answer = answer
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=_LARGEST_MESSAGE)
        self._echoed = 0

    def wind_down(self) -> None:
        """Say that we are going away."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(1001, "going away")
            self._write()

    async def run(self, headers: Iterable[tuple[bytes, bytes]], behind: bytes) -> None:
        """Shake hands, then send back message after message until either side closes."""
        given = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        request = Request(self._answer.echo.path, given)
        self._protocol.receive_data(request.serialize())
        response = self._protocol.accept(request)
        response.headers[POD_HEADER] = self._answer.echo.pod
        response.headers[ECHO_HEADER] = encoded(brief(self._answer.echo)).decode()
        self._protocol.send_response(response)
        self._close_where_asked()
        data = behind
        while True:
            if data:
                self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._echo(event)
            self._write()
            await self._writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_WITH_CLOSE if self._protocol.close_expected() else None):
                    data = await self._reader.read(_CHUNK)
                    if data:
                        continue
            return

    def _echo(self, frame: Frame) -> None:
        if frame.opcode not in _MESSAGES or self._protocol.state is not OPEN:
            return
        send = {
            Opcode.TEXT: self._protocol.send_text,
            Opcode.BINARY: self._protocol.send_binary,
            Opcode.CONT: self._protocol.send_continuation,
        }[frame.opcode]
        send(bytes(frame.data), frame.fin)
        self._echoed += frame.fin
        self._close_where_asked()

    def _close_where_asked(self) -> None:
        most = self._answer.wishes.close_after
        if most is None or self._echoed < most or self._protocol.state is not OPEN:
            return
        code = self._answer.wishes.status or 1000
        self._protocol.send_close(code if code in _OWN_CODES else 1000, "as was asked for")

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                self._writer.write_eof()

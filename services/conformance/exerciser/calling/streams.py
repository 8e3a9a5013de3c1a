"""Streams of HTTP/2 connections: on one connection as far as it goes, on the next where that is over."""

import asyncio

from h2.errors import ErrorCodes
from h2.events import Event, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from services.conformance.exerciser.calling.sight import Means
from services.conformance.exerciser.calling.trouble import BrokenOff, WasReset
from services.conformance.exerciser.http2_line import Http2Line
from services.conformance.exerciser.serving.listener import closed

RawHeaders = list[tuple[bytes, bytes]]


class Stream:
    """One exchange of headers and bodies. It is over when an event says so, or the connection is."""

    def __init__(self, connected: "_Connected", number: int) -> None:
        self.line = connected.line
        self.connection = connected.number
        self.number = number
        self.over = False

    async def event(self) -> Event | None:
        """What comes next; None at the regular end. Raises what the stream or its connection died of."""
        event = await self.line.event(self.number)
        if isinstance(event, StreamEnded):
            self.over = True
            return None
        if isinstance(event, StreamReset):
            self.over = True
            raise WasReset(f"the stream was reset ({ErrorCodes(event.error_code or 0).name})")
        if event is None:
            if isinstance(self.line.error, ProtocolError | OSError):
                raise self.line.error
            raise BrokenOff("the connection was closed before the answer was whole")
        return event

    async def leave(self, *, reset: bool = False) -> None:
        """Done with it."""
        await self.line.forget(self.number, reset=ErrorCodes.CANCEL if reset or not self.over else None)


class _Connected:
    """A connection and the task that reads from it."""

    def __init__(self, line: Http2Line, writer: asyncio.StreamWriter, number: int) -> None:
        self.line = line
        self.number = number
        self._writer = writer
        self._reading = asyncio.create_task(line.run())

    @property
    def usable(self) -> bool:
        """Whether it takes further streams."""
        return not self.line.over and not self.line.going_away

    async def close(self) -> None:
        """Close it."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await closed(self._writer)


class Streams:
    """Opens streams for one order."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._connected: _Connected | None = None
        self._left: list[_Connected] = []
        self._dialling = asyncio.Lock()

    async def open(self, headers: RawHeaders, *, end: bool) -> Stream:
        """A stream that begins with these headers; waits where the other side takes no more at present."""
        while True:
            connected = await self._line()
            number = connected.line.open(headers, end=end)
            if number is not None:
                return Stream(connected, number)
            await connected.line.change()

    async def close(self) -> None:
        """Close every connection."""
        connected, self._connected = self._connected, None
        left, self._left = self._left, []
        for each in (*left, *([connected] if connected is not None else [])):
            await each.close()

    async def _line(self) -> _Connected:
        async with self._dialling:
            if self._connected is not None and not self._connected.usable:
                # Other calls may still be under way on it.
                self._left.append(self._connected)
                self._connected = None
            if self._connected is None:
                reader, writer = await self._means.dialler.open(self._means.call.target)
                line = Http2Line(reader, writer, client=True)
                self._connected = _Connected(line, writer, next(self._means.numbers))
                await line.greet()
            return self._connected

"""One HTTP/2 connection, from either end: frames in, events to their streams, bodies out as far as windows allow.

GOAWAY is acted upon here, and ours is written past `h2`, which would end everything with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from services.conformance.core.orders import Headers
from steward.http2_frames import Frames, NotHttp2

STREAMS = 250
_CHUNK = 65_536
_WINDOW = 1_048_576
_LARGEST_HEAD = 262_144
_OF_A_STREAM = (
    DataReceived,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
_Queue = asyncio.Queue[Event | None]


class Http2Line:
    """A connection. `requested` is called with each new request, at a server."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        client: bool,
        requested: Callable[[RequestReceived], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._requested = requested
        self._h2 = H2Connection(H2Configuration(client_side=client, header_encoding=None))
        self._streams: dict[int, _Queue] = {}
        self._changed = asyncio.Event()
        self._frames = Frames(preface=not client)
        self.over = False
        self.going_away = False
        self.error: BaseException | None = None

    async def greet(self) -> None:
        """Say how much we take."""
        taken = {
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: _LARGEST_HEAD,
            SettingCodes.ENABLE_PUSH: 0,
        }
        self._h2.local_settings = Settings(client=self._h2.config.client_side, initial_values=taken)
        self._h2.decoder.max_header_list_size = _LARGEST_HEAD
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        await self.flush()

    async def run(self) -> None:
        """Read until the connection ends; then every stream is told."""
        try:
            while data := await self._reader.read(_CHUNK):
                for event in self._h2.receive_data(self._frames.without_goaway(data)):
                    self._take(event)
                if self._frames.last_stream is not None:
                    self.going_away = True
                self._wake()
                await self.flush()
        except NotHttp2 as error:
            self.error = ProtocolError(str(error))
            self._write()
        except (OSError, ProtocolError) as error:
            self.error = error
            self._write()
        finally:
            self.over = True
            for queue in self._streams.values():
                queue.put_nowait(None)
            self._wake()

    def open(self, headers: list[tuple[bytes, bytes]], *, end: bool) -> int | None:
        """A new stream of ours; None where the other side takes no more at present."""
        if self._h2.open_outbound_streams >= self._h2.remote_settings.max_concurrent_streams:
            return None
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=end)
        self._streams[stream] = _Queue()
        return stream

    async def head(self, stream: int, headers: list[tuple[bytes, bytes]], *, end: bool) -> None:
        """Send the headers of an answer."""
        self._h2.send_headers(stream, headers, end_stream=end)
        await self.flush()

    async def body(self, stream: int, piece: bytes) -> None:
        """Send a piece of the body, waiting for room."""
        left = memoryview(piece)
        while left:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                await self.change()
                continue
            self._h2.send_data(stream, bytes(left[:room]))
            left = left[room:]
            await self.flush()

    async def end(self, stream: int) -> None:
        """The body is over."""
        self._h2.end_stream(stream)
        await self.flush()

    async def event(self, stream: int) -> Event | None:
        """What comes next on a stream; None where the connection is over."""
        queue = self._streams[stream]
        return None if self.over and queue.empty() else await queue.get()

    async def events(self, stream: int) -> AsyncIterator[Event]:
        """What comes on a stream, until it or the connection is over."""
        while (event := await self.event(stream)) is not None:
            yield event
            if isinstance(event, StreamEnded | StreamReset):
                return

    async def forget(self, stream: int, *, reset: ErrorCodes | None = None) -> None:
        """A stream is done with; `reset` where it is not over yet."""
        self._streams.pop(stream, None)
        if reset is not None and not self.over:
            # It may be over already.
            with suppress(ProtocolError, OSError):
                self._h2.reset_stream(stream, reset)
                await self.flush()
        self._wake()

    async def change(self) -> None:
        """Wait until windows, settings or streams are other than they were."""
        if self.over:
            raise ConnectionResetError("the connection is over")
        self._changed.clear()
        await self._changed.wait()

    @property
    def busy(self) -> bool:
        """Whether any stream is under way."""
        return bool(self._streams)

    def go_away(self) -> None:
        """Tell the other side to open no further streams here."""
        self.going_away = True
        last = max((*self._streams, self._h2.highest_inbound_stream_id))
        self._writer.write(GoAwayFrame(0, last_stream_id=last, error_code=0).serialize())

    async def flush(self) -> None:
        """Hand what waits to the socket."""
        self._write()
        await self._writer.drain()

    def _write(self) -> None:
        if data := self._h2.data_to_send():
            self._writer.write(data)

    def _wake(self) -> None:
        self._changed.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if isinstance(event, RequestReceived) and self._requested is not None:
            self._streams[event.stream_id] = _Queue()
            self._requested(event)
        elif isinstance(event, _OF_A_STREAM) and event.stream_id in self._streams:
            self._streams[event.stream_id].put_nowait(event)


def plain(headers: object) -> Headers:
    """Headers of h2 as reports have them, without those that begin with a colon."""
    return tuple((name, value) for name, value in _texts(headers) if not name.startswith(":"))


def pseudo(headers: object) -> dict[str, str]:
    """Those that begin with a colon."""
    return {name: value for name, value in _texts(headers) if name.startswith(":")}


def _texts(headers: object) -> Headers:
    pairs = headers if isinstance(headers, list) else []
    return tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in pairs)

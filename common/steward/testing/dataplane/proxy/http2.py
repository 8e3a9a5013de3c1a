"""HTTP/2 with prior knowledge on a stream, both roles: many exchanges at once, flow control, trailers, resets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from steward.http2_frames import Frames, NotHttp2
from steward.testing.dataplane.proxy.exchange import Body, Headers
from steward.testing.dataplane.proxy.failures import ConnectionClosed, ExchangeFailed, GoAway, NeverSpoke, StreamReset
from steward.testing.dataplane.proxy.stream import Stream

_STREAM_WINDOW = 256 * 1024
_CONNECTION_WINDOW = 8 * 1024 * 1024
_STREAMS = 4096
_FORBIDDEN = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"})


class Exchange(AsyncIterator[bytes]):
    """One stream of a connection: the message that arrives on it, and whether we may send."""

    def __init__(self, wire: "Wire", number: int) -> None:
        self.number = number
        self.head: asyncio.Future[Headers] = asyncio.get_running_loop().create_future()
        self.trailers: Headers = ()
        self.failure: ExchangeFailed | None = None
        self.ended = False
        self._wire = wire
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._changed = asyncio.Event()

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                raise StopAsyncIteration
            await self.change()
        chunk, weight = self._chunks.popleft()
        self._wire.consumed(self.number, weight)
        return chunk

    async def aclose(self) -> None:
        """Tell the sender that nobody listens."""
        if not self.ended and self.failure is None:
            self._wire.reset(self.number, h2.errors.ErrorCodes.CANCEL)

    def body(self) -> Body:
        """Of the message that arrives."""
        return Body() if self.ended and not self._chunks and not self.trailers else Body(self, lambda: self.trailers)

    async def change(self) -> None:
        """Wait until something happened to this stream."""
        self._changed.clear()
        await self._changed.wait()

    def wake(self) -> None:
        self._changed.set()

    def push(self, chunk: bytes, weight: int) -> None:
        self._chunks.append((chunk, weight))
        self.wake()

    def end(self) -> None:
        self.ended = True
        self.wake()

    def fail(self, failure: ExchangeFailed) -> None:
        if self.failure is None:
            self.failure = failure
        if not self.head.done():
            self.head.set_exception(failure)
            self.head.exception()
        self.wake()


class Wire:
    """A connection: reads frames and hands them to their exchanges. Subclasses say what a new head means."""

    def __init__(self, stream: Stream, *, client: bool) -> None:
        self.stream = stream
        self.exchanges: dict[int, Exchange] = {}
        self.leaving = False
        self._greeted = False
        self._frames = Frames(preface=not client)
        config = h2.config.H2Configuration(client_side=client, header_encoding="latin-1")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            client=client,
            initial_values={
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS,
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_CONNECTION_WINDOW)
        self.flush()

    async def run(self) -> None:
        """Read until the connection ends; whatever was under way then has failed."""
        failure: ExchangeFailed = ConnectionClosed(f"{self.stream.peer} closed the connection")
        try:
            while chunk := await self.stream.read():
                for event in self.h2.receive_data(self._frames.without_goaway(chunk)):
                    self.on(event)
                self._heed_goodbye()
                self.flush()
        except (h2.exceptions.ProtocolError, NotHttp2) as error:
            failure = ConnectionClosed(f"{self.stream.peer} broke HTTP/2: {error}")
            self.flush()
        except ExchangeFailed as error:
            failure = error
        except asyncio.CancelledError:
            self.goodbye()
            raise
        finally:
            self.leaving = True
            if not self._greeted and isinstance(failure, ConnectionClosed):
                failure = NeverSpoke(str(failure))
            for exchange in list(self.exchanges.values()):
                exchange.fail(failure)
            self.stream.close()

    def on(self, event: h2.events.Event) -> None:
        """Hand one event on."""
        match event:
            case h2.events.DataReceived():
                self._on_data(event)
            case h2.events.TrailersReceived():
                self._of(event.stream_id).trailers = headers_of(event.headers)
            case h2.events.StreamEnded():
                self._of(event.stream_id).end()
            case h2.events.StreamReset():
                code = int(event.error_code or 0)
                self.on_reset(event.stream_id, code)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._greeted = True
                for exchange in self.exchanges.values():
                    exchange.wake()

    def on_reset(self, number: int, code: int) -> None:
        """The peer gave one exchange up."""
        self._of(number).fail(StreamReset(f"{self.stream.peer} reset the stream with code {code}", code))

    def _on_data(self, event: h2.events.DataReceived) -> None:
        number, weight = event.stream_id or 0, event.flow_controlled_length or 0
        if number in self.exchanges and event.data:
            self.exchanges[number].push(event.data, weight)
            return
        self.consumed(number, weight)

    def _heed_goodbye(self) -> None:
        """The peer takes nothing new; what it has begun with goes on."""
        last = self._frames.last_stream
        if last is None:
            return
        self.leaving = True
        for number, exchange in list(self.exchanges.items()):
            if number > last and number % 2:
                exchange.fail(GoAway(f"{self.stream.peer} goes away"))

    def _of(self, number: int | None) -> Exchange:
        return self.exchanges.get(number or 0) or Exchange(self, 0)

    def consumed(self, number: int, weight: int) -> None:
        """Bytes were taken: let the peer send as many again."""
        if weight:
            with suppress(h2.exceptions.ProtocolError):
                self.h2.acknowledge_received_data(weight, number)
            self.flush()

    def reset(self, number: int, code: int) -> None:
        """Give one exchange up."""
        with suppress(h2.exceptions.ProtocolError):
            self.h2.reset_stream(number, code)
        self.flush()

    def flush(self) -> None:
        """Hand to the stream what is to be sent."""
        content = self.h2.data_to_send()
        if content:
            self.stream.write(content)

    async def send_head(self, number: int, headers: Headers, *, end: bool) -> None:
        """Send the first frame of a message."""
        try:
            self.h2.send_headers(number, headers, end_stream=end)
        except h2.exceptions.ProtocolError as error:
            raise StreamReset(f"the stream to {self.stream.peer} is closed: {error}") from error
        self.flush()
        await self.stream.drain()

    async def send_body(self, exchange: Exchange, body: Body) -> None:
        """Send chunks as fast as the peer takes them, then trailers."""
        try:
            async for chunk in body:
                await self._send_chunk(exchange, memoryview(chunk))
            trailers = clean(body.trailers)
            if trailers:
                self.h2.send_headers(exchange.number, trailers, end_stream=True)
            else:
                self.h2.send_data(exchange.number, b"", end_stream=True)
        except h2.exceptions.ProtocolError as error:
            raise exchange.failure or StreamReset(f"the stream to {self.stream.peer} is closed: {error}") from error
        self.flush()
        await self.stream.drain()

    async def _send_chunk(self, exchange: Exchange, left: memoryview) -> None:
        while left:
            if exchange.failure is not None:
                raise exchange.failure
            room = min(self.h2.local_flow_control_window(exchange.number), self.h2.max_outbound_frame_size)
            if room <= 0:
                await exchange.change()
                continue
            self.h2.send_data(exchange.number, bytes(left[:room]))
            left = left[room:]
            self.flush()
            await self.stream.drain()

    def goodbye(self) -> None:
        """Tell the peer that this is the end."""
        self.leaving = True
        with suppress(h2.exceptions.ProtocolError):
            self.h2.close_connection()
        self.flush()


def headers_of(pairs: object) -> Headers:
    """What h2 gives, as ours; without pseudo-headers."""
    if not isinstance(pairs, list):
        return ()
    return tuple((str(name), str(value)) for name, value in pairs if not str(name).startswith(":"))


def pseudo(pairs: object, name: str) -> str:
    """One pseudo-header."""
    if not isinstance(pairs, list):
        return ""
    return next((str(value) for key, value in pairs if key == name), "")


def clean(headers: Headers) -> Headers:
    """Without what HTTP/2 forbids."""
    return tuple(
        (name, value) for name, value in headers if name not in _FORBIDDEN and (name != "te" or value == "trailers")
    )

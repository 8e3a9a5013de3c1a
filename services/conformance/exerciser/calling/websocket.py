"""WebSocket as a client: an upgrade, messages that must come back equal, a close and its code."""

import hashlib
import random
from datetime import timedelta

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers as RawHeaders
from websockets.datastructures import HeadersLike
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

from services.conformance.core.orders import Headers, Reply
from services.conformance.exerciser.calling.sight import Means, Sight, echo_in, seen
from services.conformance.exerciser.calling.trouble import BrokenOff
from services.conformance.exerciser.serving.echoing import ECHO_HEADER, POD_HEADER

_USUAL = 64
_LARGEST_MESSAGE = 16 * 1024 * 1024
_CLOSING = 2.0


class _Connection(ClientConnection):
    """One that tells a reset from an answer that nobody can read."""

    _lost_by: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc
        super().connection_lost(exc)

    async def handshake(
        self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
    ) -> None:
        try:
            await super().handshake(additional_headers, user_agent_header)
        except InvalidHandshake:
            if isinstance(self._lost_by, OSError):
                raise self._lost_by from None
            raise


class WebSocketCaller:
    """Conversations one after another, over one connection where that is wanted."""

    def __init__(self, means: Means, *, held: bool = False) -> None:
        self._means = means
        # Of a single call the close is part of what is wanted to be seen.
        self._keep = held or (means.call.keep and means.call.times > 1)
        self._open: ClientConnection | None = None
        self._number = 0

    async def call(self) -> Reply:
        """Exchange `messages`; where the connection is not kept, close it and tell the code."""
        reply = await seen(self._means, self._call)
        if reply.trouble is not None and self._open is not None:
            # Whoever does not answer will not say good-bye either.
            self._open.transport.abort()
        if reply.trouble is not None or not self._keep:
            await self.close()
        return reply

    async def close(self) -> None:
        """Close the connection."""
        connection, self._open = self._open, None
        if connection is not None:
            await connection.close()

    async def _call(self, sight: Sight) -> None:
        call = self._means.call
        connection = await self._connected(sight)
        if connection is None:
            return
        sight.connection = self._number
        _note(connection, sight)
        try:
            for number in range(call.messages):
                if number == call.messages - 1 and call.silence_seconds:
                    await self._means.clock.sleep(timedelta(seconds=call.silence_seconds))
                await self._exchange(connection, sight, number)
        except ConnectionClosed as error:
            self._open = None
            if error.rcvd is None:
                raise error.__cause__ or BrokenOff("the connection was lost without a close") from None
            sight.close_code, sight.message = error.rcvd.code, error.rcvd.reason
            return
        if not self._keep:
            await self.close()
            sight.close_code = connection.close_code

    async def _connected(self, sight: Sight) -> ClientConnection | None:
        """The connection; None where the answer was no upgrade, which is an answer too."""
        if self._open is not None and self._open.state is State.OPEN:
            return self._open
        call = self._means.one()
        dialled = await self._means.dialler.dial(call.target)
        self._number = next(self._means.numbers)
        sight.connection = self._number
        try:
            self._open = await connect(
                f"ws://{self._means.authority}{call.path or '/'}",
                sock=dialled,
                create_connection=_Connection,
                additional_headers=list(call.headers),
                user_agent_header="linkerd-steward-exerciser",
                compression=None,
                ping_interval=None,
                open_timeout=None,
                close_timeout=_CLOSING,
                max_size=_LARGEST_MESSAGE,
                proxy=None,
            )
        except (InvalidStatus, ValueError) as error:
            # A redirect would be followed, which nobody can on a socket that is given: it is raised as the cause.
            said = error if isinstance(error, InvalidStatus) else error.__cause__
            if not isinstance(said, InvalidStatus):
                raise
            dialled.close()
            _refused(said, sight)
            return None
        except BaseException:
            dialled.close()
            raise
        return self._open

    async def _exchange(self, connection: ClientConnection, sight: Sight, number: int) -> None:
        sent = random.Random(number).randbytes(self._means.call.body_bytes or _USUAL)
        await connection.send(sent)
        came = await connection.recv(decode=False)
        sight.answered()
        sight.received_messages += 1
        sight.received_bytes += len(came)
        sight.compared(equal=hashlib.sha256(came).digest() == hashlib.sha256(sent).digest())


def _refused(error: InvalidStatus, sight: Sight) -> None:
    response = error.response
    sight.answered()
    sight.status, sight.http_version, sight.message = response.status_code, "1.1", str(error)
    sight.headers, sight.received_bytes = _texts(response.headers), len(response.body or b"")
    if POD_HEADER in response.headers:
        sight.echo = echo_in(bytes(response.body or b"").decode(errors="replace"))


def _note(connection: ClientConnection, sight: Sight) -> None:
    """What the handshake said."""
    response = connection.response
    if response is not None:
        sight.status, sight.http_version = response.status_code, "1.1"
        sight.headers = _texts(response.headers)
        sight.echo = echo_in(response.headers.get(ECHO_HEADER, ""))


def _texts(headers: RawHeaders) -> Headers:
    return tuple((name.lower(), value) for name, value in headers.raw_items())

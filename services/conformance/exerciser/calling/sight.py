"""What a call sees while it goes on, and the reply that comes of it."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol
from uuid import uuid4

from pydantic import ValidationError

from services.conformance.core.orders import Call, Echo, Headers, Reply, Trouble
from services.conformance.exerciser.calling.dialling import Dialler
from services.conformance.exerciser.calling.trouble import EXPECTED, trouble_of
from services.conformance.exerciser.serving.echoing import DIGEST_HEADER, ECHO_HEADER, POD_HEADER, digest, filling
from steward.clock import Clock, within

_KEPT = 262_144
_BOM = "\ufeff"


class Caller(Protocol):
    """Makes one call after another; never raises but when cancelled."""

    async def call(self) -> Reply:
        """Make one call and tell what it saw."""
        ...

    async def close(self) -> None:
        """Leave no connection behind."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What callers call with. `numbers` tells connections apart within an order."""

    call: Call
    dialler: Dialler
    clock: Clock
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    words: Iterator[str] = field(default_factory=lambda: map(f"{uuid4().hex}-{{}}".format, count(1)))

    def one(self) -> Call:
        """The call as it is made this time: with a word of its own where it wants one."""
        return self.call.as_one(next(self.words))

    @property
    def authority(self) -> str:
        """What requests name as their host."""
        target = self.call.target
        host = f"[{target.host}]" if ":" in target.host else target.host
        return target.authority or f"{host}:{target.port}"


@dataclass(slots=True)
class Sight:
    """One call, from its beginning."""

    clock: Clock
    at: datetime
    begun: float
    connection: int = 0
    status: int | None = None
    grpc_status: int | None = None
    grpc_message: str = ""
    headers: Headers = ()
    trailers: Headers = ()
    http_version: str = ""
    echo: Echo | None = None
    trouble: Trouble | None = None
    message: str = ""
    first_byte: float | None = None
    received_bytes: int = 0
    received_messages: int = 0
    digest_ok: bool | None = None
    close_code: int | None = None
    certificate: str = ""

    def answered(self) -> None:
        """The first byte of the answer is here; later ones change nothing."""
        if self.first_byte is None:
            self.first_byte = self.clock.monotonic() - self.begun

    def compared(self, *, equal: bool) -> None:
        """What came back was compared with what was sent; one difference spoils it all."""
        self.digest_ok = equal and self.digest_ok is not False

    def reply(self) -> Reply:
        """What was seen."""
        return Reply(
            at=self.at,
            connection=self.connection,
            status=self.status,
            grpc_status=self.grpc_status,
            grpc_message=self.grpc_message,
            headers=self.headers,
            trailers=self.trailers,
            http_version=self.http_version,
            echo=self.echo,
            trouble=self.trouble,
            message=self.message,
            first_byte_seconds=None if self.first_byte is None else round(self.first_byte, 6),
            seconds=round(self.clock.monotonic() - self.begun, 6),
            received_bytes=self.received_bytes,
            received_messages=self.received_messages,
            digest_ok=self.digest_ok,
            close_code=self.close_code,
            certificate=self.certificate,
        )


async def seen(means: Means, look: Callable[[Sight], Awaitable[None]]) -> Reply:
    """Make a call within its time; whatever goes wrong is part of what was seen."""
    clock = means.clock
    sight = Sight(clock, clock.now(), clock.monotonic())
    try:
        async with within(clock, timedelta(seconds=means.call.timeout_seconds)):
            await look(sight)
    except EXPECTED as error:
        sight.trouble, sight.message = trouble_of(error)
    return sight.reply()


class Body:
    """The body of an answer as it comes: counted, hashed, and kept as far as it may hold an echo."""

    def __init__(self, sight: Sight, *, events: bool = False, keep: int = 0) -> None:
        self._sight = sight
        self._events = events
        self._most = max(keep, _KEPT)
        self._hashed = hashlib.sha256()
        self._kept = bytearray()
        self._tail = b""

    def add(self, piece: bytes) -> None:
        """Take a piece."""
        sight = self._sight
        sight.received_bytes += len(piece)
        self._hashed.update(piece)
        if len(self._kept) < self._most:
            self._kept += piece[: self._most - len(self._kept)]
        if self._events:
            sight.answered()
            joined = self._tail + piece
            sight.received_messages += joined.count(b"\n\n")
            self._tail = joined[-1:] if not joined.endswith(b"\n\n") else b""

    def end(self, sent: int) -> None:
        """It is whole: find the echo in it, and compare. `sent` bytes were the request's body."""
        sight, named = self._sight, dict(self._sight.headers)
        if POD_HEADER in named:
            sight.echo = echo_in(named.get(ECHO_HEADER, "")) or echo_in(self._first_line())
        if DIGEST_HEADER in named and self._sight.received_bytes:
            sight.compared(equal=named[DIGEST_HEADER] == self._hashed.hexdigest())
        if sent and sight.echo is not None:
            sight.compared(equal=sight.echo.body_digest == digest(filling(sent)))

    @property
    def text(self) -> str:
        """What was kept of it."""
        return self._kept.decode(errors="replace").removeprefix(_BOM)

    def _first_line(self) -> str:
        return bytes(self._kept).partition(b"\n")[0].removeprefix(b"data: ").decode(errors="replace")


def echo_in(written: str) -> Echo | None:
    """The echo that was written, where it is one."""
    try:
        return Echo.model_validate_json(written)
    except (ValidationError, json.JSONDecodeError):
        return None

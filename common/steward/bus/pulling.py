"""Requests for messages that survive restarts, leader changes and silence.

One inbox for the whole life of the loop. On it, requests are kept outstanding: each asks for a batch, with a heartbeat
while there is nothing to say. The reply subject carries a generation, which a reset raises, so that words about old
requests are told from words about present ones. Two heartbeats missed, a reconnect, or an answer that ends a request
otherwise than by time make a reset. Errors are answered by waiting, never by asking again at once.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from nats.aio.msg import Msg

from steward.bus.connection import Connection
from steward.bus.errors import BusError, BusRefused, StreamMissing
from steward.bus.streams import nanoseconds

log = logging.getLogger("steward.bus")

_TICK = timedelta(milliseconds=200)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_PENDING = "Nats-Pending-Messages"


@dataclass(frozen=True, slots=True)
class Pace:
    """How requests are made."""

    prefetch: int = 256
    """How many messages may be here or on their way, not counting those of waiting lanes."""
    expires: timedelta = timedelta(seconds=30)
    """How long one request waits at the server."""
    heartbeat: timedelta = timedelta(seconds=1)
    """How often the server says that a request still waits; after two misses everything is asked again."""
    resume: bool = True
    """Whether to ask again after a disturbance; a reader that must not miss a message begins anew instead."""


class Disturbed(BusError):
    """Requests were lost, and the loop was told not to make new ones."""


class Pulling:
    """Keeps a consumer's messages coming: `take` gets each of them, `load` says how many are not dealt with yet."""

    def __init__(
        self,
        connection: Connection,
        path: tuple[str, str],
        *,
        take: Callable[[Msg], None],
        load: Callable[[], int],
        pace: Pace,
    ) -> None:
        self._connection = connection
        self._clock = connection.clock
        self._stream, self._consumer = path
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        self._answers = f"$JS.ACK.{self._stream}.{self._consumer}."
        self._take = take
        self._load = load
        self._pace = pace
        self._inbox = connection.inbox()
        self._generation = 0
        self._outstanding = 0
        self._failures = 0
        self._not_before = 0.0
        self._heard = self._clock.monotonic()
        self._fatal: Exception | None = None
        self._stopped = False

    @property
    def healthy(self) -> bool:
        """Whether the server answers: messages or heartbeats come, or nothing is asked for."""
        return self._connection.connected and not self._failures and not self._is_silent()

    async def __aenter__(self) -> Self:
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._receive)
        self._connection.on_reconnect.append(self.reset)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ask for nothing any more; what is under way is given back, so that somebody else has it at once."""
        if self._stopped:
            return
        self._stopped = True
        self._connection.on_reconnect.remove(self.reset)
        await self._connection.unsubscribe(self._subscription)

    async def run(self) -> None:
        """Watch over the requests until the consumer or the connection is gone for good, then raise why."""
        await self.refill()
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(_TICK)
            if self._clock.monotonic() - before > 5 * _TICK.total_seconds():
                # We were the ones who heard nothing: the loop was blocked, and what came meanwhile is still unread.
                self._heard = self._clock.monotonic()
            self._connection.check_open()
            for subject in (self._next, self._answers):
                self._connection.check_permitted(subject)
            if self._fatal is not None:
                raise self._fatal
            if self._is_silent():
                log.warning("%s/%s: no heartbeat, asking again", self._stream, self._consumer)
                await self.reset()
            elif self.wants():
                await self.refill()

    async def reset(self) -> None:
        """Forget every request and ask anew."""
        if self._stopped:
            return
        self._forget()
        self._heard = self._clock.monotonic()
        await self.refill()

    async def refill(self) -> None:
        """Ask for as many messages as there is room, where that is worth a request."""
        if not self.wants():
            return
        batch = self._pace.prefetch - self._load() - self._outstanding
        self._outstanding += batch
        if self._outstanding == batch:
            self._heard = self._clock.monotonic()
        request = {
            "batch": batch,
            "expires": nanoseconds(self._pace.expires),
            "idle_heartbeat": nanoseconds(self._pace.heartbeat),
        }
        await self._connection.send(self._next, json.dumps(request).encode(), reply=f"{self._inbox}.{self._generation}")

    def wants(self) -> bool:
        """Whether it is time to ask for more."""
        # At half: one request is read while the next is on its way.
        return (
            (self._outstanding + self._load()) * 2 <= self._pace.prefetch
            and not self._stopped
            and self._fatal is None
            and (not self._not_before or self._clock.monotonic() >= self._not_before)
        )

    def _is_silent(self) -> bool:
        waited = self._clock.monotonic() - self._heard
        return self._outstanding > 0 and waited > 2.2 * self._pace.heartbeat.total_seconds()

    async def _receive(self, message: Msg) -> None:
        if message.reply.startswith("$JS.ACK."):
            self._heard = self._clock.monotonic()
            self._failures, self._not_before = 0, 0.0
            if self._outstanding:
                self._outstanding -= 1
            if self._stopped:
                await self._connection.send(message.reply, b"-NAK")
            else:
                self._take(message)
        elif message.subject == f"{self._inbox}.{self._generation}":
            self._listen(message.headers or {})
        if self.wants():
            await self.refill()

    def _listen(self, headers: dict[str, str]) -> None:
        """What the server says about the present requests."""
        status, description = headers.get("Status", ""), headers.get("Description", "")
        self._heard = self._clock.monotonic()
        if status == "100":
            self._failures, self._not_before = 0, 0.0
        elif status in {"404", "408"} or (status == "409" and description.startswith("Batch Completed")):
            self._outstanding = max(0, self._outstanding - int(headers.get(_PENDING, "0") or "0"))
        elif status == "409" and "Consumer Deleted" in description:
            self._fatal = StreamMissing(
                f"consumer {self._consumer} of stream {self._stream} was deleted while it was in use; starting again "
                "creates it"
            )
        elif status == "409" and "push based" in description:
            self._fatal = BusRefused(
                f"consumer {self._consumer} of stream {self._stream} is a push consumer, made by somebody else: "
                f"use another name, or remove it: nats consumer rm {self._stream} {self._consumer}"
            )
        else:
            self._step_back(status, description)

    def _step_back(self, status: str, description: str) -> None:
        """A request ended otherwise than by time: the leader moved, the server goes down, nobody is there."""
        pause = min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
        log.info(
            "%s/%s: %s %s, asking again in %.1f s", self._stream, self._consumer, status, description or "?", pause
        )
        self._failures += 1
        self._forget()
        self._not_before = self._clock.monotonic() + pause

    def _forget(self) -> None:
        self._generation += 1
        self._outstanding = 0
        if not self._pace.resume and self._fatal is None:
            self._fatal = Disturbed(f"{self._stream}/{self._consumer}: requests were lost")

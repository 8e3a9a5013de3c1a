"""Deliveries → handler → answer.

What is promised, within one process:

- at most `concurrency` handlers run at a time; events of one key run one after another, in the order of the stream;
- an event that is to be delivered again keeps its place: later events of its key wait until it is acknowledged or in
  the dead letters, while other keys go on. Only when it does not come back in time, because another process that shares
  the consumer's name got it, do they go on without it;
- an event that was acknowledged here is not handled again when the acknowledgement was lost with the connection.

Not promised: order between two processes that share a consumer, and order across a crash, after which the server first
waits `ack_wait` for what the dead process held. A handler must therefore bear an event a second time.

While a handler works and while events wait here, the server is told so; `ack_wait` is only how soon it notices a death.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from nats.aio.msg import Msg

from steward.bus.connection import Connection
from steward.bus.dead_letters import DeadLetters
from steward.bus.delivery import Delivery, Held, Place, place_of
from steward.bus.errors import BusClosed, BusError
from steward.bus.lanes import Lanes, Outcome
from steward.bus.publishing import REPLAY_FOR
from steward.bus.pulling import Pace, Pulling
from steward.bus.streams import ConsumerSpec, nanoseconds
from steward.errors import Reject, Retry
from steward.events.codec import Invalid, Unknown, decode

log = logging.getLogger("steward.bus")

Handle = Callable[[Delivery], Awaitable[None]]

# Deliveries beyond `max_deliver` that are forgiven to an event whose process died with it: others died beside it.
CRASH_ALLOWANCE = 10
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 300.0
_TICK = timedelta(milliseconds=500)
# For a handler that does not end when it is cancelled.
_LAST_WORDS = timedelta(seconds=2)


def retry_delay(attempt: int) -> timedelta:
    """How long to wait after the failed `attempt`: doubled each time up to five minutes, with jitter."""
    seconds = min(_FIRST_RETRY_S * 2.0 ** min(attempt - 1, 20), _LONGEST_RETRY_S)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))


class Consumption:
    """One consumer's deliveries to one handler."""

    def __init__(
        self,
        connection: Connection,
        dead_letters: DeadLetters,
        spec: ConsumerSpec,
        handle: Handle,
        *,
        concurrency: int,
        pace: Pace | None = None,
    ) -> None:
        self._connection = connection
        self._clock = connection.clock
        self._metrics = connection.metrics
        self._dead_letters = dead_letters
        self._spec = spec
        self._handle = handle
        self._path = (spec.stream, spec.name)
        self._held: dict[int, Held] = {}
        self._acked = _Finished()
        self._tick = 0
        self._draining = False
        self._lanes: Lanes[Held] = Lanes(self._answer, concurrency=concurrency)
        self._pulling = Pulling(
            connection,
            self._path,
            take=self._take,
            load=lambda: self._lanes.load,
            pace=pace or Pace(prefetch=max(256, 4 * concurrency)),
        )
        self._deadline = connection.settings.drain_deadline
        self._stop = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """Whether events would come if there were any."""
        return self._pulling.healthy

    async def run(self) -> None:
        """Hand events over until `stop` or cancellation; both let running handlers finish within the drain deadline."""
        try:
            async with self._pulling:
                await self._work()
        finally:
            try:
                await self._drain()
            finally:
                self._lanes.cancel()
                self._stopped.set()

    async def stop(self, deadline: timedelta) -> None:
        """End `run` in good order, and wait for it; handlers that run have until `deadline`."""
        self._deadline = deadline
        self._stop.set()
        await self._stopped.wait()

    async def _work(self) -> None:
        jobs = [
            asyncio.create_task(self._pulling.run()),
            asyncio.create_task(self._keep()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in jobs:
                if job.done():
                    job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)

    async def _drain(self) -> None:
        self._draining = True
        await self._give_back(self._lanes.close())
        await self._wait_for_handlers(self._deadline)
        self._lanes.cancel()
        await self._wait_for_handlers(_LAST_WORDS)
        await self._give_back(list(self._held.values()))

    async def _wait_for_handlers(self, patience: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await self._lanes.wait()

    async def _give_back(self, unanswered: list[Held]) -> None:
        """Let somebody else have them at once; a server that reads no more finds out by itself, after `ack_wait`."""
        with suppress(BusClosed, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS.total_seconds()):
                for held in unanswered:
                    self._held.pop(held.place.sequence, None)
                    if held.away_until is None:
                        await self._connection.send(held.reply, b"-NAK")

    def _take(self, message: Msg) -> None:
        place = place_of(message.reply)
        if self._is_here(message, place):
            return
        held = Held(message, place, self._tick)
        self._held[place.sequence] = held
        self._lanes.put(held.key, held)

    def _is_here(self, message: Msg, place: Place) -> bool:
        """Whether a redelivery is of an event that waits or runs here, or is expected back here."""
        held = self._held.get(place.sequence)
        if held is None or held.place.stored_ns != place.stored_ns:
            return False
        held.reply, held.place, held.tick = message.reply, place, self._tick
        if held.away_until is not None:
            held.away_until = None
            self._lanes.came_back(held.key)
        return True

    async def _answer(self, held: Held) -> Outcome:
        """Handle and answer one event, and see to it that the next ones come."""
        outcome = await self._settle(held)
        if self._pulling.wants():
            with suppress(BusClosed):
                await self._pulling.refill()
        return outcome

    async def _settle(self, held: Held) -> Outcome:
        try:
            self._connection.check_open()
            verdict = await self._verdict(held)
            try:
                if verdict is None:
                    await self._connection.send(held.reply, b"+ACK")
                    self._acked.add(held.place)
                elif isinstance(verdict, Reject):
                    await self._bury(held, verdict.reason)
                else:
                    return await self._send_away(held, verdict.after)
            except BusClosed:
                raise
            except BusError:
                # The dead letters are out of reach. The event stays ours and comes again.
                log.exception("%s: event %s could not be answered", self._spec.name, held.subject)
                return await self._send_away(held, retry_delay(held.place.attempt))
        except BusClosed:
            # Unanswered is right: the server delivers it to whoever comes next. `run` raises on its own.
            self._lanes.close()
        self._held.pop(held.place.sequence, None)
        return Outcome.DONE

    async def _bury(self, held: Held, reason: str) -> None:
        await self._dead_letters.bury(held, self._path, reason)
        await self._connection.send(held.reply, b"+TERM")
        self._acked.add(held.place)
        self._metrics.dead_lettered(self._spec.name, held.name)

    async def _send_away(self, held: Held, delay: timedelta) -> Outcome:
        """Have it delivered again after `delay`; it keeps its place meanwhile."""
        self._metrics.retried(self._spec.name, held.name)
        patience = delay + self._spec.ack_wait
        # Before the answer goes out, because the redelivery may be here before it returns.
        held.away_until = self._clock.monotonic() + patience.total_seconds()
        delayed = json.dumps({"delay": nanoseconds(max(delay, timedelta(0)))})
        await self._connection.send(held.reply, f"-NAK {delayed}".encode())
        if self._draining:
            self._held.pop(held.place.sequence, None)
            return Outcome.DONE
        return Outcome.AWAY if held.away_until is not None else Outcome.AGAIN

    async def _verdict(self, held: Held) -> Retry | Reject | None:
        """What is to become of an event: None is done, `Retry` again, `Reject` the dead letters."""
        consumer, name, place = self._spec.name, held.name, held.place
        if place in self._acked:
            # Only its acknowledgement was lost, with the connection or with the server's memory of it, in which case
            # the server counts from 1 again.
            self._metrics.skipped(consumer, name, "repeated")
            return None
        if held.headers.get(REPLAY_FOR, consumer) != consumer:
            self._metrics.skipped(consumer, name, "replay")
            return None
        if place.attempt > self._spec.max_deliver + CRASH_ALLOWANCE:
            return Reject(f"delivered {place.attempt} times and never answered: the process ended with it each time")
        reading = decode(held.data)
        if isinstance(reading, Unknown):
            log.debug("%s: skipped %s, which newer code says", consumer, reading.type)
            self._metrics.skipped(consumer, name, "unknown")
            return None
        if isinstance(reading, Invalid):
            return Reject(f"invalid: {reading.reason}")
        self._metrics.delivered(consumer, name)
        return await self._run_handler(held, Delivery(reading.envelope, held.subject, *self._path, place))

    async def _run_handler(self, held: Held, delivery: Delivery) -> Retry | Reject | None:
        consumer, name = self._spec.name, held.name
        began = self._clock.monotonic()
        try:
            await self._handle(delivery)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            return self._judge(held, error)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; each gets an answer
            return self._judge(held, error)
        finally:
            self._metrics.handled(consumer, name, self._clock.monotonic() - began)
        self._metrics.acked(consumer, name)
        return None

    def _judge(self, held: Held, error: BaseException) -> Retry | Reject:
        """What a handler's exception means for its event."""
        answer, attempt, last = _meant(error), held.place.attempt, self._spec.max_deliver
        if isinstance(answer, Reject):
            self._metrics.rejected(self._spec.name, held.name)
            return answer
        if not isinstance(answer, Retry):
            log.error("%s failed on %s (delivery %d)", self._spec.name, held.subject, attempt, exc_info=error)
            answer = Retry(retry_delay(attempt), f"{type(error).__name__}: {error}")
        if attempt >= last:
            return Reject(f"given up after {attempt} deliveries; the last said: {answer.reason or answer}")
        log.info("%s: %s again in %s: %s", self._spec.name, held.subject, answer.after, answer)
        return answer

    async def _keep(self) -> None:
        """Tell the server about what is here, and give up what does not come back."""
        every = self._spec.ack_wait.total_seconds() / 3
        due = self._clock.monotonic() + every
        while True:
            await self._clock.sleep(min(_TICK, timedelta(seconds=every)))
            if self._lanes.crash is not None:
                raise self._lanes.crash
            self._miss_the_absent()
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + every
                await self._touch()

    async def _touch(self) -> None:
        for held in list(self._held.values()):
            if held.tick < self._tick and held.away_until is None:
                await self._connection.send(held.reply, b"+WPI")
        self._tick += 1

    def _miss_the_absent(self) -> None:
        now, healthy = self._clock.monotonic(), self._pulling.healthy
        for held in [each for each in self._held.values() if each.away_until is not None]:
            if not healthy:
                # Nothing can come back now, so the time does not count.
                held.away_until = (held.away_until or now) + _TICK.total_seconds()
            elif held.away_until is not None and now > held.away_until:
                self._held.pop(held.place.sequence, None)
                self._lanes.give_up(held.key)


class _Finished:
    """The last events that were answered for good, by their place: at least `_KEPT`, at most twice as many."""

    _KEPT = 10_000

    def __init__(self) -> None:
        self._recent: set[tuple[int, int]] = set()
        self._older: set[tuple[int, int]] = set()

    def add(self, place: Place) -> None:
        if len(self._recent) >= self._KEPT:
            self._older, self._recent = self._recent, set()
        self._recent.add((place.sequence, place.stored_ns))

    def __contains__(self, place: Place) -> bool:
        identity = (place.sequence, place.stored_ns)
        return identity in self._recent or identity in self._older


def _meant(error: BaseException) -> BaseException:
    """The answer inside an exception group: a `Reject` weighs more than a `Retry`, a failure more than both."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_meant(each) for each in error.exceptions]
    failures = [each for each in inner if not isinstance(each, (Retry, Reject))]
    rejects = [each for each in inner if isinstance(each, Reject)]
    if failures:
        return error
    return (rejects or inner)[0]


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

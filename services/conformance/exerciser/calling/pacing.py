"""When calls are made: at the rate that was asked for, never faster than the agent may, never after the deadline."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.conformance.core.orders import Call, Reply, Trouble
from services.conformance.exerciser.calling.pulse import Pulse
from services.conformance.exerciser.calling.sight import Caller
from steward.clock import Clock, within

_BURST = 0.05
_TOO_LATE = "the deadline of the order passed before this call was over"


class RateCap:
    """What all orders of an agent together may do. Who comes too early waits its turn."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._next = clock.monotonic()

    async def turn(self) -> None:
        """Wait until a call may be made."""
        now = self._clock.monotonic()
        due = max(self._next, now - _BURST)
        self._next = due + self._gap
        if due > now:
            await self._clock.sleep(timedelta(seconds=due - now))


class Round:
    """The calls of one order."""

    def __init__(self, call: Call, cap: RateCap, clock: Clock) -> None:
        self._call = call
        self._cap = cap
        self._clock = clock
        self._replies: list[Reply | None] = [None] * call.times
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Begin no further call; those under way are waited for."""
        self._ended.set()

    async def run(self, callers: Sequence[Caller], deadline: datetime) -> tuple[Reply, ...]:
        """Make the calls; the replies in their order. Ended early, there are fewer of them than `times`."""
        numbers = iter(range(self._call.times))
        begun = self._clock.monotonic()
        try:
            with Pulse() as pulse:
                async with within(self._clock, deadline - self._clock.now()), asyncio.TaskGroup() as working:
                    for caller in callers:
                        working.create_task(self._work(caller, numbers, begun, pulse))
        except TimeoutError:
            late = Reply(at=self._clock.now(), trouble=Trouble.TIMED_OUT, message=_TOO_LATE)
            return tuple(reply or late for reply in self._replies)
        finally:
            await asyncio.gather(*(caller.close() for caller in dict.fromkeys(callers)))
        return tuple(reply for reply in self._replies if reply is not None)

    async def _work(self, caller: Caller, numbers: Iterator[int], begun: float, pulse: Pulse) -> None:
        for number in numbers:
            await self._wait_for(number, begun)
            if self._ended.is_set():
                return
            missed = pulse.missed
            reply = await caller.call()
            self._replies[number] = reply.model_copy(update={"late_seconds": pulse.missed - missed})

    async def _wait_for(self, number: int, begun: float) -> None:
        rate = self._call.per_second
        due = begun + number / rate if rate else 0.0
        waiting = asyncio.create_task(self._due(due))
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            ended.cancel()

    async def _due(self, due: float) -> None:
        early = due - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(timedelta(seconds=early))
        await self._cap.turn()

"""When calls are made, by a clock that stands still."""

import asyncio
from datetime import timedelta

from services.conformance.core.orders import Call, Reply, Target, Trouble
from services.conformance.exerciser.calling.pacing import RateCap, Round
from steward.testing.clock import ManualClock

TARGET = Target(host="127.0.0.1", port=80)
SECOND = timedelta(seconds=1)


class Noting:
    """A caller that notes when it was called, and takes a while."""

    def __init__(self, clock: ManualClock, takes: timedelta = timedelta()) -> None:
        self._clock = clock
        self._takes = takes
        self.called: list[float] = []
        self.closed = 0

    async def call(self) -> Reply:
        self.called.append(self._clock.monotonic())
        at = self._clock.now()
        await self._clock.sleep(self._takes)
        return Reply(at=at, status=200)

    async def close(self) -> None:
        self.closed += 1


async def test_calls_come_at_the_rate_that_was_asked_for(manual_clock: ManualClock) -> None:
    caller, cap = Noting(manual_clock), RateCap(1000, manual_clock)
    going = Round(Call(target=TARGET, times=4, per_second=2), cap, manual_clock)
    running = asyncio.create_task(going.run([caller], manual_clock.now() + 60 * SECOND))
    await manual_clock.until_somebody_sleeps()
    await manual_clock.advance(10 * SECOND)
    assert len(await running) == 4
    assert caller.called == [0, 0.5, 1, 1.5]
    assert caller.closed == 1


async def test_who_answers_slowly_does_not_slow_a_rate_that_others_can_keep(manual_clock: ManualClock) -> None:
    callers = [Noting(manual_clock, takes=SECOND) for _ in range(3)]
    going = Round(Call(target=TARGET, times=6, per_second=2, concurrency=3), RateCap(1000, manual_clock), manual_clock)
    running = asyncio.create_task(going.run(callers, manual_clock.now() + 60 * SECOND))
    await manual_clock.until_somebody_sleeps()
    await manual_clock.advance(10 * SECOND)
    await running
    assert sorted(at for caller in callers for at in caller.called) == [0, 0.5, 1, 1.5, 2, 2.5]


async def test_an_agent_never_calls_faster_than_it_may(manual_clock: ManualClock) -> None:
    caller, cap = Noting(manual_clock), RateCap(10, manual_clock)
    going = Round(Call(target=TARGET, times=21), cap, manual_clock)
    running = asyncio.create_task(going.run([caller], manual_clock.now() + 60 * SECOND))
    await manual_clock.until_somebody_sleeps()
    await manual_clock.advance(10 * SECOND)
    await running
    assert caller.called[-1] >= 1.9
    assert max(later - earlier for earlier, later in zip(caller.called, caller.called[1:], strict=False)) <= 0.11


async def test_calls_that_the_deadline_overtakes_are_told_as_such(manual_clock: ManualClock) -> None:
    caller = Noting(manual_clock, takes=SECOND)
    going = Round(Call(target=TARGET, times=5), RateCap(1000, manual_clock), manual_clock)
    running = asyncio.create_task(going.run([caller], manual_clock.now() + 2.5 * SECOND))
    await manual_clock.until_somebody_sleeps(2)
    await manual_clock.advance(3 * SECOND)
    replies = await running
    assert [reply.trouble for reply in replies] == [None, None, *[Trouble.TIMED_OUT] * 3]
    assert caller.closed == 1


async def test_a_round_that_is_ended_early_tells_what_was_seen_so_far(manual_clock: ManualClock) -> None:
    caller = Noting(manual_clock)
    going = Round(Call(target=TARGET, times=100, per_second=1), RateCap(1000, manual_clock), manual_clock)
    running = asyncio.create_task(going.run([caller], manual_clock.now() + 600 * SECOND))
    await manual_clock.until_somebody_sleeps(2)
    await manual_clock.advance(timedelta(seconds=2.5))
    going.end()
    assert len(await running) == 3

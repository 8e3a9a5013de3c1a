"""Time-outs by a clock."""

import asyncio
from datetime import timedelta

import pytest

from steward.clock import SystemClock, within
from steward.testing.clock import ManualClock

SECOND = timedelta(seconds=1)


async def test_a_block_that_takes_too_long_by_the_clock_is_timed_out(manual_clock: ManualClock) -> None:
    async def wait() -> None:
        async with within(manual_clock, SECOND):
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(wait())
    await manual_clock.until_somebody_sleeps()
    await manual_clock.advance(SECOND / 2)
    assert not waiting.done()
    await manual_clock.advance(SECOND / 2)
    with pytest.raises(TimeoutError):
        await waiting


async def test_a_block_that_is_done_in_time_leaves_nobody_waiting(manual_clock: ManualClock) -> None:
    async with within(manual_clock, SECOND):
        await manual_clock.sleep(timedelta())
    await manual_clock.advance(2 * SECOND)
    assert manual_clock.sleepers == 0


async def test_a_time_that_is_over_already_times_out_at_the_first_wait() -> None:
    with pytest.raises(TimeoutError):
        async with within(SystemClock(), -SECOND):
            await asyncio.get_running_loop().create_future()


async def test_a_cancellation_from_outside_is_no_time_out(manual_clock: ManualClock) -> None:
    async def wait() -> None:
        async with within(manual_clock, SECOND):
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(wait())
    await manual_clock.until_somebody_sleeps()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

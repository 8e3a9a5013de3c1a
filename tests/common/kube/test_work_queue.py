"""Keys are worked on once at a time, never lost, and with growing patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from steward.errors import Retry, StewardError
from steward.kube.work_queue import Backoff, WorkQueue
from steward.testing.clock import ManualClock
from tests.common.kube.observing import until

_SECOND = timedelta(seconds=1)
Work = Callable[[str], Awaitable[timedelta | None]]


@asynccontextmanager
async def working(queue: WorkQueue[str], work: Work, workers: int = 2) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(queue.run(work, workers=workers))
        yield
        running.cancel()


async def test_a_key_added_often_is_worked_on_once(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)

    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    async with working(queue, work):
        await queue.settled()
    assert done == ["a", "b"]


async def test_a_key_added_while_worked_on_is_worked_on_again_afterwards_and_never_twice_at_once(
    manual_clock: ManualClock,
) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    go, running, most = asyncio.Event(), 0, 0
    done = 0

    async def work(_: str) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        done += 1

    queue.add("a")
    async with working(queue, work, workers=4):
        await until(lambda: queue.working == 1)
        queue.add("a")
        queue.add("a")
        go.set()
        await queue.settled()
    assert (done, most) == (2, 1)


async def test_workers_are_bounded(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    go = asyncio.Event()
    most = 0

    async def work(_: str) -> None:
        nonlocal most
        most = max(most, queue.working)
        await go.wait()

    for number in range(10):
        queue.add(str(number))
    async with working(queue, work, workers=3):
        await until(lambda: queue.working == 3)
        go.set()
        await queue.settled()
    assert most == 3


async def test_a_delayed_key_comes_when_its_time_has_come(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    done: list[tuple[str, float]] = []

    async def work(key: str) -> None:
        done.append((key, manual_clock.monotonic()))

    queue.add_after("late", 5 * _SECOND)
    async with working(queue, work):
        await manual_clock.until_somebody_sleeps()
        queue.add_after("early", 2 * _SECOND)
        queue.add_after("late", 9 * _SECOND)
        await manual_clock.advance(10 * _SECOND)
        await queue.settled()
    assert done == [("early", 2.0), ("late", 5.0)]
    assert queue.delayed == 0


async def test_failures_wait_longer_each_time_until_one_success(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock, Backoff(first=_SECOND, longest=10 * _SECOND))
    attempts: list[float] = []

    async def work(_: str) -> None:
        attempts.append(manual_clock.monotonic())
        if len(attempts) < 7:
            raise StewardError("not yet")

    queue.add("a")
    async with working(queue, work):
        await queue.settled()
        await manual_clock.advance(100 * _SECOND)
        await queue.settled()
    pauses = [after - before for before, after in pairwise(attempts)]
    for pause, bound in zip(pauses, (1, 2, 4, 8, 10, 10), strict=True):
        assert bound / 2 <= pause <= bound
    assert queue.failures("a") == 0


async def test_an_answer_may_name_its_own_delay(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    seen: list[float] = []

    async def work(_: str) -> timedelta | None:
        seen.append(manual_clock.monotonic())
        if len(seen) == 1:
            return 3 * _SECOND
        if len(seen) == 2:
            raise Retry(4 * _SECOND, "the window is closed")
        return None

    queue.add("a")
    async with working(queue, work):
        await queue.settled()
        await manual_clock.advance(20 * _SECOND)
        await queue.settled()
    assert seen == [0.0, 3.0, 7.0]


async def test_a_mistake_ends_the_queue_loudly(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)

    async def work(_: str) -> None:
        raise KeyError("a bug")

    queue.add("a")
    with pytest.raises(ExceptionGroup) as failed:
        await queue.run(work)
    assert isinstance(failed.value.exceptions[0], KeyError)


async def test_adding_at_once_overtakes_a_delay(manual_clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(manual_clock)
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)

    queue.add_after("a", 5 * _SECOND)
    queue.add("a")
    async with working(queue, work):
        await queue.settled()
        await manual_clock.advance(10 * _SECOND)
        await queue.settled()
    assert done == ["a"]

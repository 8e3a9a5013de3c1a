"""Many keys at once, each key in order.

Every key has a lane, a queue of things to do; at most one thing of a lane is being done. A thing whose work ends
*away* keeps its place at the head of its lane, and the lane waits, until it comes back or is given up; other lanes go
on. Things of lanes that wait do not count as load, so that one bad key never starves the others.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Enum):
    """How the work on a thing ended."""

    DONE = auto()
    AWAY = auto()
    AGAIN = auto()


# How many things may be done without letting the loop breathe, when none of them waits for anything.
_STRIDE = 32


class Lane(Generic[T]):
    """The things of one key, oldest first."""

    __slots__ = ("away", "key", "queue", "running", "scheduled")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[T] = deque()
        self.scheduled = False
        self.running = False
        self.away = False


class Lanes(Generic[T]):
    """Does things, at most `concurrency` at a time."""

    def __init__(self, work: Callable[[T], Awaitable[Outcome]], *, concurrency: int) -> None:
        self._work = work
        self._concurrency = concurrency
        self._lanes: dict[str, Lane[T]] = {}
        self._ready: deque[Lane[T]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        # Apart from the set, which still holds a worker that has nothing left to do and is about to end.
        self._active = 0
        self._closed = False
        self._crash: BaseException | None = None
        self.load = 0

    @property
    def working(self) -> bool:
        """Whether anything is being done."""
        return bool(self._workers)

    @property
    def crash(self) -> BaseException | None:
        """What ended a worker against its will; `work` is expected never to raise."""
        return self._crash

    def put(self, key: str, thing: T) -> None:
        """Queue `thing` behind everything else of `key`."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        lane.queue.append(thing)
        if not lane.away:
            self.load += 1
            if not lane.scheduled:
                self._make_ready(lane)

    def came_back(self, key: str) -> None:
        """The thing of `key` that was away is here again: do it, before everything behind it."""
        lane = self._lanes.get(key)
        if lane is not None and lane.away:
            lane.away = False
            self.load += len(lane.queue)
            self._make_ready(lane)

    def give_up(self, key: str) -> None:
        """The thing of `key` that was away will not come back: go on with what is behind it."""
        lane = self._lanes.get(key)
        if lane is None or not lane.away:
            return
        lane.queue.popleft()
        lane.away = False
        self.load += len(lane.queue)
        if lane.queue:
            self._make_ready(lane)
        else:
            del self._lanes[key]

    def close(self) -> list[T]:
        """Begin nothing any more; what is being done goes on. Returns everything that was not begun."""
        self._closed = True
        self._ready.clear()
        left: list[T] = []
        for lane in self._lanes.values():
            begun = 1 if lane.running else 0
            left.extend(list(lane.queue)[begun:])
        return left

    async def wait(self) -> None:
        """Return when nothing is being done."""
        while self._workers:
            await asyncio.wait(self._workers)

    def cancel(self) -> None:
        """Cancel what is being done."""
        for worker in self._workers:
            worker.cancel()

    def _make_ready(self, lane: Lane[T]) -> None:
        if self._closed:
            return
        lane.scheduled = True
        self._ready.append(lane)
        if self._active < self._concurrency:
            self._active += 1
            worker = asyncio.get_running_loop().create_task(self._work_off())
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)

    async def _work_off(self) -> None:
        try:
            await self._work_off_ready()
        finally:
            self._active -= 1

    async def _work_off_ready(self) -> None:
        done = 0
        while self._ready:
            lane = self._ready.popleft()
            lane.running = True
            outcome = await self._work(lane.queue[0])
            lane.running = False
            self._settle(lane, outcome)
            done += 1
            if done % _STRIDE == 0:
                await asyncio.sleep(0)  # noqa: TID251 - lets the loop turn once and waits for no time

    def _settle(self, lane: Lane[T], outcome: Outcome) -> None:
        if outcome is Outcome.AWAY:
            lane.away = True
            lane.scheduled = False
            self.load -= len(lane.queue)
            return
        if outcome is Outcome.DONE:
            lane.queue.popleft()
            self.load -= 1
        if not lane.queue:
            del self._lanes[lane.key]
        elif not self._closed:
            self._ready.append(lane)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and worker.exception() is not None:
            self._crash = worker.exception()

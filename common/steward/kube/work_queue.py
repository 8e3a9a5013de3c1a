"""A queue of keys: each at most once, never two workers on one key, and a key that fails waits longer each time.

    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("web/api")
    await queue.run(reconcile, workers=4)       # until cancelled

`reconcile(key)` returns None when it is content, or a timedelta to be called again after. It raises `Retry(after)` for
a delay of its own and any other `StewardError` for a growing one; what else it raises is a mistake and ends `run`.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Generic, TypeAlias, TypeVar

import structlog

from steward.clock import Clock
from steward.errors import Retry, StewardError

K = TypeVar("K", bound=Hashable)
Work: TypeAlias = Callable[[K], Awaitable[timedelta | None]]

_LOG = structlog.get_logger("steward.kube.work_queue")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a key waits after its n-th failure in a row."""

    first: timedelta = timedelta(milliseconds=200)
    longest: timedelta = timedelta(minutes=5)

    def after(self, failures: int, chance: random.Random) -> timedelta:
        """Doubling from `first` to `longest`, jittered over the upper half."""
        return min(self.longest, self.first * (1 << min(failures - 1, 24))) * chance.uniform(0.5, 1.0)


class WorkQueue(Generic[K]):
    """Keys waiting for work."""

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._chance = random.Random()
        self._ready: deque[K] = deque()
        self._wanted: set[K] = set()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._tickets = count()
        self._filled = asyncio.Event()
        self._sooner = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def __len__(self) -> int:
        """How many keys wait to be worked on now; delayed ones do not count."""
        return len(self._ready)

    @property
    def delayed(self) -> int:
        """How many keys come back later."""
        return len(self._due)

    @property
    def working(self) -> int:
        """How many keys are being worked on."""
        return len(self._working)

    def failures(self, key: K) -> int:
        """How often the key failed in a row."""
        return self._failures.get(key, 0)

    async def settled(self) -> None:
        """Return when nothing waits and nothing is worked on; delayed keys may still come."""
        await self._settled.wait()

    def add(self, key: K) -> None:
        """Work on the key soon; once, however often it is added before that."""
        self._due.pop(key, None)
        if key in self._wanted:
            return
        self._wanted.add(key)
        self._settled.clear()
        if key not in self._working:
            self._offer(key)

    def add_after(self, key: K, delay: timedelta) -> None:
        """Work on the key after `delay`; of several delays the shortest counts."""
        if delay <= timedelta(0):
            self.add(key)
            return
        due = self._clock.monotonic() + delay.total_seconds()
        known = self._due.get(key)
        if key in self._wanted or (known is not None and known <= due):
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._tickets), key))
        if self._later[0][2] == key:
            self._sooner.set()

    def retry(self, key: K) -> timedelta:
        """Work on the key after a delay that grows with each failure; returns the delay."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.after(self._failures[key], self._chance)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key is well: its next failure is a first one."""
        self._failures.pop(key, None)

    async def run(self, work: Work[K], *, workers: int = 4) -> None:
        """Hand keys to `work`, at most `workers` at a time, until cancelled."""
        slots = asyncio.Semaphore(workers)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._offer_delayed())
            while True:
                await slots.acquire()
                key = await self._take()
                tasks.create_task(self._work_on(key, work, slots))

    def _offer(self, key: K) -> None:
        self._ready.append(key)
        self._filled.set()

    async def _take(self) -> K:
        while not self._ready:
            self._filled.clear()
            await self._filled.wait()
        key = self._ready.popleft()
        self._wanted.discard(key)
        self._working.add(key)
        return key

    async def _work_on(self, key: K, work: Work[K], slots: asyncio.Semaphore) -> None:
        try:
            await self._attempt(key, work)
        finally:
            self._working.discard(key)
            if key in self._wanted:
                self._offer(key)
            if not self._wanted and not self._working:
                self._settled.set()
            slots.release()

    async def _attempt(self, key: K, work: Work[K]) -> None:
        try:
            again = await work(key)
        except Retry as answer:
            self.forget(key)
            self.add_after(key, answer.after)
        except StewardError as error:
            delay = self.retry(key)
            _LOG.warning("work failed", key=str(key), error=str(error), again_in=delay.total_seconds())
        else:
            self.forget(key)
            if again is not None:
                self.add_after(key, again)

    async def _offer_delayed(self) -> None:
        while True:
            self._sooner.clear()
            wait = self._release_due()
            if wait is None:
                await self._sooner.wait()
            else:
                await self._sleep_unless_sooner(wait)

    def _release_due(self) -> timedelta | None:
        """Queue every key whose time has come; how long until the next, None where none is left."""
        now = self._clock.monotonic()
        while self._later:
            due, _, key = self._later[0]
            if self._due.get(key) == due:
                if due > now:
                    return timedelta(seconds=due - now)
                self.add(key)
            heapq.heappop(self._later)
        return None

    async def _sleep_unless_sooner(self, wait: timedelta) -> None:
        async with asyncio.TaskGroup() as race:
            sleeping = race.create_task(self._clock.sleep(wait))
            sooner = race.create_task(self._sooner.wait())
            await asyncio.wait((sleeping, sooner), return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
            sooner.cancel()

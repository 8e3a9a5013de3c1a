"""The loop behind the simulated controllers: what changed is looked at again, what takes time is waited for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from steward.clock import Clock

Act = Callable[[], None]
Key = tuple[str, str, str]
"""Kind, namespace and name."""

_BREATHE_EVERY = 25
NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take in the simulation; nothing at all unless said otherwise."""

    start: timedelta = NOTHING
    """From a pod's creation until it is ready."""
    stop: timedelta = NOTHING
    """From a pod's deletion until it is gone."""
    stagger: timedelta = NOTHING
    """How much later each further pod of the same instant becomes ready, up to four of them."""
    reload: timedelta | None = None
    """How soon a running injector serves a changed certificate; None: only when its pod restarts."""

    @classmethod
    def watchable(cls) -> "Pace":
        """Slow enough for a person to see a rollout, quick enough not to be bored."""
        return cls(
            start=timedelta(milliseconds=1200), stop=timedelta(milliseconds=300), stagger=timedelta(milliseconds=250)
        )


class Engine:
    """Keys that wait to be looked at, and acts that wait for their time."""

    def __init__(self, clock: Clock, reconcile: Callable[[Key], None]) -> None:
        self._clock = clock
        self._reconcile = reconcile
        self._dirty: dict[Key, None] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timers: set[asyncio.Task[None]] = set()
        self._hopeless: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._loop = asyncio.create_task(self._run(), name="simulated controllers")

    async def stop(self) -> None:
        """End every task."""
        tasks = [*self._timers, *self._hopeless, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def mark(self, key: Key) -> None:
        """Look at `key` soon."""
        self._dirty[key] = None
        self._idle.clear()
        self._work.set()

    def later(self, delay: timedelta, act: Act, *, counts: bool = True) -> None:
        """Do `act` after `delay`. A retry that may never help does not count: the mesh is settled without it."""
        pending = self._timers if counts else self._hopeless
        if counts:
            self._idle.clear()
        task = asyncio.create_task(self._after(delay, act))
        pending.add(task)
        task.add_done_callback(lambda done: self._finished(done, pending))

    async def settled(self) -> None:
        """Return when nothing is left to do."""
        await self._idle.wait()
        if self._loop is not None and self._loop.done():
            self._loop.result()

    async def _after(self, delay: timedelta, act: Act) -> None:
        await self._clock.sleep(delay)
        act()

    def _finished(self, task: asyncio.Task[None], pending: set[asyncio.Task[None]]) -> None:
        pending.discard(task)
        if not task.cancelled():
            task.result()
        self._rest()

    def _rest(self) -> None:
        if not self._dirty and not self._timers:
            self._idle.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                await self._drain()
                self._rest()
        finally:
            # Whoever waits must not wait for ever when a controller has failed: `settled` raises its error.
            self._idle.set()

    async def _drain(self) -> None:
        done = 0
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            self._reconcile(key)
            done += 1
            if done % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)

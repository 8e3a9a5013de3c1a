"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

DAWN = datetime(2026, 6, 18, 12, 0, tzinfo=UTC)
_SETTLE = 20


class ManualClock:
    """Implements `steward.clock.Clock`. Sleepers wake when `advance` passes their time, in the order of their times."""

    def __init__(self, start: datetime = DAWN) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tickets = count()
        self._slept = asyncio.Event()

    def now(self) -> datetime:
        """The start and all that was advanced since."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds advanced since the start."""
        return self._elapsed

    async def sleep(self, duration: timedelta) -> None:
        """Wait until the clock has been advanced by `duration`."""
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + duration.total_seconds(), next(self._tickets), waiter))
        self._slept.set()
        await waiter

    @property
    def sleepers(self) -> int:
        """How many wait at present."""
        return sum(not waiter.done() for _, _, waiter in self._sleepers)

    async def until_somebody_sleeps(self, sleepers: int = 1) -> None:
        """Return when at least so many wait."""
        while self.sleepers < sleepers:
            self._slept.clear()
            await self._slept.wait()

    async def advance(self, duration: timedelta) -> None:
        """Move on by `duration`, waking each sleeper at its own time and letting it run before the next."""
        end = self._elapsed + duration.total_seconds()
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, waiter = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            if not waiter.done():
                waiter.set_result(None)
            await _settle()
        self._elapsed = end
        await _settle()


async def _settle() -> None:
    """Let tasks that were woken run as far as they can without input or output."""
    for _ in range(_SETTLE):
        await asyncio.sleep(0)

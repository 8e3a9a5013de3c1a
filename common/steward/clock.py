"""Time as a parameter: the only module that reads the clock or sleeps."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a service may know of time. Tests pass `steward.testing.ManualClock`."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; only differences mean anything."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Return after `duration` of this clock."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(max(0.0, duration.total_seconds()))


@asynccontextmanager
async def within(clock: Clock, patience: timedelta) -> AsyncIterator[None]:
    """As `asyncio.timeout`, by a clock: raise TimeoutError where the block takes longer than `patience`."""
    async with asyncio.timeout(None) as bound:

        async def expire() -> None:
            await clock.sleep(patience)
            bound.reschedule(asyncio.get_running_loop().time())

        waiting = asyncio.create_task(expire())
        try:
            yield
        finally:
            waiting.cancel()

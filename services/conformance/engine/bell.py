"""Wakes whoever waits for something to change."""

import asyncio
from datetime import datetime, timedelta

from steward.clock import Clock


class Bell:
    """Rung by whatever sees a change; a ring that nobody waited for is kept for the next who does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    async def wait(self, until: datetime | None) -> bool:
        """Return at the next ring, or at `until`; True where it rang."""
        if until is None:
            await self._rung.wait()
        elif not self._rung.is_set():
            await self._either(until - self._clock.now())
        rang = self._rung.is_set()
        self._rung.clear()
        return rang

    async def _either(self, patience: timedelta) -> None:
        waiting = [asyncio.ensure_future(self._rung.wait()), asyncio.ensure_future(self._clock.sleep(patience))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            # Unlike awaiting them, this tells their cancellation from our own.
            await asyncio.wait(waiting)

"""Wakes whoever waits for something to change, and lets what belongs together come together."""

import asyncio
from datetime import timedelta

from steward.clock import Clock


class Bell:
    """Rung by whatever sees a change; a ring that nobody waited for is kept for the next who does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    async def settled(self, quiet: timedelta) -> None:
        """Return `quiet` after a ring: what changed meanwhile is part of it, and does not ring again."""
        await self._rung.wait()
        await self._clock.sleep(quiet)
        self._rung.clear()

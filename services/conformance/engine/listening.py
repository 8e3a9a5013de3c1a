"""Listening to tap beside the steps of an attempt."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from services.conformance.core.evidence import Heard
from steward.clock import Clock
from steward.viz.events import TapEvent, TapRefused, Told

_LOOK = timedelta(milliseconds=50)


@dataclass(slots=True)
class Listening:
    """What was told so far."""

    clock: Clock
    events: list[TapEvent] = field(default_factory=list)
    refused: TapRefused | None = None
    _first: float | None = None
    _over: bool = False

    @property
    def anything(self) -> bool:
        """Whether waiting for the first of it is over: something was told, or nothing will be."""
        return bool(self.events) or self._over

    async def follow(self, told: AsyncGenerator[TapEvent, None]) -> None:
        """Take what comes, until no more does."""
        try:
            async with aclosing(told) as events:
                async for event in events:
                    self._first = self.clock.monotonic() if self._first is None else self._first
                    self.events.append(event)
        except TapRefused as error:
            self.refused = error
        finally:
            self._over = True

    async def something_within(self, patience: timedelta) -> None:
        """Wait for anything, and not longer than this."""
        ends = self.clock.monotonic() + patience.total_seconds()
        while not self.anything and self.clock.monotonic() < ends:
            await self.clock.sleep(_LOOK)

    async def ended(self, exchanges: int, patience: timedelta, quiet: timedelta) -> None:
        """Wait until so many exchanges have ended, and then for what should not come."""
        ends = self.clock.monotonic() + patience.total_seconds()
        while not self._over and self._ends() < exchanges and self.clock.monotonic() < ends:
            await self.clock.sleep(_LOOK)
        await self.clock.sleep(quiet)

    def told(self, begun: float) -> Heard:
        """As evidence."""
        after = None if self._first is None else self._first - begun
        return Heard(tuple(self.events), after, self.refused)

    def _ends(self) -> int:
        return sum(1 for event in self.events if event.told is Told.END)


@asynccontextmanager
async def listening(told: AsyncGenerator[TapEvent, None], clock: Clock) -> AsyncIterator[Listening]:
    """Listen for as long as the context lasts."""
    heard = Listening(clock)
    following = asyncio.create_task(heard.follow(told), name="tap")
    try:
        yield heard
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

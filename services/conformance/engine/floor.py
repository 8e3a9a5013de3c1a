"""How much goes on at once: a few probes beside one another, one that must be alone by itself, pods within the cap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.conformance.core.probe import Probe


class Floor:
    """The room of one run."""

    def __init__(self, at_once: int, spare_pods: int) -> None:
        self._changed = asyncio.Condition()
        self._at_once = at_once
        self._spare_pods = spare_pods
        self._running = 0
        self._pods = 0
        self._alone = False
        self._waiting_alone = 0

    @asynccontextmanager
    async def taken_by(self, probe: Probe) -> AsyncIterator[None]:
        """Wait for room, and keep it. Whoever must be alone is let in before those who came after."""
        async with self._changed:
            if probe.alone:
                self._waiting_alone += 1
                try:
                    await self._changed.wait_for(lambda: not self._running)
                finally:
                    self._waiting_alone -= 1
                    self._changed.notify_all()
                self._alone = True
            else:
                await self._changed.wait_for(lambda: self._has_room(probe))
            self._running += 1
            self._pods += probe.extra_pods
        try:
            yield
        finally:
            # No await may come between: a cancellation must not keep the room.
            self._running -= 1
            self._pods -= probe.extra_pods
            self._alone = False if probe.alone else self._alone
            await asyncio.shield(self._tell())

    def _has_room(self, probe: Probe) -> bool:
        if self._alone or self._waiting_alone or self._running >= self._at_once:
            return False
        return self._pods + probe.extra_pods <= self._spare_pods or not self._running

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

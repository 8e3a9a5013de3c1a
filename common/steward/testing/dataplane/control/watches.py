"""A proxy's watch of one address: what is known of it, and the wait for news."""

import asyncio
from collections.abc import Callable

from steward.testing.dataplane.config import OutboundTarget
from steward.testing.dataplane.control.discovery import Client


class TargetWatch:
    """Implements `ports.Discovery`; the control plane calls `update`."""

    def __init__(
        self,
        client: Client,
        address: tuple[str, int],
        target: OutboundTarget,
        forget: Callable[["TargetWatch"], None],
    ) -> None:
        self.client = client
        self.address = address
        self._current = target
        self._forget = forget
        self._news = asyncio.Event()

    @property
    def current(self) -> OutboundTarget:
        """What is known, even when the control plane went away since."""
        return self._current

    async def changed(self, seen: OutboundTarget) -> OutboundTarget:
        """Return when something else is known than what was seen."""
        while self._current is seen:
            self._news.clear()
            await self._news.wait()
        return self._current

    def update(self, target: OutboundTarget | None) -> None:
        """Something may have changed. What does not exist any more keeps its last state, without endpoints to come."""
        if target is not None and target != self._current:
            self._current = target
            self._news.set()

    def close(self) -> None:
        """Nobody is interested any more."""
        self._forget(self)

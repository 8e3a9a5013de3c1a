"""Whether this process gets the time it needs: a busy machine must not pass for a slow mesh."""

import asyncio

_EVERY = 0.02
_USUAL = 0.005
"""Seconds that any timer may be late."""


class Pulse:
    """Counts how long the event loop let a timer wait, all told. It beats while its context is open."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._missed = 0.0
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Pulse":
        self._set()
        return self

    def __exit__(self, *_: object) -> None:
        if self._next is not None:
            self._next.cancel()

    @property
    def missed(self) -> float:
        """Seconds by which the beats so far, and the one that is due, came late together."""
        late = self._loop.time() - self._due
        return self._missed + (late if late > _USUAL else 0.0)

    def _beat(self) -> None:
        self._missed = self.missed
        self._set()

    def _set(self) -> None:
        # Not a clock's sleep: what is measured is the loop itself.
        self._due = self._loop.time() + _EVERY
        self._next = self._loop.call_at(self._due, self._beat)

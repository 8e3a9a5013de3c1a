"""How long the event loop is busy at once: between two looks at what came in, nobody else is answered.

The processor time of the loop's own thread counts: what else the machine does, and other threads do, is no fault of
the loop's. Time on the clock is measured beside it, because a disk that is waited for holds the loop up as well.
"""

import asyncio
import selectors
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Busy:
    """The longest passes, in seconds."""

    processor: float = 0.0
    clock: float = 0.0


class Passes(selectors.DefaultSelector):
    """A selector that notes how long the loop stays away from it."""

    def __init__(self) -> None:
        super().__init__()
        self._since: tuple[float, float] | None = None
        self._busy = Busy()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as ever; what lies between two waits is a pass."""
        if self._since is not None:
            processor, clock = time.thread_time() - self._since[0], time.perf_counter() - self._since[1]
            self._busy = Busy(max(self._busy.processor, processor), max(self._busy.clock, clock))
        found = super().select(timeout)
        self._since = time.thread_time(), time.perf_counter()
        return found

    def told(self) -> Busy:
        """The longest since it was told last."""
        busy, self._busy = self._busy, Busy()
        return busy


def loop_with(passes: Passes) -> asyncio.AbstractEventLoop:
    """An event loop that they measure."""
    return asyncio.SelectorEventLoop(passes)

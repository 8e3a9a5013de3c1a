"""Lines of a log as they come: read again and again until there are as many as are waited for."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from services.conformance.core.stage import Place
from services.conformance.core.steps import Logged
from steward.clock import Clock

Read = Callable[[Place], Awaitable[str]]
"""What the container of a pod wrote of late."""

RECENT = timedelta(minutes=10)
_AGAIN = timedelta(milliseconds=500)


async def logged(step: Logged, pods: Sequence[Place], read: Read, clock: Clock) -> dict[str, tuple[str, ...]]:
    """The lines that hold the word, by pod."""
    deadline = clock.monotonic() + step.bound.total_seconds()
    while True:
        found = {pod.pod: _holding(step.word, await read(pod)) for pod in pods}
        if sum(map(len, found.values())) >= step.lines or clock.monotonic() >= deadline:
            return found
        await clock.sleep(_AGAIN)


def _holding(word: str, written: str) -> tuple[str, ...]:
    return tuple(line for line in written.splitlines() if word in line)

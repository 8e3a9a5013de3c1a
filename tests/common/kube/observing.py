"""An observer that remembers, and objects the tests of this folder share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject

_POLL = timedelta(milliseconds=2)


@dataclass(slots=True)
class Observed:
    """Implements `RequestObserver`."""

    answers: list[tuple[str, str, int]] = field(default_factory=list)
    retries: list[tuple[str, str, str]] = field(default_factory=list)

    def on_answer(self, method: str, resource: str, code: int, took: timedelta) -> None:
        assert took >= timedelta(0)
        self.answers.append((method, resource, code))

    def on_retry(self, method: str, resource: str, reason: str) -> None:
        self.retries.append((method, resource, reason))


def config_map(name: str, namespace: str = "default", **data: str) -> JsonObject:
    """The simplest object there is."""
    return {"metadata": {"name": name, "namespace": namespace}, "data": {**data}}


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; the test's own time-out is ten seconds."""
    async with asyncio.timeout(10):
        while not holds():
            await SystemClock().sleep(_POLL)

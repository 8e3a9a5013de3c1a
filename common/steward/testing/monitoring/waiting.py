"""Waiting for what another process will say, without a rest that is too long or a loop that is too hot."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE = timedelta(seconds=60)
_POLL = 0.05


async def eventually(what: str, probe: Callable[[], Awaitable[Found]], *, within: timedelta = PATIENCE) -> Found:
    """The first answer of `probe` that is true in itself. Raises `TimeoutError` with the last one that was not.

    alerts = await eventually("alert", prometheus.alerts)
    """
    last: Found | None = None
    try:
        async with asyncio.timeout(within.total_seconds()):
            while True:
                last = await probe()
                if last:
                    return last
                await asyncio.sleep(_POLL)
    except TimeoutError as late:
        raise TimeoutError(f"no {what} within {within.total_seconds():g} s; the last answer was {last!r}") from late

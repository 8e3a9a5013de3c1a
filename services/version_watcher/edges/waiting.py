"""Waiting for whatever comes first: something that happened, or a time on the clock."""

import asyncio
from datetime import timedelta

from steward.clock import Clock


async def happened_within(event: asyncio.Event, clock: Clock, duration: timedelta) -> bool:
    """True as soon as `event` is set, False when `duration` of `clock` passed before."""
    if event.is_set():
        return True
    waiting = asyncio.ensure_future(event.wait())
    sleeping = asyncio.ensure_future(clock.sleep(duration))
    try:
        await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        sleeping.cancel()
        await asyncio.wait((waiting, sleeping))
    return event.is_set()

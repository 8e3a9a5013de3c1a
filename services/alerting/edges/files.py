"""Work on files beside the event loop, which a slow disk would hold up, and always to its end."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def beside_the_loop(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` returns or raises. Whoever is cancelled meanwhile waits, so that nobody else begins to write then."""
    under_way = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way])
        raise

"""Cancellations that must not get lost: a task is told once that it is to end, and one that missed it goes on for ever.

Python 3.11 loses one in two places. `asyncio.wait_for` returns what has come where a cancellation meets it, and a
`TaskGroup` raises the errors of its tasks where one meets a cancellation: whoever takes such an error for an everyday
one goes on. The task itself still knows that it was cancelled.

It also believes so, for ever, where a `TaskGroup` of Python 3.11 failed after the end of its body: the group then never
takes back what it told its own task. Where anybody asks below, a group therefore ends its body with `await ended(...)`.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def cancellations() -> int:
    """How often the present task was told to end, and did not take it back."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


async def ended(tasks: Collection[asyncio.Task[T]]) -> None:
    """Wait for the tasks of a group, however they end, while its body still lasts."""
    if tasks:
        await asyncio.wait(tasks)


@contextmanager
def heeded() -> Iterator[None]:
    """Raise a cancellation that came during the block, whatever became of it inside."""
    before = cancellations()
    try:
        yield
    finally:
        if cancellations() > before:
            raise asyncio.CancelledError

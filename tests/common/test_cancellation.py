"""A cancellation is heeded whatever became of it, and what was none is not taken for one."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta

import pytest

from steward.cancellation import cancellations, ended, heeded
from steward.clock import SystemClock


async def swallowed() -> None:
    with heeded(), suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def replaced_by_an_error() -> None:
    with suppress(KeyError), heeded():
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("everyday")


async def beaten_by_an_error_of_a_group() -> None:
    async def stumble() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("everyday")

    with suppress(ExceptionGroup), heeded():
        async with asyncio.TaskGroup() as tasks:
            await ended([tasks.create_task(stumble())])


@pytest.mark.parametrize("lose", [swallowed, replaced_by_an_error, beaten_by_an_error_of_a_group])
async def test_what_became_of_it_does_not_matter(lose: Callable[[], Coroutine[None, None, None]]) -> None:
    task = asyncio.create_task(lose())
    for _ in range(5):
        await SystemClock().sleep(timedelta(0))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_an_error_alone_stays_an_error() -> None:
    with pytest.raises(KeyError), heeded():
        raise KeyError


async def test_a_group_that_fails_is_no_cancellation_when_its_body_waited() -> None:
    async def stumble() -> None:
        raise KeyError

    with pytest.raises(ExceptionGroup), heeded():
        async with asyncio.TaskGroup() as tasks:
            await ended([tasks.create_task(stumble()), tasks.create_task(asyncio.Event().wait())])
    assert cancellations() == 0


async def test_a_timeout_inside_is_no_cancellation() -> None:
    with pytest.raises(TimeoutError), heeded():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

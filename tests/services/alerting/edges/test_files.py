"""Files are written beside the event loop, and whoever is stopped meanwhile waits for the end."""

import asyncio
import threading

import pytest

from services.alerting.edges.files import beside_the_loop
from steward.errors import ConfigurationError

PATIENCE = 20.0


async def test_the_loop_goes_on_while_files_are_written() -> None:
    written = threading.Event()
    writing = asyncio.create_task(beside_the_loop(written.wait, PATIENCE))
    asyncio.get_running_loop().call_soon(written.set)
    assert await writing is True


async def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise ConfigurationError("the folder cannot be written")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        await beside_the_loop(work)


async def test_whoever_is_cancelled_waits_until_the_files_are_whole() -> None:
    begun, go_on, order = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        order.append("written")

    writing = asyncio.create_task(beside_the_loop(work))
    await asyncio.to_thread(begun.wait, PATIENCE)
    writing.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await writing
    order.append("over")
    assert order == ["written", "over"]

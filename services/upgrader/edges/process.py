"""Subprocesses: an argument list, a small environment, limits on time and output, and nothing secret in an error.

A process never outlives the service: the kernel kills it with its parent, and a time-out or a cancellation ends its
whole process group. What it may not show anybody goes in through standard input, never through an argument.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from services.upgrader.edges.redaction import redact
from steward.errors import ToolError

_HANDED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
)
_GRACE = timedelta(seconds=5)
_CHUNK = 64 * 1024
_STDERR_KEPT = 64 * 1024
_STDERR_SHOWN = 2000

# Not `preexec_fn`: Python code between fork and exec may deadlock in a process with threads, and we have one for
# metrics. SIGKILL and not SIGTERM: on SIGTERM helm begins a rollback of its own, while our successor already observes.
_DIE_WITH_PARENT = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended before its child began")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot be executed: {error.strerror}")
"""


class ToolMissing(ToolError):
    """The executable is not there, or is none."""


class CommandFailed(ToolError):
    """The command ended with an error; `complaint` is the end of what it wrote to standard error, redacted."""

    def __init__(self, command: str, exit_code: int, complaint: str) -> None:
        said = complaint or "it wrote nothing to standard error"
        how = f"exit code {exit_code}" if exit_code >= 0 else f"signal {signal.Signals(-exit_code).name}"
        super().__init__(f"`{command}` failed with {how}: {said}")
        self.command = command
        self.exit_code = exit_code
        self.complaint = complaint


class CommandTimedOut(ToolError):
    """The command was still running when its time was up, and was ended."""


class TooMuchOutput(ToolError):
    """The command wrote more than it may, and was ended."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. The arguments are shown in errors; `stdin` never is."""

    executable: Path
    arguments: tuple[str, ...]
    timeout: timedelta
    stdin: bytes = field(default=b"", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """On top of what is handed on from the service's own."""
    largest_output: int = 64 * 1024 * 1024

    def __str__(self) -> str:
        return redact(" ".join((self.executable.name, *self.arguments)))


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended. The output may hold secrets and is therefore not part of `repr`."""

    command: str
    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: str = field(repr=False)

    @property
    def complaint(self) -> str:
        """The end of standard error, redacted and short enough for a message."""
        return redact(self.stderr).strip()[-_STDERR_SHOWN:]

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")

    def succeeded(self) -> "Finished":
        """Itself, or CommandFailed."""
        if self.exit_code:
            raise CommandFailed(self.command, self.exit_code, self.complaint)
        return self


@dataclass(frozen=True, slots=True)
class Processes:
    """Runs commands. Make one in the service's main thread: children die with the *thread* that started them."""

    inherited: Mapping[str, str] = field(repr=False)
    """The service's own environment; only a few names of it are handed on."""
    handed_on: tuple[str, ...] = ()
    """Further names, for example those that a credential plugin of the kubeconfig reads."""

    async def run(self, command: Command) -> Finished:
        """Run to the end, whatever the exit code. Raise ToolMissing, CommandTimedOut or TooMuchOutput."""
        if not os.access(command.executable, os.X_OK) or command.executable.is_dir():
            raise ToolMissing(f"there is no executable {str(command.executable)!r}: install it or correct the setting")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _DIE_WITH_PARENT,
            str(os.getpid()),
            str(command.executable),
            *command.arguments,
            stdin=asyncio.subprocess.PIPE if command.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(command),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(command.timeout.total_seconds()):
                return await _Exchange(child, command).finish()
        except TimeoutError as error:
            seconds = command.timeout.total_seconds()
            raise CommandTimedOut(f"`{command}` was ended because it took longer than {seconds:g} s") from error
        finally:
            await _end(child)

    async def succeed(self, command: Command) -> Finished:
        """Run to the end; an exit code other than 0 is CommandFailed."""
        return (await self.run(command)).succeeded()

    def _environment(self, command: Command) -> dict[str, str]:
        names = (*_HANDED_ON, *self.handed_on)
        return {name: self.inherited[name] for name in names if name in self.inherited} | dict(command.environment)


@dataclass(slots=True)
class _Exchange:
    """What goes in and comes out of one child."""

    child: asyncio.subprocess.Process
    command: Command
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    async def finish(self) -> Finished:
        async with asyncio.TaskGroup() as streams:
            streams.create_task(self._feed())
            whole = streams.create_task(self._collect())
            streams.create_task(self._overhear())
        exit_code = await self.child.wait()
        if not whole.result():
            limit = self.command.largest_output
            raise TooMuchOutput(f"`{self.command}` was ended because it wrote more than {limit} bytes")
        return Finished(str(self.command), exit_code, bytes(self.stdout), self.stderr.decode("utf-8", "replace"))

    async def _feed(self) -> None:
        stdin = self.child.stdin
        if stdin is None:
            return
        # One that ends without reading everything breaks the pipe; its exit code and standard error say why.
        with suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(self.command.stdin)
            await stdin.drain()
        stdin.close()

    async def _collect(self) -> bool:
        """Whether all of standard output was within the limit."""
        stream = self.child.stdout
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self.stdout += chunk
            if len(self.stdout) > self.command.largest_output:
                _signal(self.child, signal.SIGKILL)
                return False
        return True

    async def _overhear(self) -> None:
        stream = self.child.stderr
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self.stderr += chunk
            del self.stderr[:-_STDERR_KEPT]


async def _end(child: asyncio.subprocess.Process) -> None:
    """End the process group: politely, and after a grace period not."""
    if child.returncode is not None:
        return
    _signal(child, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE.total_seconds()):
            await child.wait()
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.wait()
    finally:
        if child.returncode is None:
            _signal(child, signal.SIGKILL)


def _signal(child: asyncio.subprocess.Process, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, sign)

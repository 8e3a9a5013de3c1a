"""Programs on loopback that never outlive the test that started them.

A process is signalled only through a pidfd whose start time was compared: a pid that was given to somebody else in the
meantime is never hit.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from steward.errors import StewardError

_PAUSE = 0.03
_START_TIME = 19  # field 22 of /proc/PID/stat, counted after the parenthesised name

# The kernel sends the parent-death signal when the *thread* that started the child ends. Test fixtures run in worker
# threads that come and go, so all children are started from this one thread, which ends with the interpreter.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="steward-spawner")

_DIE_WITH_PARENT = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended before its child began")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ProcessFailed(StewardError):
    """A program of the test kit ended or did not become ready; the message carries the tail of its log."""


@dataclass(slots=True)
class Program:
    """One program: how it is started, where it logs, and the process that runs it, if any."""

    name: str
    argv: Sequence[str]
    log: Path
    detached: bool = False
    """Keep running when the parent ends; only for a cluster that a command line leaves behind."""
    pid: int = 0
    started: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it. Refused while it runs: two etcds would fight for one port."""
        if self.running():
            raise ProcessFailed(f"{self.name} already runs as process {self.pid}; end it first")
        argv = [str(argument) for argument in self.argv]
        if not self.detached:
            argv = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]
        self._child = _SPAWNER.submit(self._spawn, argv).result()
        self.pid = self._child.pid
        self.started = _start_time(self.pid)

    def running(self) -> bool:
        """Whether the very process that was started is alive."""
        if self._child is not None:
            return self._child.poll() is None
        return bool(self.pid) and self.started == _start_time(self.pid)

    def end(self, how: signal.Signals = signal.SIGTERM, *, within: timedelta = timedelta(seconds=10)) -> None:
        """Signal it and wait; one that is still there after `within` is killed."""
        for sign, patience in ((how, within.total_seconds()), (signal.SIGKILL, 10.0)):
            if not self.running() or _signalled(self.pid, self.started, sign, patience):
                break
        if self._child is not None:
            self._child.wait(timeout=10)
            self._child = None

    def tail(self, lines: int = 40) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError as failed:
            return f"(no log: {failed})"

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab"))
            # A session of its own: Ctrl-C in the terminal reaches the tests, which then stop the cluster in order.
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.log.parent
            )


def until(what: str, probe: Callable[[], bool], programs: Sequence[Program], *, within: timedelta) -> None:
    """Poll `probe` until it holds; a program that ends meanwhile, or too long a wait, is an error with its log."""
    deadline = time.monotonic() + within.total_seconds()
    while not probe():
        for program in programs:
            if not program.running():
                raise ProcessFailed(f"{program.name} ended while waiting for {what}:\n{program.tail()}")
        if time.monotonic() > deadline:
            logs = "\n".join(f"--- {program.name}\n{program.tail(15)}" for program in programs)
            raise ProcessFailed(f"no {what} within {within.total_seconds():g} s\n{logs}")
        time.sleep(_PAUSE)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for unbound in sockets:
            unbound.bind(("127.0.0.1", 0))
        return [int(bound.getsockname()[1]) for bound in sockets]


def _signalled(pid: int, started: str, sign: signal.Signals, patience: float) -> bool:
    """Whether the process is gone after `sign` and at most `patience` seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if _start_time(pid) != started:
            return True
        signal.pidfd_send_signal(handle, sign)
        return bool(select.select([handle], [], [], patience)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _start_time(pid: int) -> str:
    """When the process began, in clock ticks since boot; empty for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[_START_TIME]

"""What holds for every test."""

import asyncio
import faulthandler
import io
import os
import signal
import threading
from collections.abc import Generator

import hypothesis
import pytest

# How long an example takes is the machine's affair, and no property of what is tested.
hypothesis.settings.register_profile("anywhere", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("anywhere")

# Started in the background of a shell, we ignore Ctrl-C, and so would every program that a test starts to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_STDERR = pytest.StashKey[int]()
_FOR_CLEANING_UP = 120.0
_HUNG = 70


def pytest_configure(config: pytest.Config) -> None:
    """Keep the way to whoever reads along, before it is captured."""
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """pytest-timeout ends a test that hangs, once. What hangs on, or hangs in cleaning up, ends with its process:
    xdist then names the test, and begins a new one for the rest."""
    seconds = float(item.config.getoption("timeout") or item.config.getini("timeout") or 0)
    if not seconds or item.config.getoption("usepdb"):
        return (yield)
    watch = threading.Timer(seconds + _FOR_CLEANING_UP, _end_process, (item.nodeid, item.config.stash[_STDERR]))
    watch.daemon = True
    watch.start()
    try:
        return (yield)
    finally:
        watch.cancel()


def _end_process(test: str, stderr: int) -> None:
    os.write(stderr, f"\n{test} hangs and cannot be ended:\n".encode())
    faulthandler.dump_traceback(stderr, all_threads=True)
    os._exit(_HUNG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The stack of a loop that waits says nothing: tell what each of its tasks waits for."""
    report = yield
    if call.excinfo is not None and "pytest-timeout" in str(call.excinfo.value):
        report.sections.append(("What its tasks wait for", _tasks(item)))
    return report


def _tasks(item: pytest.Item) -> str:
    said = io.StringIO()
    runner = getattr(item, "funcargs", {}).get("_function_scoped_runner")
    if isinstance(runner, asyncio.Runner):
        for task in asyncio.all_tasks(runner.get_loop()):
            task.print_stack(file=said)
    return said.getvalue()

"""Programs are started, ended and recognised without ever touching somebody else's."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from steward.testing.processes import ProcessFailed, Program, free_ports, until

_SLEEP = ["/bin/sleep", "600"]


def test_a_program_runs_until_it_is_ended(tmp_path: Path) -> None:
    program = Program("sleeper", _SLEEP, tmp_path / "log")
    program.start()
    assert program.running()

    program.end()

    assert not program.running()


def test_a_program_that_ignores_sigterm_is_killed_in_the_end(tmp_path: Path) -> None:
    script = "trap '' TERM; echo deaf; while :; do sleep 600; done"
    program = Program("deaf", ["/bin/sh", "-c", script], tmp_path / "log")
    program.start()
    until("its first word", lambda: "deaf" in program.tail(), [program], within=timedelta(seconds=10))

    program.end(signal.SIGTERM, within=timedelta(milliseconds=100))

    assert not program.running()


def test_a_program_can_be_started_again_after_its_end(tmp_path: Path) -> None:
    program = Program("sleeper", _SLEEP, tmp_path / "log")
    program.start()
    with pytest.raises(ProcessFailed, match="sleeper already runs"):
        program.start()
    first = program.pid
    program.end()
    program.start()

    assert program.pid != first
    program.end()


def test_a_process_that_got_the_number_of_an_ended_one_is_left_alone(tmp_path: Path) -> None:
    bystander = Program("bystander", _SLEEP, tmp_path / "log")
    bystander.start()
    remembered = Program("ours", _SLEEP, tmp_path / "log", pid=bystander.pid, started="1")

    assert not remembered.running()
    remembered.end(signal.SIGKILL)

    assert bystander.running()
    bystander.end()


def test_waiting_for_a_program_that_ends_shows_its_last_words(tmp_path: Path) -> None:
    program = Program("broken", ["/bin/sh", "-c", "echo no such flag >&2; exit 3"], tmp_path / "log")
    program.start()

    with pytest.raises(ProcessFailed, match=r"broken ended while waiting for its port:\nno such flag"):
        until("its port", lambda: False, [program], within=timedelta(seconds=10))


def test_free_ports_differ() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20

"""Subprocesses end when they must, see only what they should, and never give away what they were given."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from services.upgrader.edges.process import CommandFailed, CommandTimedOut, Processes, ToolMissing, TooMuchOutput
from steward.clock import SystemClock
from tests.services.upgrader.edges.conftest import MakeProgram, command


async def test_output_exit_code_and_standard_error_come_apart(processes: Processes, program: MakeProgram) -> None:
    tool = program("print('out'); print('err', file=sys.stderr); sys.exit(3)")
    done = await processes.run(command(tool, "a", "b c"))
    assert (done.text, done.complaint, done.exit_code) == ("out\n", "err", 3)
    with pytest.raises(CommandFailed, match=r"`tool a b c` failed with exit code 3: err"):
        done.succeeded()


async def test_a_child_sees_only_what_is_handed_on(processes: Processes, program: MakeProgram) -> None:
    tool = program("print(sorted(os.environ))")
    seen = (await processes.succeed(command(tool))).text
    assert "PATH" in seen
    assert "STEWARD" not in seen
    more = Processes(processes.inherited, handed_on=("STEWARD_BUS__PASSWORD",))
    assert "STEWARD_BUS__PASSWORD" in (await more.succeed(command(tool))).text


async def test_what_goes_in_through_standard_input_is_in_no_message(processes: Processes, program: MakeProgram) -> None:
    tool = program("given = sys.stdin.read(); sys.exit(len(given) % 256)")
    asked = command(tool, stdin=b"top secret values" * 100_000)
    with pytest.raises(CommandFailed) as failed:
        await processes.succeed(asked)
    assert "secret" not in f"{failed.value} {failed.value!r} {asked!r} {asked}"


async def test_one_that_does_not_read_its_input_is_no_error(processes: Processes, program: MakeProgram) -> None:
    done = await processes.run(command(program("print('bored')"), stdin=b"x" * 4_000_000))
    assert done.text == "bored\n"


async def test_a_command_that_takes_too_long_is_ended_with_its_children(
    processes: Processes, program: MakeProgram, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    tool = program(
        f"""
signal.signal(signal.SIGTERM, signal.SIG_DFL)
child = os.fork()
if child:
    open({str(pids)!r} + '.part', 'w').write(f'{{os.getpid()}} {{child}}')
    os.rename({str(pids)!r} + '.part', {str(pids)!r})
signal.pause()
"""
    )
    with pytest.raises(CommandTimedOut, match=r"longer than 1.5 s"):
        await processes.run(command(tool, seconds=1.5))
    for pid in map(int, pids.read_text().split()):
        await _until_gone(pid)


async def test_a_cancelled_command_is_ended(processes: Processes, program: MakeProgram, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    tool = program(f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\nsignal.pause()")
    running = asyncio.create_task(processes.run(command(tool)))
    while not (pid_file.exists() and pid_file.read_text()):
        await SystemClock().sleep(timedelta(milliseconds=5))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await _until_gone(int(pid_file.read_text()))


async def test_a_command_that_writes_too_much_is_ended(processes: Processes, program: MakeProgram) -> None:
    tool = program("while True: sys.stdout.write('x' * 65536)")
    with pytest.raises(TooMuchOutput, match=r"more than 65536 bytes"):
        await processes.run(command(tool))


async def test_only_the_end_of_standard_error_is_kept_and_shown(processes: Processes, program: MakeProgram) -> None:
    tool = program("sys.stderr.write('noise ' * 200_000 + 'the end'); sys.exit(1)")
    done = await processes.run(command(tool))
    assert done.complaint.endswith("the end")
    assert len(done.complaint) <= 2000
    assert len(done.stderr) <= 64 * 1024


async def test_a_key_on_standard_error_is_not_in_the_error(processes: Processes, program: MakeProgram) -> None:
    tool = program("print('-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIBx\\n', file=sys.stderr); sys.exit(1)")
    with pytest.raises(CommandFailed, match=r"\[private key removed\]") as failed:
        await processes.succeed(command(tool))
    assert "MHcCAQ" not in str(failed.value)


@pytest.mark.parametrize("what", ["absent", "not-executable", "a-folder"])
async def test_what_is_no_executable_is_said_before_anything_runs(
    processes: Processes, tmp_path: Path, what: str
) -> None:
    path = tmp_path / what
    if what == "not-executable":
        path.write_text("#!/bin/sh\n")
    if what == "a-folder":
        path.mkdir()
    with pytest.raises(ToolMissing, match=f"no executable .*{what}"):
        await processes.run(command(path))


async def test_a_file_that_cannot_be_executed_says_so(processes: Processes, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF truncated")
    broken.chmod(0o755)
    with pytest.raises(CommandFailed, match=r"cannot be executed: Exec format error"):
        await processes.succeed(command(broken))


async def test_children_die_with_the_service(tmp_path: Path, program: MakeProgram) -> None:
    pid_file = tmp_path / "pid"
    tool = program(f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\nsignal.pause()")
    service = f"""
import asyncio
from datetime import timedelta
from pathlib import Path
from services.upgrader.edges.process import Command, Processes
asyncio.run(Processes({{}}).run(Command(Path({str(tool)!r}), (), timedelta(minutes=5))))
"""
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", service, env=environment)
    while not (pid_file.exists() and pid_file.read_text()):
        assert parent.returncode is None
        await SystemClock().sleep(timedelta(milliseconds=5))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await _until_gone(int(pid_file.read_text()))


async def _until_gone(pid: int) -> None:
    """Zombies count as gone: they are for init, or the test's own parent, to collect."""
    async with asyncio.timeout(10):
        while _alive(pid):
            await SystemClock().sleep(timedelta(milliseconds=5))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

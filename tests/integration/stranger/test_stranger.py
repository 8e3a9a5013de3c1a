"""A stranger's project: an environment of its own with nothing but `pip install ./common`, killed and started again."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.events import Envelope, UpgradeFinished, UpgradeStepFailed
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer

ROOT = Path(__file__).parents[3]
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Project:
    """The stranger's folder and its Python."""

    folder: Path
    python: Path

    @property
    def handlers(self) -> Path:
        """The one module that the stranger wrote."""
        return self.folder / "acme_handlers.py"

    def journal(self) -> list[dict[str, object]]:
        """What the handlers wrote down."""
        path = self.folder / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        # The last line may be half written when its writer is killed.
        return [json.loads(line) for line in lines if line.endswith("}")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("acme")
    venv.create(folder / ".venv", with_pip=False, symlinks=True)
    python = folder / ".venv" / "bin" / "python"
    # The folder is copied as git has it, so that nothing of the working tree can help.
    source = folder / "common"
    shutil.copytree(ROOT / "common", source, ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(source)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stderr and "Retrying" in done.stderr:
        pytest.skip("no package index can be reached, so the stranger's environment cannot be built")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)
    shutil.copy(Path(__file__).with_name("acme_handlers.py"), folder)
    return Project(folder, python)


def test_the_environment_holds_the_sdk_and_its_two_dependencies_and_nothing_of_the_services(project: Project) -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(project.python), "list", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {package["name"].lower().replace("_", "-") for package in json.loads(listing.stdout)}
    assert {"linkerd-steward", "nats-py", "pydantic"} <= names
    assert names <= {
        "linkerd-steward",
        "nats-py",
        "pydantic",
        "pydantic-core",
        "annotated-types",
        "typing-extensions",
        "typing-inspection",
    }


def test_the_strangers_code_is_typed_under_mypy_strict(project: Project) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(project.python)]
    done = subprocess.run(
        [*command, str(project.handlers)], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_handler_of_the_wrong_event_is_a_type_error(project: Project) -> None:
    wrong = project.folder / "wrong.py"
    wrong.write_text(
        project.handlers.read_text().replace("@subscriber.on(UpgradeFinished)", "@subscriber.on(UpgradeStepFailed)")
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(project.python)]
    done = subprocess.run([*command, str(wrong)], cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has incompatible type" in done.stdout


@asynccontextmanager
async def handlers(project: Project, server: NatsServer) -> AsyncIterator[asyncio.subprocess.Process]:
    """The stranger's process."""
    environment = {
        "PATH": os.defpath,
        "STEWARD_BUS__SERVERS": server.url,
        "STEWARD_BUS__DRAIN_DEADLINE": "5",
    }
    process = await asyncio.create_subprocess_exec(
        str(project.python),
        str(project.handlers),
        str(project.folder / "journal.jsonl"),
        cwd=project.folder,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            said = (await process.communicate())[1].decode()
        assert "Traceback" not in said, said


def failure(number: int) -> Envelope[UpgradeStepFailed]:
    """Every fifth event makes the handler ask for a retry, every seventh is refused."""
    reason = "Busy" if number % 5 == 0 else "Refused" if number % 7 == 0 else "Broken"
    data = build(UpgradeStepFailed, run=f"run-{number % 20}", reason=reason, message=f"number {number}")
    return enveloped(data, id=f"failure/{number}")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await SystemClock().sleep(timedelta(milliseconds=50))


async def test_it_receives_retries_rejects_and_loses_nothing_when_it_is_killed(
    project: Project, nats_server: NatsServer
) -> None:
    bus = await Bus.connect(BusSettings(servers=(nats_server.url,)), name="test", clock=SystemClock())
    await bus.reconcile()
    refused = {f"failure/{number}" for number in range(300) if number % 7 == 0 and number % 5 != 0}
    wanted = {f"failure/{number}" for number in range(300)} - refused

    busy = {f"failure/{number}" for number in range(0, 300, 5)}

    def outcomes(what: str, *, first: bool = False) -> set[object]:
        return {
            line["id"] for line in project.journal() if line["what"] == what and (not first or line["attempt"] == 1)
        }

    async with handlers(project, nats_server) as process:
        for number in range(150):
            await bus.publish(failure(number))
        await until(lambda: len(outcomes("handled")) > 20)
        process.kill()
        await process.wait()
    # For a moment the server still gives to the dead what is published: that comes again, as a second attempt.
    for number in range(150, 300):
        await bus.publish(failure(number))
    async with handlers(project, nats_server) as process:
        await until(lambda: outcomes("handled") == wanted and outcomes("rejected") == refused)
        await bus.publish(enveloped(build(UpgradeFinished, run="last", message="the end")))
        await until((project.folder / "journal.last").exists)
        process.terminate()
        assert await process.wait() == 0
    # Whether its first attempt was refused by the handler or died with the process: each was asked for once more.
    assert not busy & outcomes("handled", first=True)
    assert outcomes("retried") <= busy
    assert len(outcomes("retried")) > len(busy) / 2

    async def buried() -> set[str]:
        return {letter.headers["ce-id"] async for letter in bus.dead_letters.list(consumer="acme")}

    async with asyncio.timeout(PATIENCE):
        while await buried() != refused:
            await SystemClock().sleep(timedelta(milliseconds=50))
    await bus.close()

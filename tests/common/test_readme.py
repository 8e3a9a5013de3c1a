"""The README's code runs, its variables are the settings, and its list of rights is enough and not too much."""

import asyncio
import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from steward import NewVersion, Reject, Subscriber
from steward.bus.client import Bus
from steward.bus.errors import BusRefused
from steward.bus.settings import BusSettings
from steward.bus.streams import DEAD_LETTERS, EVENTS
from steward.clock import SystemClock
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer, NatsUser

ROOT = Path(__file__).parents[2]
README = (ROOT / "common" / "README.md").read_text()
PATIENCE = 30


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_python_block_is_a_file_and_its_test_passes(tmp_path: Path) -> None:
    for block in blocks("python"):
        name = block.splitlines()[0].removeprefix("# ")
        assert name.endswith(".py"), block
        (tmp_path / name).write_text(block)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'common'}:{tmp_path}"}  # noqa: TID251 - for the child process
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{README.count('# test_acme_')} passed" in run.stdout


def test_the_table_of_settings_names_every_field_and_no_other() -> None:
    table = README.split("## Settings")[1].split("```")[0]
    named = {
        name.lower()
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }
    assert named == set(BusSettings.model_fields)


def rights() -> dict[str, tuple[str, ...]]:
    (text,) = blocks("text")
    found: dict[str, list[str]] = {}
    verb = ""
    for line in text.splitlines():
        head, _, rest = line.partition(":")
        verb, subject = (head.strip(), rest.strip()) if rest else (verb, line.strip())
        found.setdefault(verb, []).append(subject)
    return {verb: tuple(subjects) for verb, subjects in found.items()}


async def play(server: NatsServer, user: NatsUser, *, until_refused: bool = False) -> str:
    """Reject events as `user`, until one is a dead letter or the subscriber ends; returns the reason of the letter."""
    admin = await Bus.connect(
        BusSettings(servers=(server.url,), user="admin", password="admin"),  # type: ignore[arg-type] # pydantic wraps it
        name="admin",
        clock=SystemClock(),
    )
    await admin.reconcile((EVENTS, DEAD_LETTERS))
    mine = BusSettings.model_validate(
        {
            "servers": [server.url],
            "user": user.name,
            "password": user.password,
            "inbox_prefix": "_INBOX_acme",
            "request_timeout": 2,
        }
    )
    subscriber = Subscriber("acme-tickets", mine)

    @subscriber.on(NewVersion)
    async def refuse(_: NewVersion) -> None:
        raise Reject("as the test wants it")

    task = asyncio.create_task(subscriber.run())
    try:
        async with asyncio.timeout(PATIENCE):
            number = 0
            while until_refused or not (letters := [letter async for letter in admin.dead_letters.list()]):
                if task.done():
                    task.result()
                number += 1
                await admin.publish(enveloped(build(NewVersion), id=str(number)))
                await SystemClock().sleep(timedelta(milliseconds=20))
            return letters[0].reason
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BusRefused):
            await task
        await admin.close()


async def test_the_rights_it_lists_are_enough() -> None:
    listed = rights()
    acme = NatsUser("acme", "acme", publish=listed["publish"], subscribe=listed["subscribe"])
    async with NatsServer(users=[NatsUser("admin", "admin"), acme]) as server:
        assert await play(server, acme) == "as the test wants it"


@pytest.mark.parametrize("missing", range(7))
async def test_without_one_of_them_the_subscriber_names_what_it_lacks(missing: int) -> None:
    listed = rights()
    fewer = tuple(subject for index, subject in enumerate(listed["publish"]) if index != missing)
    acme = NatsUser("acme", "acme", publish=fewer, subscribe=listed["subscribe"])
    async with NatsServer(users=[NatsUser("admin", "admin"), acme]) as server:
        with pytest.raises(BusRefused, match=re.escape(listed["publish"][missing].rstrip(">"))):
            await play(server, acme, until_refused=True)

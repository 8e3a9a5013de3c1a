"""The examples, run as they are: against a real server and a real tracker."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.events import RunOutcome, UpgradeFinished, UpgradeStarted, UpgradeStepFailed
from steward.subscriber import Subscriber, discover
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer

PATIENCE = 30


class Tracker:
    """A ticket tracker that keeps one ticket a reference; `answers` are given first."""

    def __init__(self) -> None:
        self.tickets: dict[str, dict[str, str]] = {}
        self.answers: list[int] = []
        self.asked = asyncio.Condition()
        self.requests = 0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        ticket: dict[str, str] = json.loads(await request.text())
        async with self.asked:
            self.requests += 1
            self.asked.notify_all()
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        if ticket["reference"] in self.tickets:
            return web.Response(status=409)
        self.tickets[ticket["reference"]] = ticket
        return web.Response(status=201)

    async def was_asked(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE), self.asked:
            await self.asked.wait_for(lambda: self.requests >= times)


@pytest_asyncio.fixture
async def tracker() -> AsyncIterator[Tracker]:
    tracker = Tracker()
    application = web.Application()
    application.router.add_post("/tickets", tracker.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    tracker.url = f"http://{host}:{port}/tickets"
    yield tracker
    await runner.cleanup()


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bus]:
    monkeypatch.setenv("STEWARD_BUS__SERVERS", nats_server.url)
    bus = await Bus.connect(BusSettings(servers=(nats_server.url,)), name="test", clock=SystemClock())
    await bus.reconcile()
    yield bus
    await bus.close()


def example(name: str) -> Subscriber:
    """The subscriber of an example, freshly imported."""
    module = importlib.import_module(f"examples.{name}")
    return discover(f"{importlib.reload(module).__name__}:subscriber")


@asynccontextmanager
async def running(subscriber: Subscriber, bus: Bus) -> AsyncIterator[None]:
    await bus.reconcile((), (subscriber.consumer,))
    task = asyncio.create_task(subscriber.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_tickets_opens_one_ticket_a_failure_and_waits_for_a_busy_tracker(
    bus: Bus, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_URL", tracker.url)
    tracker.answers = [503]
    async with running(example("tickets"), bus):
        await bus.publish(enveloped(build(UpgradeStepFailed, run="r1", will_retry=True), id="again"))
        await bus.publish(enveloped(build(UpgradeStepFailed, run="r1", will_retry=False), id="final"))
        await tracker.was_asked(2)
    assert list(tracker.tickets) == ["final"]
    assert tracker.tickets["final"]["title"] == "Linkerd upgrade r1: control-plane failed on test"


async def test_tickets_rejects_what_the_tracker_refuses(
    bus: Bus, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_URL", tracker.url)
    tracker.answers = [422]
    async with running(example("tickets"), bus), asyncio.timeout(PATIENCE):
        await bus.publish(enveloped(build(UpgradeStepFailed, will_retry=False)))
        while not (letters := [letter async for letter in bus.dead_letters.list()]):
            await SystemClock().sleep(timedelta(milliseconds=10))
    assert [letter.reason for letter in letters] == ["the tracker refused the ticket with 422"]
    assert tracker.tickets == {}


async def test_run_journal_writes_the_story_of_each_run_once(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_FOLDER", str(tmp_path))
    journal = tmp_path / "r1.txt"
    for _ in range(2):
        await bus.publish(enveloped(build(UpgradeStarted, run="r1", message="it begins"), id="r1/started"))
    finished = build(UpgradeFinished, run="r1", message="it ended", outcome=RunOutcome.SUCCEEDED)
    await bus.publish(enveloped(finished, id="r1/finished"))
    async with running(example("run_journal"), bus), asyncio.timeout(PATIENCE):
        while "r1/finished" not in (journal.read_text() if journal.exists() else ""):
            await SystemClock().sleep(timedelta(milliseconds=10))
    assert journal.read_text().splitlines() == [
        "2026-06-18 12:00:00 test upgrade-started: it begins [r1/started]",
        "2026-06-18 12:00:00 test upgrade-finished: it ended [r1/finished]",
    ]

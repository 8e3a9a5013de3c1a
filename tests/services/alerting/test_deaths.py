"""The service dies at any of its writes, and the next one goes on: nothing is lost, and nothing is said twice."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from steward.events.alerts import AlertFiring, AlertPolicyApplied, AlertResolved
from steward.jsonvalue import JsonObject
from steward.testing.kubernetes.faults import WriteMoment
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import WebhookSink
from tests.services.alerting.running import HOME, PATIENCE, World, world

pytestmark = pytest.mark.monitoring

FIRES: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1)", "severity": "warning"}]}
ENDS: JsonObject = {"rules": [{"name": "Fires", "expr": "vector(1) > 2", "severity": "warning"}]}
FILES = range(7)
STATUSES = range(3)


class Dead(BaseException):
    """What a killed process leaves behind is what it had done so far."""


class Blade:
    """Ends the process, as it seems to itself, at one of its files: before that one is put in its place."""

    def __init__(self) -> None:
        self.struck = asyncio.Event()
        self._left = -1
        self._below = ""

    def whet(self, below: Path, files: int) -> None:
        """Let so many files below a folder through."""
        self.struck.clear()
        self._left, self._below = files, str(below)

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook; there is no way to take one away."""
        if event != "os.rename" or self._left < 0 or not str(arguments[1]).startswith(self._below):
            return
        self._left -= 1
        if self._left < 0:
            self.struck.set()
            raise Dead


class StatusDeath:
    """A process dies with the status that it is not allowed: nothing of it reaches the API server from then on."""

    def __init__(self, stage: str, allowed: int) -> None:
        self.struck = asyncio.Event()
        self.over = False
        self._stage = stage
        self._left = allowed

    def __call__(self, moment: WriteMoment) -> None:
        if self.over or "alertpolicies" not in moment.path:
            return
        if self.struck.is_set() and moment.stage == "before":
            raise ConnectionResetError
        if moment.stage == self._stage:
            self._left -= 1
            if self._left < 0:
                self.struck.set()
                raise ConnectionResetError


@pytest.fixture(scope="module")
def blade() -> Blade:
    made = Blade()
    sys.addaudithook(made.hook)
    return made


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


def numbered(number: int) -> JsonObject:
    return {"rules": [{"name": "Numbered", "expr": f"vector({number}) > 1000", "severity": "warning"}]}


async def starts_alone(tools: MonitoringTools, rules: Path) -> tuple[str, ...]:
    """What a Prometheus that starts on the folder evaluates."""
    async with Prometheus(tools, PrometheusOptions(rules=rules)) as fresh:
        return await fresh.rules()


async def test_a_death_at_any_file_leaves_files_that_load_and_the_next_start_completes_them(
    around: World, monitoring_tools: MonitoringTools, blade: Blade
) -> None:
    died = 0
    async with WebhookSink() as sink:
        for files in FILES:
            around.secret("hook", {"token": f"bearer-{files}"})
            around.channel(
                "hook", {"webhook": {"url": f"{sink.url}/{files}", "bearerToken": {"name": "hook", "key": "token"}}}
            )
            around.policy("mine", numbered(files))
            blade.whet(around.folder, files)
            first = around.start()
            striking = asyncio.create_task(blade.struck.wait())
            done = asyncio.create_task(around.policy_says("mine", "InForce", "Applied"))
            await asyncio.wait([striking, done], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
            died += blade.struck.is_set()
            for each in (striking, done):
                each.cancel()
            await first.stop()
            blade.whet(around.folder, -1)
            assert await starts_alone(monitoring_tools, around.folder / "rules") in ((), ("Numbered",))
            async with around.running():
                await around.policy_says("mine", "InForce", "Applied")
                await around.channel_says("hook", "Applied")
            assert f"vector({files})" in (around.folder / "rules" / "shop.mine.yaml").read_text()
            assert f"{sink.url}/{files}" in (around.folder / "alertmanager" / "alertmanager.yml").read_text()
            secrets = [each.read_text() for each in (around.folder / "secrets").iterdir()]
            assert secrets == [f"bearer-{files}"]
        said = await around.events(AlertPolicyApplied)
    assert died > 3
    assert len({each.digest for each in said if not each.refused}) == len([each for each in said if not each.refused])


@pytest.mark.parametrize("stage", ["before", "after"])
async def test_a_death_at_any_status_says_nothing_twice(around: World, stage: str) -> None:
    known: set[str] = set()
    for writes in STATUSES:
        around.policy("mine", numbered(writes))
        around.policy("other", numbered(writes), HOME)
        death = StatusDeath(stage, writes)
        around.kubernetes.on_write(death)
        first = around.start()
        striking = asyncio.create_task(death.struck.wait())
        # There are fewer writes to die at where the first of them was answered, and its status stands already.
        await asyncio.wait([striking], timeout=5)
        striking.cancel()
        await first.stop()
        death.over = True
        async with around.running():
            await around.policy_says("mine", "InForce", "Applied")
            await around.policy_says("other", "InForce", "Applied", HOME)
            # It is said once the statuses are written.
            await around.event(AlertPolicyApplied, unlike(known))
        known |= {each.digest for each in await around.events(AlertPolicyApplied)}
    digests = [each.digest for each in await around.events(AlertPolicyApplied)]
    assert len(digests) >= len(STATUSES)
    assert [one for one, other in pairwise(digests) if one == other] == []


def unlike(known: set[str]) -> Callable[[AlertPolicyApplied], bool]:
    """Whether something else is in force than was said before."""
    before = frozenset(known)
    return lambda event: event.digest not in before


async def test_what_fires_and_ends_over_restarts_is_said_once(around: World) -> None:
    async with around.running():
        around.policy("mine", FIRES)
        await around.event(AlertFiring)
    async with around.running():
        await around.policy_says("mine", "InForce", "Applied")
        await around.scraped(times=3)
    around.policy("mine", ENDS)
    async with around.running():
        await around.event(AlertResolved)
    assert len(await around.events(AlertFiring)) == 1
    assert len(await around.events(AlertResolved)) == 1


async def test_what_fires_and_ends_while_nats_is_away_is_said_once_when_it_is_back(around: World) -> None:
    """Alertmanager tells no end of what it could not tell the beginning of, so the service remembers."""
    async with around.running() as replica:
        around.policy("mine", numbered(1))
        await around.policy_says("mine", "InForce", "Applied")
        await around.event(AlertPolicyApplied)
        await around.nats.kill()
        around.policy("mine", FIRES)
        await around.until_sample(replica, "webhooks_total", result="NotStored")
        around.policy("mine", ENDS)
        await around.ended_in_alertmanager("Fires")
        await around.nats.start()
        firing = await around.event(AlertFiring)
        resolved = await around.event(AlertResolved)
        assert (firing.fingerprint, firing.since) == (resolved.fingerprint, resolved.since)
    assert len(await around.events(AlertFiring)) == 1
    assert len(await around.events(AlertResolved)) == 1


async def test_an_alertmanager_that_dies_while_an_alert_fires_ends_nothing(around: World) -> None:
    """It has no alerts when it starts; what it has not been told yet has not ended."""
    async with around.running():
        around.policy("mine", FIRES)
        await around.event(AlertFiring)
        await around.prometheus.kill()
        await around.alertmanager.kill()
        await around.alertmanager.start()
        await around.prometheus.start()
        await around.scraped(times=4)
        around.policy("mine", ENDS)
        episodes = await around.episodes()
        assert len(set(episodes)) == len(episodes)
        assert len(episodes) in (1, 2)

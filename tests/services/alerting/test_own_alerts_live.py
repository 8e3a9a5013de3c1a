"""What Steward's services say becomes alerts that stand in a real Alertmanager for as long as it is so."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.events.alerts import AlertEvent, AlertFiring, AlertResolved
from steward.events.base import Event
from steward.events.versions import NewVersion
from steward.jsonvalue import JsonObject, rows, text, texts
from steward.kube.resources import RELEASE_CATALOGS
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from tests.common.alerting.happenings import drifted, feature_failed, paused, recovered, resumed, withdrawn
from tests.services.alerting.running import World, world

pytestmark = pytest.mark.monitoring

RUNNING = "edge-26.8.3"
CONDITION = "MeshAsExpected"


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


def now() -> datetime:
    return SystemClock().now()


@dataclass(frozen=True)
class Story:
    """An alert by what begins it; an event ends it, or what the ReleaseCatalog says."""

    alert: str
    begins: Event
    ends: Event | None = None
    runs: str = RUNNING


STORIES = (
    Story("LinkerdUpgradePaused", paused(), resumed()),
    Story("LinkerdFeatureFailing", feature_failed(), recovered()),
    Story("LinkerdMeshDrifted", drifted("three old proxies")),
    Story("LinkerdVersionWithdrawn", withdrawn(RUNNING), runs="edge-26.8.4"),
)


def catalog(around: World, *, as_expected: bool, runs: str = RUNNING) -> None:
    """What version_watcher writes into its status."""
    cluster, said = around.kubernetes.cluster, now().isoformat()
    if cluster.find(RELEASE_CATALOGS, "default") is None:
        cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {}})
    condition: JsonObject = {
        "type": CONDITION,
        "status": str(as_expected),
        "reason": "AsExpected" if as_expected else "StaleProxy",
        "message": "",
        "lastTransitionTime": said,
    }
    mesh: JsonObject = {"controlPlane": runs, "observedAt": said}
    cluster.set_status(RELEASE_CATALOGS, "default", {"conditions": [condition], "mesh": mesh})


async def held(around: World, alert: str) -> JsonObject | None:
    """The alert of that name as Alertmanager has it, while it lives."""
    found = rows({"alerts": await around.alertmanager.get("/api/v2/alerts")}, "alerts")
    ours = [each for each in found if text(each, "labels", "alertname") == alert]
    assert len(ours) < 2, "one alert under two sets of labels"
    return ours[0] if ours else None


async def told_again(around: World, alert: str) -> JsonObject:
    """Wait until Alertmanager is told of it once more than it was."""
    before = await held(around, alert)
    ends = text(before or {}, "endsAt")

    async def later() -> JsonObject | None:
        found = await held(around, alert)
        return found if found is not None and text(found, "endsAt") > ends else None

    found = await eventually(f"{alert} that is told again", later)
    assert found is not None
    return found


def named(alert: str) -> Callable[[AlertEvent], bool]:
    return lambda event: event.alert == alert


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.alert)
async def test_what_is_said_stands_as_one_alert_through_restarts_and_ends_when_it_is_over(
    around: World, story: Story
) -> None:
    catalog(around, as_expected=False)
    began = now()
    async with around.running():
        around.policy("mine", {"rules": [{"name": "Mine", "expr": "vector(1) > 2"}]})
        await around.policy_says("mine", "InForce", "Applied")
        await around.say(story.begins, at=began)
        firing = await around.event(AlertFiring, named(story.alert))
        first = await told_again(around, story.alert)
        assert datetime.fromisoformat(text(first, "endsAt")) > began + timedelta(seconds=1)
    async with around.running():
        second = await told_again(around, story.alert)
        assert texts(second, "labels") == texts(first, "labels") == firing.labels
        assert text(second, "startsAt") == text(first, "startsAt")
        await around.alertmanager.kill()
        await around.alertmanager.start()
        third = await told_again(around, story.alert)
        assert texts(third, "labels") == firing.labels
        assert text(third, "startsAt") == text(first, "startsAt")
        if story.ends is not None:
            await around.say(story.ends, at=now())
        else:
            catalog(around, as_expected=True, runs=story.runs)
        resolved = await around.event(AlertResolved, named(story.alert))
        assert (resolved.fingerprint, resolved.since) == (firing.fingerprint, firing.since)
        await around.ended_in_alertmanager(story.alert)
    assert len([each for each in await around.events(AlertFiring) if each.alert == story.alert]) == 1
    assert len([each for each in await around.events(AlertResolved) if each.alert == story.alert]) == 1


async def test_what_was_over_while_nobody_listened_is_ended_by_what_the_catalog_says(around: World) -> None:
    async with around.running():
        await around.say(drifted("three old proxies"), at=now())
        await around.event(AlertFiring, named("LinkerdMeshDrifted"))
    catalog(around, as_expected=True)
    async with around.running():
        await around.event(AlertResolved, named("LinkerdMeshDrifted"))
        await around.ended_in_alertmanager("LinkerdMeshDrifted")


async def test_a_release_that_is_withdrawn_and_runs_nowhere_is_no_alert(around: World) -> None:
    async with around.running():
        await around.say(withdrawn("edge-26.7.1", running=False), at=now())
        await around.say(paused(), at=now())
        await around.event(AlertFiring, named("LinkerdUpgradePaused"))
        assert await held(around, "LinkerdVersionWithdrawn") is None
        running = NewVersion(channel="edge", release="edge-26.8.4", observed_at=now(), running="edge-26.7.1")
        await around.say(running, at=now())
        await around.event(AlertFiring, named("LinkerdVersionWithdrawn"))

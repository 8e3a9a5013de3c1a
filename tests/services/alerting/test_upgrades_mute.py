"""An upgrade in progress mutes what it explains, by a silence in a real Alertmanager that never outlives its reason."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from services.alerting.settings import AlertingGroup
from steward.alerting.pack import shipped_pack
from steward.alerting.silences import AUTHOR
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import UPGRADE_RUNS
from steward.testing.kubernetes.faults import Refuse
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from tests.services.alerting.running import World, world

pytestmark = pytest.mark.monitoring

EXPLAINED = {"alertname": shipped_pack().muted_by_upgrade[0], "namespace": "linkerd"}
UNEXPLAINED = {"alertname": "LinkerdProxyCertificateExpired", "namespace": "linkerd"}
PERSON = "ops@acme.test"


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


def begin(around: World, name: str = "to-26-8-3") -> None:
    """Make a run, which acts from now on."""
    around.kubernetes.cluster.create(UPGRADE_RUNS, {"metadata": {"name": name}, "spec": {"target": "edge-26.8.3"}})
    move(around, name)


def move(around: World, name: str = "to-26-8-3", **more: str) -> None:
    """The upgrader says something new of the run."""
    found = around.kubernetes.cluster.get(UPGRADE_RUNS, name)
    now = SystemClock().now().isoformat()
    condition: JsonObject = {
        "type": "Progressing",
        "status": "True",
        "reason": "Acted",
        "message": "",
        "lastTransitionTime": text(found, "status", "startedAt", default=now),
    }
    step: JsonObject = {"name": "control-plane", "type": "UpgradeControlPlane", "state": "Running", "updatedAt": now}
    status: JsonObject = {
        "startedAt": text(found, "status", "startedAt", default=now),
        "steps": [step],
        "conditions": [condition],
        **more,
    }
    around.kubernetes.cluster.set_status(UPGRADE_RUNS, name, status)


def finish(around: World, name: str = "to-26-8-3") -> None:
    """It is over."""
    move(around, name, finishedAt=SystemClock().now().isoformat())


async def silences(around: World, *, state: str = "active", author: str = AUTHOR) -> list[str]:
    """Comments of silences; of an author, and in a state."""
    found = rows({"silences": await around.alertmanager.get("/api/v2/silences")}, "silences")
    return [
        text(each, "comment")
        for each in found
        if (text(each, "status", "state"), text(each, "createdBy")) == (state, author)
    ]


async def end_by_hand(around: World) -> None:
    """As somebody does on Alertmanager's page."""
    found = rows({"silences": await around.alertmanager.get("/api/v2/silences")}, "silences")
    async with aiohttp.ClientSession() as session:
        for each in found:
            if text(each, "createdBy") == AUTHOR:
                url = f"{around.alertmanager.url}/api/v2/silence/{text(each, 'id')}"
                async with session.delete(url) as answer:
                    assert answer.status == 200


async def until_muted(around: World, *, muted: bool = True) -> None:
    """Wait until Alertmanager keeps quiet what an upgrade explains, or tells it."""

    async def so() -> bool:
        found = {each.labels["alertname"]: bool(each.silenced_by) for each in await around.alertmanager.alerts()}
        return found.get(EXPLAINED["alertname"]) is muted

    await eventually(f"silence that mutes: {muted}", so)


def impatient(around: World, seconds: int) -> AlertingGroup:
    """Settings under which a run has to move that often."""
    group = around.group()
    tempo = group.tempo.model_copy(update={"upgrade_moves": timedelta(seconds=seconds)})
    return group.model_copy(update={"tempo": tempo})


async def test_an_upgrade_mutes_what_it_explains_and_nothing_else_until_it_is_over(around: World) -> None:
    async with around.running():
        await around.alertmanager.fire(EXPLAINED)
        await around.alertmanager.fire(UNEXPLAINED)
        await until_muted(around, muted=False)
        begin(around)
        await until_muted(around)
        (comment,) = await silences(around)
        assert "Upgrade to-26-8-3" in comment
        assert "which explains these alerts" in comment
        told = {each.labels["alertname"] for each in await around.alertmanager.alerts() if not each.silenced_by}
        assert told == {UNEXPLAINED["alertname"]}
        finish(around)
        await until_muted(around, muted=False)
        assert await silences(around) == []


async def test_a_restarted_service_goes_on_with_the_silence_that_is_there_and_ends_it(around: World) -> None:
    """It knows of no run until the API server has told it of them, and that is no reason to end anything."""
    await around.alertmanager.fire(EXPLAINED)
    begin(around)
    async with around.running():
        await until_muted(around)
    faults = around.kubernetes.faults
    faults.add(Refuse(503), path="/upgraderuns", times=None)
    async with around.running() as second:
        await around.until_sample(second, "unread_facts", fact="Upgrades")
        around.policy("mine", {"rules": [{"name": "Mine", "expr": "vector(1) > 2", "severity": "warning"}]})
        await around.policy_says("mine", "InForce", "Applied")
        faults.clear()
        await around.until_sample(second, "upgrade_in_progress", run="to-26-8-3")
        assert len(await silences(around)) == 1
        finish(around)
        await until_muted(around, muted=False)
        assert await silences(around) == []
        assert len(await silences(around, state="expired")) == 1


async def test_an_upgrade_whose_upgrader_died_mutes_nothing_until_it_moves_again(
    around: World, capfd: pytest.CaptureFixture[str]
) -> None:
    await around.alertmanager.fire(EXPLAINED)
    begin(around)

    async def moving() -> list[str]:
        move(around)
        return await silences(around)

    async with around.running(impatient(around, 5), level="warning"):
        await eventually("silence of a run that moves", moving)
        await until_muted(around, muted=False)
        assert await silences(around) == []
        await eventually("silence of a run that moves again", moving)
        finish(around)
        await until_muted(around, muted=False)
    said = capfd.readouterr()
    assert "an upgrade says that it acts and does not move" in said.out + said.err


async def test_what_a_person_silenced_stays_and_what_a_person_ended_stays_ended(around: World) -> None:
    now = SystemClock().now()
    by_hand: JsonObject = {
        "matchers": [{"name": "alertname", "value": EXPLAINED["alertname"], "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": PERSON,
        "comment": "Upgrade by hand",
    }
    await around.alertmanager.post("/api/v2/silences", by_hand)
    begin(around)
    async with around.running():
        await eventually("silence of the upgrade", lambda: silences(around))
        await end_by_hand(around)
        begin(around, "another")
        (comment,) = await eventually("silence of the other upgrade", lambda: silences(around))
        assert "Upgrade another" in comment
        finish(around)
        finish(around, "another")

        async def ended() -> bool:
            return await silences(around) == []

        await eventually("end of both silences", ended)
        assert await silences(around, author=PERSON) == ["Upgrade by hand"]

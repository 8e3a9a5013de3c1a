"""The service beside a real Prometheus and a real Alertmanager: from a policy to a message, and back to an event."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from steward.alerting.webhook import fingerprint
from steward.events.alerts import AlertFiring, AlertPolicyApplied, AlertResolved
from steward.jsonvalue import JsonObject, text
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import WebhookSink
from tests.services.alerting.running import HOME, World, world

pytestmark = pytest.mark.monitoring

ALWAYS: JsonObject = {
    "rules": [{"name": "AlwaysSo", "expr": "vector(1)", "severity": "warning", "summary": "it is so"}]
}
NEVER: JsonObject = {"rules": [{"name": "AlwaysSo", "expr": "vector(1) > 2", "severity": "warning"}]}
BROKEN: JsonObject = {"rules": [{"name": "AlwaysSo", "expr": "sum(", "severity": "warning"}]}


@pytest.fixture
async def around(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        yield made


async def test_an_alert_of_a_policy_reaches_its_channel_and_the_bus_once_and_is_resolved_everywhere(
    around: World,
) -> None:
    async with WebhookSink() as sink, around.running():
        around.channel("hook", {"webhook": {"url": sink.url}, "groupWaitSeconds": 0, "groupIntervalSeconds": 1})
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "Applied")
        await around.channel_says("hook", "Applied")
        firing = await around.event(AlertFiring)
        assert (firing.alert, firing.labels["namespace"], firing.summary) == ("AlwaysSo", "shop", "it is so")
        await sink.until(lambda post: text(post.body, "status") == "firing")
        around.policy("mine", NEVER)
        resolved = await around.event(AlertResolved)
        assert resolved.fingerprint == firing.fingerprint
        await sink.until(lambda post: text(post.body, "status") == "resolved")
        assert [text(post.body, "status") for post in sink.posts] == ["firing", "resolved"]
        assert len(await around.events(AlertFiring)) == 1
        assert len(await around.events(AlertResolved)) == 1


async def test_a_broken_edit_leaves_the_last_good_rules_in_force_and_says_so_everywhere(around: World) -> None:
    async with around.running() as replica:
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "Applied")
        around.policy("mine", BROKEN)
        said = await around.policy_says("mine", "InForce", "QueryRefused")
        assert "unclosed left parenthesis" in said.message
        assert "the last good one stays in force" in said.message
        assert await around.prometheus.rules() == ("AlwaysSo",)
        assert replica.sample("applied", target="Files", object="AlertPolicy/shop/mine") == 0
        event = await around.event(AlertPolicyApplied, lambda found: bool(found.refused))
        assert [each.object for each in event.refused] == ["AlertPolicy/shop/mine"]
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "Applied")
        assert replica.sample("applied", target="Files", object="AlertPolicy/shop/mine") == 1


async def test_a_watchdog_that_does_not_come_back_is_told_on_the_bus_though_alertmanager_is_dead(around: World) -> None:
    group = around.group()
    impatient = group.tempo.model_copy(update={"watchdog": timedelta(seconds=5)})
    async with around.running(group.model_copy(update={"tempo": impatient})) as replica:
        around.policy("control-plane", {"controlPlane": {}}, HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        await around.alertmanager.kill()
        silent = await around.event(AlertFiring, lambda event: event.alert == "LinkerdAlertingSilent")
        assert silent.fingerprint == fingerprint(silent.labels)
        assert replica.sample("watchdog_silent") == 1
        await around.alertmanager.start()
        ended = await around.event(AlertResolved, lambda event: event.alert == "LinkerdAlertingSilent")
        assert ended.since == silent.since


async def test_a_prometheus_that_died_is_missed_though_policies_are_edited_meanwhile(around: World) -> None:
    group = around.group()
    impatient = group.tempo.model_copy(update={"watchdog": timedelta(seconds=5)})
    async with around.running(group.model_copy(update={"tempo": impatient})) as replica:
        around.policy("control-plane", {"controlPlane": {}}, HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        await around.until_sample(replica, "watchdog_seen_timestamp_seconds")
        await around.prometheus.kill()
        around.policy("control-plane", {"controlPlane": {"exclude": ["LinkerdInjectorSlow"]}}, HOME)
        await around.policy_says("control-plane", "InForce", "TargetUnknown", HOME)
        await around.event(AlertFiring, lambda event: event.alert == "LinkerdAlertingSilent")
        assert replica.sample("watchdog_silent") == 1

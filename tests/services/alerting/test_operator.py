"""Delivery by the prometheus-operator: in force is what Prometheus and Alertmanager show, and one replica acts."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.alerting.edges.operator_kinds import ALERTMANAGER_CONFIGS, PROMETHEUS_RULES
from services.alerting.settings import AlertingGroup
from steward.events.alerts import AlertEvent, AlertFiring, AlertPolicyApplied, AlertResolved
from steward.jsonvalue import Json, JsonObject, dig, rows, text
from steward.kube.resources import ALERT_POLICIES
from steward.testing.kubernetes.admission import AdmissionRequest, Denied
from steward.testing.kubernetes.deletion import Undertaker
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from steward.testing.nats import free_ports
from tests.deploy.rights import ALERTING_BY_FILES, ALERTING_BY_OPERATOR, granted
from tests.services.alerting.operated import LABELS, by_operator, install, operated
from tests.services.alerting.running import HOME, Replica, World, world
from tests.services.alerting.test_service import ALWAYS, NEVER

pytestmark = pytest.mark.monitoring
WATCHDOG: JsonObject = {
    "status": "firing",
    "labels": {"alertname": "Watchdog"},
    "annotations": {},
    "startsAt": "2026-08-22T10:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "aaaaaaaaaaaaaaaa",
}
HOOK: JsonObject = {"webhook": {"url": "http://127.0.0.1:1/nobody"}}


@pytest.fixture
async def around(
    monitoring_tools: MonitoringTools, tmp_path: Path, operator_definitions: tuple[JsonObject, ...]
) -> AsyncIterator[World]:
    async with world(monitoring_tools, tmp_path) as made:
        install(made, operator_definitions)
        yield made


def names(around: World, resource: object = PROMETHEUS_RULES) -> list[str]:
    """Of the objects that are there."""
    kind = ALERTMANAGER_CONFIGS if resource is ALERTMANAGER_CONFIGS else PROMETHEUS_RULES
    return [text(each, "metadata", "name") for each in around.kubernetes.cluster.list(kind)]


async def test_rules_and_channels_are_in_force_once_prometheus_and_alertmanager_show_them(around: World) -> None:
    async with around.running(by_operator(around)) as replica:
        around.policy("mine", ALWAYS)
        around.channel("hook", HOOK)
        said = await around.policy_says("mine", "InForce", "NotLoadedYet")
        assert said.status == "Unknown"
        assert said.message == "PrometheusRule shop/linkerd-steward-mine is made, and Prometheus has not loaded it yet"
        assert replica.sample("applied", target="Operator", object="AlertPolicy/shop/mine") == 0
        await around.channel_says("hook", "NotLoadedYet")
        async with operated(around):
            await around.policy_says("mine", "InForce", "Applied")
            await around.channel_says("hook", "Applied")
            assert "AlwaysSo" in await around.prometheus.rules()
            event = await around.event(AlertPolicyApplied, lambda found: (found.rules, found.channels) == (1, 1))
            assert event.target == "Operator"
            around.policy("mine", NEVER)
            await around.policy_says("mine", "InForce", "Applied")
            assert replica.sample("applied", target="Operator", object="AlertPolicy/shop/mine") == 1


async def test_an_edit_is_not_in_force_while_prometheus_shows_the_old_rules_under_the_same_names(around: World) -> None:
    async with around.running(by_operator(around)):
        around.policy("mine", ALWAYS)
        async with operated(around):
            await around.policy_says("mine", "InForce", "Applied")
        around.policy("mine", NEVER)
        await around.policy_says("mine", "InForce", "NotLoadedYet")


async def test_when_patience_ends_it_is_said_what_to_look_at(around: World) -> None:
    async with around.running(by_operator(around, labels={"release": "another"})), operated(around):
        around.policy("mine", ALWAYS)
        around.channel("hook", HOOK)
        said = await around.policy_says("mine", "InForce", "NotLoadedYet", saying="ruleSelector")
        assert "selects the labels {release=another} that operator.rule_labels gives" in said.message
        assert "its ruleNamespaceSelector the namespace shop" in said.message
        await around.channel_says("hook", "NotLoadedYet", saying="alertmanagerConfigSelector")


async def test_what_the_operators_webhook_refuses_leaves_the_last_good_one_and_names_it(around: World) -> None:
    def judge(request: AdmissionRequest) -> None:
        if "vector(1) > 2" in str(dig(request.value, "spec")):
            raise Denied("Rules are not valid")

    around.kubernetes.admit(PROMETHEUS_RULES, judge, operations=("CREATE", "UPDATE"))
    async with around.running(by_operator(around)), operated(around):
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "Applied")
        around.policy("mine", NEVER)
        said = await around.policy_says("mine", "InForce", "TargetRefused")
        assert "Rules are not valid" in said.message
        assert "the last good one stays in force" in said.message
        assert "AlwaysSo" in await around.prometheus.rules()


async def test_a_channel_that_objects_cannot_say_is_refused_with_the_remedy_and_the_others_stand(around: World) -> None:
    async with around.running(by_operator(around)), operated(around):
        around.channel("bot", {"slack": {"botToken": {"name": "slack", "key": "token"}, "channel": "#mesh"}})
        around.channel("hook", HOOK)
        said = await around.channel_says("bot", "NoBotToken")
        assert "delivery by files" in said.message
        await around.channel_says("hook", "Applied")


async def test_stewards_own_object_names_its_token_and_goes_beside_the_channels(around: World) -> None:
    async with around.running(by_operator(around)), operated(around):
        around.channel("hook", HOOK)
        await around.channel_says("hook", "Applied")
        own = around.kubernetes.cluster.get(ALERTMANAGER_CONFIGS, "linkerd-steward", HOME)
        assert dig(own, "metadata", "labels", "release") == LABELS["release"]
        (hook,) = rows(own, "spec", "receivers", 0, "webhookConfigs")
        assert hook["url"] == "http://alerting.linkerd-steward:9465/alertmanager"
        assert dig(hook, "httpConfig", "authorization", "credentials") == {"name": "steward", "key": "token"}


async def test_with_a_policy_and_a_channel_their_objects_go_and_prometheus_forgets_the_rules(around: World) -> None:
    async with around.running(by_operator(around)), operated(around):
        around.policy("mine", ALWAYS)
        around.channel("hook", HOOK)
        await around.policy_says("mine", "InForce", "Applied")
        await around.channel_says("hook", "Applied")
        around.delete(ALERT_POLICIES, "mine", "shop")
        around.policy("other", ALWAYS)
        await around.policy_says("other", "InForce", "Applied")
        assert names(around) == ["linkerd-steward-other"]


async def test_an_object_that_somebody_deleted_is_made_anew(around: World) -> None:
    async with around.running(by_operator(around)), operated(around):
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "Applied")
        before = around.kubernetes.cluster.get(PROMETHEUS_RULES, "linkerd-steward-mine", "shop")
        Undertaker(around.kubernetes.cluster).delete(PROMETHEUS_RULES, "linkerd-steward-mine", "shop")
        uid = text(before, "metadata", "uid")
        await around.until_made(PROMETHEUS_RULES, "linkerd-steward-mine", "shop", not_uid=uid)


async def test_one_replica_acts_every_one_answers_the_webhook_and_the_next_one_takes_over(around: World) -> None:
    port, metrics_port = free_ports(2)
    # Long enough that a busy machine does not lose it; who ends lets go of it.
    around = replace(around, lease=timedelta(seconds=30))
    beside = replace(around, port=port, metrics_port=metrics_port)
    first = around.start(by_operator(around))
    around.policy("mine", ALWAYS)
    await around.policy_says("mine", "InForce", "NotLoadedYet")
    async with beside.running(by_operator(beside, "second")) as second, operated(around):
        await around.policy_says("mine", "InForce", "Applied")
        for each in (around, beside):
            assert await _told(each) == 200
        assert (first.sample("leading"), second.sample("leading")) == (1, 0)
        await first.stop()
        around.policy("mine", NEVER)
        await around.policy_says("mine", "InForce", "Applied")
        assert _leads(second)


async def test_a_watchdog_that_comes_to_another_replica_is_not_missed_by_the_one_that_acts(around: World) -> None:
    port, metrics_port = free_ports(2)
    around = replace(around, lease=timedelta(seconds=30))
    beside = replace(around, port=port, metrics_port=metrics_port)
    async with around.running(_impatient(around, "first")) as first, operated(around):
        # The stand-in carries no routes to us, so the Watchdog fires in Prometheus and does not come.
        around.policy("control-plane", {"controlPlane": {}}, HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        silent = await around.event(AlertFiring, _of_silence)
        assert (first.sample("leading"), first.sample("watchdog_silent")) == (1, 1)
        async with beside.running(_impatient(beside, "second")) as second:

            async def over() -> bool:
                try:
                    await _told(beside, WATCHDOG)
                except httpx.ConnectError:
                    # It has only just been started.
                    return False
                return any(map(_of_silence, await around.events(AlertResolved)))

            await eventually("end of the silence", over)
            assert second.sample("leading") == 0
        (ended, *_) = filter(_of_silence, await around.events(AlertResolved))
        assert (ended.fingerprint, ended.since) == (silent.fingerprint, silent.since)


def _impatient(around: World, identity: str) -> AlertingGroup:
    group = by_operator(around, identity)
    return group.model_copy(update={"tempo": group.tempo.model_copy(update={"watchdog": timedelta(seconds=5)})})


def _of_silence(event: AlertEvent) -> bool:
    return event.alert == "LinkerdAlertingSilent"


async def _told(around: World, *alerts: Json) -> int:
    body: JsonObject = {
        "version": "4",
        "groupKey": "{}",
        "status": "firing",
        "receiver": "linkerd-steward",
        "alerts": [*alerts],
    }
    async with httpx.AsyncClient() as client:
        headers = {"Authorization": "Bearer agreed"}
        return (
            await client.post(f"http://127.0.0.1:{around.port}/alertmanager", json=body, headers=headers)
        ).status_code


def _leads(replica: Replica) -> bool:
    return replica.sample("leading") == 1


async def test_where_files_carry_the_objects_of_before_are_taken_away_and_those_of_others_stay(around: World) -> None:
    async with around.running(by_operator(around)):
        around.policy("mine", ALWAYS)
        await around.policy_says("mine", "InForce", "NotLoadedYet")
    theirs: JsonObject = {"metadata": {"name": "theirs", "namespace": "shop"}, "spec": {"groups": []}}
    around.kubernetes.cluster.create(PROMETHEUS_RULES, theirs)
    assert names(around) == ["linkerd-steward-mine", "theirs"]
    assert names(around, ALERTMANAGER_CONFIGS) == ["linkerd-steward"]
    rules = [each.simulated() for each in granted("alerting", *ALERTING_BY_FILES)]
    by_files = replace(around, kubeconfig=around.kubernetes.add_user("files", "alerting", rules))
    gone = around.until_gone(ALERTMANAGER_CONFIGS, "linkerd-steward", HOME)
    async with by_files.running():
        await around.policy_says("mine", "InForce", "Applied")
        await gone
    assert names(around) == ["theirs"]


async def test_with_the_rights_of_deploy_all_of_it_is_done_and_nothing_is_refused(around: World) -> None:
    rules = [each.simulated() for each in granted("alerting", *ALERTING_BY_OPERATOR)]
    rightful = replace(around, kubeconfig=around.kubernetes.add_user("operator", "alerting", rules))
    async with rightful.running(by_operator(around)), operated(around):
        around.policy("mine", ALWAYS)
        around.channel("hook", HOOK)
        await around.policy_says("mine", "InForce", "Applied")
        await around.channel_says("hook", "Applied")
        around.delete(ALERT_POLICIES, "mine", "shop")
        around.policy("other", ALWAYS)
        await around.policy_says("other", "InForce", "Applied")
    refused = [each for each in around.kubernetes.audit if each.code == 403]
    assert refused == []

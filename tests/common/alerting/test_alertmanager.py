"""What is posted to a real Alertmanager, and what it posts back."""

import json
from datetime import timedelta

import pytest

from steward.alerting import from_events
from steward.alerting.channels.plain import rendered
from steward.alerting.channels.target import OwnWebhook, Target
from steward.alerting.silences import Explained, Reason, RunInProgress, Silence, acts, read
from steward.alerting.standing import Standing, posts
from steward.alerting.told import Known, Transition, heard
from steward.alerting.webhook import Telling
from steward.alerting.webhook import read as read_post
from steward.clock import SystemClock
from steward.events.alerts import AlertResolved
from steward.jsonvalue import Json, text
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import Post, WebhookSink
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import HOME
from tests.common.alerting.happenings import MESH, feature_failed, paused, recovered

pytestmark = pytest.mark.monitoring

TTL = timedelta(minutes=5)


def configuration(url: str) -> str:
    document = rendered([], Target(HOME, own=OwnWebhook(url))).document
    return render_yaml(document)


async def silences(alertmanager: Alertmanager) -> list[Silence]:
    raws = await alertmanager.get("/api/v2/silences")
    found = [read(raw) for raw in raws if isinstance(raw, dict)] if isinstance(raws, list) else []
    return [each for each in found if each is not None]


async def test_the_silence_of_an_upgrade_is_one_from_its_beginning_to_its_end(
    each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    now = SystemClock().now()
    run = RunInProgress("to-26-8-3", "uid-1", "edge-26.6.3", "edge-26.8.3", now)
    explained = Explained(("LinkerdProxyRestarts", 'Linkerd"Odd'))
    async with Alertmanager(each_monitoring_tools, configuration(webhook_sink.url)) as alertmanager:
        (begin,) = acts([run], explained, await silences(alertmanager), now)
        await alertmanager.post("/api/v2/silences", begin.silence.to_json())
        (made,) = await silences(alertmanager)
        assert (set(made.matchers), made.author) == (set(begin.silence.matchers), begin.silence.author)
        assert acts([run], explained, [made], now) == ()

        (longer,) = acts([run], explained, [made], now + timedelta(minutes=10))
        assert longer.reason is Reason.EXTEND
        await alertmanager.post("/api/v2/silences", longer.silence.to_json())
        (extended,) = await silences(alertmanager)
        assert extended.id == made.id
        assert extended.ends > made.ends

        await alertmanager.fire({"alertname": "LinkerdProxyRestarts"})
        (held,) = await alertmanager.alerts()
        assert held.silenced_by in ((), (made.id,))

        (over,) = acts([], explained, [extended], now + timedelta(minutes=1))
        assert over.reason is Reason.OVER
        await alertmanager.post("/api/v2/silences", over.silence.to_json())
        (ending,) = await silences(alertmanager)
        assert (ending.id, ending.ends < extended.ends) == (made.id, True)
        # It was made shorter, not ended by hand: the run may go on and ask again.
        (again,) = acts([run], explained, [ending], now + timedelta(minutes=30))
        assert again.reason is Reason.BEGIN


async def test_alerts_of_our_own_fire_and_end_as_events_say(
    each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    now = SystemClock().now()
    failed = Standing().after(
        (
            *from_events.marks(feature_failed(security=True), now, MESH),
            *from_events.marks(paused(message='say "{{ hi }}"\nü'), now, MESH),
        )
    )
    over = failed.after(from_events.marks(recovered(), now + timedelta(milliseconds=1), MESH))
    async with Alertmanager(each_monitoring_tools, configuration(f"{webhook_sink.url}/own")) as alertmanager:
        members: list[Json] = [each.to_json() for each in posts(failed, now, TTL)]
        await alertmanager.post("/api/v2/alerts", members)
        held = {each.labels["alertname"]: each for each in await alertmanager.alerts()}
        assert set(held) == {"LinkerdProtectionFailing", "LinkerdUpgradePaused"}
        assert held["LinkerdUpgradePaused"].annotations["summary"].endswith('say "{{ hi }}"\nü')
        await webhook_sink.until(lambda post: "LinkerdProtectionFailing" in json.dumps(post.body))

        ended: list[Json] = [each.to_json() for each in posts(over, SystemClock().now(), TTL)]
        await alertmanager.post("/api/v2/alerts", ended)
        await webhook_sink.until(
            lambda post: text(post.body, "status") == "resolved" and "LinkerdProtectionFailing" in json.dumps(post.body)
        )
        assert [each.labels["alertname"] for each in await alertmanager.alerts()] == ["LinkerdUpgradePaused"]


async def test_an_alert_that_comes_and_goes_is_told_by_transitions_once_each(
    each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    clock = SystemClock()
    labels = {"alertname": "LinkerdX", "severity": "critical", "namespace": "emojivoto"}
    async with Alertmanager(each_monitoring_tools, configuration(f"{webhook_sink.url}/own")) as alertmanager:
        await alertmanager.fire(labels, {"summary": "It is down"})
        await webhook_sink.until(lambda post: text(post.body, "status") == "firing")
        await alertmanager.resolve(labels, clock.now())
        await webhook_sink.until(lambda post: text(post.body, "status") == "resolved")

    found: list[Transition] = []
    known: Known | None = None
    for post in (*webhook_sink.posts, *reversed(webhook_sink.posts)):
        for alert in _told(post).alerts:
            after = heard(known, alert)
            known, found = after.known, [*found, *after.transitions]
    begin, end = found
    assert (begin.name, begin.alert, begin.severity, begin.summary) == (
        "alert-firing",
        "LinkerdX",
        "critical",
        "It is down",
    )
    assert isinstance(end, AlertResolved)
    assert (end.since, end.until >= end.since) == (begin.since, True)


def _told(post: Post) -> Telling:
    found = read_post(json.dumps(post.body).encode())
    assert isinstance(found, Telling)
    return found

"""`alerts list`, `silence`, `route` and `test`, from outside, against a real Alertmanager of two generations."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from steward.alerting.channels.plain import rendered
from steward.alerting.channels.target import Target
from steward.jsonvalue import Json, JsonObject, dig, rows, strings, text
from steward.kube.resources import NAMESPACES, PODS, SERVICES
from steward.resources import AlertChannel
from steward.resources.base import API_VERSION
from steward.testing.command import Command, StewardCluster
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.tools import Generation, MonitoringTools
from steward.testing.monitoring.webhooks import Reply, WebhookSink

pytestmark = pytest.mark.monitoring

HOME = "linkerd-steward"
SECRET_PATH = "services/T000/B000/topsecret"
FIRE = {
    "A": {"alertname": "LinkerdInjectorFailingOpen", "severity": "critical", "namespace": "linkerd"},
    "B": {"alertname": "WebFails", "severity": "warning", "namespace": "shop"},
    "C": {"alertname": "WebFails", "severity": "critical", "namespace": "shop"},
}


@dataclass
class Mesh:
    """A cluster with channels, and an Alertmanager that has them."""

    cluster: StewardCluster
    alertmanager: Alertmanager
    sink: WebhookSink
    channels: Sequence[AlertChannel]


def webhook(name: str, url: str, namespace: str = HOME, **spec: Json) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": "AlertChannel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"webhook": {"url": url}, "groupWaitSeconds": 0, **spec},
    }


def number(tools: MonitoringTools) -> tuple[int, ...]:
    return (0, 25, 0) if tools.generation is Generation.OLD else (0, 34, 0)


@asynccontextmanager
async def mesh(
    tools: MonitoringTools, cluster: StewardCluster, documents: Callable[[str], Sequence[JsonObject]]
) -> AsyncIterator[Mesh]:
    """Channels in the cluster and in the Alertmanager, and the pod behind the Service."""
    for name in (HOME, "shop"):
        await cluster.kube.create(NAMESPACES, {"metadata": {"name": name}})
    async with WebhookSink() as sink:
        channels = [AlertChannel.of(each) for each in documents(sink.url)]
        found = rendered(channels, Target(HOME, number(tools)))
        assert not found.refused
        async with Alertmanager(tools, json.dumps(found.document)) as alertmanager:
            for each in channels:
                await cluster.put(each.to_json())
            await _pod(cluster, alertmanager)
            yield Mesh(cluster, alertmanager, sink, channels)


async def _pod(cluster: StewardCluster, alertmanager: Alertmanager) -> None:
    labels: JsonObject = {"app.kubernetes.io/name": "alerting"}
    await cluster.kube.create(
        SERVICES,
        {
            "metadata": {"name": "linkerd-steward-alerting", "namespace": HOME},
            "spec": {
                "selector": labels,
                "ports": [{"name": "alertmanager", "port": 9093, "targetPort": "am"}],
            },
        },
    )
    await cluster.kube.create(
        PODS,
        {
            "metadata": {"name": "alerting-0", "namespace": HOME, "labels": labels},
            "spec": {
                "containers": [
                    {"name": "alerting", "image": "steward"},
                    {"name": "alertmanager", "image": "am", "ports": [{"name": "am", "containerPort": 19093}]},
                ]
            },
        },
    )
    ready: JsonObject = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await cluster.kube.merge(PODS, "alerting-0", ready, HOME, subresource="status")
    cluster.fake.listen(HOME, "alerting-0", 19093, alertmanager.port)
    cluster.fake.log(HOME, "alerting-0", "alertmanager", lambda: alertmanager.log)


def two_channels(url: str) -> list[JsonObject]:
    return [
        webhook("page", f"{url}/page", match={"severities": ["critical"]}),
        webhook("team", f"{url}/{SECRET_PATH}", "shop"),
    ]


async def test_the_list_says_what_fires_who_is_told_and_what_is_kept_quiet(
    cli: Command, cluster: StewardCluster, each_monitoring_tools: MonitoringTools
) -> None:
    async with mesh(each_monitoring_tools, cluster, two_channels) as around:
        for labels in FIRE.values():
            await around.alertmanager.fire(labels, {"summary": f"{labels['alertname']} is bad"})
        answer = await cli("alerts", "list", COLUMNS="200")
        assert (answer.code, answer.err) == (0, "")
        first, second, third = answer.out.splitlines()[1:]
        assert first.split()[0] in ("LinkerdInjectorFailingOpen", "WebFails")
        assert "critical" in first
        assert "critical" in second
        assert "inhibited by WebFails" in third, "the critical one keeps the warning quiet"
        assert "nobody" in third
        as_json = json.loads((await cli("alerts", "list", "--severity", "critical", "-n", "shop", "-o", "json")).out)
        (alert,) = rows(as_json, "items")
        assert sorted(strings(alert, "told")) == ["linkerd-steward/page", "shop/team"]
        told = json.loads((await cli("alerts", "list", "--told", "-o", "json")).out)
        assert len(rows(told, "items")) == 2
        none = await cli("alerts", "list", "--alert", "NoSuchAlert")
        assert none.err == "none of the 3 alerts that fire is meant\n"


async def test_a_silence_is_made_listed_and_ended(
    cli: Command, cluster: StewardCluster, each_monitoring_tools: MonitoringTools
) -> None:
    async with mesh(each_monitoring_tools, cluster, two_channels) as around:
        await around.alertmanager.fire(FIRE["A"])
        made = await cli(
            "alerts", "silence", "add", "namespace=linkerd", "severity=~crit.*", "--for", "2h", USER="jane"
        )
        assert made.code == 0, made.err
        silence = made.out.strip()
        assert "1 alerts that fire now are silenced: LinkerdInjectorFailingOpen" in made.err
        listed = await cli("alerts", "silence", "list", COLUMNS="200")
        line = next(line for line in listed.out.splitlines() if line.startswith(silence))
        assert "jane" in line
        assert "namespace=linkerd severity=~crit.*" in line
        assert "1h59m" in line
        quiet = json.loads((await cli("alerts", "list", "-o", "json")).out)
        assert dig(quiet, "items", 0, "state") == "silenced"
        ended = await cli("alerts", "silence", "expire", silence[:8])
        assert ended.code == 0, ended.err
        assert (await cli("alerts", "silence", "list")).err == "nothing is silenced\n"
        past = json.loads((await cli("alerts", "silence", "list", "--expired", "-o", "json")).out)
        assert text(past, "items", 0, "status", "state") == "expired"
        again = await cli("alerts", "silence", "expire", silence)
        assert again.code == 3
        assert f"there is no silence '{silence}' in force" in again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "severity=~.*"), "a silence needs a label with a value"),
        (("add", "a b c"), "'a b c' is no condition on a label"),
        (("add", "9=x"), "'9' is no name of a label"),
        (("add", "a=~("), "is no regular expression"),
        (("add", "a=b", "--for", "soon"), "--for 'soon'"),
        (("add", "a=b", "--for", "0"), "--for 0 is no time"),
    ],
)
async def test_a_silence_that_cannot_be_meant_is_refused(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    answer = await cli("alerts", "silence", *arguments, "--alertmanager", "http://127.0.0.1:1")
    assert answer.code == 2, answer.err
    assert said in answer.err
    assert "hint: " in answer.err


async def test_routes_at_this_moment_know_silences_and_inhibitions(
    cli: Command, cluster: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    labels = [f"{name}={value}" for name, value in FIRE["B"].items()]
    async with mesh(monitoring_tools, cluster, two_channels) as around:
        told = await cli("alerts", "route", *labels)
        assert told.code == 0, told.err
        assert "told: shop/team" in told.out
        assert 'asks for severity="critical"' in " ".join(told.out.split())
        await around.alertmanager.fire(FIRE["C"])
        inhibited = await cli("alerts", "route", "--now", *labels)
        assert inhibited.code == 1
        assert "kept quiet by WebFails (critical) in shop" in inhibited.out
        await cli("alerts", "silence", "add", "alertname=LinkerdInjectorFailingOpen", "--comment", "known")
        silenced = json.loads(
            (await cli("alerts", "route", "--now", "-o", "json", "alertname=LinkerdInjectorFailingOpen")).out
        )
        assert text(silenced, "silencedBy", 0, "comment") == "known"
        assert strings(silenced, "notified") == []


async def test_a_channel_is_tried_and_nobody_else_is_told(
    cli: Command, cluster: StewardCluster, each_monitoring_tools: MonitoringTools
) -> None:
    def also_all(url: str) -> list[JsonObject]:
        return [*two_channels(url), webhook("everything", f"{url}/everything")]

    async with mesh(each_monitoring_tools, cluster, also_all) as around:
        for _ in range(2):  # a second trial is told again, at once
            answer = await cli("alerts", "test", "page", "-n", HOME, USER="jane")
            assert answer.code == 0, answer.err
            assert "linkerd-steward/page: delivered after" in answer.out
        posts = around.sink.posts
        assert {each.path for each in posts} == {"/page"}
        assert [text(each.body, "status") for each in posts][:1] == ["firing"]
        summary = text(posts[0].body, "alerts", 0, "annotations", "summary")
        assert summary == "Test of AlertChannel linkerd-steward/page by jane: nothing is wrong"
        alerts = await around.alertmanager.alerts()
        assert alerts == (), "it is over when the command is"


async def test_the_end_is_told_too_where_somebody_waits_for_it(
    cli: Command, cluster: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    async with mesh(monitoring_tools, cluster, two_channels) as around:
        answer = await cli("alerts", "test", "page", "-n", HOME, "--until-resolved", "-o", "json")
        assert answer.code == 0, answer.err
        assert dig(json.loads(answer.out), "endTold") is True
        assert [text(each.body, "status") for each in around.sink.posts] == ["firing", "resolved"]


async def test_a_channel_that_is_refused_says_so_in_alertmanagers_words_and_tells_no_secret(
    cli: Command, cluster: StewardCluster, each_monitoring_tools: MonitoringTools
) -> None:
    async with mesh(each_monitoring_tools, cluster, two_channels) as around:
        around.sink.always(Reply(403, "no such team"))
        answer = await cli("alerts", "test", "team", "-n", "shop")
        assert answer.code == 1, answer.err
        assert "shop/team: failed after" in answer.out
        assert "unexpected status code 403" in " ".join(answer.out.split())
        assert "hint: " in answer.err
        assert "topsecret" not in answer.out + answer.err
        as_json = json.loads((await cli("alerts", "test", "team", "-n", "shop", "-o", "json")).out)
        assert text(as_json, "outcome") == "Failed"


async def test_a_far_end_that_nobody_hears_is_a_failure_that_goes_on(
    cli: Command, cluster: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    def nowhere(_: str) -> list[JsonObject]:
        return [webhook("nowhere", f"http://127.0.0.1:9/{SECRET_PATH}", "shop")]

    async with mesh(monitoring_tools, cluster, nowhere):
        answer = await cli("alerts", "test", "nowhere", "-n", "shop")
        assert answer.code == 1, answer.err
        assert "connection refused" in " ".join(answer.out.split())
        assert "topsecret" not in answer.out + answer.err


async def test_a_trial_that_is_silenced_is_said_to_be(
    cli: Command, cluster: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    async with mesh(monitoring_tools, cluster, two_channels):
        await cli("alerts", "silence", "add", "alertname=StewardTest")
        answer = await cli("alerts", "test", "page", "-n", HOME)
        assert answer.code == 4, answer.err
        assert "silenced by" in answer.out


async def test_a_channel_that_is_not_in_force_is_not_tried(
    cli: Command, cluster: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    async with mesh(monitoring_tools, cluster, two_channels):
        await cluster.put(webhook("new", "http://127.0.0.1:9", "shop"))
        answer = await cli("alerts", "test", "new", "-n", "shop")
        assert answer.code == 1
        assert "AlertChannel 'shop/new' is not in force in this Alertmanager" in answer.err
        missing = await cli("alerts", "test", "nosuch", "-n", "shop")
        assert missing.code == 3
        assert "shop/nosuch" in missing.err


async def test_an_alertmanager_that_is_not_there_is_named_with_the_remedy(
    cli: Command, cluster: StewardCluster
) -> None:
    closed = await cli("alerts", "list", "--alertmanager", "http://127.0.0.1:1")
    assert closed.code == 5
    assert "http://127.0.0.1:1 cannot be reached" in closed.err
    assert "STEWARD_ALERTMANAGER" in closed.err
    for url in ("ftp://x", "http://"):
        wrong = await cli("alerts", "list", "--alertmanager", url)
        assert wrong.code == 2
        assert "is no address of Alertmanager" in wrong.err
    secret = await cli("alerts", "list", "--alertmanager", "http://jane:topsecret@127.0.0.1:1")
    assert secret.code == 2
    assert "topsecret" not in secret.err
    nothing = await cli("alerts", "list")
    assert nothing.code == 5
    assert "there is no Service 'linkerd-steward-alerting'" in nothing.err
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": HOME}})
    await cluster.kube.create(
        SERVICES,
        {"metadata": {"name": "linkerd-steward-alerting", "namespace": HOME}, "spec": {"ports": [{"port": 9464}]}},
    )
    portless = await cli("alerts", "list")
    assert portless.code == 5
    assert "has no port 9093 to reach Alertmanager through" in portless.err

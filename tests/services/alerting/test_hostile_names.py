"""Texts that other people chose, through the whole service: rules mean what they would mean with a harmless text."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from aiohttp import web

from steward.alerting.promql import quoted
from steward.events.alerts import AlertEvent, AlertFiring
from steward.jsonvalue import Json, JsonObject, dig, rows, text
from steward.kube.mesh_resources import SERVICE_PROFILES
from steward.testing.monitoring.mail import SmtpSink
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import Post, WebhookSink
from tests.common.alerting.objectives.test_escaping import PLAIN, renamed
from tests.services.alerting.running import HOME, World, world

pytestmark = pytest.mark.monitoring

ADDRESS = "web.shop.svc.cluster.local"
NASTY = (
    '"} or vector(1) #',
    'web[5m])) or (vector(1)) or sum(rate(up{job="',
    "\\",
    'web\\" or vector(1) or "',
    "web\nor vector(1)\n- alert: Injected\n  expr: vector(1)",
    "{{ $value }}{{ .Labels.secret }}",
    '}}{{ query "up" }}{{',
    "$value $labels ${1} %(x)s",
    "': [x, y] # & *anchor !!python",
    "\u202eweb\u2028\ufeff\U0001f600\u00e9",
)
PREFIX = "alerts.steward.linkerd.io/"
QUICK: JsonObject = {"groupWaitSeconds": 0, "groupIntervalSeconds": 1}


@asynccontextmanager
async def with_profiles(tools: MonitoringTools, folder: Path) -> AsyncIterator[World]:
    async with world(tools, folder) as made:
        made.install(SERVICE_PROFILES)
        yield made


@pytest.fixture
async def around(each_monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    async with with_profiles(each_monitoring_tools, tmp_path) as made:
        yield made


@pytest.fixture
async def that_tells_trees(monitoring_tools: MonitoringTools, tmp_path: Path) -> AsyncIterator[World]:
    """The current pair alone: an old Prometheus does not tell how it understood a query."""
    async with with_profiles(monitoring_tools, tmp_path) as made:
        yield made


def wanted(said: str) -> JsonObject:
    """A policy that says `said` wherever a policy takes free text."""
    return {
        "targets": [{"kind": "ServiceProfile", "name": ADDRESS}],
        "objectives": [{"name": "success", "successPercent": 99.9}],
        "granularity": "Route",
        "team": said,
        "labels": {"tier": said},
        "rules": [
            {
                "name": "Own",
                "expr": "vector(1) > 0",
                "severity": "warning",
                "summary": said,
                "description": f"{said} is slow",
            }
        ],
    }


def say_everywhere(around: World, said: str) -> None:
    """In a policy, in the names of a profile's routes, and in annotations of a Service."""
    around.service("web", annotations={f"{PREFIX}success-rate": "99.9", f"{PREFIX}team": said})
    around.profile(ADDRESS, (said, f"{said} again"))
    around.policy("mine", wanted(said))


Meaning = tuple[str, str, Json]
"""Group, name, and the query as the tree that Prometheus made of it."""


async def loaded(around: World) -> list[Meaning]:
    """Every rule that Prometheus has."""
    found = []
    for group in rows(await around.prometheus.get("/api/v1/rules"), "data", "groups"):
        for rule in rows(group, "rules"):
            answer = await around.prometheus.get("/api/v1/parse_query", {"query": text(rule, "query")})
            found.append((text(group, "name"), text(rule, "name"), dig(answer, "data")))
    return found


async def test_a_text_of_somebody_elses_changes_no_query_and_makes_no_rule_and_is_told_as_it_is(
    that_tells_trees: World,
) -> None:
    around = that_tells_trees
    async with around.running():
        say_everywhere(around, PLAIN)
        await around.policy_says("mine", "InForce", "Applied")
        plain = await around.prometheus_until(
            lambda: loaded(around), lambda found: {"shop/burn", "shop/mine/burn"} <= {each[0] for each in found}
        )
        assert PLAIN in str(plain)
        for said in NASTY:
            say_everywhere(around, said)
            meant = [(group, name, renamed(tree, said)) for group, name, tree in plain]
            await around.prometheus_until(lambda: loaded(around), meant.__eq__)
            await around.prometheus_until(lambda: summaries(around), {said}.__eq__)
            (alert,) = await around.prometheus.alerts()
            assert alert.labels == {
                "alertname": "Own",
                "namespace": "shop",
                "policy": "mine",
                "severity": "warning",
                "team": said,
                "tier": said,
            }
            assert alert.annotations == {"summary": said, "description": f"{said} is slow", "runbook": "Own"}


async def summaries(around: World) -> set[str]:
    """Of all that pends or fires."""
    return {each.annotations["summary"] for each in await around.prometheus.alerts()}


class FailingProxy:
    """The page of a proxy of whose requests none succeeds, on the routes of a profile that are called like this."""

    def __init__(self, routes: Iterable[str]) -> None:
        self._routes = tuple(routes)
        self._asked = 0
        self._runner: web.AppRunner | None = None
        self.address = ""

    def job(self) -> JsonObject:
        """How a Prometheus scrapes it."""
        labels: JsonObject = {"namespace": "shop", "pod": "web-1"}
        return {"job_name": "linkerd-proxy", "static_configs": [{"targets": [self.address], "labels": labels}]}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/metrics", self._page)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, _request: web.Request) -> web.Response:
        self._asked += 1
        lines = ["# TYPE route_response_total counter"]
        for route in self._routes:
            labels = {"direction": "outbound", "dst": f"{ADDRESS}:8080", "rt_route": route, "classification": "failure"}
            inner = ",".join(f"{name}={quoted(value)}" for name, value in labels.items())
            lines.append(f"route_response_total{{{inner}}} {100 * self._asked}")
        return web.Response(body="\n".join((*lines, "")).encode(), content_type="text/plain", charset="utf-8")


async def test_the_name_of_a_route_and_a_team_reach_events_webhooks_and_mails_as_they_are(around: World) -> None:
    async with SmtpSink() as mails, WebhookSink() as hooks, FailingProxy(NASTY) as proxy, around.running():
        await around.scrape_also([proxy.job()])
        around.service("web")
        around.profile(ADDRESS, NASTY)
        around.channel("hook", {"webhook": {"url": hooks.url}, **QUICK})
        around.secret("chat", {"url": f"{hooks.url}/chat"})
        around.channel("chat", {"slack": {"webhook": {"name": "chat", "key": "url"}}, **QUICK})
        mail: JsonObject = {
            "to": ["ops@acme.test"],
            "sender": "steward@acme.test",
            "smarthost": mails.address,
            "requireTls": False,
        }
        around.channel("mail", {"email": mail, **QUICK})
        for name in ("hook", "chat", "mail"):
            await around.channel_says(name, "Applied")
        spec = wanted(NASTY[0])
        around.policy("mine", {**spec, "rules": [], "minimumRequestsPerSecond": 0})
        await around.policy_says("mine", "InForce", "Applied")
        for route in NASTY:
            event = await around.event(AlertFiring, about(route))
            assert (event.alert, event.labels["team"]) == ("LinkerdErrorBudgetBurn", NASTY[0])
            assert event.summary == f"web, route {route}, spends its error budget too fast"
            assert event.description.startswith(f"100% of the requests to web, route {route}, fail")
            await hooks.until(tells(route))
        assert {each.labels["route"] for each in await around.prometheus.alerts()} == set(NASTY)
        shown = await hooks.until(lambda post: post.path == "/chat" and "{{ .Labels.secret }}" in str(post.body))
        assert shown.status == 200
        await mails.until(lambda mail: "{{ $value }}" in mail.text)


def about(route: str) -> Callable[[AlertEvent], bool]:
    """Whether an event is about that route."""
    return lambda event: event.labels.get("route") == route


def tells(route: str) -> Callable[[Post], bool]:
    """Whether a post in Alertmanager's own form is about that route."""
    return lambda post: route in {text(each, "labels", "route") for each in rows(post.body, "alerts")}


def left_out(around: World) -> set[str]:
    """What the policy's status says is left out."""
    status = around.find_policy("mine").status
    return {each.target for each in status.targets if "is left out" in each.message} if status else set()


async def test_a_policy_cannot_pass_for_steward_nor_speak_through_the_channels_of_others(around: World) -> None:
    pager = f"{HOME}/pager"
    disguised = (
        'label_replace(label_replace(vector(1), "steward", "control-plane", "", ""), "steward_test", "PAGER", "", "")'
    )
    async with WebhookSink() as hooks, around.running() as replica:
        around.channel("pager", {"webhook": {"url": f"{hooks.url}/pager"}, "match": {"teams": ["nights"]}, **QUICK})
        around.channel("all", {"webhook": {"url": f"{hooks.url}/all"}, **QUICK})
        await around.channel_says("pager", "Applied")
        await around.channel_says("all", "Applied")
        rule: JsonObject = {"expr": disguised.replace("PAGER", pager), "severity": "critical"}
        names = ("Disguised", "Watchdog", "LinkerdFeatureFailing", "LinkerdUpgradeInProgress")
        spec: JsonObject = {
            "labels": {"steward": "control-plane", "steward_test": pager, "feature": "mtls.identity"},
            "rules": [{"name": name, **rule} for name in names],
        }
        around.policy("mine", spec)
        said = await around.policy_says("mine", "Accepted", "PartlyRefused")
        assert "Rule/Watchdog: Watchdog is an alert of Steward's own: call this one otherwise" in said.message
        await around.policy_says("mine", "InForce", "Applied")
        assert left_out(around) == {"Label/steward", "Label/steward_test"}
        event = await around.event(AlertFiring)
        assert event.labels == {
            "alertname": "Disguised",
            "namespace": "shop",
            "policy": "mine",
            "severity": "critical",
            "feature": "mtls.identity",
        }
        await hooks.until(lambda post: post.path == "/all")
        assert await around.prometheus.rules() == ("Disguised",)
        assert replica.sample("watchdog_seen_timestamp_seconds") == 0
        assert {post.path for post in hooks.posts} == {"/all"}

"""`alerts status`, `explain` and `render` of a cluster: against a real Prometheus and a real Alertmanager."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, text
from steward.kube.resources import NAMESPACES, SERVICES
from steward.resources.base import API_VERSION
from steward.testing.command import Command, StewardCluster
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually

pytestmark = pytest.mark.monitoring

QUIET = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
RULES = """
groups:
- name: shop.web
  rules:
  - alert: WebFails
    expr: vector(1) > 0
    for: 1s
    labels: {severity: critical, namespace: shop}
    annotations: {summary: web fails, runbook: WebFails}
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
"""


def condition(type: str, status: str, reason: str, message: str) -> JsonObject:
    moment = "2026-11-21T09:05:00Z"
    return {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": moment}


def policy(name: str, *conditions: Json, **spec: Json) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": "AlertPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec or {"controlPlane": {}},
        "status": {"observedGeneration": 1, "rules": 3, "conditions": list(conditions)},
    }


IN_FORCE = condition("InForce", "True", "Applied", "generation 1 is in force")
BLIND = condition("Sighted", "False", "Blind", "WebFails cannot fire: this Prometheus has no response_total")
REFUSED = condition("InForce", "False", "TargetRefused", "parse error; the last good one stays in force")


@asynccontextmanager
async def monitoring(tools: MonitoringTools, cli: Command, folder: Path) -> AsyncIterator[Alertmanager]:
    """Both, which the command is pointed at."""
    async with Alertmanager(tools, QUIET) as alertmanager:
        options = PrometheusOptions(rules=folder, alertmanagers=(alertmanager.url,), retention=timedelta(days=3))
        async with Prometheus(tools, options) as prometheus:
            cli.env |= {"STEWARD_ALERTMANAGER": alertmanager.url, "STEWARD_PROMETHEUS": prometheus.url}
            yield alertmanager


async def both(alertmanager: Alertmanager) -> bool:
    """Whether the alert and the Watchdog are there: a Prometheus that begins may tell of one before the other."""
    return {"WebFails", "Watchdog"} <= {alert.labels["alertname"] for alert in await alertmanager.alerts()}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with one rule that fires, and the Watchdog."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES)
    return folder


@pytest.fixture
async def shop(cluster: StewardCluster) -> StewardCluster:
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "shop"}})
    return cluster


async def test_status_tells_versions_retention_scrapes_and_what_fires(
    cli: Command, shop: StewardCluster, each_monitoring_tools: MonitoringTools, rules: Path
) -> None:
    await shop.put(policy("web", IN_FORCE))
    async with monitoring(each_monitoring_tools, cli, rules) as alertmanager:
        await eventually("both alerts", lambda: both(alertmanager))
        answer = await cli("alerts", "status", "-o", "json")
        assert answer.code == 0, answer.out + answer.err
        document = json.loads(answer.out)
        assert dig(document, "prometheus", "retentionSeconds") == 3 * 24 * 3600
        assert dig(document, "prometheus", "rules") == 2
        assert text(document, "prometheus", "version").startswith(("3.", "2.42"))
        assert text(document, "alertmanager", "version").startswith("0.")
        assert text(document, "prometheus", "scrape", "reason") == "MeshNotScraped"
        assert dig(document, "alerts") == {"critical": 1}, "the Watchdog is no alert of anybody's"
        table = await cli("alerts", "status", COLUMNS="160")
        assert "remembers 3d00h" in table.out
        assert "everything is in force, and every alert can see" in table.out


async def test_status_says_what_is_refused_and_what_is_blind(
    cli: Command, shop: StewardCluster, monitoring_tools: MonitoringTools, rules: Path
) -> None:
    await shop.put(policy("blind", IN_FORCE, BLIND))
    async with monitoring(monitoring_tools, cli, rules) as alertmanager:
        await eventually("both alerts", lambda: both(alertmanager))
        blind = await cli("alerts", "status", COLUMNS="200")
        assert blind.code == 4, blind.out + blind.err
        assert "AlertPolicy shop/blind: blind: WebFails cannot fire" in blind.out
        await shop.put(policy("broken", REFUSED))
        refused = await cli("alerts", "status", COLUMNS="200")
        assert refused.code == 1
        assert "AlertPolicy shop/broken: refused: TargetRefused: parse error" in refused.out


async def test_an_alertmanager_that_prometheus_does_not_tell_lacks_the_watchdog(
    cli: Command, shop: StewardCluster, monitoring_tools: MonitoringTools
) -> None:
    await shop.put(policy("web", IN_FORCE))
    async with Alertmanager(monitoring_tools, QUIET) as alertmanager, Prometheus(monitoring_tools) as prometheus:
        where = ("--alertmanager", alertmanager.url, "--prometheus", prometheus.url)
        answer = await cli("alerts", "status", *where, COLUMNS="200")
        assert answer.code == 1
        assert "the Watchdog, which always fires, is not at Alertmanager" in answer.out


async def test_status_without_any_monitoring_says_so(cli: Command, shop: StewardCluster) -> None:
    await shop.put(policy("web", IN_FORCE))
    answer = await cli("alerts", "status", COLUMNS="200")
    assert answer.code == 1
    assert "Prometheus: cannot be asked: there is no Service 'linkerd-steward-alerting'" in answer.out
    assert "1 in force" in answer.out


async def test_an_alert_that_fires_is_explained_by_its_rule_and_by_its_fingerprint(
    cli: Command, monitoring_tools: MonitoringTools, rules: Path
) -> None:
    async with monitoring(monitoring_tools, cli, rules) as alertmanager:
        await eventually("both alerts", lambda: both(alertmanager))
        listed = json.loads((await cli("alerts", "list", "--alert", "WebFails", "-o", "json")).out)
        fingerprint = text(rows(listed, "items")[0], "fingerprint")
        for wanted in ("WebFails", fingerprint):
            answer = await cli("alerts", "explain", wanted, COLUMNS="160")
            assert answer.code == 0, answer.err
            for said in ("WebFails", "vector(1) > 0", "group shop.web", "It fires:", "web fails", fingerprint):
                assert said in answer.out
        unknown = await cli("alerts", "explain", "NoSuchAlert")
        assert unknown.code == 3
        assert "nobody knows an alert 'NoSuchAlert'" in unknown.err


async def test_a_cluster_is_rendered_for_the_monitoring_that_is_found(
    cli: Command, shop: StewardCluster, old_monitoring_tools: MonitoringTools, rules: Path
) -> None:
    await shop.put(policy("web", targets=[{"name": "web"}], objectives=[{"name": "a", "successPercent": 99}]))
    service: JsonObject = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}
    await shop.kube.create(SERVICES, service)
    teams: JsonObject = {
        "kind": "AlertChannel",
        "metadata": {"name": "teams", "namespace": "shop"},
        "spec": {"teams": {"webhook": {"name": "teams", "key": "url"}}},
    }
    await shop.put(teams)
    async with monitoring(old_monitoring_tools, cli, rules):
        answer = await cli("alerts", "render", "-o", "json")
        assert answer.code == 1, answer.err
        assert "refused: AlertChannel/shop/teams: Alertmanager 0.25.0 does not have `msteamsv2_configs`" in answer.err
        document = json.loads(answer.out)
        assert rows(document, "rules", "shop.web.yaml", "groups")
    alone = await cli("alerts", "render", "-o", "json", STEWARD_ALERTMANAGER="", STEWARD_PROMETHEUS="")
    assert alone.code == 0, "the newest Alertmanager has everything"
    assert "because it cannot be asked" in alone.err

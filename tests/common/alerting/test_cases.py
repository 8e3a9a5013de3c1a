"""Every rule of the pack, tried by promtool: it fires when it should and is silent otherwise, however it is scraped."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import pytest

from steward.alerting.inhibition import SAME_THING
from steward.alerting.monitoring import ScrapeKind
from steward.alerting.pack import WATCHDOG, About, PackAlert, Tier, shipped_pack
from steward.alerting.rendering import choose, render
from steward.alerting.rules import Severity, rule_document
from steward.jsonvalue import JsonObject
from steward.linkerd.version import Version
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.casebook import Case, Told, cases
from tests.common.alerting.found import VERSIONS, monitoring
from tests.common.alerting.worlds import World

ALERTS = {alert.name: alert for alert in shipped_pack().alerts}
WHOEVER = {
    "LinkerdControlPlaneComponentDown",
    "LinkerdStewardExporterMissing",
    "LinkerdAlertingPipelineBroken",
    WATCHDOG,
}
"""Alerts about what is absent, and about any Prometheus and Alertmanager."""
Rule = tuple[str, Severity, str, str]
"""Alert, severity, component, and the expression that its version takes."""


def rules_of(alert: PackAlert) -> Iterator[Rule]:
    """All that must be tried of an alert."""
    for tier in alert.tiers:
        for expr in tier.expr:
            for component in alert.components or ("",):
                yield (alert.name, tier.severity, component, expr)


def expression(case: Case, tier: Tier) -> str:
    return choose(tier, case.monitoring(World.VIZ)).expr or ""


def fired(case: Case, moment: tuple[Told, ...]) -> set[Rule]:
    tiers = {tier.severity: tier for tier in case.alert.tiers}
    own = set(case.alert.components)
    return {
        (
            case.alert.name,
            told.severity,
            dict(told.labels).get("component", "") if own else "",
            expression(case, tiers[told.severity]),
        )
        for told in moment
    }


def documents(alert: str, world: World) -> Iterator[tuple[JsonObject, str]]:
    """Tests and rules, for each version that is tried."""
    mine = sorted((case for case in cases() if case.alert.name == alert), key=lambda case: str(case.version))
    for _, members in groupby(mine, key=lambda case: case.version):
        found = list(members)
        document: JsonObject = {"evaluation_interval": "1m", "tests": [case.test(world) for case in found]}
        yield document, render_yaml(found[0].rules(world))


@pytest.mark.monitoring
@pytest.mark.parametrize("world", [world for world in World if world is not World.STRANGE])
@pytest.mark.parametrize("alert", ALERTS)
async def test_an_alert_fires_when_it_should_and_is_silent_otherwise(
    alert: str, world: World, monitoring_tools: MonitoringTools
) -> None:
    await try_out(alert, world, monitoring_tools)


@pytest.mark.monitoring
@pytest.mark.parametrize("alert", ALERTS)
async def test_an_old_prometheus_comes_to_the_same_result(alert: str, old_monitoring_tools: MonitoringTools) -> None:
    await try_out(alert, World.COLLIDING, old_monitoring_tools)


async def try_out(alert: str, world: World, tools: MonitoringTools) -> None:
    for document, rules in documents(alert, world):
        verdict = await Promtool(tools).test_rules(document, rules)
        assert verdict.ok, verdict.output


@pytest.mark.monitoring
@pytest.mark.parametrize("alert", [name for name in ALERTS if name not in WHOEVER])
async def test_series_of_other_jobs_make_no_alert_fire(alert: str, monitoring_tools: MonitoringTools) -> None:
    telling = [case for case in cases() if case.alert.name == alert and any(told for _, told in case.at)]
    for case in telling[:1]:
        silent = replace(case, at=tuple((moment, ()) for moment, _ in case.at))
        document: JsonObject = {"evaluation_interval": "1m", "tests": [silent.test(World.STRANGE)]}
        verdict = await Promtool(monitoring_tools).test_rules(document, render_yaml(silent.rules(World.STRANGE)))
        assert verdict.ok, verdict.output


@pytest.mark.monitoring
async def test_a_case_that_expects_something_else_is_noticed(each_monitoring_tools: MonitoringTools) -> None:
    (case,) = [each for each in cases() if each.id == "LinkerdIssuerMismatch: it agrees"]
    wrong = replace(case, at=(("30m", (Told(Severity.CRITICAL, ()),)),))
    document: JsonObject = {"evaluation_interval": "1m", "tests": [wrong.test(World.VIZ)]}
    verdict = await Promtool(each_monitoring_tools).test_rules(document, render_yaml(wrong.rules(World.VIZ)))
    assert not verdict.ok
    assert "alertname: LinkerdIssuerMismatch, time: 30m" in verdict.output


@pytest.mark.monitoring
@pytest.mark.parametrize("kind", ScrapeKind)
@pytest.mark.parametrize("version", [None, *VERSIONS], ids=str)
async def test_every_query_parses_for_every_scrape_profile_and_version(
    kind: ScrapeKind, version: Version | None, each_monitoring_tools: MonitoringTools
) -> None:
    groups = render(shipped_pack(), monitoring(kind, version)).groups
    verdict = await Promtool(each_monitoring_tools).check_rules(render_yaml(rule_document(groups)), lint=True)
    assert verdict.ok, verdict.output
    assert f"{sum(len(group.rules) for group in groups)} rules found" in verdict.output


def test_every_tier_component_and_expression_fires_in_one_case_and_is_silent_in_one() -> None:
    firing = {rule for case in cases() for _, moment in case.at for rule in fired(case, moment)}
    silent: set[Rule] = set()
    for case in cases():
        for tier in case.alert.tiers:
            for component in case.alert.components or ("",):
                rule = (case.alert.name, tier.severity, component, expression(case, tier))
                if case.series and any(rule not in fired(case, moment) for _, moment in case.at):
                    silent.add(rule)
    wanted = {rule for alert in ALERTS.values() for rule in rules_of(alert)}
    assert wanted - firing == set()
    assert {rule for rule in wanted - silent if rule[0] != WATCHDOG} == set()


def test_labels_that_a_text_names_are_those_that_the_expression_leaves() -> None:
    workloads = {"deployment", "statefulset", "daemonset"}
    for case in cases():
        said = case.alert.summary + case.alert.description
        named = set(re.findall(r"\$labels\.(\w+)", said))
        for told in (told for _, moment in case.at for told in moment):
            left = {name for name, _ in told.labels} - ({"component"} if case.alert.components else set())
            assert named - left <= (workloads if named & left & workloads else set()), case.id


def test_alerts_of_several_tiers_are_told_apart_by_labels_that_severe_ones_must_share_with_milder_ones() -> None:
    several = [case for case in cases() if len(case.alert.tiers) > 1]
    left = {name for case in several for _, moment in case.at for told in moment for name, _ in told.labels}
    assert left <= set(SAME_THING)


def test_an_alert_leaves_a_namespace_where_it_says_so_and_nowhere_else() -> None:
    for case in cases():
        for told in (told for _, moment in case.at for told in moment):
            assert ("namespace" in dict(told.labels)) == (case.alert.namespace is About.SERIES), case.id


def test_cases_have_names_of_their_own_and_are_looked_at_more_than_once() -> None:
    ids = [case.id for case in cases()]
    assert len(set(ids)) == len(ids)
    assert {case.alert.name for case in cases()} == set(ALERTS)
    for case in cases():
        times = [
            int(hours or 0) * 60 + int(minutes or 0) for moment, _ in case.at for hours, minutes in [parsed(moment)]
        ]
        assert times == sorted(set(times)), case.id


def parsed(moment: str) -> tuple[str, str]:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", moment)
    assert match is not None, moment
    return match[1], match[2]

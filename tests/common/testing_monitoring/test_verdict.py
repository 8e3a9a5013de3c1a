"""promtool and amtool of both generations say what they think of texts, as values."""

import json

import pytest

from steward.jsonvalue import JsonObject
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Amtool, Promtool

pytestmark = pytest.mark.monitoring

_RULES = """
groups:
- name: mesh
  rules:
  - alert: ProxyDown
    expr: up{job="proxy"} == 0
    for: 2m
    labels: {severity: critical}
"""
_ROUTES = """
route:
  receiver: everybody
  routes:
  - {receiver: mesh, matchers: ['team="mesh"'], continue: true}
  - {receiver: pager, matchers: ['severity="critical"']}
receivers:
- {name: everybody}
- {name: mesh}
- {name: pager}
"""


@pytest.fixture
def promtool(each_monitoring_tools: MonitoringTools) -> Promtool:
    """promtool of each generation."""
    return Promtool(each_monitoring_tools)


@pytest.fixture
def amtool(each_monitoring_tools: MonitoringTools) -> Amtool:
    """amtool of each generation."""
    return Amtool(each_monitoring_tools)


async def test_rules_that_load_are_counted(promtool: Promtool) -> None:
    verdict = await promtool.check_rules(_RULES, lint=True)

    assert verdict.ok
    assert "1 rules found" in verdict.output


async def test_rules_that_do_not_load_are_explained(promtool: Promtool) -> None:
    verdict = await promtool.check_rules(_RULES.replace("== 0", "== ?"))

    assert not verdict.ok
    assert "could not parse expression" in verdict.output


async def test_two_equal_rules_are_a_fault_for_the_linter_only(promtool: Promtool) -> None:
    twice = _RULES + _RULES.replace("groups:\n- name: mesh", "- name: again")

    assert (await promtool.check_rules(twice)).ok
    strict = await promtool.check_rules(twice, lint=True)
    assert not strict.ok
    assert "duplicate rule(s) found" in strict.output


def _unit_test(value: str) -> JsonObject:
    labels: JsonObject = {"severity": "critical", "job": "proxy"}
    expected: JsonObject = {"eval_time": "3m", "alertname": "ProxyDown", "exp_alerts": [{"exp_labels": labels}]}
    series: JsonObject = {"series": 'up{job="proxy"}', "values": value}
    return {"tests": [{"interval": "1m", "input_series": [series], "alert_rule_test": [expected]}]}


async def test_unit_tests_of_rules_pass_and_fail(promtool: Promtool) -> None:
    passed = await promtool.test_rules(_unit_test("0 0 0 0"), _RULES)
    failed = await promtool.test_rules(_unit_test("1 1 1 1"), _RULES)

    assert passed.ok, passed.output
    assert not failed.ok
    assert "alertname: ProxyDown, time: 3m" in failed.output


async def test_a_configuration_is_checked_with_the_files_that_it_names(promtool: Promtool) -> None:
    configuration = json.dumps({"rule_files": ["/nowhere/rules.yaml"], "scrape_configs": [{"job_name": "mesh"}]})

    complete = await promtool.check_config(configuration)
    assert not complete.ok
    assert '"/nowhere/rules.yaml" does not point to an existing file' in complete.output
    assert (await promtool.check_config(configuration, syntax_only=True)).ok


async def test_the_current_promtool_knows_the_discovery_of_kubernetes(monitoring_tools: MonitoringTools) -> None:
    discovery = '{"scrape_configs": [{"job_name": "mesh", "kubernetes_sd_configs": [{"role": "ROLE"}]}]}'
    promtool = Promtool(monitoring_tools)

    assert (await promtool.check_config(discovery.replace("ROLE", "pod"))).ok
    unknown = await promtool.check_config(discovery.replace("ROLE", "poodle"))
    assert not unknown.ok
    assert "poodle" in unknown.output


async def test_a_configuration_of_alertmanager_is_checked(amtool: Amtool) -> None:
    fine = await amtool.check_config(_ROUTES)
    wrong = await amtool.check_config(_ROUTES.replace("receiver: pager", "receiver: paper"))

    assert fine.ok
    assert "3 receivers" in fine.output
    assert not wrong.ok
    assert 'undefined receiver "paper" used in route' in wrong.output


async def test_routes_are_tested_by_labels(amtool: Amtool) -> None:
    both = await amtool.routes_test(_ROUTES, {"team": "mesh", "severity": "critical", "note": 'a "b", c = d'})
    neither = await amtool.routes_test(_ROUTES, {"team": "other"})

    assert both.receivers == ("mesh", "pager")
    assert neither.receivers == ("everybody",)


async def test_routes_of_a_broken_configuration_lead_nowhere(amtool: Amtool) -> None:
    routing = await amtool.routes_test("route: {receiver: nobody}", {"team": "mesh"})

    assert not routing.ok
    assert routing.receivers == ()
    assert 'undefined receiver "nobody" used in route' in routing.output

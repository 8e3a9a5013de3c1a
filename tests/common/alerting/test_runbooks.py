"""The page of each alert: whole, with commands that exist and queries that parse."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from steward.alerting.families import catalogue
from steward.alerting.pack import shipped_pack
from steward.alerting.reading import read
from steward.alerting.rules import Alerting, Group, Severity, rule_document
from steward.alerting.runbooks import FOLDER, UnknownRunbook, runbook, runbook_names
from steward.testing.command import Command
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.yamlvalue import render_yaml

HEADINGS = ["What it means", "What users notice", "How to see it", "Likely causes", "What to do", "When it is harmless"]
LINKERD = {
    "authz", "check", "diagnostics controller-metrics", "diagnostics endpoints", "diagnostics policy",
    "diagnostics proxy-metrics", "identity", "install", "multicluster check", "multicluster gateways", "upgrade",
    "version",
}  # fmt: skip
each_page = pytest.mark.parametrize("name", runbook_names())


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page)


def commands(page: str) -> list[list[str]]:
    """Commands in blocks, and in the text where they stand by themselves, up to the first pipe."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    quoted = [each for each in re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", page)) if " " in each]
    said = [*lines, *(each for each in quoted if each.startswith(("linkerd ", "kubectl ")))]
    return [line.partition(" | ")[0].split() for line in said]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    pages = {each.name for each in (files("steward.alerting") / FOLDER).iterdir()}
    assert pages == {f"{name.lower()}.md" for name in runbook_names()}
    assert {alert.name for alert in shipped_pack().alerts} <= set(runbook_names())


@each_page
def test_a_page_has_the_headings_that_all_have_and_something_under_each(name: str) -> None:
    page = runbook(name)
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"(?m)^## (.*)$", page) == HEADINGS
    title, *sections = re.split(r"(?m)^## .*$", page)
    assert title.strip().splitlines()[-1].endswith(".")
    assert all(section.strip() for section in sections)
    assert blocks(page, "sh")
    assert "- " in sections[3]
    assert "1. " in sections[4]


@each_page
def test_alerts_that_a_page_names_have_pages_themselves(name: str) -> None:
    named = set(re.findall(r"\bLinkerd[A-Z]\w+", runbook(name)))
    assert named <= set(runbook_names())


@each_page
def test_metrics_that_a_page_names_are_in_the_catalogue(name: str) -> None:
    page = runbook(name)
    queried = {metric for query in blocks(page, "promql") for metric in read(query).metrics}
    assert all(catalogue().family(metric) for metric in queried)


@each_page
def test_commands_of_linkerd_and_kubectl_are_ones_that_there_are(name: str) -> None:
    verbs = {"get", "describe", "logs", "rollout", "delete", "top", "auth", "apply", "port-forward"}
    for words in commands(runbook(name)):
        assert words[0] in ("linkerd", "kubectl", "cmctl"), words
        if words[0] == "linkerd" and words[1] != "steward":
            assert words[1] in LINKERD or " ".join(words[1:3]) in LINKERD, words
        if words[0] == "kubectl":
            assert verbs & set(words), words


async def test_commands_of_steward_exist(tmp_path: Path) -> None:
    called = {
        tuple(word for word in words[2:] if word.isalpha() and word.islower())
        for name in runbook_names()
        for words in commands(runbook(name))
        if words[:2] == ["linkerd", "steward"]
    }
    assert len(called) > 5
    for words in sorted(called):
        answer = await Command(tmp_path)(*words, "--help")
        assert answer.code == 0, f"{words}: {answer.err}"


@pytest.mark.monitoring
async def test_queries_of_pages_parse(each_monitoring_tools: MonitoringTools) -> None:
    queries = [query.strip() for name in runbook_names() for query in blocks(runbook(name), "promql")]
    assert len(queries) > 10
    rules = tuple(Alerting(f"Query{at}", query, Severity.INFO) for at, query in enumerate(queries))
    verdict = await Promtool(each_monitoring_tools).check_rules(render_yaml(rule_document([Group("g", rules)])))
    assert verdict.ok, verdict.output


def test_a_page_is_found_in_small_letters_too_and_another_is_refused() -> None:
    assert runbook("linkerdinjectorslow") == runbook("LinkerdInjectorSlow")
    with pytest.raises(UnknownRunbook, match=r"no runbook for '\.\./pack': `linkerd-steward alerts pack` lists"):
        runbook("../pack")

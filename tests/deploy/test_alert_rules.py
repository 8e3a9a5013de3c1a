"""The alert rules for conformance: about series that exist, of the replica that acts, with words that help."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.conformance.core.objectives import COVERED
from services.conformance.core.schedule import STALE_AFTER
from services.conformance.metrics import LOCK_HELD, METRICS, RUN_PHASE, STATUS
from steward.alerting.rules import Severity
from steward.conformance.alerts import AlertRule, alert_rules, security_features
from steward.conformance.catalogue import catalogue
from steward.resources.conformance_run import RunPhase
from steward.resources.conformance_suite import ConformanceSuiteSpec
from steward.service.instruments import Instruments, MetricType
from steward.testing.command import Command
from tests.deploy import promql
from tests.documentation.blocks import Block, commands

RULES = {rule.name: rule for rule in alert_rules()}
_LED = f"and on (instance) {LOCK_HELD.name} == 1"
_VALUED = re.compile(r"{{ \$labels\.(\w+) }}")

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def steps_of(rule: AlertRule) -> list[list[str]]:
    """The commands of a runbook, as words."""
    text = rule.runbook.replace("{{ $labels.feature }}", "mtls.identity")
    lines = [re.sub(r"^\d+\. ", "", line.strip()) for line in text.splitlines()]
    shell = "\n".join(line for line in lines if line.startswith(("linkerd ", "kubectl ")))
    return [command.split() for command in commands(Block("runbook", rule.name, "sh", shell))]


def test_there_is_a_rule_for_everything_that_people_must_know() -> None:
    assert len(RULES) == len(alert_rules())
    assert set(RULES) == {
        "SecurityFeatureFailing", "FeatureFailing", "FastBurn", "SlowBurn", "FeatureStale", "NoResults", "CoverageLow",
        "ProberLate", "Leftovers", "ResultsWaiting", "EventsWaiting", "NobodyActs", "Trouble",
    }  # fmt: skip
    woken = {name for name, rule in RULES.items() if rule.severity is Severity.CRITICAL}
    assert woken == {"SecurityFeatureFailing", "FastBurn"}


@each_rule
def test_every_series_that_is_asked_for_exists_and_has_the_labels_that_are_asked_of_it(rule: AlertRule) -> None:
    assert promql.read(rule.expr)
    assert promql.read(rule.expr) - set(promql.series()) == set()
    assert promql.unknown_labels(rule.expr) == set()
    assert promql.totals_as_they_are(rule.expr, r"\d+[mh]") == set()
    assert rule.expr.count("(") == rule.expr.count(")")
    assert rule.expr.count('"') % 2 == 0


@each_rule
def test_gauges_are_those_of_the_replica_that_acts(rule: AlertRule) -> None:
    gauges = [
        name
        for name, metric in promql.series().items()
        if metric.type is MetricType.GAUGE and name in promql.read(rule.expr) and name != LOCK_HELD.name
    ]
    for name in gauges:
        assert re.search(rf"{name}(?:{{[^}}]*}})? {re.escape(_LED)}", rule.expr), name


@each_rule
def test_texts_name_labels_that_are_left_and_end_as_sentences(rule: AlertRule) -> None:
    named = {label for said in (rule.summary, rule.description, rule.runbook) for label in _VALUED.findall(said)}
    assert named <= promql.labels_left(rule.expr)
    assert not rule.summary.endswith(".")
    assert rule.description.endswith(".")
    for said in (rule.summary, rule.description, rule.runbook):
        assert (
            said.count("{{") == said.count("}}") == len(re.findall(r"{{ \$(?:labels\.\w+|value)[ a-zA-Z|]* }}", said))
        )


@each_rule
def test_a_runbook_says_what_to_do_with_commands(rule: AlertRule) -> None:
    numbers = [int(each) for each in re.findall(r"(?m)^(\d+)\. ", rule.runbook)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 2
    assert steps_of(rule)


async def test_the_commands_of_runbooks_exist_with_their_flags(tmp_path: Path) -> None:
    called = {tuple(words[2:]) for rule in RULES.values() for words in steps_of(rule) if words[0] == "linkerd"}
    assert len(called) > 5
    for words in sorted(called):
        answer = await Command(tmp_path)(*words, "--help")
        assert answer.code == 0, f"{words}: {answer.err}"


def test_security_features_wake_somebody_at_once_and_exactly_one_rule_is_about_a_feature() -> None:
    pattern = re.compile(security_features().replace("\\\\", "\\"))
    for each in catalogue().features:
        assert bool(pattern.fullmatch(each.feature)) == each.security, each.feature
    security, others = RULES["SecurityFeatureFailing"], RULES["FeatureFailing"]
    assert security.lasting == timedelta()
    assert f'{STATUS.name}{{feature=~"{security_features()}"}}' in security.expr
    assert f'{STATUS.name}{{feature!~"{security_features()}"}}' in others.expr


def test_thresholds_are_those_of_the_service() -> None:
    longest = timedelta(seconds=max(each.interval_seconds for each in ConformanceSuiteSpec().schedule))
    jitter = ConformanceSuiteSpec().jitter_percent / 100
    assert f"[{round(longest * STALE_AFTER / timedelta(hours=1))}h]" in RULES["FeatureStale"].expr
    assert timedelta(minutes=75) > longest * (1 + jitter)
    assert "[75m]" in RULES["NoResults"].expr
    assert RULES["CoverageLow"].expr.endswith(f"< {COVERED}")
    phases = {found for rule in RULES.values() for found in re.findall(rf'{RUN_PHASE.name}{{phase="(\w+)"', rule.expr)}
    assert phases == {RunPhase.RUNNING.value}


def test_a_rule_reads_what_the_service_really_writes() -> None:
    registry = CollectorRegistry()
    instruments = Instruments(registry, METRICS)
    instruments.set(STATUS, -1, "mtls.identity")
    instruments.set(LOCK_HELD, 1)
    page = generate_latest(registry).decode()
    assert 'steward_conformance_feature_status{feature="mtls.identity"} -1.0' in page
    assert "steward_conformance_lock_held 1.0" in page


def test_a_rule_becomes_one_of_a_rule_file() -> None:
    assert RULES["CoverageLow"].to_prometheus() == {
        "alert": "StewardConformanceCoverageLow",
        "expr": RULES["CoverageLow"].expr,
        "for": "1800s",
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": "conformance is blind in part",
            "description": RULES["CoverageLow"].description,
            "runbook": RULES["CoverageLow"].runbook,
        },
    }

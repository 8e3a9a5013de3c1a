"""Rules as values, and as Prometheus takes them."""

from datetime import timedelta

import pytest

from steward.alerting.rules import Alerting, Group, Recording, Severity, rule_document, seconds, steady
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.yamlvalue import render_yaml

UP = Recording("mesh:up:sum", "sum(up)", {"tier": "1"})
DOWN = Alerting(
    "MeshDown",
    "mesh:up:sum == 0",
    Severity.CRITICAL,
    lasting=timedelta(minutes=2),
    keep_firing=timedelta(seconds=90),
    labels={"team": "mesh"},
    annotations={"summary": "Nothing is up"},
)


def test_a_group_is_written_as_prometheus_has_it() -> None:
    assert rule_document([Group("mesh", (UP, DOWN), timedelta(seconds=30))]) == {
        "groups": [
            {
                "name": "mesh",
                "interval": "30s",
                "rules": [
                    {"record": "mesh:up:sum", "expr": "sum(up)", "labels": {"tier": "1"}},
                    {
                        "alert": "MeshDown",
                        "expr": "mesh:up:sum == 0",
                        "for": "120s",
                        "keep_firing_for": "90s",
                        "labels": {"team": "mesh", "severity": "critical"},
                        "annotations": {"summary": "Nothing is up"},
                    },
                ],
            }
        ]
    }


def test_what_is_not_given_is_left_out() -> None:
    bare = Group("mesh", (Recording("a", "up"), Alerting("A", "up", Severity.INFO)))
    assert bare.to_prometheus() == {
        "name": "mesh",
        "rules": [{"record": "a", "expr": "up"}, {"alert": "A", "expr": "up", "labels": {"severity": "info"}}],
    }


def test_a_severity_is_not_displaced_by_a_label() -> None:
    alert = Alerting("A", "up", Severity.WARNING, labels={"severity": "none"})
    assert alert.to_prometheus()["labels"] == {"severity": "warning"}


@pytest.mark.parametrize("name", ["", "a b", "1a", "a{", "ä"])
def test_a_recording_is_named_like_a_metric(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a metric"):
        Recording(name, "up")


@pytest.mark.parametrize("name", ["", "meshDown", "Mesh Down", "Mesh_Down", "MeshDown\n"])
def test_an_alert_is_named_in_camel_case(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of an alert: CamelCase"):
        Alerting(name, "up", Severity.INFO)


@pytest.mark.parametrize("label", ["", "a-b", "1a", "__name__", "a b"])
def test_labels_and_annotations_have_names_of_labels(label: str) -> None:
    with pytest.raises(ValueError, match="is no name of a label"):
        Recording("a", "up", {label: "x"})
    with pytest.raises(ValueError, match="is no name of a label"):
        Alerting("A", "up", Severity.INFO, labels={label: "x"})
    with pytest.raises(ValueError, match=r"A: .* is no name of a label"):
        Alerting("A", "up", Severity.INFO, annotations={label: "x"})


@pytest.mark.parametrize(
    ("span", "written"),
    [
        (timedelta(), "0s"),
        (timedelta(hours=2), "7200s"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(microseconds=1600), "2ms"),
    ],
)
def test_durations_are_whole_milliseconds(span: timedelta, written: str) -> None:
    assert seconds(span) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("{{ $value }}", "{{ `{{` }} $value }}"),
        ("{{{{", "{{ `{{` }}{{ `{{` }}"),
        ("{ {", "{ {"),
        ("}}", "}}"),
    ],
)
def test_a_template_of_somebody_else_is_text(text: str, written: str) -> None:
    assert steady(text) == written


@pytest.mark.monitoring
async def test_both_generations_of_prometheus_take_all_of_it(each_monitoring_tools: MonitoringTools) -> None:
    group = Group("mesh", (UP, DOWN), timedelta(milliseconds=2500))
    verdict = await Promtool(each_monitoring_tools).check_rules(render_yaml(rule_document([group])), lint=True)
    assert verdict.ok, verdict.output

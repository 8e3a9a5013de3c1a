"""Recording and alerting rules as values, and as Prometheus and the prometheus-operator take them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from steward.alerting.promql import LABEL, METRIC
from steward.jsonvalue import Json, JsonObject

_ALERT = re.compile(r"^[A-Z][A-Za-z0-9]*$")


class Severity(StrEnum):
    """Whom an alert is for."""

    CRITICAL = "critical"
    """Somebody is woken."""
    WARNING = "warning"
    """Somebody looks at it on the same day."""
    INFO = "info"
    """It is good to know."""
    NONE = "none"
    """For machines: the watchdog, and what only mutes others."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A query whose result is kept under a name of its own."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if METRIC.fullmatch(self.record) is None:
            raise ValueError(f"{self.record!r} is no name of a metric")
        _check_labels(self.record, self.labels)

    def to_prometheus(self) -> JsonObject:
        """As a member of `rules`."""
        return {"record": self.record, "expr": self.expr, **({"labels": dict(self.labels)} if self.labels else {})}


@dataclass(frozen=True, slots=True)
class Alerting:
    """A query that should have no result. `annotations` are templates as Prometheus has them: see `steady`."""

    alert: str
    expr: str
    severity: Severity
    lasting: timedelta = timedelta()
    """How long it must be so before it fires."""
    keep_firing: timedelta = timedelta()
    """How long it goes on firing after it is no longer so."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _ALERT.fullmatch(self.alert) is None:
            raise ValueError(f"{self.alert!r} is no name of an alert: CamelCase, such as LinkerdInjectorSlow")
        _check_labels(self.alert, self.labels)
        _check_labels(self.alert, self.annotations)

    def to_prometheus(self) -> JsonObject:
        """As a member of `rules`; Prometheus 2.42 and newer take it."""
        rule: JsonObject = {"alert": self.alert, "expr": self.expr}
        if self.lasting:
            rule["for"] = seconds(self.lasting)
        if self.keep_firing:
            rule["keep_firing_for"] = seconds(self.keep_firing)
        rule["labels"] = {**self.labels, "severity": self.severity.value}
        if self.annotations:
            rule["annotations"] = dict(self.annotations)
        return rule


Rule = Recording | Alerting


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, at one time."""

    name: str
    rules: tuple[Rule, ...]
    interval: timedelta = timedelta()
    """Between two evaluations; none: as often as this Prometheus evaluates."""

    def to_prometheus(self) -> JsonObject:
        """As a member of `groups`. Labels of a whole group need Prometheus 3, so there are none."""
        head: JsonObject = {"name": self.name}
        if self.interval:
            head["interval"] = seconds(self.interval)
        return {**head, "rules": [rule.to_prometheus() for rule in self.rules]}


def rule_document(groups: Iterable[Group]) -> JsonObject:
    """The content of a rule file; also the `spec` of a PrometheusRule."""
    members: list[Json] = [group.to_prometheus() for group in groups]
    return {"groups": members}


def seconds(span: timedelta) -> str:
    """A duration as Prometheus writes it: whole milliseconds, the smallest unit that it knows."""
    milliseconds = round(span / timedelta(milliseconds=1))
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def steady(text: str) -> str:
    """`text` that somebody else chose, inside an annotation: Prometheus reads annotations as templates."""
    return text.replace("{{", "{{ `{{` }}")


def _check_labels(owner: str, labels: Mapping[str, str]) -> None:
    for name in labels:
        if LABEL.fullmatch(name) is None or name.startswith("__"):
            raise ValueError(
                f"{owner}: {name!r} is no name of a label: letters, digits and _, not __ nor a digit first"
            )

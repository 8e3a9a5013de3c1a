"""As much of PromQL as tests need: which series an expression reads, and which labels it asks of them."""

import re
from collections.abc import Iterable

from services.together import MEMBERS
from steward.service.chassis_metrics import ChassisMetrics
from steward.service.instruments import Metric, MetricType, gauge

SERIES = re.compile(r"\b(steward_[a-z_]+|ALERTS)\b")
ALERTS = gauge("ALERTS", "What pends or fires, as Prometheus itself tells it.", "alertname", "namespace", "severity")
SCRAPED = frozenset({"le", "pod", "instance"})
"""Labels that come from Prometheus and not from us."""
_MATCHERS = re.compile(r"\b(steward_[a-z_]+)\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_RELABELLED = re.compile(r"label_replace\(.*?,\s*\"(\w+)\",")
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def series() -> dict[str, Metric]:
    """Every series that the services expose, and that of alerts."""
    declared = [
        ALERTS,
        *(metric for each in MEMBERS for metric in (*ChassisMetrics.of(each.name).all(), *each.metrics)),
    ]
    named = {metric.name: metric for metric in declared if metric.type is not MetricType.HISTOGRAM}
    for metric in declared:
        if metric.type is MetricType.HISTOGRAM:
            named |= {f"{metric.name}_{suffix}": metric for suffix in ("bucket", "sum", "count")}
    return named


def read(expression: str) -> set[str]:
    """The names of the series that an expression reads."""
    return set(SERIES.findall(expression))


def unknown_labels(expression: str) -> set[str]:
    """Labels that are grouped by or matched, and that none of the series can have."""
    known = series()
    had = {label for name in read(expression) for label in known[name].labels}
    made = set(_RELABELLED.findall(expression))
    grouped = {each for found in _GROUPED.findall(expression) for each in _split(found)}
    wrong = {
        f"{name}: {label}"
        for name, matchers in _MATCHERS.findall(expression)
        for label in _MATCHER.findall(matchers)
        if label not in known[name].labels
    }
    return (grouped - had - made - SCRAPED) | wrong


def totals_as_they_are(expression: str, window: str) -> set[str]:
    """Counters that are not shown as a change within a window; what such a total says depends on the last restart."""
    counted = {name for name in read(expression) if name.endswith(("_total", "_bucket", "_count", "_sum"))}
    changing = re.compile(rf"(?:rate|increase)\((steward_[a-z_]+)(?:\{{[^}}]*\}})?\[{window}\]\)")
    return counted - set(changing.findall(expression))


def labels_left(expression: str) -> set[str]:
    """By what the outermost aggregations group: what a legend, or the text of an alert, may name."""
    return {each for found in re.findall(r"by \(([^)]*)\)", expression) for each in _split(found)}


def _split(labels: str) -> Iterable[str]:
    return (each.strip() for each in labels.split(",") if each.strip())

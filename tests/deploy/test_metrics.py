"""Names and labels of every metric: by convention, once, and bounded."""

import re
from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from services.together import MEMBERS, Member
from steward.service.chassis_metrics import ChassisMetrics
from steward.service.instruments import Instruments, Metric, MetricType

# Closed sets, what is in use at a time, and what is kept; `run` is bounded by the policy's runHistoryLimit, `feature`
# by what can be exercised; alerting's `namespace`, `name`, `serial`, `object` and `policy` by the mesh that it watches.
BOUNDED = {
    "answer", "channel", "code", "component", "consumer", "duplicate", "error", "event", "fact", "feature", "from",
    "gate", "how", "install_method", "kind", "method", "name", "namespace", "object", "phase", "policy", "reason",
    "release", "resource", "result", "run", "security", "serial", "source", "stage", "state", "target", "tier", "to",
    "type", "verdict", "version", "webhook", "window",
}  # fmt: skip
_UNITS = ("_seconds", "_bytes", "_info", "_total")


def metrics_of(member: Member) -> list[Metric]:
    return [*ChassisMetrics.of(member.name).all(), *member.metrics]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_metric_is_named_by_the_convention(member: Member) -> None:
    prefix = f"steward_{member.name.replace('-', '_')}_"
    for metric in metrics_of(member):
        assert metric.name.startswith(prefix)
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", metric.name)
        assert (metric.type is MetricType.COUNTER) == metric.name.endswith("_total"), metric.name
        assert metric.type is not MetricType.HISTOGRAM or metric.name.endswith("_seconds"), metric.name
        assert metric.help.endswith("."), metric.name
        assert "milli" not in metric.name


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_no_metric_is_declared_twice_and_all_fit_into_one_registry(member: Member) -> None:
    counted = Counter(metric.name for metric in metrics_of(member))
    assert [name for name, count in counted.items() if count > 1] == []
    Instruments(CollectorRegistry(), metrics_of(member))


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_labels_are_few_and_their_values_bounded(member: Member) -> None:
    for metric in metrics_of(member):
        assert len(metric.labels) <= 4, metric.name
        assert set(metric.labels) <= BOUNDED, metric.name

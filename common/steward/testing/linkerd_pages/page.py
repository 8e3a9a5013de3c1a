"""Families of the catalogue as text in Prometheus' exposition format."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from steward.alerting.families import Family, MetricKind
from steward.alerting.promql import quoted

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a family. A counter grows by `rate` each second, a gauge is `value` and moves by `rate`.

    A histogram counts `rate` observations each second, all of them in the bucket that `value` falls into.
    """

    labels: Labels = field(hash=False, default_factory=dict)
    value: float = 0
    rate: float = 0


def rendered(family: Family, series: Iterable[Series], seconds: float) -> str:
    """The family as it is `seconds` after its process began. Every label of the catalogue is there, if only empty."""
    lines = [f"# TYPE {family.name} {family.kind.value}"]
    for each in series:
        labels = {**dict.fromkeys(sorted(family.labels), ""), **each.labels}
        lines.extend(_samples(family, labels, each, seconds))
    return "\n".join(lines) + "\n"


def _samples(family: Family, labels: Labels, series: Series, seconds: float) -> Iterator[str]:
    match family.kind:
        case MetricKind.COUNTER | MetricKind.GAUGE:
            yield _sample(family.name, labels, series.value + series.rate * seconds)
        case MetricKind.HISTOGRAM:
            count = series.rate * seconds
            for bound in (*family.buckets, float("inf")):
                within = count if series.value <= bound else 0
                yield _sample(f"{family.name}_bucket", {**labels, "le": _bound(bound)}, within)
            yield _sample(f"{family.name}_count", labels, count)
            yield _sample(f"{family.name}_sum", labels, count * series.value)
        case MetricKind.SUMMARY:
            yield _sample(f"{family.name}_count", labels, series.rate * seconds)
            yield _sample(f"{family.name}_sum", labels, series.rate * seconds * series.value)


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f"{label}={quoted(said)}" for label, said in labels.items() if said)
    return f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}"


def _bound(bound: float) -> str:
    if bound == float("inf"):
        return "+Inf"
    return str(int(bound)) if bound == int(bound) else repr(bound)

"""The text of a page of metrics, written as the two generators of a proxy write it."""

from collections.abc import Iterator

from steward.testing.dataplane.config import Labels, ProxySettings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.families import FAMILIES, OLDER_GENERATOR, Family, Kind
from steward.testing.dataplane.proxy.metric_faults import missing, other_name, renamed
from steward.testing.dataplane.proxy.metrics import ProxyMetrics, Series

_UNITS = ("seconds", "bytes")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def render(metrics: ProxyMetrics, settings: ProxySettings, faults: Faults) -> str:
    """The page at this moment: the older generator first, then the registry with its end marker."""
    lines: list[str] = []
    for family in FAMILIES.values():
        if faults.on(missing(family.name), settings):
            continue
        name = other_name(family.name) if faults.on(renamed(family.name), settings) else family.name
        series = [each for _, each in metrics.of(family)]
        if series:
            lines.extend(_head(name, family))
            lines.extend(line for each in series for line in _lines(name, family, each))
    return "\n".join([*lines, "# EOF", ""])


def _head(name: str, family: Family) -> Iterator[str]:
    registry = family.name not in OLDER_GENERATOR
    exposed = name.removesuffix("_total") if registry else name
    yield f"# TYPE {exposed} {family.kind}"
    unit = next((unit for unit in _UNITS if exposed.endswith(f"_{unit}")), "")
    if registry and unit:
        yield f"# UNIT {exposed} {unit}"


def _lines(name: str, family: Family, series: Series) -> Iterator[str]:
    if family.kind is not Kind.HISTOGRAM:
        yield f"{name}{_braces(series.labels)} {_number(series.value)}"
        return
    older = family.name in OLDER_GENERATOR
    so_far = 0
    for bound, inside in zip((*family.buckets, float("inf")), series.buckets, strict=True):
        so_far += inside
        yield f"{name}_bucket{_braces((*series.labels, ('le', _bound(bound, older=older))))} {so_far}"
    yield f"{name}_sum{_braces(series.labels)} {_number(series.value)}"
    yield f"{name}_count{_braces(series.labels)} {series.observations}"


def _bound(value: float, *, older: bool) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if older else repr(float(value))


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)

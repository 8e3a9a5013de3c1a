"""The text of a page of metrics, written as the two generators of a proxy write it."""

from collections.abc import Iterator
from functools import cache
from itertools import accumulate

from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.families import FAMILIES, OLDER_GENERATOR, Family, Kind
from steward.testing.dataplane.proxy.metric_faults import RESTLESS, missing, other_name, renamed
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
        if family.kind is Kind.COUNTER and faults.on(RESTLESS, settings):
            for each in series:
                each.value += 1
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
    if not series.written:
        series.written = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in series.labels)
    braces = f"{{{series.written}}}" if series.written else ""
    if family.kind is not Kind.HISTOGRAM:
        yield f"{name}{braces} {_number(series.value)}"
        return
    bounds, inner = _bounds(family), f"{series.written}," if series.written else ""
    for bound, so_far in zip(bounds, accumulate(series.buckets), strict=True):
        yield f'{name}_bucket{{{inner}le="{bound}"}} {so_far}'
    yield f"{name}_sum{braces} {_number(series.value)}"
    yield f"{name}_count{braces} {series.observations}"


@cache
def _bounds(family: Family) -> tuple[str, ...]:
    whole = family.name in OLDER_GENERATOR
    return (*(str(int(bound)) if whole else repr(float(bound)) for bound in family.buckets), "+Inf")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)

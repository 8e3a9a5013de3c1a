"""The figures of one simulated proxy: series by family and labels, of which some fade when they rest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from steward.clock import Clock
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.dataplane.config import Labels, ProxySettings, Timings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.families import FAMILIES, Family, Kind, Minor
from steward.testing.dataplane.proxy.metric_faults import COUNTED_TWICE, FROZEN, counted_twice, frozen

NEWEST: Minor = (99, 0)
_CONNECTIONS = "tcp_open_connections"


class NoSuchMetric(LookupError):
    """A proxy counted what no proxy exports: a family or a label that is not in the table."""


@dataclass(slots=True)
class Series:
    """One line of a page, or the lines of one histogram. `buckets` are not cumulative; `touched` is when it moved."""

    labels: Labels
    touched: float
    written: str = ""
    """The labels as a page has them, once one has."""
    value: float = 0.0
    observations: int = 0
    buckets: list[int] = field(default_factory=list)


def minor_of(version: str) -> Minor:
    """The logical version of a proxy, such as (2, 18); whatever is unknown counts as the newest."""
    parsed = Version.maybe(version)
    logical = shipped().logical_of(parsed) if parsed is not None else None
    if logical is None:
        return NEWEST
    major, minor = logical.split(".")[:2]
    return int(major), int(minor)


class ProxyMetrics:
    """Implements `ports.Metrics`. A family that this version has not yet is counted nowhere."""

    def __init__(self, settings: ProxySettings, clock: Clock, timings: Timings, faults: Faults) -> None:
        self.minor = minor_of(settings.version)
        self._settings = settings
        self._clock = clock
        self._idle = timings.metrics_idle.total_seconds()
        self._faults = faults
        self._series: dict[str, dict[Labels, Series]] = {}
        self._names: dict[tuple[str, Kind, tuple[str, ...]], tuple[str, ...] | None] = {}

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter; an amount of 0 makes the series appear."""
        series = self._moving(name, Kind.COUNTER, labels)
        if series is not None:
            series.value += amount * self._times(name)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add an observation to a histogram."""
        series = self._moving(name, Kind.HISTOGRAM, labels)
        if series is None:
            return
        bounds = FAMILIES[name].buckets
        series.buckets = series.buckets or [0] * (len(bounds) + 1)
        series.buckets[next((place for place, bound in enumerate(bounds) if value <= bound), len(bounds))] += 1
        series.observations += 1
        series.value += value

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        series = self._moving(name, Kind.GAUGE, labels)
        if series is not None:
            series.value = value

    def level(self, name: str, value: float, /, **labels: str) -> None:
        """Set a counter to what it counted elsewhere, such as the processor time that was used."""
        series = self._moving(name, Kind.COUNTER, labels)
        if series is not None:
            series.value = value

    def shift(self, name: str, by: float, /, **labels: str) -> None:
        """Move a gauge up or down."""
        series = self._moving(name, Kind.GAUGE, labels)
        if series is not None:
            series.value += by

    def forget(self, name: str, /, **labels: str) -> None:
        """Drop the series with these labels."""
        kept = self._series.get(name, {})
        wanted = set(labels.items())
        for key in [key for key in kept if wanted <= set(key)]:
            del kept[key]

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of what is counted under these labels at present; observations for a histogram."""
        wanted = set(labels.items())
        found = [series for _, series in self.of(FAMILIES[name]) if wanted <= set(series.labels)]
        return sum(each.observations if each.buckets else each.value for each in found)

    def of(self, family: Family) -> Iterator[tuple[Labels, Series]]:
        """The series of a family that have not faded."""
        now = self._clock.monotonic()
        kept = self._series.get(family.name, {})
        for key, series in list(kept.items()):
            if family.fades and now - series.touched >= self._idle and not self._held(family, key):
                del kept[key]
                continue
            yield key, series

    def _held(self, family: Family, key: Labels) -> bool:
        """Series of a connection stay as long as it is open, however quiet it is."""
        if not family.name.startswith("tcp_"):
            return False
        connection = tuple(pair for pair in key if pair[0] != "errno")
        gauge = self._series.get(_CONNECTIONS, {}).get(connection)
        return gauge is not None and gauge.value > 0

    def _moving(self, name: str, kind: Kind, labels: dict[str, str]) -> Series | None:
        """The series, unless this version has none or it stands still."""
        shape = (name, kind, tuple(labels))
        names = self._names[shape] if shape in self._names else self._learn(shape)
        if names is None or self._stands_still(name):
            return None
        key = tuple((label, labels[label]) for label in names)
        family_series = self._series.setdefault(name, {})
        now = self._clock.monotonic()
        series = family_series.get(key)
        if series is None:
            series = family_series[key] = Series(key, now)
        series.touched = now
        return series

    def _learn(self, shape: tuple[str, Kind, tuple[str, ...]]) -> tuple[str, ...] | None:
        """The labels that this version writes, in order; looked up once for each way of counting."""
        name, kind, labels = shape
        family = _known(name, kind, labels)
        allowed = family.labels_of(self.minor)
        names = tuple(sorted(each for each in labels if each in allowed)) if self.minor >= family.since else None
        self._names[shape] = names
        return names

    def _stands_still(self, name: str) -> bool:
        return self._faults.on(FROZEN, self._settings) or self._faults.on(frozen(name), self._settings)

    def _times(self, name: str) -> int:
        twice = self._faults.on(COUNTED_TWICE, self._settings) or self._faults.on(counted_twice(name), self._settings)
        return 2 if twice else 1


def _known(name: str, kind: Kind, labels: Iterable[str]) -> Family:
    family = FAMILIES.get(name)
    if family is None:
        raise NoSuchMetric(f"no proxy exports {name!r}; families.py lists what there is")
    if family.kind is not kind:
        raise NoSuchMetric(f"{name!r} is a {family.kind}, not a {kind}")
    unknown = set(labels) - family.labels
    if unknown:
        raise NoSuchMetric(
            f"{name!r} has no label {', '.join(sorted(unknown))}; it has {', '.join(sorted(family.labels))}"
        )
    return family

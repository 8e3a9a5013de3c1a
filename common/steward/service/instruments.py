"""Prometheus metrics as data: declared once, listed in the documentation, written through one small object."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LONG_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class MetricType(StrEnum):
    """The Prometheus types in use here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family: its name ends in its unit, its labels have bounded values."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


def counter(name: str, help: str, *labels: str) -> Metric:
    """A number that only rises; its name ends in `_total`."""
    return Metric(name, MetricType.COUNTER, help, labels)


def gauge(name: str, help: str, *labels: str) -> Metric:
    """A number that is what it is."""
    return Metric(name, MetricType.GAUGE, help, labels)


def histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    """A distribution, in seconds unless its name says otherwise."""
    return Metric(name, MetricType.HISTOGRAM, help, labels, buckets)


class Instruments:
    """Writes the metrics it was made with, and no others."""

    def __init__(self, registry: CollectorRegistry, metrics: Iterable[Metric]) -> None:
        self.registry = registry
        self._counters: dict[Metric, Counter] = {}
        self._gauges: dict[Metric, Gauge] = {}
        self._histograms: dict[Metric, Histogram] = {}
        self._shown: dict[Metric, set[tuple[str, ...]]] = {}
        for metric in metrics:
            self._declare(metric)

    def _declare(self, metric: Metric) -> None:
        match metric.type:
            case MetricType.COUNTER:
                self._counters[metric] = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            case MetricType.GAUGE:
                self._gauges[metric] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            case MetricType.HISTOGRAM:
                self._histograms[metric] = Histogram(
                    metric.name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets
                )

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Raise a counter."""
        found = self._counters[metric]
        (found.labels(*labels) if labels else found).inc(by)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        found = self._gauges[metric]
        (found.labels(*labels) if labels else found).set(value)

    def show(self, metric: Metric, values: dict[tuple[str, ...], float]) -> None:
        """Set a gauge to exactly these series: the ones shown before that are missing now disappear."""
        found = self._gauges[metric]
        for labels in self._shown.get(metric, set()) - set(values):
            found.remove(*labels)
        for labels, value in values.items():
            found.labels(*labels).set(value)
        self._shown[metric] = set(values)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add one observation to a histogram."""
        found = self._histograms[metric]
        (found.labels(*labels) if labels else found).observe(seconds)

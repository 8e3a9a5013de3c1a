"""The metrics of the proxies that count requests, and what they call a success.

Where buckets end, and which version has a metric, is in the catalogue of `steward.alerting.families`.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache

from steward.alerting.families import catalogue
from steward.alerting.promql import Matcher

_MILLISECOND = timedelta(milliseconds=1)
_UNITS = {"milliseconds": _MILLISECOND, "seconds": timedelta(seconds=1)}
_SUCCESS = Matcher.equal("classification", "success")

GRPC_FAILURES = ("DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "PERMISSION_DENIED", "UNAVAILABLE", "UNKNOWN")
"""What a proxy itself classifies as failures: the codes 15, 4, 13, 7, 14 and 2."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long answers took, in buckets."""

    metric: str
    attempts: bool = False
    """Whether it counts each attempt at a backend, and not each request."""

    @property
    def bounds(self) -> tuple[int, ...]:
        """Where the buckets end, in milliseconds."""
        return _buckets(self.metric)[1]

    def within(self, milliseconds: int) -> Matcher:
        """The bucket of the answers that were as fast: Prometheus 3 writes `500.0` where 2 writes `500`."""
        bound = milliseconds * _MILLISECOND / _buckets(self.metric)[0]
        return Matcher.any_of("le", dict.fromkeys((f"{bound:.12g}", str(bound))))


class RouteLabel(StrEnum):
    """How routes are told apart."""

    PROFILE = "Profile"
    """By `rt_route`, which requests that fit no route do not have."""
    OBJECT = "Object"
    """By kind, namespace and name of an HTTPRoute or a GRPCRoute."""
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Counters:
    """Metrics that count the same requests."""

    answers: str
    """Counter of answers, by how they came out."""
    good: tuple[Matcher, ...]
    histograms: tuple[Histogram, ...]
    """The one that is preferred comes first."""
    routes: RouteLabel

    @property
    def bounds(self) -> tuple[int, ...]:
        """Milliseconds in which an objective of latency can be told."""
        return tuple(sorted({bound for histogram in self.histograms for bound in histogram.bounds}))

    def histogram(self, milliseconds: int) -> Histogram | None:
        """The one that has a bucket which ends there."""
        return next((each for each in self.histograms if milliseconds in each.bounds), None)


def _of_routes(protocol: str, good: Matcher) -> Counters:
    stem = f"outbound_{protocol}_route"
    return Counters(
        answers=f"{stem}_request_statuses_total",
        good=(Matcher.equal("error", ""), good),
        histograms=(
            Histogram(f"{stem}_request_duration_seconds"),
            Histogram(f"{stem}_backend_response_duration_seconds", attempts=True),
        ),
        routes=RouteLabel.OBJECT,
    )


HTTP_ROUTES = _of_routes("http", Matcher("http_status", "!~", "5.."))
GRPC_ROUTES = _of_routes("grpc", Matcher("grpc_status", "!~", "|".join(GRPC_FAILURES)))
PROFILE = Counters(
    answers="route_response_total",
    good=(_SUCCESS,),
    histograms=(Histogram("route_response_latency_ms"),),
    routes=RouteLabel.PROFILE,
)
PODS = Counters(
    answers="response_total",
    good=(_SUCCESS,),
    histograms=(Histogram("response_latency_ms"),),
    routes=RouteLabel.NONE,
)


@cache
def _buckets(metric: str) -> tuple[timedelta, tuple[int, ...]]:
    """The unit of a histogram, and its bounds in milliseconds."""
    family = catalogue().families[metric]
    unit = _UNITS[family.unit]
    return unit, tuple(round(bound * unit / _MILLISECOND) for bound in family.buckets)

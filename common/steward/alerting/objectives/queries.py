"""The requests of a target and the good ones among them, as PromQL.

`good` is a part of `requests`, in the same metric, so that one minus their quotient is 0 where nothing fails, and
nothing where there is no traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from steward.alerting.families import Missing, catalogue
from steward.alerting.monitoring import Monitoring
from steward.alerting.objectives.counters import Histogram, RouteLabel
from steward.alerting.objectives.counting import Counted, Note, Source
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.wanted import Goal, Latency
from steward.alerting.promql import Matcher, selector
from steward.linkerd.version import Version
from steward.resources.alert_policy import Granularity

BASE = "5m"
"""Over which requests are counted. Everything longer is made of it."""
NO_ROUTE = "[DEFAULT]"
"""How viz calls requests that fit no route of a ServiceProfile."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """Two queries, over the last five minutes, in requests a second."""

    requests: str
    good: str
    """Absent where nothing is good."""
    routes: bool
    """Whether they have the label `route`, one series for each."""
    metrics: frozenset[str]
    """Without which nothing is seen."""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class _Series:
    """Of one source: the metric of all requests and that of the good ones, and what tells them apart."""

    source: Source
    all: str
    good: str
    only_good: tuple[Matcher, ...]


def indicator(counted: Counted, goal: Goal, granularity: Granularity, monitoring: Monitoring) -> Indicator | Refused:
    """How well a target does. Refused where its counters do not tell."""
    found = _of_latency(counted, goal) if isinstance(goal, Latency) else _of_success(counted)
    if isinstance(found, Refused):
        return found
    series, notes = found
    metrics = frozenset({series[0].all, series[0].good})
    missing = _missing(metrics, monitoring.linkerd)
    if missing:
        return Refused(missing[0].reason.value, " ".join(each.sentence for each in missing))
    by_route = granularity is Granularity.ROUTE and not counted.route
    proxies = monitoring.scrape.proxies
    requests = [selector(each.all, proxies, *each.source.matchers) for each in series]
    good = [selector(each.good, proxies, *each.source.matchers, *each.only_good) for each in series]
    sources = [each.source for each in series]
    return Indicator(
        requests=_summed(sources, requests, by_route=by_route),
        good=_summed(sources, good, by_route=by_route),
        routes=by_route,
        metrics=metrics,
        notes=tuple(notes),
    )


def _of_success(counted: Counted) -> tuple[list[_Series], list[Note]] | Refused:
    if counted.blind is not None:
        return counted.blind
    counters = [(source, source.counters) for source in counted.sources]
    return [_Series(source, each.answers, each.answers, each.good) for source, each in counters], []


def _of_latency(counted: Counted, goal: Latency) -> tuple[list[_Series], list[Note]] | Refused:
    main = counted.sources[0].counters
    histogram = main.histogram(goal.milliseconds)
    if histogram is None:
        bounds = ", ".join(f"{bound} ms" for bound in main.bounds)
        return Refused(
            "NotABucketBound",
            f"{goal.milliseconds} ms is no bound of {main.histograms[0].metric}, so nobody can tell how many answers "
            f"came within it: choose one of {bounds}",
        )
    series: list[_Series] = []
    notes = [Note("PerAttempt", _per_attempt(goal))] if histogram.attempts else []
    for source in counted.sources:
        found = source.counters.histogram(goal.milliseconds)
        if found is not None:
            series.append(_in_bucket(source, found, goal))
        else:
            metric = source.counters.histograms[0].metric
            notes.append(Note("PartUncounted", f"{goal.milliseconds} ms is no bound of {metric}, which is left out"))
    return series, notes


def _in_bucket(source: Source, histogram: Histogram, goal: Latency) -> _Series:
    name = histogram.metric
    return _Series(source, f"{name}_count", f"{name}_bucket", (histogram.within(goal.milliseconds),))


def _per_attempt(goal: Latency) -> str:
    return (
        f"a bound of {goal.milliseconds} ms is there only for answers of backends: each attempt counts by itself, "
        "without the time between attempts"
    )


def _summed(sources: Sequence[Source], series: Sequence[str], *, by_route: bool) -> str:
    rates = [_rate(source, each, by_route=by_route) for source, each in zip(sources, series, strict=True)]
    # `or` keeps the left one of two series with the same labels, so each family but the first is given one more label.
    apart = [rates[0], *(f'label_replace({rate}, "family", "{n}", "", "")' for n, rate in enumerate(rates[1:], 2))]
    return f"sum{' by (route) ' if by_route else ''}({' or '.join(apart)})"


def _rate(source: Source, series: str, *, by_route: bool) -> str:
    rate = f"rate({series}[{BASE}])"
    if not by_route:
        return rate
    if source.counters.routes is RouteLabel.PROFILE:
        # Copied by `label_join`: before Prometheus 3 no `.+` of `label_replace` takes a name with a line break in it.
        named = f'label_join({rate}, "route", "", "rt_route")'
        return f'label_replace({named}, "route", "{NO_ROUTE}", "rt_route", "")'
    return f'label_join({rate}, "route", "/", "route_kind", "route_namespace", "route_name")'


@lru_cache(maxsize=64)
def _missing(metrics: frozenset[str], version: Version | None) -> tuple[Missing, ...]:
    return catalogue().missing(metrics, version)

"""From which Linkerd on all metrics of a rule are there, and from which on one is not any more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steward.alerting.families import Exposer, Exposure, MetricCatalogue, catalogue
from steward.linkerd.version import Version


@dataclass(frozen=True, slots=True)
class Span:
    """The edges that have everything; None where there is no such bound among those that are known."""

    since: Version | None = None
    until: Version | None = None


def span(metrics: Iterable[str], by: Exposer | None = None, known: MetricCatalogue | None = None) -> Span:
    """For how long all of `metrics` are exposed; `by` asks one page for those that are on it, among others."""
    families = known or catalogue()
    found = [exposures for name in metrics if (exposures := tuple(_exposures(name, by, families)))]
    # Of several pages that have a metric, the first that had it and the last that has it decide.
    begins = [min(starts) for each in found if len(starts := _starts(each)) == len(each)]
    ends = [max(stops) for each in found if len(stops := _stops(each)) == len(each)]
    return Span(max(begins, default=None), min(ends, default=None))


def _exposures(name: str, by: Exposer | None, known: MetricCatalogue) -> Iterator[Exposure]:
    family = known.family(name)
    exposures = family.exposures if family is not None else ()
    mine = tuple(each for each in exposures if each.by is by)
    yield from mine or exposures


def _starts(exposures: tuple[Exposure, ...]) -> list[Version]:
    return [each.since for each in exposures if each.since is not None]


def _stops(exposures: tuple[Exposure, ...]) -> list[Version]:
    return [each.until for each in exposures if each.until is not None]

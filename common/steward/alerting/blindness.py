"""Alerts that cannot fire here, because Prometheus does not have what they ask for."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from steward.alerting.families import Appears, MetricCatalogue, catalogue
from steward.alerting.reading import read
from steward.alerting.rules import Alerting, Group, Recording


class BlindReason(StrEnum):
    """How sure it is."""

    METRIC_MISSING = "MetricMissing"
    """The metric must be there, and is not: nobody scrapes its page, or it has another name."""
    NEVER_SEEN = "NeverSeen"
    """The metric appears only once something happened, or where something is installed. Nobody can tell from its
    absence; where it was there before, the alert is blind."""


@dataclass(frozen=True, slots=True)
class Blind:
    """An alert with the metrics that it asks for in vain."""

    alert: str
    metrics: tuple[str, ...]
    """Names of the series."""
    reason: BlindReason
    sentence: str

    @property
    def certain(self) -> bool:
        """Whether it is to be counted among the blind."""
        return self.reason is BlindReason.METRIC_MISSING


def blind(groups: Iterable[Group], present: Collection[str], known: MetricCatalogue | None = None) -> tuple[Blind, ...]:
    """The alerts of `groups` that ask for metrics which are not among `present`, by name of the alert.

    `present`: names of the metrics that Prometheus has, at this time. A recorded series is
    there where all is there that it is made of. What is only asked whether it is absent makes an alert fire, not blind.
    """
    metrics = known or catalogue()
    rules = [rule for group in groups for rule in group.rules]
    recorded = {rule.record: rule.expr for rule in rules if isinstance(rule, Recording)}
    missing: dict[str, set[str]] = {}
    for rule in rules:
        if isinstance(rule, Alerting):
            missing.setdefault(rule.alert, set()).update(_sources(rule.expr, recorded, frozenset()) - set(present))
    return tuple(_blind(alert, names, present, metrics) for alert, names in sorted(missing.items()) if names)


def metrics_of(groups: Iterable[Group]) -> frozenset[str]:
    """Every metric that alerts of `groups` ask for, recorded series resolved into theirs."""
    rules = [rule for group in groups for rule in group.rules]
    recorded = {rule.record: rule.expr for rule in rules if isinstance(rule, Recording)}
    alerting = (rule for rule in rules if isinstance(rule, Alerting))
    return frozenset(name for rule in alerting for name in _sources(rule.expr, recorded, frozenset()))


def _sources(expr: str, recorded: Mapping[str, str], seen: frozenset[str]) -> set[str]:
    """What an expression needs, recorded series resolved into theirs."""
    found: set[str] = set()
    for name in read(expr).needed:
        if name in recorded and name not in seen:
            found |= _sources(recorded[name], recorded, seen | {name})
        elif name not in recorded:
            found.add(name)
    return found


def _blind(alert: str, names: set[str], present: Collection[str], known: MetricCatalogue) -> Blind:
    certain = sorted(name for name in names if not _may_be_absent(name, present, known))
    if certain:
        told = f"{alert} cannot fire: Prometheus does not have {_listed(certain)}."
        return Blind(alert, tuple(sorted(names)), BlindReason.METRIC_MISSING, told)
    told = (
        f"{alert} may be blind: {_listed(sorted(names))} was never seen here, "
        "which is as it should be where what it counts never happened, or is not installed."
    )
    return Blind(alert, tuple(sorted(names)), BlindReason.NEVER_SEEN, told)


def _may_be_absent(name: str, present: Collection[str], known: MetricCatalogue) -> bool:
    """Whether its absence proves nothing: its page is there, and it need not be on it."""
    family = known.family(name)
    if family is None or family.appears is Appears.ALWAYS:
        return False
    witness = known.family(family.witness)
    return witness is None or any(series in present for series in witness.series)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

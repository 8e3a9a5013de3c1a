"""Documents of OpenSLO as AlertPolicies. What has no place in one is named."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pydantic import ValidationError

from steward.alerting.objectives.burn import Budget
from steward.alerting.openslo.alerts import alerted_by
from steward.alerting.openslo.claims import Claims
from steward.alerting.openslo.documents import POLICY, Kind, Lost, named, read_shorthand
from steward.alerting.openslo.indicators import Measure, measure_of, one_line
from steward.alerting.openslo.policies import Asked, policies_of
from steward.alerting.openslo.shelf import Shelf
from steward.alerting.promql import LABEL
from steward.jsonvalue import JsonObject
from steward.resources.alert_policy import PART, AlertPolicy, LatencyObjective, Objective

_MONTH = timedelta(days=30)
_LONGEST_PART = 40
_LONGEST_LABEL = 256
_MOST_LABELS = 16


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies, and what could not be carried over."""

    policies: tuple[AlertPolicy, ...]
    lost: tuple[Lost, ...]


def policies_from_openslo(documents: Iterable[JsonObject], namespace: str) -> Policies:
    """The objectives of all documents. `namespace`: of targets that name none."""
    shelf = Shelf.of(documents)
    asked = [each for slo in shelf.all(Kind.SLO) for each in _asked(slo, shelf, namespace)]
    for service in shelf.all(Kind.SERVICE):
        # Services of OpenSLO are a list for people; a policy has targets.
        service.take("metadata", "displayName")
    left = (each for claims in shelf.claims.values() for each in claims.lost())
    return Policies(policies_of(asked), (*shelf.refused, *left))


def _asked(slo: Claims, shelf: Shelf, namespace: str) -> Iterator[Asked]:
    service = slo.text("spec", "service")
    policy = slo.text("metadata", "annotations", POLICY) or named(service or "openslo")
    labels, period, occurrences = _labels(slo), _period(slo), _by_occurrences(slo)
    sli = _indicator(slo, shelf)
    measure = None if sli is None else measure_of(sli, namespace)
    if measure is None or period is None or not occurrences:
        slo.lose(("spec", "objectives"), "they need a target of the mesh, a rolling window, and occurrences")
        return
    for number, each in enumerate(slo.each("spec", "objectives"), 1):
        found = _objective(each, measure, period, number)
        if found is not None:
            objective, percent = found
            alerted = alerted_by(slo, shelf, Budget(percent, period))
            yield Asked(policy, measure, objective, alerted.severity, alerted.team, labels)


def _indicator(slo: Claims, shelf: Shelf) -> Claims | None:
    if slo.has("spec", "indicator"):
        return shelf.referred(slo.part("spec", "indicator"), "indicatorRef", Kind.SLI)
    if slo.has("spec", "indicatorRef"):
        return shelf.referred(slo.part("spec"), "indicatorRef", Kind.SLI)
    return None


def _labels(slo: Claims) -> tuple[tuple[str, str], ...]:
    kept: list[tuple[str, str]] = []
    for key in slo.members("metadata", "labels"):
        value = slo.take("metadata", "labels", key)
        if not isinstance(value, str) or len(value) > _LONGEST_LABEL or not LABEL.fullmatch(key):
            slo.lose(("metadata", "labels", key), "no label of an alert: one text, its name of letters, digits and _")
        elif len(kept) == _MOST_LABELS:
            slo.lose(("metadata", "labels", key), f"a policy has no more than {_MOST_LABELS} labels")
        else:
            kept.append((key, value))
    return tuple(kept)


def _period(slo: Claims) -> timedelta | None:
    windows = list(slo.each("spec", "timeWindow"))
    if not windows:
        slo.lose(("spec", "timeWindow"), "there is none, and 30 days are taken")
        return _MONTH
    window, *_ = windows
    written = window.text("duration")
    period = read_shorthand(written)
    if period is None:
        window.lose(("duration",), f"{written!r} is no number of minutes, hours, days or weeks")
    if window.has("calendar") or window.take("isRolling") is not True:
        window.lose(("calendar",), "Steward's windows roll: they do not begin on a day of the calendar")
        return None
    return period


def _by_occurrences(slo: Claims) -> bool:
    method = slo.text("spec", "budgetingMethod")
    if method != "Occurrences":
        slo.lose(("spec", "budgetingMethod"), f"Steward counts occurrences, and knows no {method or 'other method'}")
    return method == "Occurrences"


def _objective(each: Claims, measure: Measure, period: timedelta, number: int) -> tuple[Objective, float] | None:
    share, percent = each.number("target"), each.number("targetPercent")
    if percent is None and share is not None:
        percent = float(Decimal(str(share)) * 100)
    if percent is None:
        each.lose(("target",), "it says neither target nor targetPercent")
        return None
    try:
        return (
            Objective(
                name=_part(each, number),
                success_percent=percent if measure.milliseconds is None else None,
                latency=None
                if measure.milliseconds is None
                else LatencyObjective(within_milliseconds=measure.milliseconds, percent=percent),
                window_seconds=period // timedelta(seconds=1),
            ),
            percent,
        )
    except ValidationError as error:
        each.lose((), f"Steward has no such objective: {one_line(error)}")
        return None


def _part(each: Claims, number: int) -> str:
    said = each.text("displayName")
    if re.fullmatch(PART, said) and len(said) <= _LONGEST_PART:
        return said
    if said:
        each.lose(("displayName",), "an objective is named in small letters, digits and dashes")
    return f"objective-{number}"

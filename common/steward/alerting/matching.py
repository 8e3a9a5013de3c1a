"""Whether an alert fits matchers, decided as Alertmanager decides it."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from steward.alerting.inhibition import Inhibition
from steward.alerting.promql import Matcher

Labels = Mapping[str, str]
"""Of an alert. A label that it does not have is the empty text to every matcher."""


def fits(matcher: Matcher, labels: Labels) -> bool:
    """Whether one condition holds.

    Regular expressions are those that Steward writes, see `promql.literally`: Python and Go read them alike. Raise
    ValueError where the expression is none.
    """
    value = labels.get(matcher.label, "")
    match matcher.operator:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return _whole(matcher.value).fullmatch(value) is not None
        case _:
            return _whole(matcher.value).fullmatch(value) is None


def misfit(matchers: Iterable[Matcher], labels: Labels) -> Matcher | None:
    """The first condition that does not hold; None where all do."""
    return next((each for each in matchers if not fits(each, labels)), None)


def fits_all(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether every condition holds; none hold always."""
    return misfit(matchers, labels) is None


def mutes(inhibition: Inhibition, source: Labels, target: Labels) -> bool:
    """Whether the alert `source`, while it fires, keeps `target` quiet by this inhibition."""
    if not fits_all(inhibition.target, target) or not fits_all(inhibition.source, source):
        return False
    if fits_all(inhibition.source, target) and fits_all(inhibition.target, source):
        return False
    return all(source.get(label, "") == target.get(label, "") for label in inhibition.equal)


@lru_cache(maxsize=1024)
def _whole(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.ASCII)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error

"""Burn rates of OpenSLO, and the rows that Steward alerts by."""

import math
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.objectives.burn import TABLE, Budget, Limit, limits
from steward.alerting.rules import Severity

_EVER = max(row.long for row in TABLE)
_WORDS = {"page": Severity.CRITICAL, "ticket": Severity.WARNING}


@dataclass(frozen=True, slots=True)
class Burning:
    """A condition: a burn rate that is reached over a window."""

    rate: float
    window: timedelta


def rows_of(budget: Budget) -> tuple[Limit, ...]:
    """The rows for a budget, where Prometheus remembers long enough."""
    return limits(budget, _EVER).rows


def same_row(burning: Burning, budget: Budget) -> Limit | None:
    """The row that tells the same, if there is one."""
    for limit in rows_of(budget):
        if limit.row.long == burning.window and math.isclose(float(limit.factor), burning.rate, rel_tol=1e-3):
            return limit
    return None


def read_severity(word: str) -> Severity | None:
    """A severity by our word or by one that is common."""
    return _WORDS.get(word.lower()) or next((each for each in Severity if each.value == word.lower()), None)

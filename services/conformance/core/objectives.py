"""How much of the time a feature must work, how fast that is used up, and how much of the time it was looked at."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.conformance.core.marks import GOOD, VALID, Mark
from services.conformance.core.patterns import means
from steward.resources.conformance_suite import Objective

COVERED = 0.95
"""Less than this share of cycles with a verdict is itself a finding."""
_DEFAULT_PERCENT = 99.9


def objective_of(feature: str, objectives: Iterable[Objective]) -> Objective:
    """The objective that names the feature most exactly; the default of everybody else."""
    named = [each for each in objectives if means(each.feature, feature)]
    if named:
        return max(named, key=lambda each: len(each.feature))
    return Objective(feature=feature, target_percent=_DEFAULT_PERCENT)


def burn(marks: Sequence[Mark], now: datetime, window: timedelta, target: float) -> float:
    """How many times faster than the objective allows its budget was used up lately; 1 lasts exactly the window."""
    begin = now - window
    good = valid = 0
    for mark in reversed(marks):
        if mark.at < begin:
            break
        good += mark.verdict in GOOD
        valid += mark.verdict in VALID
    if not valid or target >= 1:
        return 0.0
    return (valid - good) / valid / (1 - target)

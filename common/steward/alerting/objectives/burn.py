"""How fast a budget may burn before somebody is told: the multiwindow, multi-burn-rate table of the SRE workbook.

A row says: so much of the budget spent within the long window is too fast, and it still goes on as long as the short
window, a twelfth of the long one, burns as fast. The factor is the share times the period by the long window: 14.4, 6,
3 and 1 for 30 days (https://sre.google/workbook/alerting-on-slos/, chapter 5, and Sloth's row of one day).
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

RETENTION_WHERE_UNKNOWN = timedelta(days=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A share of the budget that must not be spent within a window."""

    share: Decimal
    long: timedelta
    urgent: bool

    @property
    def short(self) -> timedelta:
        """Over which it must go on."""
        return self.long / _SHORT

    def factor(self, period: timedelta) -> Decimal:
        """How many times faster than the budget allows."""
        return self.share * Decimal(period // timedelta(seconds=1)) / Decimal(self.long // timedelta(seconds=1))


TABLE = (
    Row(Decimal("0.02"), _HOUR, urgent=True),
    Row(Decimal("0.05"), 6 * _HOUR, urgent=True),
    Row(Decimal("0.10"), _DAY, urgent=False),
    Row(Decimal("0.10"), 3 * _DAY, urgent=False),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may fail, over how long."""

    percent: float
    """That must not fail."""
    period: timedelta

    @property
    def share(self) -> Decimal:
        """That may fail, of 1."""
        return (100 - Decimal(str(self.percent))) / 100


@dataclass(frozen=True, slots=True)
class Limit:
    """A row for one budget: the share of failures that neither window may exceed."""

    row: Row
    factor: Decimal
    failing: Decimal


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not in force, and why."""

    row: Row
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The rows that are in force for one budget, and those that are not. Without any there is nothing to alert on."""

    rows: tuple[Limit, ...]
    left_out: tuple[LeftOut, ...]


def limits(budget: Budget, retention: timedelta | None) -> Limits:
    """The rows for a budget, in a Prometheus that remembers so much."""
    kept: list[Limit] = []
    left_out: list[LeftOut] = []
    for row in TABLE:
        factor = row.factor(budget.period)
        why = _why_not(row, factor, budget, retention)
        if why is None:
            kept.append(Limit(row, factor, factor * budget.share))
        else:
            left_out.append(why)
    return Limits(tuple(kept), tuple(left_out))


def _why_not(row: Row, factor: Decimal, budget: Budget, retention: timedelta | None) -> LeftOut | None:
    window = written(row.long)
    if row.long > (retention or RETENTION_WHERE_UNKNOWN):
        remembers = "is not known, and taken for" if retention is None else "is"
        return LeftOut(
            row,
            "RetentionTooShort",
            f"a window of {window} cannot be looked at: the retention of this Prometheus {remembers} "
            f"{written(retention or RETENTION_WHERE_UNKNOWN)}",
        )
    if factor < 1:
        return LeftOut(
            row,
            "SlowerThanTheBudget",
            f"{row.share:.0%} of a budget for {written(budget.period)} within {window} is no more than it allows",
        )
    if factor * budget.share >= 1:
        return LeftOut(
            row,
            "CannotBurnSoFast",
            f"a budget of {float(budget.share * 100):.5g} % cannot burn {float(factor):.4g} times too fast within "
            f"{window}: more than all would have to fail",
        )
    return None


def written(span: timedelta) -> str:
    """A duration as PromQL has it, in its largest whole unit: `5m`, `3d`; seconds where nothing else fits."""
    seconds = span // timedelta(seconds=1)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

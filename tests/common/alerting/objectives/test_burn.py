"""How fast a budget may burn: the table of the SRE workbook, for any window, target and retention."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.objectives.burn import TABLE, Budget, Limits, limits, written

MONTH = timedelta(days=30)
LONG = timedelta(days=15)


def windows(found: Limits) -> list[str]:
    return [f"{written(limit.row.long)}/{written(limit.row.short)}" for limit in found.rows]


def test_a_month_has_the_factors_of_the_workbook() -> None:
    found = limits(Budget(99.9, MONTH), LONG)
    assert windows(found) == ["1h/5m", "6h/30m", "1d/2h", "3d/6h"]
    assert [limit.factor for limit in found.rows] == [Decimal(each) for each in ("14.4", "6", "3", "1")]
    assert [limit.failing for limit in found.rows] == [Decimal(each) for each in (".0144", ".006", ".003", ".001")]
    assert [limit.row.urgent for limit in found.rows] == [True, True, False, False]
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("hours", "kept"),
    [
        (0.5, []),
        (2, ["1h/5m"]),
        (6, ["1h/5m", "6h/30m"]),
        (23, ["1h/5m", "6h/30m"]),
        (24, ["1h/5m", "6h/30m", "1d/2h"]),
        (71, ["1h/5m", "6h/30m", "1d/2h"]),
        (72, ["1h/5m", "6h/30m", "1d/2h", "3d/6h"]),
    ],
)
def test_only_windows_that_this_prometheus_remembers_are_looked_at(hours: float, kept: list[str]) -> None:
    found = limits(Budget(99.9, MONTH), timedelta(hours=hours))
    assert windows(found) == kept
    assert {row.reason for row in found.left_out} <= {"RetentionTooShort"}


def test_an_unknown_retention_is_taken_for_a_day() -> None:
    found = limits(Budget(99.9, MONTH), None)
    assert windows(found) == ["1h/5m", "6h/30m", "1d/2h"]
    (row,) = found.left_out
    assert row.message == (
        "a window of 3d cannot be looked at: the retention of this Prometheus is not known, and taken for 1d"
    )


@pytest.mark.parametrize(
    ("days", "factors"),
    [(90, ["43.2", "18", "9", "3"]), (28, ["13.44", "5.6", "2.8"]), (7, ["3.36", "1.4"]), (3, ["1.44"]), (1, [])],
)
def test_a_shorter_window_has_smaller_factors_and_none_below_one(days: int, factors: list[str]) -> None:
    found = limits(Budget(99.9, timedelta(days=days)), LONG)
    assert [limit.factor for limit in found.rows] == [Decimal(factor) for factor in factors]
    assert {row.reason for row in found.left_out} <= {"SlowerThanTheBudget"}


def test_a_row_that_can_never_fire_is_left_out_and_says_so() -> None:
    found = limits(Budget(90, MONTH), LONG)
    assert windows(found) == ["6h/30m", "1d/2h", "3d/6h"]
    (row,) = found.left_out
    assert row.reason == "CannotBurnSoFast"
    assert row.message == (
        "a budget of 10 % cannot burn 14.4 times too fast within 1h: more than all would have to fail"
    )


def test_a_target_that_no_row_fits_leaves_nothing() -> None:
    found = limits(Budget(1, MONTH), timedelta(hours=12))
    assert found.rows == ()
    assert [row.reason for row in found.left_out] == ["CannotBurnSoFast"] * 2 + ["RetentionTooShort"] * 2


@given(
    percent=st.floats(1, 99.999),
    period=st.timedeltas(timedelta(days=1), timedelta(days=90)),
    retention=st.none() | st.timedeltas(timedelta(), timedelta(days=400)),
)
def test_every_row_is_in_force_or_left_out_and_what_is_in_force_can_fire(
    percent: float, period: timedelta, retention: timedelta | None
) -> None:
    found = limits(Budget(percent, period), retention)
    told = [limit.row.long for limit in found.rows] + [left.row.long for left in found.left_out]
    assert sorted(told) == [row.long for row in TABLE]
    for limit in found.rows:
        assert 0 < limit.failing < 1
        assert limit.factor >= 1
        assert limit.row.short * 12 == limit.row.long
    assert all(row.reason and row.message for row in found.left_out)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=3), "3d"),
        (timedelta(seconds=90), "90s"),
        (timedelta(), "0s"),
    ],
)
def test_a_span_is_written_in_its_largest_whole_unit(span: timedelta, text: str) -> None:
    assert written(span) == text

"""Attempts within a cycle: every one is kept, and what they say together."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core.confirmation import pause, settled, try_again
from steward.conformance.results import Attempt, Verdict

DAWN = datetime(2026, 6, 18, tzinfo=UTC)
LETTERS = {"P": Verdict.PASSED, "F": Verdict.FAILED, "?": Verdict.INCONCLUSIVE, "U": Verdict.UNSUPPORTED}


def tried(letters: str) -> list[Attempt]:
    return [Attempt(verdict=LETTERS[each], at=DAWN) for each in letters]


@pytest.mark.parametrize(
    ("attempts", "verdict"),
    [
        ("", Verdict.INCONCLUSIVE),
        ("P", Verdict.PASSED),
        ("F", Verdict.FAILED),
        ("FP", Verdict.FLAKY),
        ("FFP", Verdict.FLAKY),
        ("?P", Verdict.PASSED),
        ("FFF", Verdict.FAILED),
        ("F??", Verdict.INCONCLUSIVE),
        ("FF?", Verdict.FAILED),
        ("???", Verdict.INCONCLUSIVE),
        ("U", Verdict.UNSUPPORTED),
    ],
)
def test_what_attempts_say_together(attempts: str, verdict: Verdict) -> None:
    assert settled(tried(attempts)) is verdict


@given(st.text("PF?", max_size=5), st.integers(0, 5))
def test_nothing_is_tried_again_after_a_pass_nor_more_often_than_allowed(letters: str, retries: int) -> None:
    again = try_again(tried(letters), retries)
    assert not (again and (letters.endswith("P") or len(letters) > retries or not letters))


@given(st.integers(0, 5))
def test_all_attempts_begin_within_the_time_that_is_given(retries: int) -> None:
    assert pause(retries, timedelta(seconds=5)) * retries < timedelta(seconds=5)

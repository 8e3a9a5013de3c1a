"""How sure a cycle is of its verdict: a failure is tried again at once, and every attempt is kept.

What passes only when it is tried again is flaky, which is no pass. What could not be told is no failure.
"""

from collections.abc import Sequence
from datetime import timedelta

from steward.conformance.results import Attempt, Verdict

_CONFIRMED = 2


def try_again(attempts: Sequence[Attempt], retries: int) -> bool:
    """Whether one more attempt may tell more. A feature that is not there is not tried again."""
    if not attempts or len(attempts) > retries:
        return False
    return attempts[-1].verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE)


def pause(retries: int, within: timedelta) -> timedelta:
    """How long to wait before the next attempt, so that all begin within a time but for what they take themselves."""
    return within / (retries + 1)


def settled(attempts: Sequence[Attempt]) -> Verdict:
    """What the attempts of one cycle say together."""
    verdicts = [each.verdict for each in attempts]
    if not verdicts:
        return Verdict.INCONCLUSIVE
    if verdicts[-1] not in (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED):
        return verdicts[-1]
    failures = verdicts.count(Verdict.FAILED)
    if Verdict.PASSED in verdicts:
        return Verdict.FLAKY if failures else Verdict.PASSED
    return Verdict.FAILED if failures >= min(_CONFIRMED, len(verdicts)) else Verdict.INCONCLUSIVE

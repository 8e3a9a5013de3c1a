"""Breakers: when an endpoint has failed so often that it is left alone for a while. Pure but for the chance in it."""

from collections import deque
from datetime import timedelta
from random import Random

from steward.testing.dataplane.config import ConsecutiveAccrual, RateAccrual

_JITTER = (0.8, 1.2)
_DOUBLINGS = 20


class Breaker:
    """Closed, open for a penalty, or on probation: then one request decides.

    Times are seconds of a monotonic clock.
    """

    def __init__(self, policy: ConsecutiveAccrual | RateAccrual, chance: Random) -> None:
        self.policy = policy
        self._chance = chance
        self._failures = 0
        self._recent: deque[tuple[float, bool]] = deque()
        self._trips = 0
        self._open_until = 0.0
        self._probation = False
        self._tried = False

    def admits(self, now: float) -> bool:
        """Whether a request may be sent at present."""
        if now < self._open_until:
            return False
        return not (self._probation and self._tried)

    def send(self) -> None:
        """A request is being sent."""
        self._tried = True

    def record(self, now: float, *, failed: bool) -> timedelta | None:
        """Note how a request ended; the penalty if that opened the breaker."""
        if self._probation:
            return self._judged(now, failed=failed)
        if now < self._open_until:
            return None
        self._failures = self._failures + 1 if failed else 0
        self._recent.append((now, failed))
        return self._trip(now) if self._enough(now) else None

    def forget(self) -> None:
        """A request ended without telling anything: whoever is next decides."""
        self._tried = False

    def _judged(self, now: float, *, failed: bool) -> timedelta | None:
        if failed:
            return self._trip(now)
        self._probation = False
        self._trips = 0
        return None

    def _enough(self, now: float) -> bool:
        if isinstance(self.policy, ConsecutiveAccrual):
            return self._failures >= self.policy.failures
        horizon = now - self.policy.window.total_seconds()
        while self._recent and self._recent[0][0] < horizon:
            self._recent.popleft()
        if len(self._recent) < self.policy.min_requests:
            return False
        succeeded = sum(not failed for _, failed in self._recent)
        return succeeded / len(self._recent) < self.policy.threshold

    def _trip(self, now: float) -> timedelta:
        doubled = min(self.policy.min_penalty * (1 << min(self._trips, _DOUBLINGS)), self.policy.max_penalty)
        penalty = doubled * self._chance.uniform(*_JITTER)
        self._trips += 1
        self._failures = 0
        self._recent.clear()
        self._open_until = now + penalty.total_seconds()
        self._probation = True
        self._tried = False
        return penalty


def is_failure(policy: ConsecutiveAccrual | RateAccrual, status: int, classified: str) -> bool:
    """Whether an answer counts against its endpoint."""
    limited = isinstance(policy, RateAccrual) and policy.count_429 and status == 429
    return limited or classified == "failure"

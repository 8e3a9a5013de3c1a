"""Local rate limits of one Server: token buckets, with time as a parameter.

The total is asked first and is spent by requests too that the limit of their identity then rejects. All clients
without an identity share one bucket.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from steward.testing.dataplane.config import RateLimit

ANONYMOUS = ""


class Limited(StrEnum):
    """Which limit rejected a request (`ratelimit_scope`)."""

    TOTAL = "total"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that refill at `rate` a second up to one second's worth; `at` is when they were counted."""

    rate: int
    tokens: float
    at: float

    @classmethod
    def full(cls, rate: int, now: float) -> "Bucket":
        """As many tokens as fit."""
        return cls(rate, float(rate), now)

    def take(self, now: float) -> tuple["Bucket", bool]:
        """The bucket after one request, and whether there was a token for it."""
        tokens = min(float(self.rate), self.tokens + max(0.0, now - self.at) * self.rate)
        if tokens < 1:
            return replace(self, tokens=tokens, at=now), False
        return replace(self, tokens=tokens - 1, at=now), True


@dataclass(slots=True)
class Limiter:
    """The buckets of one policy in one proxy."""

    limit: RateLimit
    _buckets: dict[tuple[Limited, str], Bucket] = field(default_factory=dict)

    def reject(self, identity: str, now: float) -> Limited | None:
        """Spend a token of each limit that applies; the limit that had none left, or None to let it pass."""
        if self.limit.total and not self._take((Limited.TOTAL, ANONYMOUS), self.limit.total, now):
            return Limited.TOTAL
        rate = dict(self.limit.overrides).get(identity, self.limit.identity)
        if rate and not self._take((Limited.IDENTITY, identity), rate, now):
            return Limited.IDENTITY
        return None

    def _take(self, key: tuple[Limited, str], rate: int, now: float) -> bool:
        bucket = self._buckets.get(key) or Bucket.full(rate, now)
        self._buckets[key], taken = bucket.take(now)
        return taken

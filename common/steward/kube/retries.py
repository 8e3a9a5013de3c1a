"""When a request is sent again, how long it waits before that, and when the whole process stops trying."""

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.kube.errors import KubeError, ServerUnavailable, TooManyRequests
from steward.kube.transport import TransportFailure


class Repeat(StrEnum):
    """What may be done again when no good answer came."""

    NEVER = "Never"
    """An eviction: its 429 is an answer about the pod, not about the server."""
    IF_NOT_DONE = "IfNotDone"
    """A create or an unconditioned JSON patch: only when it certainly did not happen (throttled, never sent)."""
    ALWAYS = "Always"
    """Reads, dry runs, applies, deletions, and writes that a resource version protects."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter over the upper half, ended by attempts or by patience."""

    attempts: int = 6
    first: timedelta = timedelta(milliseconds=100)
    longest: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(seconds=30)
    """All waits of one request together; a `Retry-After` beyond it is handed to the caller instead."""

    def delay(self, attempt: int, asked: timedelta | None, chance: random.Random) -> timedelta:
        """Before attempt `attempt + 1`; never less than what the server asked for."""
        backoff = min(self.longest, self.first * (1 << min(attempt - 1, 16)))
        jittered = backoff * chance.uniform(0.5, 1.0)
        return jittered if asked is None else max(jittered, asked * chance.uniform(1.0, 1.1))


class RetryBudget:
    """At most a tenth of all requests may be repetitions, so that a sick API server is not made sicker by us."""

    def __init__(self, reserve: float = 50.0, share: float = 0.1) -> None:
        self._reserve = reserve
        self._share = share
        self._tokens = reserve

    def earn(self) -> None:
        """A request was made for the first time."""
        self._tokens = min(self._reserve, self._tokens + self._share)

    def spend(self) -> bool:
        """Whether one more repetition is allowed."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def may_repeat(repeat: Repeat, error: KubeError) -> bool:
    """Whether sending the same request once more is safe and can help."""
    if isinstance(error, TooManyRequests):
        return repeat is not Repeat.NEVER
    if not isinstance(error, ServerUnavailable):
        return False
    if repeat is Repeat.ALWAYS:
        return True
    return repeat is Repeat.IF_NOT_DONE and not error.outcome_unknown


def unavailable(act: str, failure: TransportFailure, *, writes: bool) -> ServerUnavailable:
    """The error of a request that got no answer."""
    error = ServerUnavailable(act, str(failure), reason="NoAnswer")
    error.outcome_unknown = writes and failure.sent
    return error

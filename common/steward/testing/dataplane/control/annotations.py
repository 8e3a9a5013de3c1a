"""What the annotations of Services and routes ask for: retries, timeouts, failure accrual, the load biaser."""

import re
from collections.abc import Mapping
from datetime import timedelta

from steward.durations import duration
from steward.testing.dataplane.config import ConsecutiveAccrual, RateAccrual, Retry, Timeouts

_RETRY = "retry.linkerd.io"
_TIMEOUT = "timeout.linkerd.io"
_ACCRUAL = "balancer.linkerd.io/failure-accrual"
_SUCCESS_RATE = "balancer.alpha.linkerd.io/failure-accrual-success-rate"
_PENALIZE = "balancer.alpha.linkerd.io/penalize-failures"

_STATUSES = {"5xx": (500, 599), "gateway-error": (502, 504)}
_RANGE = re.compile(r"(?P<first>[0-9]{3})(?:-(?P<last>[0-9]{3}))?")
_CODES = {"cancelled": 1, "deadline-exceeded": 4, "resource-exhausted": 8, "internal": 13, "unavailable": 14}

Annotations = Mapping[str, str]


def retry_of(annotations: Annotations) -> Retry | None:
    """When and how often a failed request is tried again; None where nothing is asked, or nothing understood."""
    statuses = tuple(filter(None, map(_statuses, _words(annotations.get(f"{_RETRY}/http", "")))))
    codes = tuple(_CODES[word] for word in _words(annotations.get(f"{_RETRY}/grpc", "")) if word in _CODES)
    limit, timeout = annotations.get(f"{_RETRY}/limit", ""), length(annotations.get(f"{_RETRY}/timeout", ""))
    if not statuses and not codes:
        if not limit and timeout is None:
            return None
        # A limit or a timeout alone asks for retries of what times out, which is no status of the application's.
        return Retry((), (), _whole(limit, 1), timeout)
    return Retry(statuses, codes, _whole(limit, 1), timeout)


def timeouts_of(annotations: Annotations, fallback: Timeouts | None = None) -> Timeouts:
    """Limits of a request, a response and idleness; those not asked are of the fallback."""
    other = fallback or Timeouts()
    return Timeouts(
        request=length(annotations.get(f"{_TIMEOUT}/request", "")) or other.request,
        response=length(annotations.get(f"{_TIMEOUT}/response", "")) or other.response,
        idle=length(annotations.get(f"{_TIMEOUT}/idle", "")) or other.idle,
    )


def accrual_of(annotations: Annotations) -> ConsecutiveAccrual | RateAccrual | None:
    """The circuit breaker of a Service."""
    consecutive = f"{_ACCRUAL}-consecutive"
    shortest = length(annotations.get(f"{consecutive}-min-penalty", "")) or timedelta(seconds=1)
    longest = length(annotations.get(f"{consecutive}-max-penalty", "")) or timedelta(minutes=1)
    match annotations.get(_ACCRUAL, ""):
        case "consecutive":
            failures = _whole(annotations.get(f"{consecutive}-max-failures", ""), 7)
            return ConsecutiveAccrual(failures, shortest, longest)
        case "unified":
            return RateAccrual(
                threshold=_share(annotations.get(f"{_SUCCESS_RATE}-threshold", ""), 0.8),
                window=length(annotations.get(f"{_SUCCESS_RATE}-window", "")) or timedelta(seconds=10),
                min_requests=_whole(annotations.get(f"{_SUCCESS_RATE}-min-requests", ""), 5),
                count_429=True,
                min_penalty=shortest,
                max_penalty=longest,
            )
        case _:
            return None


def penalizes(annotations: Annotations) -> bool:
    """Whether rate-limited answers count as slow ones."""
    return annotations.get(_PENALIZE, "") == "true"


def length(word: str) -> timedelta | None:
    """A duration, or None for what is none."""
    found = duration(word) if word else None
    return found if isinstance(found, timedelta) else None


def _statuses(word: str) -> tuple[int, int] | None:
    if word in _STATUSES:
        return _STATUSES[word]
    found = _RANGE.fullmatch(word)
    return (int(found["first"]), int(found["last"] or found["first"])) if found else None


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _whole(value: str, default: int) -> int:
    return int(value) if value.isdigit() else default


def _share(value: str, default: float) -> float:
    try:
        return float(value)
    except ValueError:
        return default

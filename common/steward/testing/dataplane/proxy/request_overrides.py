"""Retries and timeouts that a client asks for by headers of its request, where a route allows that. Pure."""

import re
from dataclasses import replace
from datetime import timedelta

from steward.testing.dataplane.config import Retry, Rule, Timeouts
from steward.testing.dataplane.proxy.exchange import Headers, header, without
from steward.testing.dataplane.proxy.grpc_codes import NAMES

_TIMEOUT, _RESPONSE_TIMEOUT = "l5d-timeout", "l5d-response-timeout"
_RETRY_HTTP, _RETRY_GRPC = "l5d-retry-http", "l5d-retry-grpc"
_RETRY_LIMIT, _RETRY_TIMEOUT = "l5d-retry-limit", "l5d-retry-timeout"
_ALL = (_TIMEOUT, _RESPONSE_TIMEOUT, _RETRY_HTTP, _RETRY_GRPC, _RETRY_LIMIT, _RETRY_TIMEOUT)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_GRPC_WORDS = {name.lower().replace("_", "-"): code for code, name in enumerate(NAMES)}


def overridden(rule: Rule, headers: Headers) -> tuple[Rule, Headers]:
    """The rule as the client wishes it, and the headers that go on without the wishes."""
    if not any(name in _ALL for name, _ in headers):
        return rule, headers
    timeouts = Timeouts(
        request=_duration(header(headers, _TIMEOUT)) or rule.timeouts.request,
        response=_duration(header(headers, _RESPONSE_TIMEOUT)) or rule.timeouts.response,
        idle=rule.timeouts.idle,
    )
    return replace(rule, timeouts=timeouts, retry=_retry(rule.retry, headers)), without(headers, _ALL)


def _retry(retry: Retry | None, headers: Headers) -> Retry | None:
    statuses = _statuses(header(headers, _RETRY_HTTP))
    codes = tuple(_GRPC_WORDS[word] for word in _words(header(headers, _RETRY_GRPC)) if word in _GRPC_WORDS)
    limit, timeout = header(headers, _RETRY_LIMIT), _duration(header(headers, _RETRY_TIMEOUT))
    if not (statuses or codes or limit or timeout):
        return retry
    known = retry or Retry()
    return Retry(
        statuses=statuses or known.statuses,
        codes=codes or known.codes,
        limit=int(limit) if limit.isdigit() else known.limit,
        timeout=timeout or known.timeout,
    )


def _statuses(value: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for word in _words(value):
        first, _, last = word.partition("-")
        if word in {"5xx", "gateway-error"}:
            found.append((500, 599) if word == "5xx" else (502, 504))
        elif first.isdigit() and (last or first).isdigit():
            found.append((int(first), int(last or first)))
    return tuple(found)


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",") if word.strip()]


def _duration(value: str) -> timedelta | None:
    found = _DURATION.fullmatch(value.strip())
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]]) if found else None

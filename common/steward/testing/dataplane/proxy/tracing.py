"""Spans of requests that are sampled, as a proxy with a collector tells them.

Each half of a proxy tells two: one as the server of whoever asks, one as the client of whomever it asks. A request
carries the id of the latest span in `traceparent` (W3C), so that the next one can name its parent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from secrets import token_bytes

from steward.clock import Clock
from steward.otlp.trace_pb2 import CLIENT, SERVER, AnyValue, KeyValue, Span, SpanKind
from steward.testing.dataplane.faults import Fault
from steward.testing.dataplane.proxy.exchange import Handler, Request, Response, header, with_header
from steward.testing.dataplane.proxy.trace_faults import (
    CONTEXT_NOT_PASSED,
    SPANS_DROPPED,
    SPANS_WITHOUT_STATUS,
    UNSAMPLED_TOLD,
)

_TRACEPARENT = "traceparent"
_WELL_FORMED = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


class End(Enum):
    """Which half of the proxy tells, and as which end of a call."""

    OUTBOUND_SERVER = ("outbound", SERVER)
    OUTBOUND_CLIENT = ("outbound", CLIENT)
    INBOUND_SERVER = ("inbound", SERVER)
    INBOUND_CLIENT = ("inbound", CLIENT)

    @property
    def direction(self) -> str:
        """The half."""
        return self.value[0]

    @property
    def kind(self) -> SpanKind:
        """The end."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a proxy with a collector does with its spans; one without has none of it."""

    tell: Callable[[Span], None]
    clock: Clock
    broken: Callable[[Fault], bool]


@dataclass(frozen=True, slots=True)
class _Parent:
    trace: bytes
    span: bytes
    flags: int


async def traced(tracing: Tracing | None, end: End, request: Request, answer: Handler) -> Response:
    """Let the request be answered, and tell of it where it is sampled. Without a response there is no span."""
    parent = _parent(tracing, request) if tracing is not None else None
    if tracing is None or parent is None:
        return await answer(request)
    own, begun = token_bytes(8), tracing.clock.now()
    sent = request
    if not tracing.broken(CONTEXT_NOT_PASSED):
        context = f"00-{parent.trace.hex()}-{own.hex()}-{parent.flags:02x}"
        sent = replace(request, headers=with_header(request.headers, _TRACEPARENT, context))
    response = await answer(sent)
    if not tracing.broken(SPANS_DROPPED):
        status = "" if tracing.broken(SPANS_WITHOUT_STATUS) else str(response.status)
        tracing.tell(
            Span(
                trace_id=parent.trace,
                span_id=own,
                parent_span_id=parent.span,
                name=request.path.partition("?")[0],
                kind=end.kind,
                start_time_unix_nano=_nanoseconds(begun),
                end_time_unix_nano=_nanoseconds(tracing.clock.now()),
                attributes=attributes(_said(end, request, status)),
            )
        )
    return response


def attributes(pairs: dict[str, str]) -> list[KeyValue]:
    """Texts in the words of the protocol."""
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs.items()]


def _parent(tracing: Tracing, request: Request) -> _Parent | None:
    found = _WELL_FORMED.fullmatch(header(request.headers, _TRACEPARENT))
    if found is None:
        return None
    trace, span, flags = (bytes.fromhex(each) for each in found.groups())
    sampled = flags[0] & _SAMPLED or tracing.broken(UNSAMPLED_TOLD)
    return _Parent(trace, span, flags[0]) if sampled and any(trace) and any(span) else None


def _said(end: End, request: Request, status: str) -> dict[str, str]:
    path, _, query = request.path.partition("?")
    return {
        "http.request.method": request.method,
        "url.path": path,
        **({"url.query": query} if query else {}),
        "network.transport": "tcp",
        "direction": end.direction,
        **({"http.response.status_code": status} if status else {}),
    }


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1_000

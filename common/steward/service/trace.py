"""W3C trace context, carried through events as an opaque attribute; spans only with the extra `otel`."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from opentelemetry import propagate, trace
except ImportError:  # the extra is not installed: the context is still carried, spans are not made
    HAS_OPENTELEMETRY = False
else:
    HAS_OPENTELEMETRY = True

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})$")


def new_traceparent() -> str:
    """The beginning of a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_of(traceparent: str | None) -> str:
    """A new span in the same trace; the beginning of another trace where the context cannot be read."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or match["trace"] == "0" * 32:
        return new_traceparent()
    return f"00-{match['trace']}-{secrets.token_hex(8)}-{match['flags']}"


@contextmanager
def span(name: str, traceparent: str | None, **attributes: str) -> Iterator[str]:
    """Run the block as span `name` under `traceparent`; yields the context to hand on."""
    if not HAS_OPENTELEMETRY:
        yield child_of(traceparent)
        return
    context = propagate.extract({"traceparent": traceparent}) if traceparent else None
    with trace.get_tracer("linkerd-steward").start_as_current_span(name, context=context, attributes=attributes):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield carrier.get("traceparent") or child_of(traceparent)

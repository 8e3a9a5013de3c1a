"""A trace goes on through events, with and without OpenTelemetry."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from steward.service.trace import child_of, new_traceparent, span


def _trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]


def test_a_child_stays_in_the_trace_with_a_span_of_its_own() -> None:
    parent = new_traceparent()

    child = child_of(parent)

    assert _trace_id(child) == _trace_id(parent)
    assert child != parent


@pytest.mark.parametrize("garbage", [None, "", "not-a-trace", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"])
def test_a_context_that_cannot_be_read_begins_another_trace(garbage: str | None) -> None:
    assert len(_trace_id(child_of(garbage))) == 32


def test_a_span_without_a_provider_still_hands_the_trace_on() -> None:
    parent = new_traceparent()

    with span("upgrade-step", parent) as context:
        assert _trace_id(context) == _trace_id(parent)


def test_a_span_is_recorded_where_the_extra_is_set_up() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    parent = new_traceparent()

    with span("upgrade-step", parent, step="crds") as context:
        assert _trace_id(context) == _trace_id(parent)

    (finished,) = exporter.get_finished_spans()
    assert finished.name == "upgrade-step"
    assert finished.attributes == {"step": "crds"}

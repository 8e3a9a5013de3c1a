"""Pages of metrics: every line as it was written, whoever wrote it."""

import gzip
import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.conformance.core.pages import NotAPage, Sample, grown, page_of
from tests.common.testing_linkerd.recorded import path as recorded

PAGE = r"""
# HELP request_total Total count of HTTP requests.
# TYPE request_total counter
request_total{direction="inbound",authority="a \"b\" \\n {c}, d=\"e\""} 3
request_total{direction="outbound",authority="two\nlines"} 4 1795305064000
request_total_ms 0.5
# TYPE latency histogram
latency_bucket{le="1",}   1
latency_bucket{le="+Inf"} 2 # {trace="1"} 0.7
latency_sum{} NaN
up +Inf
# EOF
"""


def test_a_page_has_every_line_with_its_labels_and_value() -> None:
    page = page_of(PAGE)
    assert tuple(page.select("request_total")) == (
        Sample("request_total", {"direction": "inbound", "authority": 'a "b" \\n {c}, d="e"'}, 3),
        Sample("request_total", {"direction": "outbound", "authority": "two\nlines"}, 4),
    )
    assert page.total("request_total") == 7
    assert page.total("request_total", direction="outbound") == 4
    assert page.total("request_total_ms") == 0.5
    assert page.values("latency_bucket", "le") == {"1", "+Inf"}
    assert math.isnan(next(page.select("latency_sum")).value)
    assert page.total("up") == math.inf


def test_what_is_not_on_a_page_counts_as_nothing() -> None:
    page = page_of(PAGE)
    assert not page.has("requests")
    assert page.total("requests") == 0
    assert not page.has("request_total", direction="sideways")
    assert list(page_of("").written()) == []


def test_a_counter_that_began_anew_counts_from_nothing() -> None:
    before = {"a": page_of("up 5"), "b": page_of("up 5")}
    after = {"a": page_of("up 7"), "b": page_of("up 3"), "c": page_of("up 1")}
    assert grown(before, after, "up") == 2 + 3 + 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<html><body>Sign in</body></html>", id="a web page"),
        pytest.param("up", id="no value"),
        pytest.param("up yes", id="a word as a value"),
        pytest.param('up{a="b} 1', id="a label without an end"),
        pytest.param('{"up": 1}', id="JSON"),
    ],
)
def test_what_is_no_page_is_refused_with_the_line_that_is_none(text: str) -> None:
    with pytest.raises(NotAPage, match="line 2 is"):
        page_of(f"a 1\n{text}\n")


@pytest.mark.parametrize("name", ["client-proxy.0-fresh", "cp-identity-proxy"])
def test_pages_of_real_proxies_are_read_as_the_library_of_prometheus_reads_them(name: str) -> None:
    text = gzip.decompress(recorded("recordings", "dataplane", "metrics", f"{name}.prom.gz").read_bytes()).decode()
    page = page_of(text)
    compared = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # A counter whose name has no `_total` gets one from the library: no proxy wrote it.
            written = sample.name if page.has(sample.name) else sample.name.removesuffix("_total")
            assert Sample(written, sample.labels, float(sample.value)) in list(page.select(written))
            compared += 1
    assert compared == len(list(page.written())) > 100

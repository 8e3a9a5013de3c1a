"""Texts of other people in a query: what they are read as, by a real Prometheus."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.alerting.promql import Matcher, literally, quoted, selector
from steward.jsonvalue import JsonObject, dig, rows, text
from steward.testing.monitoring.prometheus import Prometheus
from steward.testing.monitoring.tools import MonitoringTools

NASTY = st.sampled_from(
    ["", '"', "\\", '\\"', "\n", "a.b", "a|b", "[", "(?i)a", "{}", "\x00", "\x85\u2028", "\U0001f600"]
)
TEXTS = st.lists(NASTY | st.text(max_size=8), max_size=4).map("".join)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(monitoring_tools: MonitoringTools) -> AsyncIterator[Prometheus]:
    """One that reads queries and answers them."""
    async with Prometheus(monitoring_tools) as server:
        yield server


async def read(prometheus: Prometheus, query: str) -> list[JsonObject]:
    """The matchers of a selector as Prometheus reads it."""
    answer = await prometheus.get("/api/v1/parse_query", {"query": query})
    assert dig(answer, "data", "type") == "vectorSelector"
    return [matcher for matcher in rows(answer, "data", "matchers") if text(matcher, "name") != "__name__"]


@pytest.mark.monitoring
@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=60)
@given(values=st.lists(TEXTS, min_size=1, max_size=4), operator=st.sampled_from(["=", "!="]))
async def test_any_text_is_read_back_as_it_is(prometheus: Prometheus, values: list[str], operator: str) -> None:
    matchers = [Matcher(f"label_{number}", operator, value) for number, value in enumerate(values)]
    assert await read(prometheus, selector("up", *matchers)) == [
        {"name": matcher.label, "type": operator, "value": matcher.value} for matcher in matchers
    ]


@pytest.mark.monitoring
@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=60)
@given(text=TEXTS, other=TEXTS)
async def test_a_text_as_a_pattern_fits_itself_and_nothing_else(prometheus: Prometheus, text: str, other: str) -> None:
    made = f'label_replace(vector(1), "text", {quoted(text.replace("$", "$$"))}, "", "")'

    async def fits(pattern: str) -> bool:
        found = await prometheus.query(f'label_replace({made}, "fits", "yes", "text", {quoted(pattern)})')
        return found[0].labels.get("fits") == "yes"

    assert await fits(literally(text))
    assert await fits(literally(other)) == (text == other)


@given(text=TEXTS, other=TEXTS)
def test_python_reads_such_a_pattern_alike(text: str, other: str) -> None:
    assert re.fullmatch(literally(text), text)
    assert bool(re.fullmatch(literally(text), other)) == (text == other)


def test_a_selector_is_a_metric_and_its_conditions() -> None:
    assert selector("up") == "up"
    assert selector("up", Matcher.equal("job", "a"), Matcher.differs("job", "b")) == 'up{job="a", job!="b"}'
    assert str(Matcher.any_of("job", ["a.b", "c"])) == r'job=~"a\\.b|c"'
    assert str(Matcher.fits("job", ".*proxy")) == 'job=~".*proxy"'


@pytest.mark.parametrize("name", ["", "1up", "up{", "up or vector(1)", 'up"', "úp"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a metric"):
        selector(name)
    with pytest.raises(ValueError, match="is no name of a label: letters, digits and _ only, no digit first"):
        Matcher.equal(name, "x")


def test_a_colon_is_for_metrics_and_not_for_labels() -> None:
    assert selector("steward:slo_good:rate5m") == "steward:slo_good:rate5m"
    with pytest.raises(ValueError, match="is no name of a label"):
        Matcher.equal("a:b", "x")


def test_an_operator_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'==' compares no labels"):
        Matcher("job", "==", "x")


def test_what_is_no_unicode_is_in_no_query() -> None:
    with pytest.raises(ValueError, match="is not valid Unicode"):
        quoted("a\ud800b")

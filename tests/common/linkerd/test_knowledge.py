"""The shipped catalog against the facts, and what follows from it for any release."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import ConfigurationError
from steward.events.versions import Recommendation
from steward.linkerd.knowledge import parse_knowledge, shipped
from steward.linkerd.version import Version
from tests.common.testing_linkerd.recorded import path

KNOWN = shipped()
DASH = "\N{EN DASH}"
EDGES = st.builds(
    lambda year, month, n: Version("edge", (year, month, n)), st.integers(24, 27), st.integers(1, 12), st.integers(1, 9)
)


def edge(number: str) -> Version:
    return Version.parse(f"edge-{number}")


@pytest.mark.parametrize(
    ("version", "logical"),
    [
        ("edge-24.2.3", None),
        ("edge-24.2.4", "2.15"),
        ("edge-24.4.1", "2.15"),
        ("edge-25.4.4", "2.18"),
        ("edge-25.10.6", "2.18"),
        ("edge-25.10.7", "2.19"),
        ("edge-26.6.2", "2.19"),
        ("edge-26.6.3", "2.20"),
        ("edge-26.8.3", "2.20"),
        ("stable-2.14.10", "2.14"),
        ("enterprise-2.17.1-1", "2.17"),
        ("preview-26.8.1", None),
    ],
)
def test_a_release_belongs_to_the_logical_version_that_began_last(version: str, logical: str | None) -> None:
    assert KNOWN.logical_of(Version.parse(version)) == logical


@pytest.mark.parametrize(
    ("older", "newer", "steps"),
    [
        ("edge-25.10.7", "edge-26.6.3", 1),
        ("edge-25.4.4", "edge-26.8.3", 2),
        ("edge-26.8.3", "edge-25.10.7", -1),
        ("edge-26.6.3", "edge-26.8.3", 0),
        ("stable-2.14.10", "edge-24.2.4", 1),
        ("edge-23.1.1", "edge-26.8.3", None),
    ],
)
def test_steps_are_counted_in_logical_versions(older: str, newer: str, steps: int | None) -> None:
    assert KNOWN.steps_between(Version.parse(older), Version.parse(newer)) == steps


@given(EDGES, EDGES)
def test_a_newer_edge_never_belongs_to_an_older_logical_version(one: Version, other: Version) -> None:
    if one <= other:
        first, last = KNOWN.logical_of(one), KNOWN.logical_of(other)
        assert first is None or (last is not None and [*map(int, first.split("."))] <= [*map(int, last.split("."))])


@given(EDGES)
def test_every_edge_can_be_described(version: Version) -> None:
    assert KNOWN.entry(version).version == str(version)


@pytest.mark.parametrize(
    ("version", "minimum"),
    [
        ("edge-24.2.4", "1.22"),
        ("edge-25.2.2", "1.22"),
        ("edge-25.2.3", "1.23"),
        ("edge-26.4.1", "1.23"),
        ("edge-26.5.1", "1.31"),
        ("edge-26.8.3", "1.31"),
    ],
)
def test_the_oldest_kubernetes_is_that_of_the_charts(version: str, minimum: str) -> None:
    bounds = KNOWN.entry(Version.parse(version)).kubernetes
    assert bounds is not None
    assert bounds.min == minimum


@pytest.mark.parametrize(
    ("version", "chart"),
    [
        ("edge-24.2.4", "1.18.10-edge"),
        ("edge-24.2.5", None),
        ("edge-24.3.1", "2024.3.1"),
        ("edge-26.8.3", "2026.8.3"),
        ("stable-2.14.10", None),
    ],
)
def test_charts_are_numbered_like_releases_since_a_release(version: str, chart: str | None) -> None:
    assert KNOWN.chart_of(Version.parse(version)) == chart


@pytest.mark.parametrize(
    ("version", "expected", "instead"),
    [
        ("edge-25.10.1", None, None),
        ("edge-25.10.2", Recommendation.NOT_RECOMMENDED, "edge-25.10.7"),
        ("edge-25.10.6", Recommendation.NOT_RECOMMENDED, "edge-25.10.7"),
        ("edge-25.10.7", Recommendation.RECOMMENDED, None),
        ("edge-25.11.2", Recommendation.NOT_RECOMMENDED, "edge-25.11.3"),
        ("edge-26.8.3", None, None),
    ],
)
def test_advice_is_upstreams_and_silence_is_no_advice(
    version: str, expected: Recommendation | None, instead: str | None
) -> None:
    entry = KNOWN.entry(Version.parse(version))
    assert (entry.recommendation, entry.superseded_by) == (expected, instead)


def test_no_release_is_advised_and_advised_against() -> None:
    for each in KNOWN.discouraged:
        assert each.first <= each.last < each.superseded_by
        assert not any(each.first <= version <= each.last for version in KNOWN.advised)
        assert KNOWN.entry(each.superseded_by).recommendation is not Recommendation.NOT_RECOMMENDED


def test_the_lists_ascend_and_their_sentences_end() -> None:
    assert all(one.edge < other.edge for one, other in pairwise(KNOWN.logical))
    assert all(one.since <= other.since for one, other in pairwise(KNOWN.notices))
    for notice in KNOWN.notices:
        assert notice.text.endswith("."), notice.text
        assert len(notice.text) < 240, notice.text


def test_the_notices_of_a_hop_are_those_after_the_start_up_to_the_end() -> None:
    on_the_way = KNOWN.notices_between(edge("25.10.7"), edge("26.6.3"))
    assert on_the_way[0].since == edge("25.11.3")
    assert on_the_way[-1].since == edge("26.6.3")
    assert KNOWN.notices_between(edge("26.6.3"), edge("26.6.3")) == ()
    assert {each.since for each in KNOWN.notices_between(None, edge("26.5.2"))} == {edge("26.5.2")}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "format: 2",
        "- a",
        "format: 1",
        "format: 1\nlogicalVersions: [{name: '2.20', edge: latest}]",
        "a: " + "[" * 999,
    ],
)
def test_a_catalog_that_does_not_fit_is_refused(document: str) -> None:
    with pytest.raises(ConfigurationError, match="release catalog"):
        parse_knowledge(document)


def test_the_table_of_facts_says_the_same() -> None:
    """The researched page is compared where it is at hand: edges, charts, proxies and Kubernetes of each 2.X."""
    rows = re.findall(r"^\| (2\.1[5-9]|2\.20) \|(.*)\|$", path("facts", "linkerd.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows[:6]] == ["2.15", "2.16", "2.17", "2.18", "2.19", "2.20"]
    for name, row in rows[:6]:
        cells = [cell.strip() for cell in row.split("|")]
        logical = next(each for each in KNOWN.logical if each.name == name)
        entry = KNOWN.entry(logical.edge)
        assert str(logical.edge) in cells[0]
        assert entry.chart_version == cells[2].split()[0]
        assert logical.proxy == cells[3]
        assert entry.kubernetes is not None
        assert entry.kubernetes.min == re.sub(r"[^0-9.]", "", cells[5])
        assert logical.kubernetes_tested_to == cells[6].split(DASH)[1]
        assert cells[7].startswith(f"{logical.gateway_api.min}{DASH}{logical.gateway_api.max}")


def test_every_edge_that_the_facts_name_as_not_recommended_is_known() -> None:
    page = path("facts", "linkerd.md").read_text()
    table = page[page.index("| Not recommended | Reason") : page.index("Sources: `WEB:linkerd.io/content/blog/2024")]
    for row in (line for line in table.splitlines()[2:] if line.startswith("|")):
        named = re.findall(r"\b2[45]\.\d+\.\d+\b", row.split("|")[1])
        for number in named:
            entry = KNOWN.entry(edge(number))
            assert entry.recommendation is Recommendation.NOT_RECOMMENDED, number

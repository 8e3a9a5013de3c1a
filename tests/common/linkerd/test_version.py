"""Versions are ordered inside a channel, by numbers, and not at all between channels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.linkerd.version import MalformedVersion, Version, VersionRange

PARTS = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple)
EDGES = PARTS.map(lambda parts: Version("edge", parts))


@pytest.mark.parametrize(
    ("text", "channel", "number", "hotpatch"),
    [
        ("edge-26.8.3", "edge", "26.8.3", None),
        ("stable-2.14.10", "stable", "2.14.10", None),
        ("enterprise-2.17.1-1", "enterprise", "2.17.1", 1),
        ("edge-26.8.3-fips", "edge", "26.8.3", None),
        ("preview-26.8.1", "preview", "26.8.1", None),
        ("  edge-26.8.3\n", "edge", "26.8.3", None),
    ],
)
def test_a_version_is_read(text: str, channel: str, number: str, hotpatch: int | None) -> None:
    version = Version.parse(text)
    assert (version.channel, version.number, version.hotpatch) == (channel, number, hotpatch)


@pytest.mark.parametrize("text", ["", "26.8.3", "edge", "edge-", "v2.326.0", "Edge-26.8.3", "edge-26.x", "latest"])
def test_what_is_no_version_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(MalformedVersion, match=r"edge-26\.8\.3"):
        Version.parse(text)


@given(EDGES)
def test_a_version_is_written_as_it_is_read(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(EDGES, EDGES)
def test_the_order_is_that_of_the_numbers(one: Version, other: Version) -> None:
    assert (one < other) == (one.parts < other.parts)
    assert (one == other) == (not one < other and not other < one)


def test_a_hotpatch_comes_after_what_it_patches() -> None:
    assert (
        Version.parse("enterprise-2.17.1") < Version.parse("enterprise-2.17.1-1") < Version.parse("enterprise-2.17.2")
    )


def test_channels_have_no_order_between_them() -> None:
    with pytest.raises(MalformedVersion, match="different channels"):
        assert Version.parse("edge-26.8.3") > Version.parse("stable-2.14.10")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=25.10.7 <26.6.3", ["edge-25.10.7", "edge-26.6.2"], ["edge-25.10.6", "edge-26.6.3"]),
        (">=25.10.7,<26.6.3", ["edge-26.1.1"], ["edge-27.1.1"]),
        ("26.8.3", ["edge-26.8.3"], ["edge-26.8.4"]),
        ("<=26.8.3", ["edge-26.8.3"], ["edge-26.8.10"]),
    ],
)
def test_a_range_contains_what_meets_every_bound(text: str, inside: list[str], outside: list[str]) -> None:
    bounds = VersionRange.parse(text)
    assert [each for each in inside + outside if bounds.contains(Version.parse(each))] == inside


@pytest.mark.parametrize("text", ["", "~26.8", ">=edge-26.8.3", ">= 26.8.3", "26.x"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(MalformedVersion):
        VersionRange.parse(text)


def test_a_chart_version_leads_to_its_release_and_back() -> None:
    version = Version.of_chart("2026.8.3")
    assert (version, version.chart) == (Version.parse("edge-26.8.3"), "2026.8.3")
    assert Version.parse("stable-2.14.10").chart is None

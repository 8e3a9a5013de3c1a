"""The version-check document: each key for itself, and every kind of garbage by its own name."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.version_watcher.core.feed import Feed, read_feed
from services.version_watcher.core.reading import Nothing, Read
from steward.linkerd.version import Version

NOW = datetime(2026, 8, 22, tzinfo=UTC)


def offers(document: object) -> dict[str, str]:
    found = read_feed(json.dumps(document).encode(), NOW)
    assert isinstance(found, Read)
    return {channel: str(version) for channel, version in found.value.offers.items()}


def problems(document: object) -> dict[str, str]:
    found = read_feed(json.dumps(document).encode(), NOW)
    assert isinstance(found, Read)
    return {each.about: each.reason for each in found.problems}


def test_the_document_of_today_is_read() -> None:
    assert offers({"edge": "edge-26.8.3"}) == {"edge": "edge-26.8.3"}


def test_a_bad_key_never_hides_a_good_one() -> None:
    document = {
        "edge": "edge-26.8.3",
        "stable": 2,
        "enterprise": "edge-26.8.3",
        "preview": "soon",
        "enterpriseHotpatch": "enterprise-2.17.1-1",
    }
    assert offers(document) == {"edge": "edge-26.8.3", "enterpriseHotpatch": "enterprise-2.17.1-1"}
    assert problems(document) == {"stable": "NotText", "enterprise": "WrongChannel", "preview": "UnknownFormat"}


def test_a_hotpatch_belongs_under_the_key_of_hotpatches() -> None:
    assert problems({"edge": "edge-26.8.3", "enterprise": "enterprise-2.17.1-1"}) == {"enterprise": "WrongChannel"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("edge-26.13.1", "UnknownFormat"),
        ("edge-26.0.1", "UnknownFormat"),
        ("edge-26.8", "UnknownFormat"),
        ("edge-26.8.3.1", "UnknownFormat"),
        ("edge-26.10.1", "FutureDated"),
        ("edge-27.1.1", "FutureDated"),
        ("edge", "UnknownFormat"),
        ("", "UnknownFormat"),
        ("edge-26.8.3" + "-x" * 100, "TooLong"),
        (None, "NotText"),
        (["edge-26.8.3"], "NotText"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(value: object, reason: str) -> None:
    found = read_feed(json.dumps({"edge": value}).encode(), NOW)
    assert isinstance(found, Nothing)
    assert (found.reason, found.reached) == (reason, True)


def test_the_first_days_of_a_month_are_not_the_future() -> None:
    found = read_feed(b'{"edge": "edge-26.9.1"}', datetime(2026, 8, 30, tzinfo=UTC))
    assert found == Read(Feed({"edge": Version("edge", (26, 9, 1))}))


def test_more_keys_than_there_can_be_channels_are_refused() -> None:
    found = read_feed(json.dumps({f"k{number}": "edge-26.8.3" for number in range(65)}).encode(), NOW)
    assert isinstance(found, Nothing)
    assert found.reason == "TooManyKeys"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_whatever_are_a_crash(body: bytes) -> None:
    assert isinstance(read_feed(body, NOW), Read | Nothing)


@given(st.dictionaries(st.text(max_size=20), st.none() | st.text(max_size=30) | st.integers(), max_size=5))
def test_nothing_that_is_added_hides_the_edge_channel(others: dict[str, object]) -> None:
    others.pop("edge", None)
    assert offers({**others, "edge": "edge-26.8.3"})["edge"] == "edge-26.8.3"

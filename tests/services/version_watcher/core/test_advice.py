"""Only a plain statement about the release itself is advice; everything doubtful is Unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.version_watcher.core.advice import read_advice
from steward.events.versions import Recommendation
from steward.linkerd.version import Version

RELEASE = Version.parse("edge-25.10.4")
YES, NO, UNKNOWN = Recommendation.RECOMMENDED, Recommendation.NOT_RECOMMENDED, Recommendation.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        "This release is not recommended.",
        "⚠️ **This edge release is not recommended** because of memory use.",
        "> [!WARNING]\n> This release is not recommended.",
        "edge-25.10.4 is not recommended",
        "We do not recommend this release. See #1.",
        "Please do not use this release.",
        "Avoid using this release!",
        "This version should not be used in production.",
        "## Status\n\nNot recommended: it leaks.",
        "WARNING: this release was not recommended, use edge-25.10.7",
        "Fixes things.\n\nThe release is currently not recommended.\n\n* fix: x by @a in https://e.org/pull/1",
    ],
)
def test_a_plain_warning_counts(body: str) -> None:
    assert read_advice(RELEASE, body).recommendation is NO


@pytest.mark.parametrize(
    "body",
    [
        "This release is recommended.",
        "✅ **Recommended**",
        "This edge release is now recommended for production.",
        "We recommend this release.",
        "`edge-25.10.4` is a recommended release.",
        "Status: recommended",
    ],
)
def test_a_plain_recommendation_counts(body: str) -> None:
    assert read_advice(RELEASE, body).recommendation is YES


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Bug fixes and improvements.",
        "Running one replica is not recommended.",
        "It is recommended to upgrade the CRDs first.",
        "edge-25.10.3 is not recommended.",
        "Is this release recommended?",
        "This release may be recommended once it has soaked.",
        "* docs: say that this release is not recommended by @a in https://example.org/pull/12",
        "```\nThis release is not recommended.\n```",
        "~~This release is not recommended.~~",
        "<!-- This release is not recommended. -->",
        "Not all flags are recommended.",
        "If you use multicluster, this release is not recommended",
    ],
)
def test_everything_else_is_unknown(body: str) -> None:
    assert read_advice(RELEASE, body).recommendation is UNKNOWN


def test_a_note_that_contradicts_itself_is_unknown_and_says_so() -> None:
    advice = read_advice(RELEASE, "This release is recommended.\n\nThis release is not recommended.")
    assert advice.recommendation is UNKNOWN
    assert "recommended and that it is not" in advice.reason


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        ("This release is not recommended. Use edge-25.10.7 instead.", "edge-25.10.7"),
        ("This release is not recommended, please upgrade to edge-25.10.7.", "edge-25.10.7"),
        ("This release is not recommended.\n\nIt was superseded by edge-25.10.7", "edge-25.10.7"),
        ("This release is not recommended since edge-25.10.2 broke it.", ""),
        ("This release is not recommended.", ""),
    ],
)
def test_the_release_to_use_instead_is_found_where_it_is_named(body: str, instead: str) -> None:
    assert read_advice(RELEASE, body).superseded_by == instead


def test_the_reason_is_upstreams_own_sentence() -> None:
    advice = read_advice(RELEASE, "Intro.\n\n**This release is not recommended**: destination runs out of memory.")
    assert advice.reason == "This release is not recommended : destination runs out of memory."


@given(st.text(max_size=2000))
def test_no_text_whatever_is_a_crash_or_slow(body: str) -> None:
    read_advice(RELEASE, body)


def test_a_huge_note_is_read_in_time() -> None:
    assert read_advice(RELEASE, "this release is " * 100_000).recommendation is UNKNOWN

"""A channel's head never goes back, and every head is said once and in order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.version_watcher.core.history import LONGEST, advance, heads_of, unannounced
from steward.linkerd.version import Version
from steward.resources.release_catalog import ChannelStatus

START = datetime(2026, 8, 1, tzinfo=UTC)
EDGES = st.builds(lambda month, number: Version("edge", (26, month, number)), st.integers(1, 8), st.integers(1, 4))


def offered(*versions: str) -> ChannelStatus:
    channel: ChannelStatus | None = None
    for day, version in enumerate(versions):
        channel = advance(channel, "edge", Version.parse(version), START + timedelta(days=day))
    assert channel is not None
    return channel


def test_the_first_offer_is_the_head() -> None:
    channel = offered("edge-26.6.3")
    assert (channel.head, channel.head_observed_at, channel.offered, channel.regressed) == (
        "edge-26.6.3",
        START,
        "edge-26.6.3",
        False,
    )


def test_the_same_offer_again_changes_nothing() -> None:
    assert offered("edge-26.6.3", "edge-26.6.3") == offered("edge-26.6.3")


def test_an_offer_that_goes_back_is_recorded_and_the_head_stays() -> None:
    channel = offered("edge-26.6.3", "edge-26.5.1")
    assert (channel.head, channel.offered, channel.regressed) == ("edge-26.6.3", "edge-26.5.1", True)


def test_an_offer_that_comes_back_to_the_head_ends_the_regression() -> None:
    assert not offered("edge-26.6.3", "edge-26.5.1", "edge-26.6.3").regressed


def test_numbers_are_compared_as_numbers() -> None:
    assert offered("edge-26.6.9", "edge-26.6.10").head == "edge-26.6.10"


def test_a_head_of_another_channel_in_the_status_is_not_compared_with() -> None:
    written = ChannelStatus(name="edge", head="stable-2.14.10")
    assert advance(written, "edge", Version.parse("edge-26.6.3"), START).head == "edge-26.6.3"


def test_heads_that_were_not_announced_are_owed_in_order() -> None:
    channel = offered("edge-26.6.3", "edge-26.7.1", "edge-26.8.3").model_copy(update={"announced": "edge-26.6.3"})
    assert [each.version for each in unannounced(channel)] == ["edge-26.7.1", "edge-26.8.3"]


@given(st.lists(EDGES, min_size=1, max_size=80))
def test_whatever_is_offered_the_head_is_the_newest_and_history_ascends(offers: list[Version]) -> None:
    channel: ChannelStatus | None = None
    for day, offer in enumerate(offers):
        channel = advance(channel, "edge", offer, START + timedelta(days=day))
    assert channel is not None
    assert channel.head == str(max(offers))
    assert channel.offered == str(offers[-1])
    assert channel.regressed == (offers[-1] < max(offers))
    heads = [Version.parse(each.version) for each in heads_of(channel)]
    assert heads == sorted(set(heads))
    assert len(channel.previous_heads) <= LONGEST

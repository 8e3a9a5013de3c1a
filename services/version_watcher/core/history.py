"""A channel's head: the newest release that was ever offered. An offer that goes back is recorded, never acted on."""

from datetime import UTC, datetime

from steward.linkerd.version import Version
from steward.resources.release_catalog import ChannelStatus, Head

LONGEST = 50
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""Of a head that somebody wrote into the status without saying when it was seen."""


def advance(before: ChannelStatus | None, channel: str, offer: Version, now: datetime) -> ChannelStatus:
    """The channel after it offered `offer` at `now`."""
    before = before or ChannelStatus(name=channel)
    head = Version.maybe(before.head)
    if head is not None and head.channel != offer.channel:
        # A head of another channel can only have been written by hand: it says nothing about this one.
        head = None
    if head is not None and offer <= head:
        return before.model_copy(update={"offered": str(offer), "regressed": offer < head})
    past = before.previous_heads
    if head is not None and before.head is not None:
        past = (*past, Head(version=before.head, observed_at=before.head_observed_at or UNDATED))[-LONGEST:]
    return before.model_copy(
        update={
            "head": str(offer),
            "head_observed_at": now,
            "offered": str(offer),
            "regressed": False,
            "previous_heads": past,
        }
    )


def heads_of(channel: ChannelStatus) -> tuple[Head, ...]:
    """Every head the channel is known to have had, oldest first, the present one last."""
    if channel.head is None:
        return channel.previous_heads
    return (*channel.previous_heads, Head(version=channel.head, observed_at=channel.head_observed_at or UNDATED))


def unannounced(channel: ChannelStatus) -> tuple[Head, ...]:
    """The heads that still need an event, oldest first."""
    said = Version.maybe(channel.announced)
    heads = ((Version.maybe(head.version), head) for head in heads_of(channel))
    return tuple(
        head
        for version, head in heads
        if version is not None and (said is None or said.channel != version.channel or version > said)
    )

"""Which release would be upgraded to. The newest is never the target for being the newest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from services.upgrader.core.logical import LogicalVersions, written
from services.upgrader.core.plans import Chosen, Refusal, Route, choose
from steward.events.versions import Recommendation
from steward.linkerd.version import Version, VersionRange
from steward.resources.release_catalog import ChannelStatus, ReleaseCatalogStatus, ReleaseEntry
from steward.resources.upgrade_plan import InstallMethod, UpgradePlan
from steward.resources.upgrade_policy import UpgradePolicySpec


@dataclass(frozen=True, slots=True)
class Situation:
    """What a candidate is looked for in."""

    policy: UpgradePolicySpec
    catalog: ReleaseCatalogStatus
    plans: Sequence[UpgradePlan]
    running: Version
    method: InstallMethod
    logical: LogicalVersions
    now: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """The release, and the plan that leads there."""

    version: Version
    entry: ReleaseEntry
    chosen: Chosen


@dataclass(frozen=True, slots=True)
class UpToDate:
    """Nothing newer than what runs is known."""

    message: str


@dataclass(frozen=True, slots=True)
class NoWay:
    """Something newer is known, and each of them is refused; the first refusal is that of the newest."""

    refusal: Refusal
    refusals: tuple[tuple[Version, Refusal], ...]


Finding: TypeAlias = Candidate | UpToDate | NoWay


def find(situation: Situation) -> Finding:
    """The newest release that may be upgraded to and can be reached."""
    policy, running = situation.policy, situation.running
    channel = next((each for each in situation.catalog.channels if each.name == policy.channel), None)
    if channel is None or channel.head is None:
        message = f"no head of channel {policy.channel!r} was seen yet: version_watcher has to reach a source first"
        return NoWay(Refusal("HeadUnknown", message), ())
    if running.channel != policy.channel:
        message = (
            f"{running} is of channel {running.channel!r} and the policy is for {policy.channel!r}: "
            "set spec.channel of the UpgradePolicy to the channel that is installed"
        )
        return NoWay(Refusal("OtherChannel", message), ())
    newer = _newer(situation, channel)
    if not newer:
        return UpToDate(f"the control plane runs {running}, and nothing newer is known in channel {policy.channel!r}")
    refusals: list[tuple[Version, Refusal]] = []
    for version, entry in newer:
        found = _consider(situation, channel, version, entry)
        if isinstance(found, Chosen):
            return Candidate(version, entry, found)
        refusals.append((version, found))
    return NoWay(refusals[0][1], tuple(refusals))


def _newer(situation: Situation, channel: ChannelStatus) -> list[tuple[Version, ReleaseEntry]]:
    """Every known release above the running one and not above the highest head ever seen, newest first."""
    head = Version.maybe(channel.head)
    if head is None:
        return []
    found: dict[Version, ReleaseEntry] = {head: ReleaseEntry(version=str(head))}
    for entry in situation.catalog.releases:
        version = Version.maybe(entry.version)
        if version is not None and version.channel == head.channel and version <= head:
            found[version] = entry
    return sorted(
        ((version, entry) for version, entry in found.items() if version > situation.running),
        key=lambda pair: pair[0],
        reverse=True,
    )


def _consider(situation: Situation, channel: ChannelStatus, version: Version, entry: ReleaseEntry) -> Chosen | Refusal:
    for objection in _OBJECTIONS:
        found = objection(situation, channel, version, entry)
        if found is not None:
            return found
    return choose(situation.plans, Route(situation.running, version, situation.method), situation.logical)


def _is_withdrawn_from_the_feed(
    _: Situation, channel: ChannelStatus, version: Version, _entry: ReleaseEntry
) -> Refusal | None:
    offered = Version.maybe(channel.offered)
    if not channel.regressed or offered is None or offered.channel != version.channel or version <= offered:
        return None
    message = (
        f"the feed went back to {offered} after it had offered {version}: nothing happens until it offers it again"
    )
    return Refusal("HeadRegressed", message)


def _is_outside_the_range(
    situation: Situation, _: ChannelStatus, version: Version, _entry: ReleaseEntry
) -> Refusal | None:
    wanted = situation.policy.target_selector.range
    if wanted is None or VersionRange.parse(wanted).contains(version):
        return None
    return Refusal("OutOfRange", f"{version} is outside targetSelector.range {wanted!r} of the policy")


def _is_not_recommended(
    situation: Situation, _: ChannelStatus, version: Version, entry: ReleaseEntry
) -> Refusal | None:
    said = entry.recommendation or Recommendation.UNKNOWN
    why = f" ({entry.reason})" if entry.reason else ""
    if said is Recommendation.NOT_RECOMMENDED:
        instead = f"; {entry.superseded_by} is to be used instead" if entry.superseded_by else ""
        return Refusal("NotRecommended", f"{version} is not recommended{why}{instead}")
    if said is Recommendation.RECOMMENDED or not situation.policy.target_selector.require_recommended:
        return None
    message = (
        f"nobody recommends {version} yet, and the policy asks for it: wait, recommend it in the ReleaseCatalog, "
        "or set targetSelector.requireRecommended to false"
    )
    return Refusal("RecommendationUnknown", message)


def _is_too_young(
    situation: Situation, channel: ChannelStatus, version: Version, entry: ReleaseEntry
) -> Refusal | None:
    needed = timedelta(seconds=situation.policy.target_selector.minimum_release_age_seconds)
    if not needed:
        return None
    since = _seen_since(channel, version, entry)
    if since is None:
        message = f"it is not known since when {version} exists, and the policy wants it to be {_days(needed)} old"
        return Refusal("AgeUnknown", message)
    if situation.now - since >= needed:
        return None
    ripe = (since + needed).strftime("%Y-%m-%d %H:%M UTC")
    return Refusal(
        "TooYoung", f"{version} is known since {since:%Y-%m-%d}; the policy waits {_days(needed)}, until {ripe}"
    )


def _seen_since(channel: ChannelStatus, version: Version, entry: ReleaseEntry) -> datetime | None:
    """Since when it is known: as head, else by its release date, which upstream may write as it likes."""
    name = str(version)
    heads = [each.observed_at for each in channel.previous_heads if each.version == name]
    if channel.head == name and channel.head_observed_at is not None:
        heads.append(channel.head_observed_at)
    return min(heads) if heads else entry.released_at


def _is_more_than_one_logical_step(
    situation: Situation, _: ChannelStatus, version: Version, _entry: ReleaseEntry
) -> Refusal | None:
    return too_far(situation.running, version, situation.logical)


def too_far(running: Version, target: Version, logical: LogicalVersions) -> Refusal | None:
    """The control plane may lead its proxies by one logical version, so one at a time is all there is."""
    steps = logical.steps(running, target)
    names = f"{running} ({written(logical.of_version(running))}) to {target} ({written(logical.of_version(target))})"
    if steps is None:
        message = f"the logical versions of {names} are not known: add logicalVersion to the ReleaseCatalog"
        return Refusal("LogicalVersionUnknown", message)
    if steps > 1:
        message = f"from {names} is {steps} logical versions: upgrade to the one between first, proxies included"
        return Refusal("TooFar", message)
    return None


def _days(span: timedelta) -> str:
    return f"{span.days} days" if span >= timedelta(days=2) else f"{span.total_seconds() / 3600:g} hours"


_Objection: TypeAlias = Callable[[Situation, ChannelStatus, Version, ReleaseEntry], Refusal | None]

# In the order in which a person would ask.
_OBJECTIONS: tuple[_Objection, ...] = (
    _is_withdrawn_from_the_feed,
    _is_outside_the_range,
    _is_not_recommended,
    _is_too_young,
    _is_more_than_one_logical_step,
)

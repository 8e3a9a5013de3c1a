"""(catalog, what was seen, now) → the catalog's next status. Events follow from the status alone: see `announce`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.version_watcher.core.conditions import (
    SourceView,
    as_expected,
    fresh,
    inventoried,
    parsed,
    retrieved,
)
from services.version_watcher.core.feed import Feed
from services.version_watcher.core.helm_index import HelmIndex
from services.version_watcher.core.history import advance, heads_of
from services.version_watcher.core.merge import Relevant, Upstream, by_version, merge
from services.version_watcher.core.mesh import MeshSeen, Patience, Settling, mesh_status
from services.version_watcher.core.notes import Notes
from services.version_watcher.core.reading import Look, Nothing, Source
from steward.events.versions import Recommendation
from steward.linkerd.knowledge import Knowledge
from steward.linkerd.version import Version
from steward.resources.base import Condition, with_condition
from steward.resources.release_catalog import (
    ChannelStatus,
    ReleaseCatalog,
    ReleaseCatalogStatus,
    ReleaseEntry,
    SourceStatus,
    Withdrawal,
)

MOST_WITHDRAWN = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was seen; None for what was not looked at in this process."""

    feed: Look[Feed] | None = None
    notes: Look[Notes] | None = None
    index: Look[HelmIndex] | None = None
    mesh: MeshSeen | None = None
    settling: Settling | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner wants."""

    channels: tuple[str, ...]
    sources: tuple[Source, ...]
    stale_after: timedelta
    patience: Patience


@dataclass(frozen=True, slots=True)
class Decision:
    """The next status, how the differences of the mesh settle, and when to look again if nothing happens."""

    status: ReleaseCatalogStatus
    settling: Settling | None
    look_again_at: datetime | None


def decide(catalog: ReleaseCatalog, seen: Seen, rules: Rules, knowledge: Knowledge, now: datetime) -> Decision:
    """What follows from everything that was seen."""
    before = catalog.status or ReleaseCatalogStatus()
    views = _source_views(before, seen, rules)
    channels = _channels(before, catalog, seen, rules)
    settling = _settling(before, seen, now)
    mesh = before.mesh
    if seen.mesh is not None and settling is not None:
        mesh = mesh_status(before.mesh, seen.mesh, settling, rules.patience, now)
    running = Version.maybe(mesh.control_plane if mesh is not None else None)
    releases = merge(
        knowledge, _upstream(before, seen, rules), catalog.spec.releases, _relevant(rules, channels, running)
    )
    sayings = (
        retrieved(views),
        parsed(views),
        fresh(views, rules.stale_after, now),
        inventoried(seen.mesh),
        as_expected(seen.mesh),
    )
    conditions: tuple[Condition, ...] = before.conditions
    for saying in sayings:
        conditions = with_condition(conditions, saying.at(now, catalog.metadata.generation))
    status = ReleaseCatalogStatus(
        observed_generation=catalog.metadata.generation,
        channels=channels,
        releases=releases,
        withdrawn=_withdrawn(before, releases, channels, running, now),
        sources=tuple(each.status for each in views),
        mesh=mesh,
        conditions=conditions,
    )
    return Decision(status, settling, _look_again(status, settling, seen, rules, now))


def _source_views(before: ReleaseCatalogStatus, seen: Seen, rules: Rules) -> tuple[SourceView, ...]:
    known = {each.name: each for each in before.sources}
    looks = {
        Source.VERSION_CHECK: _look_of(seen.feed),
        Source.RELEASE_NOTES: _look_of(seen.notes),
        Source.HELM_INDEX: _look_of(seen.index),
    }
    views = []
    for source in rules.sources:
        old = known.get(source.value) or SourceStatus(
            name=source.value, reason="NotAskedYet", message="it was not asked yet", healthy=False
        )
        look = looks[source]
        views.append(
            _view(source, old, look, seen, rules)
            if look is not None
            else SourceView(source, old, None, (), asked=False)
        )
    return tuple(views)


@dataclass(frozen=True, slots=True)
class _LookOf:
    """A look without what it read."""

    attempted_at: datetime
    succeeded_at: datetime | None
    failure: Nothing | None
    problems: tuple[tuple[str, str], ...]


def _look_of(look: Look[Feed] | Look[Notes] | Look[HelmIndex] | None) -> _LookOf | None:
    if look is None:
        return None
    outcome = look.outcome
    if isinstance(outcome, Nothing):
        return _LookOf(look.attempted_at, look.succeeded_at, outcome, ())
    return _LookOf(
        look.attempted_at, look.succeeded_at, None, tuple((each.reason, each.message) for each in outcome.problems)
    )


def _view(source: Source, old: SourceStatus, look: _LookOf, seen: Seen, rules: Rules) -> SourceView:
    # Old notes and charts in forms of their own are no trouble; in the version document every key matters.
    unusable = look.problems if source is Source.VERSION_CHECK else ()
    if source is Source.VERSION_CHECK and look.failure is None:
        unusable += _missing_channels(seen, rules)
    if look.failure is not None:
        reason, message = look.failure.reason, look.failure.message
    elif look.problems:
        reason, message = look.problems[0][0], "; ".join(message for _, message in look.problems[:5])
    else:
        reason, message = "Read", ""
    status = SourceStatus(
        name=source.value,
        reason=reason,
        message=message[:1024],
        healthy=look.failure is None,
        last_success_at=look.succeeded_at or old.last_success_at,
        last_attempt_at=look.attempted_at,
    )
    return SourceView(source, status, look.failure, unusable, asked=True)


def _missing_channels(seen: Seen, rules: Rules) -> tuple[tuple[str, str], ...]:
    if seen.feed is None or isinstance(seen.feed.outcome, Nothing):
        return ()
    feed = seen.feed.outcome
    unread = {each.about for each in feed.problems}
    return tuple(
        ("ChannelMissing", f"the version document offers nothing for channel {channel!r}")
        for channel in rules.channels
        if channel not in feed.value.offers and channel not in unread
    )


def _channels(
    before: ReleaseCatalogStatus, catalog: ReleaseCatalog, seen: Seen, rules: Rules
) -> tuple[ChannelStatus, ...]:
    known = {each.name: each for each in before.channels}
    for channel in rules.channels:
        offered = _offered(channel, catalog, seen, rules)
        if offered is None:
            continue
        version, observed_at = offered
        old = known.get(channel)
        after = advance(old, channel, version, observed_at)
        if (old is None or old.head is None) and _runs_already(version, seen.mesh):
            # The first head that is ever seen is news to everybody but a cluster that runs it.
            after = after.model_copy(update={"announced": after.head})
        known[channel] = after
    return tuple(known[name] for name in sorted(known))


def _offered(channel: str, catalog: ReleaseCatalog, seen: Seen, rules: Rules) -> tuple[Version, datetime] | None:
    """What the channel offers, and since when that is known: by the document, or by people where there is none."""
    if Source.VERSION_CHECK in rules.sources:
        look = seen.feed
        if look is None or look.last is None or look.succeeded_at is None:
            return None
        version = look.last.value.offers.get(channel)
        return (version, look.succeeded_at) if version is not None else None
    written = [
        version
        for each in catalog.spec.releases
        if each.recommendation is not Recommendation.NOT_RECOMMENDED
        and (version := Version.maybe(each.version)) is not None
        and version.channel == channel
    ]
    noted_at = seen.settling.since if seen.settling is not None else catalog.metadata.creation_timestamp
    return (max(written), noted_at) if written and noted_at is not None else None


def _runs_already(version: Version, mesh: MeshSeen | None) -> bool:
    running = mesh.running if mesh is not None else None
    return running is not None and running.channel == version.channel and running >= version


def _upstream(before: ReleaseCatalogStatus, seen: Seen, rules: Rules) -> Upstream:
    """A source that was read before this process began is remembered until it is read again."""
    notes = seen.notes.last.value if seen.notes is not None and seen.notes.last is not None else None
    index = seen.index.last.value if seen.index is not None and seen.index.last is not None else None
    waiting = (notes is None and Source.RELEASE_NOTES in rules.sources) or (
        index is None and Source.HELM_INDEX in rules.sources
    )
    return Upstream(notes, index, before.releases if waiting else ())


def _relevant(rules: Rules, channels: tuple[ChannelStatus, ...], running: Version | None) -> Relevant:
    heads = tuple(
        version
        for channel in channels
        for head in heads_of(channel)[-5:]
        if (version := Version.maybe(head.version)) is not None
    )
    return Relevant(rules.channels, (running,) if running is not None else (), heads)


def _withdrawn(
    before: ReleaseCatalogStatus,
    releases: tuple[ReleaseEntry, ...],
    channels: tuple[ChannelStatus, ...],
    running: Version | None,
    now: datetime,
) -> tuple[Withdrawal, ...]:
    """Releases that were heads here, or run here, and are not recommended; each stays as it was first said."""
    known = by_version(releases)
    said = {each.version: each for each in before.withdrawn}
    ours = {head.version for channel in channels for head in heads_of(channel)}
    if running is not None:
        ours.add(str(running))
    found = []
    for version in sorted({*ours, *said}):
        entry = known.get(version)
        if entry is None:
            # Nothing is known of it any more, which is no retraction.
            found.extend([said[version]] if version in said else [])
        elif entry.recommendation is Recommendation.NOT_RECOMMENDED:
            reason = entry.reason or "it is marked as not recommended"
            found.append(said.get(version) or Withdrawal(version=version, reason=reason, announced_at=now))
    return tuple(found[-MOST_WITHDRAWN:])


def _settling(before: ReleaseCatalogStatus, seen: Seen, now: datetime) -> Settling | None:
    if seen.mesh is None or not seen.mesh.known:
        return seen.settling
    said = before.mesh.fingerprint if before.mesh is not None else ""
    return Settling.after(seen.settling, seen.mesh.fingerprint, said, now)


def _look_again(
    status: ReleaseCatalogStatus, settling: Settling | None, seen: Seen, rules: Rules, now: datetime
) -> datetime | None:
    """When something changes by the passing of time alone: a difference settles, or the feed becomes stale."""
    times = []
    if settling is not None and status.mesh is not None and settling.fingerprint != status.mesh.fingerprint:
        times.append(settling.due(rules.patience))
    if seen.feed is not None and seen.feed.succeeded_at is not None:
        times.append(seen.feed.succeeded_at + rules.stale_after + timedelta(seconds=1))
    return min((each for each in times if each > now), default=None)

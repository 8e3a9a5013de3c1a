"""What is known of each release, put together: shipped < upstream < what people write in the spec.

A later source adds to an earlier one and wins where both speak. Silence never wins: a source that says nothing of a
release, or that could not be read, leaves what is known as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.version_watcher.core.helm_index import HelmIndex
from services.version_watcher.core.notes import Notes
from steward.events.versions import Recommendation
from steward.linkerd.knowledge import Knowledge
from steward.linkerd.version import Version
from steward.resources.release_catalog import Bounds, ReleaseEntry

MOST_RELEASES = 200
"""Etcd takes 1.5 MB: two hundred entries with every digest are a fifth of that."""
WITHOUT_MESH = 20
"""How many of the newest are listed where nothing is installed yet."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """What upstream said last; None where it never could be read in this process."""

    notes: Notes | None = None
    index: HelmIndex | None = None
    remembered: tuple[ReleaseEntry, ...] = ()
    """Entries of an earlier process, which stand in while a source is silent since the start of this one."""


@dataclass(frozen=True, slots=True)
class Relevant:
    """Which releases a cluster cares about."""

    channels: tuple[str, ...]
    running: tuple[Version, ...]
    heads: tuple[Version, ...]


def merge(
    knowledge: Knowledge, upstream: Upstream, written: Iterable[ReleaseEntry], relevant: Relevant
) -> tuple[ReleaseEntry, ...]:
    """The relevant releases with everything that is known of them, newest first."""
    layers = [_remembered(upstream), _from_index(upstream.index), _from_notes(upstream.notes)]
    people = {version: each for each in written if (version := Version.maybe(each.version)) is not None}
    known = {*knowledge.named(), *people, *relevant.running, *relevant.heads, *(v for layer in layers for v in layer)}
    entries = []
    for version in _select(known, set(people), relevant):
        entry = knowledge.entry(version)
        for layer in (*layers, people):
            if version in layer:
                entry = overlay(entry, layer[version])
        entries.append(entry)
    return tuple(entries)


def overlay(below: ReleaseEntry, above: ReleaseEntry) -> ReleaseEntry:
    """`above` where it speaks, else `below`. Advice is one statement: its parts are never mixed."""
    said = above.model_dump(exclude_none=True, exclude_defaults=True, exclude={"version", "notices", "digests"})
    update: dict[str, object] = {name: getattr(above, name) for name in said}
    if above.recommendation is not None:
        update |= {"reason": above.reason, "superseded_by": above.superseded_by}
    update["notices"] = tuple(dict.fromkeys((*below.notices, *above.notices)))
    update["digests"] = {**below.digests, **above.digests}
    if below.kubernetes is not None and above.kubernetes is not None:
        update["kubernetes"] = Bounds(
            min=above.kubernetes.min or below.kubernetes.min, max=above.kubernetes.max or below.kubernetes.max
        )
    return below.model_copy(update=update)


def _select(known: set[Version], always: set[Version], relevant: Relevant) -> list[Version]:
    """From the oldest release that runs to the newest known one, per channel; what people wrote is always in."""
    always = always | set(relevant.running) | set(relevant.heads)
    channels = {*relevant.channels, *(each.channel for each in relevant.running)}
    chosen: list[Version] = []
    for channel in sorted(channels | {each.channel for each in always}):
        ours = sorted((each for each in known if each.channel == channel), reverse=True)
        running = [each for each in relevant.running if each.channel == channel]
        wanted = [each for each in ours if each >= min(running)] if running else ours[:WITHOUT_MESH]
        if channel not in channels:
            wanted = []
        kept = {*wanted[:MOST_RELEASES], *(each for each in always if each.channel == channel)}
        chosen.extend(sorted(kept, reverse=True))
    return chosen[: MOST_RELEASES * 2]


def _remembered(upstream: Upstream) -> dict[Version, ReleaseEntry]:
    return {version: each for each in upstream.remembered if (version := Version.maybe(each.version)) is not None}


def _from_index(index: HelmIndex | None) -> dict[Version, ReleaseEntry]:
    return {
        each.version: ReleaseEntry(
            version=str(each.version),
            released_at=each.created,
            chart_version=each.chart,
            kubernetes=Bounds(min=each.kubernetes_minimum) if each.kubernetes_minimum else None,
            digests=dict(each.digests),
        )
        for each in (index.releases if index is not None else ())
    }


def _from_notes(notes: Notes | None) -> dict[Version, ReleaseEntry]:
    """A note that says nothing of its release leaves the shipped advice alone: an unedited note is no retraction."""
    found = {}
    for note in notes.releases if notes is not None else ():
        spoken = note.advice.recommendation is not Recommendation.UNKNOWN or bool(note.advice.reason)
        found[note.version] = ReleaseEntry(
            version=str(note.version),
            released_at=note.published_at,
            url=note.url or None,
            recommendation=note.advice.recommendation if spoken else None,
            reason=(note.advice.reason or None) if spoken else None,
            superseded_by=(note.advice.superseded_by or None) if spoken else None,
            digests=dict(note.digests),
        )
    return found


def by_version(entries: Iterable[ReleaseEntry]) -> Mapping[str, ReleaseEntry]:
    """The entries by release."""
    return {each.version: each for each in entries}

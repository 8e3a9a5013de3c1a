"""Which events a status owes. Each has an id that follows from the status, so saying it again is saying the same.

    new-version        new-version/<cluster>/<release>
    version-withdrawn  version-withdrawn/<cluster>/<release>/<when it was noticed>
    mesh-drifted       mesh-drifted/<cluster>/<uid of the catalog>/<number of the announcement>

An event is owed until the status says that it is stored: that is written after the publish was answered, so a process
that dies in between says it again, under the same id.
"""

from dataclasses import dataclass
from datetime import datetime

from services.version_watcher.core.history import heads_of, unannounced
from services.version_watcher.core.merge import by_version
from steward.events.base import Event
from steward.events.versions import Drift, MeshDrifted, NewVersion, Recommendation, VersionWithdrawn
from steward.linkerd.version import Version
from steward.resources.release_catalog import (
    ChannelStatus,
    DriftAnnouncement,
    Head,
    ReleaseCatalog,
    ReleaseCatalogStatus,
    ReleaseEntry,
    Withdrawal,
)

MOST_NOTICES = 40


@dataclass(frozen=True, slots=True)
class Owed:
    """One event that is still to be said."""

    id: str
    time: datetime
    event: Event


def owed(catalog: ReleaseCatalog, cluster: str) -> tuple[Owed, ...]:
    """The events that the status owes, in the order in which things happened."""
    status = catalog.status
    if status is None:
        return ()
    found = [
        *_new_versions(status, cluster),
        *(_withdrawal(status, each, cluster) for each in status.withdrawn if not each.published),
        *(_drift(each, cluster, catalog.metadata.uid) for each in (status.mesh.unpublished if status.mesh else ())),
    ]
    return tuple(sorted(found, key=lambda each: each.time))


def stored(status: ReleaseCatalogStatus, ids: set[str], cluster: str, uid: str) -> ReleaseCatalogStatus:
    """`status` once the events with these ids are stored."""
    channels = tuple(_said(channel, ids, cluster) for channel in status.channels)
    withdrawn = tuple(
        each.model_copy(update={"published": True}) if _withdrawn_id(each, cluster) in ids else each
        for each in status.withdrawn
    )
    mesh = status.mesh
    if mesh is not None:
        left = tuple(each for each in mesh.unpublished if _drift_id(each, cluster, uid) not in ids)
        mesh = mesh.model_copy(update={"unpublished": left})
    return status.model_copy(update={"channels": channels, "withdrawn": withdrawn, "mesh": mesh})


def _said(channel: ChannelStatus, ids: set[str], cluster: str) -> ChannelStatus:
    """The newest head up to which everything is stored: a gap keeps what comes after it owed."""
    announced = channel.announced
    for head in unannounced(channel):
        if _new_version_id(head, cluster) not in ids:
            break
        announced = head.version
    return channel.model_copy(update={"announced": announced})


def _new_versions(status: ReleaseCatalogStatus, cluster: str) -> list[Owed]:
    running = status.mesh.control_plane if status.mesh is not None else None
    return [
        Owed(_new_version_id(head, cluster), head.observed_at, _new_version(status, channel, head, running))
        for channel in status.channels
        for head in unannounced(channel)
    ]


def _new_version(status: ReleaseCatalogStatus, channel: ChannelStatus, head: Head, running: str | None) -> NewVersion:
    entry = by_version(status.releases).get(head.version) or ReleaseEntry(version=head.version)
    heads = [each.version for each in heads_of(channel)]
    place = heads.index(head.version)
    return NewVersion(
        channel=channel.name,
        release=head.version,
        previous=heads[place - 1] if place else None,
        logical_version=entry.logical_version,
        chart_version=entry.chart_version,
        kubernetes_minimum=entry.kubernetes.min if entry.kubernetes is not None else None,
        recommendation=entry.recommendation or Recommendation.UNKNOWN,
        notices=notices_on_the_way(status.releases, running, head.version),
        observed_at=head.observed_at,
        running=running,
        url=entry.url,
    )


def notices_on_the_way(releases: tuple[ReleaseEntry, ...], running: str | None, target: str) -> tuple[str, ...]:
    """What meets whoever goes from `running` to `target`; without `running`, what `target` itself demands."""
    end, start = Version.maybe(target), Version.maybe(running)
    if end is None:
        return ()
    if start is not None and start.channel != end.channel:
        start = None
    passed = [
        (version, entry.notices)
        for entry in releases
        if (version := Version.maybe(entry.version)) is not None
        and version.channel == end.channel
        and (version == end if start is None else start < version <= end)
    ]
    notices = (notice for _, each in sorted(passed, key=lambda pair: pair[0]) for notice in each)
    return tuple(dict.fromkeys(notices))[:MOST_NOTICES]


def _withdrawal(status: ReleaseCatalogStatus, withdrawal: Withdrawal, cluster: str) -> Owed:
    entry = by_version(status.releases).get(withdrawal.version) or ReleaseEntry(version=withdrawal.version)
    version = Version.maybe(withdrawal.version)
    event = VersionWithdrawn(
        channel=version.channel if version is not None else "unknown",
        release=withdrawal.version,
        reason=withdrawal.reason,
        superseded_by=entry.superseded_by,
        url=entry.url,
        running=status.mesh is not None and status.mesh.control_plane == withdrawal.version,
    )
    return Owed(_withdrawn_id(withdrawal, cluster), withdrawal.announced_at, event)


def _drift(announcement: DriftAnnouncement, cluster: str, uid: str) -> Owed:
    event = MeshDrifted(
        control_plane=announcement.control_plane,
        expected_proxy=announcement.expected_proxy,
        meshed_pods=announcement.meshed_pods,
        drifts=tuple(
            Drift(kind=each.kind, count=each.count, message=each.message, examples=each.examples)
            for each in announcement.drifts
        ),
        fingerprint=announcement.fingerprint,
    )
    return Owed(_drift_id(announcement, cluster, uid), announcement.time, event)


def _new_version_id(head: Head, cluster: str) -> str:
    return f"{NewVersion.name}/{cluster}/{head.version}"


def _withdrawn_id(withdrawal: Withdrawal, cluster: str) -> str:
    return f"{VersionWithdrawn.name}/{cluster}/{withdrawal.version}/{int(withdrawal.announced_at.timestamp())}"


def _drift_id(announcement: DriftAnnouncement, cluster: str, uid: str) -> str:
    return f"{MeshDrifted.name}/{cluster}/{uid}/{announcement.number}"

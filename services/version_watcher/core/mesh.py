"""The mesh as the status shows it, and when a difference is worth saying.

A mesh that is being upgraded differs from itself for minutes, in another way every second. A difference is said when it
has stood still for a while, or when it has moved for so long that people should know in any case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from steward.events.versions import Drift
from steward.linkerd.drifts import differences, fingerprint, summarize
from steward.linkerd.inventory import Inventory
from steward.linkerd.knowledge import Knowledge
from steward.linkerd.version import Version
from steward.resources.release_catalog import DriftAnnouncement, DriftStatus, MeshStatus, ProxyCount

MOST_PROXIES = 100
MOST_UNPUBLISHED = 20


@dataclass(frozen=True, slots=True)
class MeshSeen:
    """What the inventory says, in the words of the status."""

    control_plane: str | None
    install_method: str | None
    expected_proxy: str | None
    meshed_pods: int
    proxies: tuple[ProxyCount, ...]
    drifts: tuple[Drift, ...]
    fingerprint: str
    pinned_pods: int
    reason: str
    """Why the inventory is what it is: `Inventoried`, `NotInstalled`, `ConfigUnreadable`."""
    message: str

    @property
    def known(self) -> bool:
        """Whether the mesh could be compared with its configuration."""
        return self.reason == "Inventoried"

    @property
    def running(self) -> Version | None:
        """The version of the control plane."""
        return Version.maybe(self.control_plane)


def see(inventory: Inventory, namespace: str, knowledge: Knowledge) -> MeshSeen:
    """What there is to say of the mesh."""
    control_plane = inventory.control_plane
    if control_plane is None:
        message = f"nothing of a Linkerd control plane is in namespace {namespace!r}"
        return MeshSeen(None, None, None, 0, (), (), "", 0, "NotInstalled", message)
    found = differences(inventory, knowledge)
    drifts = summarize(found, inventory)
    proxies = inventory.proxies()
    reason, message = "ConfigUnreadable", control_plane.problem
    if control_plane.config is not None:
        reason = "Inventoried"
        message = f"{sum(proxies.values())} meshed pods under a control plane {control_plane.configured}"
    return MeshSeen(
        control_plane=control_plane.configured or next(iter(control_plane.running), None),
        install_method=inventory.ownership.label if inventory.ownership is not None else None,
        expected_proxy=control_plane.expected_proxy or None,
        meshed_pods=sum(proxies.values()),
        proxies=tuple(
            ProxyCount(version=version, pods=pods)
            for version, pods in sorted(proxies.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_PROXIES]
        ),
        drifts=drifts,
        fingerprint=fingerprint(found),
        pinned_pods=sum(len(inventory.pods_of(ref)) for ref in inventory.pinned()),
        reason=reason,
        message=message,
    )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a difference must stand still, and how long it may move, before it is said."""

    quiet: timedelta
    at_most: timedelta


@dataclass(frozen=True, slots=True)
class Settling:
    """Since when the differences are these, and since when they are others than those that were said."""

    fingerprint: str
    since: datetime
    unsaid_since: datetime | None

    @classmethod
    def after(cls, before: "Settling | None", seen: str, said: str, now: datetime) -> "Settling":
        """What follows when `seen` is the fingerprint at `now` and `said` the one last announced."""
        since = before.since if before is not None and before.fingerprint == seen else now
        if seen == said:
            return cls(seen, since, None)
        return cls(seen, since, before.unsaid_since or now if before is not None else now)

    def due(self, patience: Patience) -> datetime:
        """When it is time to say it."""
        quiet = self.since + patience.quiet
        return quiet if self.unsaid_since is None else min(quiet, self.unsaid_since + patience.at_most)


def mesh_status(
    before: MeshStatus | None, seen: MeshSeen, settling: Settling, patience: Patience, now: datetime
) -> MeshStatus:
    """The status of the mesh after `seen`; an announcement is added where one is due."""
    before = before or MeshStatus()
    after = before.model_copy(
        update={
            "control_plane": seen.control_plane,
            "install_method": seen.install_method,
            "expected_proxy": seen.expected_proxy,
            "meshed_pods": seen.meshed_pods,
            "pinned_pods": seen.pinned_pods,
            "proxies": seen.proxies,
            "drifts": _shown(seen.drifts),
        }
    )
    if seen.known and seen.fingerprint != before.fingerprint and now >= settling.due(patience):
        after = _announced(after, seen, now)
    return after if after == before else after.model_copy(update={"observed_at": now})


def _announced(mesh: MeshStatus, seen: MeshSeen, now: datetime) -> MeshStatus:
    """No difference any more is worth a change of the status, but no event: the condition says it."""
    if not seen.fingerprint:
        return mesh.model_copy(update={"fingerprint": ""})
    number = mesh.announcements + 1
    announcement = DriftAnnouncement(
        number=number,
        time=now,
        control_plane=seen.control_plane,
        expected_proxy=seen.expected_proxy,
        meshed_pods=seen.meshed_pods,
        drifts=_shown(seen.drifts),
        fingerprint=seen.fingerprint,
    )
    return mesh.model_copy(
        update={
            "fingerprint": seen.fingerprint,
            "announcements": number,
            # While NATS is away for long, the oldest differences are the ones that nobody misses.
            "unpublished": (*mesh.unpublished, announcement)[-MOST_UNPUBLISHED:],
        }
    )


def _shown(drifts: Iterable[Drift]) -> tuple[DriftStatus, ...]:
    return tuple(
        DriftStatus(kind=each.kind, count=each.count, message=each.message, examples=each.examples) for each in drifts
    )

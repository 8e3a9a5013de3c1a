"""The conditions of the status: what is so, what is not, and what nobody can tell.

Retrieved       every source answered
Parsed          what it answered can be read
Fresh           the version-check document was read not too long ago
MeshInventoried the mesh was looked at and its configuration read
MeshAsExpected  nothing about it differs from its configuration
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.version_watcher.core.mesh import MeshSeen
from services.version_watcher.core.reading import Nothing, Source
from steward.resources.base import Condition, ConditionStatus
from steward.resources.release_catalog import SourceStatus

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source at this moment: its status, and what the last look at it said."""

    source: Source
    status: SourceStatus
    failure: Nothing | None
    unusable: tuple[tuple[str, str], ...]
    """(reason, message) of the parts of its answer that matter and could not be read."""
    asked: bool


@dataclass(frozen=True, slots=True)
class Saying:
    """A condition before it has a time."""

    type: str
    status: ConditionStatus
    reason: str
    message: str

    def at(self, now: datetime, generation: int) -> Condition:
        """The condition as it is written."""
        return Condition(
            type=self.type,
            status=self.status,
            reason=self.reason,
            message=self.message[:LONGEST_MESSAGE],
            observed_generation=generation,
            last_transition_time=now,
        )


def retrieved(sources: Sequence[SourceView]) -> Saying:
    """Whether every source answered at the last look."""
    if not sources:
        return Saying("Retrieved", UNKNOWN, "NoSources", "every source is switched off")
    away = [each for each in sources if each.failure is not None and not each.failure.reached]
    if away:
        return Saying("Retrieved", FALSE, _reason(away), _sentences(away))
    if not all(each.asked for each in sources):
        return Saying("Retrieved", UNKNOWN, "NotAskedYet", "some source was not asked yet")
    return Saying("Retrieved", TRUE, "Retrieved", "every source answered")


def parsed(sources: Sequence[SourceView]) -> Saying:
    """Whether the answers could be read."""
    broken = [each for each in sources if each.failure is not None and each.failure.reached]
    if broken:
        return Saying("Parsed", FALSE, _reason(broken), _sentences(broken))
    for each in sources:
        if each.unusable:
            message = "; ".join(message for _, message in each.unusable)
            return Saying("Parsed", FALSE, each.unusable[0][0], f"{each.source.value}: {message}")
    if not any(each.asked and each.failure is None for each in sources):
        return Saying("Parsed", UNKNOWN, "NothingRetrieved", "no source has answered yet")
    return Saying("Parsed", TRUE, "Parsed", "every answer could be read")


def fresh(sources: Sequence[SourceView], stale_after: timedelta, now: datetime) -> Saying:
    """Whether the head of the channel is known well enough to be trusted."""
    feed = next((each for each in sources if each.source is Source.VERSION_CHECK), None)
    if feed is None:
        message = "the version check is switched off; heads come from spec.releases of the catalog"
        return Saying("Fresh", TRUE, "NotAsked", message)
    last = feed.status.last_success_at
    if last is None:
        reason = "NeverRead" if feed.asked else "NotAskedYet"
        return Saying("Fresh", FALSE if feed.asked else UNKNOWN, reason, "the version document was never read")
    if now - last > stale_after:
        message = f"the version document was last read at {last:%Y-%m-%d %H:%M} UTC"
        return Saying("Fresh", FALSE, "Stale", message)
    return Saying("Fresh", TRUE, "Fresh", "the version document was read lately")


def inventoried(mesh: MeshSeen | None) -> Saying:
    """Whether the mesh could be looked at."""
    if mesh is None:
        return Saying("MeshInventoried", UNKNOWN, "NotSeen", "the cluster cannot be read, or was not read yet")
    if mesh.known:
        return Saying("MeshInventoried", TRUE, mesh.reason, "the mesh was compared with its configuration")
    return Saying("MeshInventoried", FALSE, mesh.reason, mesh.message)


def as_expected(mesh: MeshSeen | None) -> Saying:
    """Whether the mesh is what its configuration says; Unknown where that cannot be told."""
    if mesh is None or not mesh.known:
        return Saying(
            "MeshAsExpected", UNKNOWN, "NotInventoried", "the mesh could not be compared with its configuration"
        )
    if mesh.drifts:
        return Saying(
            "MeshAsExpected", FALSE, mesh.drifts[0].kind.value, "; ".join(drift.message for drift in mesh.drifts)
        )
    return Saying("MeshAsExpected", TRUE, "AsExpected", "every pod is what it would be if it were made now")


def _reason(views: Sequence[SourceView]) -> str:
    return next(each.failure.reason for each in views if each.failure is not None)


def _sentences(views: Sequence[SourceView]) -> str:
    return "; ".join(f"{each.source.value}: {each.failure.message}" for each in views if each.failure is not None)

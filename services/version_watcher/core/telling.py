"""What `kubectl describe releasecatalog` tells of a change of the status."""

from collections.abc import Iterator
from dataclasses import dataclass

from steward.resources.base import Condition, ConditionStatus, condition_of
from steward.resources.release_catalog import ReleaseCatalogStatus

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, slots=True)
class Note:
    """One Kubernetes Event."""

    type: str
    reason: str
    message: str


def tell(before: ReleaseCatalogStatus, after: ReleaseCatalogStatus) -> tuple[Note, ...]:
    """What happened between the two."""
    return (*_releases(before, after), *_mesh(before, after), *_sources(before, after))


def _releases(before: ReleaseCatalogStatus, after: ReleaseCatalogStatus) -> Iterator[Note]:
    known = {each.name: each for each in before.channels}
    for channel in after.channels:
        old = known.get(channel.name)
        if channel.head is not None and (old is None or old.head != channel.head):
            yield Note(NORMAL, "NewVersion", f"{channel.head} is the head of channel {channel.name}")
        if channel.regressed and not (old is not None and old.regressed):
            message = f"channel {channel.name} offers {channel.offered}, which is older than {channel.head}"
            yield Note(WARNING, "HeadRegressed", f"{message}: nothing is done about it")
    withdrawn = {each.version for each in before.withdrawn}
    for each in after.withdrawn:
        if each.version not in withdrawn:
            yield Note(WARNING, "VersionWithdrawn", f"{each.version} is not recommended: {each.reason}")


def _mesh(before: ReleaseCatalogStatus, after: ReleaseCatalogStatus) -> Iterator[Note]:
    announced = before.mesh.announcements if before.mesh is not None else 0
    if after.mesh is not None and after.mesh.announcements > announced:
        yield Note(WARNING, "MeshDrifted", "; ".join(each.message for each in after.mesh.drifts))
    if _turned(before, after, "MeshAsExpected", ConditionStatus.TRUE, from_=ConditionStatus.FALSE) is not None:
        yield Note(NORMAL, "MeshAsExpected", "nothing about the mesh differs from its configuration any more")


def _sources(before: ReleaseCatalogStatus, after: ReleaseCatalogStatus) -> Iterator[Note]:
    for type_ in ("Retrieved", "Parsed", "Fresh", "MeshInventoried"):
        bad = _turned(before, after, type_, ConditionStatus.FALSE)
        if bad is not None:
            yield Note(WARNING, bad.reason, f"{type_} is False: {bad.message}")
        good = _turned(before, after, type_, ConditionStatus.TRUE, from_=ConditionStatus.FALSE)
        if good is not None:
            yield Note(NORMAL, good.reason, f"{type_} is True again: {good.message}")


def _turned(
    before: ReleaseCatalogStatus,
    after: ReleaseCatalogStatus,
    type_: str,
    to: ConditionStatus,
    *,
    from_: ConditionStatus | None = None,
) -> Condition | None:
    """The condition where it became `to`."""
    old, new = condition_of(before.conditions, type_), condition_of(after.conditions, type_)
    if new is None or new.status is not to or (old is not None and old.status is to):
        return None
    return new if from_ is None or (old is not None and old.status is from_) else None

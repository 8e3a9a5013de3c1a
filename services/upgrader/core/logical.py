"""Which 2.X a release belongs to: what the catalog says; between two entries, that of the older one."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from steward.linkerd.knowledge import Knowledge
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry

Logical = tuple[int, int]


def logical(text: str) -> Logical:
    """`2.20` as numbers, so that 2.9 is older than 2.20."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class LogicalVersions:
    """What is known of the mapping, per channel in ascending order."""

    known: dict[str, tuple[tuple[Version, Logical], ...]]
    knowledge: Knowledge

    @classmethod
    def of(cls, releases: Iterable[ReleaseEntry], knowledge: Knowledge) -> Self:
        """What is shipped, and the catalog's entries, which win; those that name no logical version say nothing."""
        by_channel: dict[str, dict[Version, Logical]] = {
            "edge": {each.edge: logical(each.name) for each in knowledge.logical}
        }
        for entry in releases:
            version = Version.maybe(entry.version)
            if version is not None and entry.logical_version is not None:
                by_channel.setdefault(version.channel, {})[version] = logical(entry.logical_version)
        return cls({channel: tuple(sorted(found.items())) for channel, found in by_channel.items()}, knowledge)

    def of_version(self, version: Version) -> Logical | None:
        """The 2.X of `version`: that of the newest known release that is not newer. None before the first."""
        known = self.known.get(version.channel, ())
        position = bisect_right(known, version, key=lambda pair: pair[0])
        if position:
            return known[position - 1][1]
        named = self.knowledge.logical_of(version)
        return logical(named) if named is not None else None

    def steps(self, source: Version, target: Version) -> int | None:
        """How many logical versions lie between the two; negative backwards, None where one cannot be told."""
        mine, theirs = self.of_version(source), self.of_version(target)
        if mine is None or theirs is None or mine[0] != theirs[0]:
            return None
        return theirs[1] - mine[1]


def written(value: Logical | None) -> str:
    """`2.20`, or a word where it cannot be told."""
    return f"{value[0]}.{value[1]}" if value is not None else "unknown"

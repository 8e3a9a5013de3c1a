"""What is known of releases beforehand: the shipped catalog, and what follows from it for any release.

The data is `catalog.yaml` beside this file. A release that it does not name still belongs to a logical version, has a
chart, and needs a Kubernetes: those follow from the rules.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache
from importlib.resources import files

from steward.errors import ConfigurationError
from steward.events.versions import Recommendation
from steward.jsonvalue import JsonObject, rows, table, text
from steward.linkerd.version import MalformedVersion, Version
from steward.resources.release_catalog import Bounds, ReleaseEntry
from steward.yamlvalue import MalformedYaml, parse_yaml

_FORMAT = 1
_NOTES = "https://github.com/linkerd/linkerd2/releases/tag/"


@dataclass(frozen=True, slots=True)
class LogicalVersion:
    """A 2.X and the edge release that it begins with."""

    name: str
    edge: Version
    proxy: str
    """Number of the proxy itself, which its build metric shows instead of the edge."""
    kubernetes_tested_to: str
    """Newest Kubernetes in upstream's documentation; nothing refuses newer ones."""
    gateway_api: Bounds


@dataclass(frozen=True, slots=True)
class Discouraged:
    """Releases that upstream advises against."""

    first: Version
    last: Version
    reason: str
    superseded_by: Version


@dataclass(frozen=True, slots=True)
class Notice:
    """What people who come from before `since` must do or know."""

    since: Version
    text: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The whole catalog, every list in ascending order."""

    logical: tuple[LogicalVersion, ...]
    kubernetes: tuple[tuple[Version, str], ...]
    charts_numbered_since: Version
    charts_before: dict[Version, str]
    released: dict[Version, datetime]
    advised: dict[Version, str]
    discouraged: tuple[Discouraged, ...]
    notices: tuple[Notice, ...]

    def logical_of(self, version: Version) -> str | None:
        """The 2.X that `version` belongs to, None where nobody can tell.

        Edges by the half-open intervals between the known beginnings; stable and enterprise releases by their number.
        """
        if version.channel in ("stable", "enterprise") and len(version.parts) >= 2:
            return f"{version.parts[0]}.{version.parts[1]}"
        if version.channel != "edge":
            return None
        return next((each.name for each in reversed(self.logical) if version >= each.edge), None)

    def steps_between(self, older: Version, newer: Version) -> int | None:
        """How many logical versions `newer` is ahead: negative where it is behind, None where nobody can tell."""
        first, last = self.logical_of(older), self.logical_of(newer)
        if first is None or last is None or first.split(".")[0] != last.split(".")[0]:
            return None
        return int(last.split(".")[1]) - int(first.split(".")[1])

    def chart_of(self, version: Version) -> str | None:
        """Version of the Helm charts of an edge, None where it is not known."""
        if version.channel != "edge":
            return None
        if version < self.charts_numbered_since:
            return self.charts_before.get(version)
        return version.chart

    def notices_between(self, start: Version | None, end: Version) -> tuple[Notice, ...]:
        """What meets people on the way: after `start`, up to and with `end`; only `end`'s own without a start."""
        if end.channel != "edge" or (start is not None and start.channel != "edge"):
            return ()
        return tuple(
            each
            for each in self.notices
            if each.since <= end and (each.since > start if start is not None else each.since == end)
        )

    def entry(self, version: Version) -> ReleaseEntry:
        """Everything that is known of one release, or follows for it."""
        recommendation, reason, superseded_by = self._advice(version)
        logical = next((each for each in self.logical if each.name == self.logical_of(version)), None)
        minimum = self._kubernetes_minimum(version)
        return ReleaseEntry(
            version=str(version),
            logical_version=self.logical_of(version),
            released_at=self.released.get(version),
            chart_version=self.chart_of(version),
            recommendation=recommendation,
            reason=reason,
            superseded_by=superseded_by,
            url=f"{_NOTES}{version}" if version.channel in ("edge", "stable") else None,
            kubernetes=Bounds(min=minimum) if minimum else None,
            gateway_api=logical.gateway_api if logical is not None else None,
            notices=tuple(each.text for each in self.notices if each.since == version),
        )

    def named(self) -> tuple[Version, ...]:
        """Every release that the catalog names, ascending."""
        found = {
            *(each.edge for each in self.logical),
            *self.released,
            *self.advised,
            *(each.since for each in self.notices),
            *(each.first for each in self.discouraged),
            *(each.last for each in self.discouraged),
        }
        return tuple(sorted(found))

    def _kubernetes_minimum(self, version: Version) -> str | None:
        if version.channel != "edge":
            return None
        return next((minimum for since, minimum in reversed(self.kubernetes) if version >= since), None)

    def _advice(self, version: Version) -> tuple[Recommendation | None, str | None, str | None]:
        if version.channel != "edge":
            return None, None, None
        for each in self.discouraged:
            if each.first <= version <= each.last:
                return Recommendation.NOT_RECOMMENDED, each.reason, str(each.superseded_by)
        if version in self.advised:
            return Recommendation.RECOMMENDED, self.advised[version], None
        return None, None, None


@cache
def shipped() -> Knowledge:
    """The catalog that this version of Steward comes with."""
    return parse_knowledge(files("steward.linkerd").joinpath("catalog.yaml").read_text(encoding="utf-8"))


def parse_knowledge(document: str) -> Knowledge:
    """Read a catalog. Raise ConfigurationError, naming what is wrong, where it does not fit."""
    try:
        raw = parse_yaml(document)
    except MalformedYaml as error:
        raise ConfigurationError(f"the release catalog is not YAML: {error}") from error
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise ConfigurationError(f"the release catalog has no 'format: {_FORMAT}', which is the only one that is read")
    try:
        return _knowledge(raw)
    except (MalformedVersion, ValueError) as error:
        raise ConfigurationError(f"the release catalog cannot be used: {error}") from error


def _knowledge(raw: JsonObject) -> Knowledge:
    logical = tuple(
        LogicalVersion(
            name=text(each, "name"),
            edge=_version(each, "edge"),
            proxy=text(each, "proxy"),
            kubernetes_tested_to=text(each, "kubernetesTestedTo"),
            gateway_api=Bounds.model_validate(table(each, "gatewayAPI")),
        )
        for each in rows(raw, "logicalVersions")
    )
    announced = {each.edge: f"The project announced it as Linkerd {each.name}." for each in logical}
    days = [(_version(each, "edge"), each.get("releasedOn")) for each in rows(raw, "logicalVersions")]
    days += [(_version(each, "version"), each.get("releasedOn")) for each in rows(raw, "releases")]
    return Knowledge(
        logical=tuple(sorted(logical, key=lambda each: each.edge)),
        kubernetes=tuple(
            sorted((_version(each, "since"), text(each, "version")) for each in rows(raw, "kubernetesMinimum"))
        ),
        charts_numbered_since=_version(table(raw, "charts"), "numberedLikeReleasesSince"),
        charts_before={_version(each, "release"): text(each, "chart") for each in rows(raw, "charts", "before")},
        released={version: _day(day) for version, day in days},
        advised={**{_version(each, "version"): text(each, "reason") for each in rows(raw, "advised")}, **announced},
        discouraged=tuple(_discouraged(each) for each in rows(raw, "notRecommended")),
        notices=tuple(
            sorted((Notice(_version(each, "since"), text(each, "text")) for each in rows(raw, "notices")), key=_since)
        ),
    )


def _since(notice: Notice) -> Version:
    return notice.since


def _discouraged(row: JsonObject) -> Discouraged:
    return Discouraged(
        _version(row, "first"), _version(row, "last"), text(row, "reason"), _version(row, "supersededBy")
    )


def _version(row: JsonObject, key: str) -> Version:
    return Version.parse(text(row, key))


def _day(value: object) -> datetime:
    parsed = datetime.fromisoformat(str(value))
    return datetime.combine(parsed.date(), time(), tzinfo=UTC)

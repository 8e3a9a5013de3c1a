"""The index of the Helm repository: which charts exist, for which Kubernetes, with which digest."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.version_watcher.core.reading import Nothing, Problem, Read, unreadable
from steward.jsonvalue import JsonObject, rows, table, text
from steward.linkerd.version import MalformedVersion, Version
from steward.yamlvalue import MalformedYaml, parse_yaml

CHARTS = ("linkerd-control-plane", "linkerd-crds", "linkerd2-cni", "linkerd-multicluster", "linkerd-viz")
LEADING = "linkerd-control-plane"
"""The chart whose Kubernetes bound and date count for the release."""

MOST_ENTRIES = 5000
_HEX = re.compile(r"^(?:sha256:)?(?P<hex>[0-9a-f]{64})$")
_MINIMUM = re.compile(r"^\s*>=\s*v?(?P<version>[0-9]+(?:\.[0-9]+)*)(?:-[0-9A-Za-z.]+)?\s*$")


@dataclass(slots=True)
class _Building:
    chart: str = ""
    kubernetes: str = ""
    created: datetime | None = None
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChartRelease:
    """The charts of one release."""

    version: Version
    chart: str
    kubernetes_minimum: str
    created: datetime | None
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class HelmIndex:
    """Every release that has charts."""

    releases: tuple[ChartRelease, ...]


def read_index(body: bytes) -> Read[HelmIndex] | Nothing:
    """The releases in an index. An entry that cannot be read is a problem of its own."""
    entries = _entries(body)
    if isinstance(entries, Nothing):
        return entries
    building: dict[Version, _Building] = {}
    problems: list[Problem] = []
    for name in CHARTS:
        for row in rows(entries, name)[:MOST_ENTRIES]:
            problem = _add(name, row, building)
            if problem is not None:
                problems.append(problem)
    if not building:
        return Nothing("NoCharts", "the index has none of Linkerd's charts in a form that is known", reached=True)
    releases = tuple(
        ChartRelease(version, each.chart, each.kubernetes, each.created, each.digests)
        for version, each in sorted(building.items())
        if each.chart
    )
    return Read(HelmIndex(releases), tuple(problems[:20]))


def _entries(body: bytes) -> JsonObject | Nothing:
    refusal = unreadable(body, "the index")
    if refusal is not None:
        return refusal
    try:
        parsed = parse_yaml(body)
    except MalformedYaml as error:
        return Nothing("NotYaml", f"the index is not YAML: {error}", reached=True)
    entries = table(parsed, "entries")
    if not entries:
        return Nothing("NoEntries", "the index has no 'entries': is this the index of a Helm repository?", reached=True)
    return entries


def _add(name: str, row: JsonObject, building: dict[Version, _Building]) -> Problem | None:
    number = text(row, "version")[:64]
    try:
        version = Version.of_chart(number)
    except MalformedVersion:
        # Charts had numbers of their own before edge-24.3.1: known beforehand, and no fault of the index.
        return None if re.match(r"^[0-9]{1,2}\.", number) else Problem(name, "UnknownFormat", f"{name} {number!r}")
    digest = _HEX.fullmatch(text(row, "digest"))
    here = building.setdefault(version, _Building())
    if digest is not None:
        here.digests[name] = f"sha256:{digest['hex']}"
    if name == LEADING:
        here.chart = number
        minimum = _MINIMUM.fullmatch(text(row, "kubeVersion"))
        here.kubernetes = _short(minimum["version"]) if minimum is not None else ""
        here.created = _created(row)
    if digest is None:
        return Problem(f"{name}-{number}", "NoDigest", f"chart {name} {number} has no SHA-256 in the index")
    return None


def _short(version: str) -> str:
    return version.removesuffix(".0") if version.count(".") == 2 else version


def _created(row: JsonObject) -> datetime | None:
    """YAML may have made a date of it already."""
    raw: object = row.get("created")
    if isinstance(raw, str):
        try:
            # Go writes nanoseconds, of which Python reads six digits.
            raw = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", raw))
        except ValueError:
            return None
    if not isinstance(raw, datetime):
        return None
    return raw if raw.tzinfo is not None else raw.replace(tzinfo=UTC)

"""Which metrics Linkerd and what watches it expose, from which version to which: data, and what follows from it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import product

from steward.errors import ConfigurationError
from steward.jsonvalue import Json, JsonObject, dig, rows, strings, table, text, whole
from steward.linkerd.knowledge import Knowledge, shipped
from steward.linkerd.version import MalformedVersion, Version
from steward.yamlvalue import parse_yaml

FILE = "families.yaml"
_FORMAT = 1
_CHOICE = re.compile(r"\{([^}]*)\}")
_BEFORE_ALL, _AFTER_ALL = Version("edge", (0,)), Version("edge", (10_000,))
_OLDEST = min(each.edge for each in shipped().logical)
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}


class MetricKind(StrEnum):
    """What a family's samples mean."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Exposer(StrEnum):
    """On whose page a family is."""

    PROXY = "proxy"
    DESTINATION = "destination"
    IDENTITY = "identity"
    POLICY = "policy"
    PROXY_INJECTOR = "proxy-injector"
    SP_VALIDATOR = "sp-validator"
    SERVICE_MIRROR = "service-mirror"
    VIZ = "viz"
    API_SERVER = "api-server"
    KUBE_STATE_METRICS = "kube-state-metrics"
    CERT_MANAGER = "cert-manager"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    STEWARD = "steward"


class Appears(StrEnum):
    """When there are series of a family at all."""

    ALWAYS = "Always"
    ONCE = "Once"
    """Only after what it counts happened for the first time."""
    EXTENSION = "Extension"
    """Only where something else is installed, or somebody else does the work."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who exposes a family, and in which versions of Linkerd."""

    by: Exposer
    since: Version | None = None
    """The first edge that has it; None: it had it before 2.15."""
    until: Version | None = None
    """The first edge that has it no more."""

    def covers(self, edge: Version | None) -> bool:
        """Whether that edge has it. Where the edge is not known: whether any has it that is of interest here."""
        if edge is None:
            return self.until is None or self.until > _OLDEST
        return (self.since is None or edge >= self.since) and (self.until is None or edge < self.until)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as it is exposed."""

    name: str
    kind: MetricKind
    unit: str
    """Of a value, such as seconds; a timestamp is in seconds since 1970. Empty: a number."""
    labels: frozenset[str]
    also: frozenset[str]
    """Labels that only other workloads, versions or events bring."""
    values: Mapping[str, tuple[str, ...]]
    """Of labels that have few values: all of them."""
    buckets: tuple[float, ...]
    """Upper bounds of a histogram, without the infinite one. Prometheus 3 stores `le="1"` as `le="1.0"`."""
    exposures: tuple[Exposure, ...]
    appears: Appears = Appears.ALWAYS
    witness: str = ""
    """A family that is always on the same page: if even that one is missing, nobody scrapes the page."""
    was: str = ""
    """Its name before the first version that has it."""
    note: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series: a histogram has three."""
        return tuple(f"{self.name}{part}" for part in _PARTS.get(self.kind.value, ("",)))

    def exposed(self, edge: Version | None, by: Exposer | None = None) -> bool:
        """Whether an edge has it, on the page of `by` where that is given; an unknown edge has everything."""
        return any(each.covers(edge) for each in self.exposures if by is None or each.by is by)


class MissingReason(StrEnum):
    """Why a metric is not there."""

    UNKNOWN_METRIC = "UnknownMetric"
    NOT_YET = "NotYet"
    NO_LONGER = "NoLonger"


@dataclass(frozen=True, slots=True)
class Missing:
    """A metric that a version of Linkerd does not have."""

    metric: str
    reason: MissingReason
    sentence: str


@dataclass(frozen=True, slots=True)
class MetricCatalogue:
    """All families by name, and what is exposed besides."""

    families: Mapping[str, Family]
    left_out: tuple[tuple[str, str], ...]
    """Beginnings of names that are exposed as well, and why they are no matter of the mesh."""
    knowledge: Knowledge
    _by_series: Mapping[str, Family]

    def family(self, name: str) -> Family | None:
        """The family of that name, or the one that has a series of that name."""
        return self.families.get(name) or self._by_series.get(name)

    def exposed(self, version: Version | None) -> tuple[Family, ...]:
        """The families of a version, in the catalogue's order."""
        edge = self.edge(version)
        return tuple(each for each in self.families.values() if each.exposed(edge))

    def missing(self, names: Iterable[str], version: Version | None, by: Exposer | None = None) -> tuple[Missing, ...]:
        """Those of `names`, families or series, that a version does not have; `by` asks for one page alone."""
        edge = self.edge(version)
        return tuple(found for name in sorted(set(names)) if (found := self._missing(name, version, edge, by)))

    def edge(self, version: Version | None) -> Version | None:
        """The edge that stands for a version: that with which its 2.X begins. None where nobody can tell."""
        if version is None or version.channel == "edge":
            return version
        logical = self.knowledge.logical_of(version)
        if logical is None:
            return None
        begins = {each.name: each.edge for each in self.knowledge.logical}
        oldest = _numbers(self.knowledge.logical[0].name)
        return begins.get(logical) or (_BEFORE_ALL if _numbers(logical) < oldest else _AFTER_ALL)

    def told(self, edge: Version) -> str:
        """An edge for people: with the first 2.X that has what it brought."""
        logical = next((each.name for each in self.knowledge.logical if each.edge >= edge), None)
        return f"{edge} (Linkerd {logical})" if logical else str(edge)

    def _missing(self, name: str, version: Version | None, edge: Version | None, by: Exposer | None) -> Missing | None:
        family = self.family(name)
        if family is None:
            return Missing(
                name, MissingReason.UNKNOWN_METRIC, f"{name} is in no version of Linkerd that is known here."
            )
        if family.exposed(edge, by):
            return None
        exposures = [each for each in family.exposures if by is None or each.by is by]
        who = f"The page of {by.value}" if by is not None else "Linkerd"
        if not exposures:
            return Missing(name, MissingReason.UNKNOWN_METRIC, f"{who} does not expose {name}.")
        beginnings = [each.since for each in exposures if each.since is not None]
        if beginnings and edge is not None and edge < min(beginnings):
            before = f"; before, it was called {family.was}" if family.was else ""
            told = f"{name} exists since {self.told(min(beginnings))}{before}, and this is {version}."
            return Missing(name, MissingReason.NOT_YET, told)
        gone = max(each.until for each in exposures if each.until is not None)
        told = f"{name} is gone since {self.told(gone)}, and this is {version or 'a later version'}."
        return Missing(name, MissingReason.NO_LONGER, told)


@cache
def catalogue() -> MetricCatalogue:
    """What this version of Steward knows."""
    document = parse_yaml((files("steward.alerting") / FILE).read_text(encoding="utf-8"))
    return parse_catalogue(document, shipped())


def parse_catalogue(document: Json, knowledge: Knowledge) -> MetricCatalogue:
    """Read a catalogue. Raise ConfigurationError, naming the family, where it does not fit."""
    if whole(document, "format") != _FORMAT:
        raise ConfigurationError(f"{FILE} has another format than {_FORMAT}: it belongs to another version of Steward")
    families: dict[str, Family] = {}
    for row in rows(document, "families"):
        for family in _families(row, document, knowledge):
            if family.name in families:
                raise ConfigurationError(f"{FILE} has {family.name} twice: a family is told once")
            families[family.name] = family
    by_series = {series: family for family in families.values() for series in family.series}
    left_out = tuple((text(each, "prefix"), text(each, "reason")) for each in rows(document, "left_out"))
    return MetricCatalogue(families, left_out, knowledge, by_series)


def _families(row: JsonObject, document: Json, knowledge: Knowledge) -> Iterator[Family]:
    pattern = text(row, "name")
    try:
        exposures = tuple(_exposures(row, knowledge))
        for name in _spelled_out(pattern):
            yield Family(
                name=name,
                kind=MetricKind(text(row, "type")),
                unit=text(row, "unit") or _unit(name),
                labels=frozenset(_labels(row, "labels", document)),
                also=frozenset(_labels(row, "also", document)),
                values={label: tuple(strings(row, "values", label)) for label in table(row, "values")},
                buckets=_buckets(row, document),
                exposures=exposures,
                appears=Appears(text(row, "appears", default=Appears.ALWAYS.value)),
                witness=text(row, "witness"),
                was=text(row, "was"),
                note=text(row, "note"),
            )
    except (ValueError, MalformedVersion) as error:
        raise ConfigurationError(f"{FILE}: {pattern or 'a family without a name'}: {error}") from error


def _spelled_out(pattern: str) -> Iterator[str]:
    """Every name that a pattern with choices in braces means."""
    pieces = _CHOICE.split(pattern)
    choices = [piece.split(",") if at % 2 else [piece] for at, piece in enumerate(pieces)]
    return ("".join(each) for each in product(*choices))


def _unit(name: str) -> str:
    stem = name.removesuffix("_total")
    return next((unit for unit in ("seconds", "bytes") if stem.endswith(f"_{unit}")), "")


def _labels(row: JsonObject, key: str, document: Json) -> Iterator[str]:
    for label in strings(row, key):
        if not label.startswith("$"):
            yield label
            continue
        members = strings(document, "sets", label[1:])
        if not members:
            raise ValueError(f"there is no set of labels that is called {label[1:]!r}")
        yield from members


def _buckets(row: JsonObject, document: Json) -> tuple[float, ...]:
    said = row.get("buckets")
    bounds = dig(document, "buckets", said) if isinstance(said, str) else said
    if said is not None and not isinstance(bounds, list):
        raise ValueError(f"there are no buckets that are called {said!r}")
    return tuple(float(each) for each in bounds if isinstance(each, int | float)) if isinstance(bounds, list) else ()


def _exposures(row: JsonObject, knowledge: Knowledge) -> Iterator[Exposure]:
    by = row.get("by")
    for each in by if isinstance(by, list) else ():
        named = each if isinstance(each, dict) else {str(each): text(row, "since")}
        for name, since in named.items():
            yield Exposure(Exposer(name), _version(str(since), knowledge), _version(text(row, "until"), knowledge))


def _version(said: str, knowledge: Knowledge) -> Version | None:
    if not said:
        return None
    begins = {each.name: each.edge for each in knowledge.logical}
    return begins.get(said) or Version.parse(said)


def _numbers(logical: str) -> tuple[int, ...]:
    return tuple(int(part) for part in logical.split("."))

"""What of our objects Prometheus and Alertmanager say they have loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.alerting.core.operator_documents import MARK_RECORD, MARK_TIME, Expected, Mark
from steward.alerting.channels.target import OWN
from steward.jsonvalue import JsonObject, rows, strings, text
from steward.yamlvalue import MalformedYaml, parse_yaml


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """By Prometheus."""

    marks: frozenset[Mark] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    """Object (namespace/name) → the file that the operator made of it."""

    def has(self, wanted: Expected) -> bool:
        """Whether exactly this is loaded, all of it."""
        return wanted.marks <= self.marks

    def has_some_of(self, wanted: Expected) -> bool:
        """Whether these objects are loaded, in whatever version."""
        return bool(_objects(wanted) & {each.object for each in self.marks})


@dataclass(frozen=True, slots=True)
class LoadedRoutes:
    """By Alertmanager."""

    marks: frozenset[Mark] = frozenset()
    receivers: frozenset[str] = frozenset()
    narrowed: str = ""
    """Namespace of Steward, where the operator lets Steward's own object see that namespace's alerts only."""

    def has(self, wanted: Expected) -> bool:
        """Whether exactly this is loaded, all of it."""
        return wanted.marks <= self.marks and wanted.receivers <= self.receivers

    def has_some_of(self, wanted: Expected) -> bool:
        """Whether these objects are loaded, in whatever version."""
        return bool(_objects(wanted) & {each.object for each in self.marks})


Loaded = LoadedRules | LoadedRoutes


def rules_loaded(groups: Iterable[JsonObject]) -> LoadedRules:
    """From the groups of /api/v1/rules. Prometheus loads a file whole, so its mark stands for all of it."""
    marks = [
        (Mark(text(rule, "labels", "object"), text(rule, "labels", "content")), text(group, "file").rpartition("/")[2])
        for group in groups
        for rule in rows(group, "rules")
        if text(rule, "name") == MARK_RECORD
    ]
    return LoadedRules(frozenset(mark for mark, _ in marks), {mark.object: file for mark, file in marks})


def routes_loaded(configuration: str) -> LoadedRoutes:
    """From the configuration that Alertmanager says is in force."""
    if f"/{MARK_TIME}" not in configuration:
        return LoadedRoutes()
    try:
        found = parse_yaml(configuration)
    except MalformedYaml:
        return LoadedRoutes()
    times = (text(each, "name") for kind in ("mute_time_intervals", "time_intervals") for each in rows(found, kind))
    parted = (name.rpartition("/") for name in times)
    return LoadedRoutes(
        frozenset(
            Mark(object, time.removeprefix(MARK_TIME)) for object, _, time in parted if time.startswith(MARK_TIME)
        ),
        frozenset(text(each, "name") for each in rows(found, "receivers")),
        next((each for each in map(_narrowed, rows(found, "route", "routes")) if each), ""),
    )


def _narrowed(route: JsonObject) -> str:
    namespace, _, rest = text(route, "receiver").partition("/")
    only = f'namespace="{namespace}"' in strings(route, "matchers")
    return namespace if rest == f"{OWN}/{OWN}" and only else ""


def _objects(wanted: Expected) -> set[str]:
    return {each.object for each in wanted.marks}

"""How the rules of a unit are written, by the way they are carried: the text of a file, or objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.alerting.core.operator_documents import Belonging, objects_of, rule_objects
from services.alerting.core.units import file_of
from steward.alerting.rules import Group, rule_document
from steward.jsonvalue import JsonObject, rows, table, text
from steward.resources.alert_policy import AlertPolicy
from steward.yamlvalue import MalformedYaml, parse_yaml, render_yaml


@dataclass(frozen=True, slots=True)
class Unwritten:
    """The rules of one unit."""

    namespace: str
    name: str
    groups: tuple[Group, ...]
    policy: AlertPolicy | None = None


Writing = Callable[[Unwritten], str]


def as_file(found: Unwritten) -> str:
    """As Prometheus loads it."""
    return render_yaml(rule_document(found.groups))


def as_objects(labels: Mapping[str, str]) -> Writing:
    """As PrometheusRules with these labels, which go with their policy."""

    def write(found: Unwritten) -> str:
        belonging = Belonging(file_of(found.namespace, found.name), labels, found.policy)
        return rule_objects(found.namespace, found.name, found.groups, belonging)

    return write


@lru_cache(maxsize=64)
def fires(content: str, alert: str) -> bool:
    """Whether a rule of a unit, written in either way, is an alert of that name."""
    # Most units do not even have the word in them, and need not be read.
    return alert in content and any(
        text(rule, "alert") == alert
        for document in _documents(content)
        for group in rows(document, "groups")
        for rule in rows(group, "rules")
    )


def _documents(content: str) -> tuple[JsonObject, ...]:
    if content.startswith("["):
        return tuple(table(each, "spec") for each in objects_of(content))
    try:
        found = parse_yaml(content)
    except MalformedYaml:
        return ()
    return (found,) if isinstance(found, dict) else ()

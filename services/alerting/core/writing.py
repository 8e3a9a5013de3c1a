"""How the rules of a unit are written, by the way they are carried: the text of a file, or objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.alerting.core.operator_documents import Belonging, rule_objects
from services.alerting.core.units import file_of
from steward.alerting.rules import Group, rule_document
from steward.resources.alert_policy import AlertPolicy
from steward.yamlvalue import render_yaml


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

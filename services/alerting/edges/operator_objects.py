"""Objects that the prometheus-operator carries on: PrometheusRules, AlertmanagerConfigs.

An object is asked about before it is made: a dry run goes through the operator's own admission webhook, where it has
one. What the operator refuses later it writes into no status that every version has, so what Prometheus really
evaluates is looked at elsewhere (`engine.looking`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.alerting.core.adoption import Contents, Verdict
from services.alerting.core.units import ANNOTATED
from services.alerting.edges.operator_kinds import OURS
from steward.jsonvalue import JsonObject, table, text
from steward.kube.client import Kube
from steward.kube.errors import Conflict, Forbidden, Invalid
from steward.kube.resources import Resource
from steward.yamlvalue import parse_yaml, render_yaml

_LABEL, _VALUE = OURS.split("=")
_NAME = "linkerd-steward-"
_ANNOTATIONS = "linkerd-steward.annotations"
_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of objects, and the labels by which they are found."""

    resource: Resource
    labels: Mapping[str, str] = field(default_factory=dict)


class OperatorObjects:
    """A carrier: the name of each content is `namespace.name.yaml`, the content is the object's spec."""

    def __init__(self, kube: Kube, kept: Kept) -> None:
        self._kube = kube
        self._kept = kept

    async def good(self) -> Contents:
        """What is there is what was good: a refused object never comes into being."""
        found = await self._kube.list(self._kept.resource, labels=OURS)
        return {_file(each): render_yaml(table(each, "spec")) for each in found.items if _file(each)}

    async def show(self, contents: Contents) -> Verdict:
        there = dict(await self.good())
        changed = {name: content for name, content in contents.items() if there.get(name) != content}
        for name, content in changed.items():
            objection = await self._objection(name, content)
            if objection is not None:
                return f"{name}: {objection}"
        for name, content in changed.items():
            await self._kube.apply(self._kept.resource, self._object(name, content), force=True)
        for name in there.keys() - contents.keys():
            await self._remove(name)
        return None

    async def put_back(self, contents: Contents) -> None:
        """Nothing waits there: what was not taken was never made."""

    async def keep(self, contents: Contents) -> None:
        """The objects themselves are kept."""

    async def _objection(self, name: str, content: str) -> str | None:
        try:
            await self._kube.apply(self._kept.resource, self._object(name, content), force=True, dry_run=True)
        except (Invalid, Forbidden, Conflict) as refused:
            return str(refused)
        return None

    async def _remove(self, name: str) -> None:
        namespace, own = _place(name)
        await self._kube.delete(self._kept.resource, own, namespace)

    def _object(self, name: str, content: str) -> JsonObject:
        namespace, own = _place(name)
        return {
            "apiVersion": self._kept.resource.api_version,
            "kind": self._kept.resource.kind,
            "metadata": {"name": own, "namespace": namespace, "labels": {**self._kept.labels, _LABEL: _VALUE}},
            "spec": parse_yaml(content),
        }


def _place(name: str) -> tuple[str, str]:
    """Namespace and name of the object. What annotations ask for is no policy's, and is told apart by a dot."""
    namespace, _, own = name.removesuffix(_SUFFIX).partition(".")
    return namespace, _ANNOTATIONS if own == ANNOTATED else f"{_NAME}{own}"


def _file(found: JsonObject) -> str:
    namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
    if name == _ANNOTATIONS:
        return f"{namespace}.{ANNOTATED}{_SUFFIX}"
    return f"{namespace}.{name.removeprefix(_NAME)}{_SUFFIX}" if name.startswith(_NAME) else ""

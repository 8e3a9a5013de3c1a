"""Objects that the prometheus-operator carries on: PrometheusRules, AlertmanagerConfigs.

An object is asked about before it is made: a dry run goes through the operator's own admission webhook, where it has
one. What the operator refuses later it writes into no status that every version has, so what Prometheus and
Alertmanager really have is looked at elsewhere (`engine.awaiting`).

Nothing of anybody else's is touched: an object of our name that we did not make is told and left alone, and a field
that somebody took over is a conflict, which is told too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.alerting.core.adoption import Contents, Verdict
from services.alerting.core.operator_documents import content_of, objects_of, place_of, unit_of
from services.alerting.edges.operator_kinds import OURS
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from steward.kube.resources import Resource

_REFUSALS = (Invalid, Forbidden, Conflict, NotFound)


@dataclass(frozen=True, slots=True)
class _There:
    """Our objects of one kind, by namespace/name."""

    objects: Mapping[str, JsonObject]

    def contents(self) -> Contents:
        units: dict[str, list[JsonObject]] = {}
        for place in sorted(self.objects, key=lambda each: (len(each), each)):
            units.setdefault(unit_of(self.objects[place]), []).append(self.objects[place])
        return {unit: content_of(found) for unit, found in units.items()}


class OperatorObjects:
    """A carrier; a content is the objects of one unit, as `core.operator_documents` writes them."""

    def __init__(self, kube: Kube, resource: Resource) -> None:
        self._kube = kube
        self._resource = resource

    async def good(self) -> Contents:
        """What is there is what was good: a refused object never comes into being."""
        return (await self._there()).contents()

    async def show(self, contents: Contents) -> Verdict:
        there = await self._there()
        kept = there.contents()
        changed = {name: objects_of(content) for name, content in contents.items() if kept.get(name) != content}
        for dry_run in (True, False):
            said = await self._applied(changed, there, dry_run=dry_run)
            if said is not None:
                return said
        wanted = {place_of(each) for content in contents.values() for each in objects_of(content)}
        await self._remove(found for place, found in there.objects.items() if place not in wanted)
        return None

    async def put_back(self, contents: Contents) -> None:
        """Nothing waits there: what was not taken was never made."""

    async def keep(self, contents: Contents) -> None:
        """The objects themselves are kept."""

    async def clear(self) -> int:
        """Take away all that is ours; how many objects that were."""
        there = await self._there()
        await self._remove(there.objects.values())
        return len(there.objects)

    async def _there(self) -> _There:
        found = await self._kube.list(self._resource, labels=OURS)
        return _There({place_of(each): each for each in found.items if unit_of(each)})

    async def _applied(self, changed: Mapping[str, Iterable[JsonObject]], there: _There, *, dry_run: bool) -> Verdict:
        for unit, objects in changed.items():
            for each in objects:
                objection = await self._objection(each, there, dry_run=dry_run)
                if objection is not None:
                    return f"{unit}: {self._resource.kind} {place_of(each)}: {objection}"
        return None

    async def _objection(self, found: JsonObject, there: _There, *, dry_run: bool) -> str | None:
        if dry_run and place_of(found) not in there.objects and await self._is_taken(found):
            return (
                "there is one of that name that Steward did not make, and it is left as it is: delete it, or give the "
                "policy or channel another name"
            )
        typed: JsonObject = {"apiVersion": self._resource.api_version, "kind": self._resource.kind, **found}
        try:
            await self._kube.apply(self._resource, typed, dry_run=dry_run)
        except _REFUSALS as refused:
            return _sentence(refused)
        return None

    async def _is_taken(self, found: JsonObject) -> bool:
        namespace, name = text(found, "metadata", "namespace"), text(found, "metadata", "name")
        return bool((await self._kube.list(self._resource, namespace, fields=f"metadata.name={name}")).items)

    async def _remove(self, objects: Iterable[JsonObject]) -> None:
        for each in objects:
            try:
                await self._kube.delete(
                    self._resource,
                    text(each, "metadata", "name"),
                    text(each, "metadata", "namespace"),
                    uid=text(each, "metadata", "uid"),
                )
            except Conflict:
                # Somebody made another of that name meanwhile.
                continue


def _sentence(refused: KubeError) -> str:
    if isinstance(refused, Conflict) and refused.managers:
        return f"{'; '.join(refused.managers)}: somebody else changed it; delete the object, and it is made anew"
    return refused.message

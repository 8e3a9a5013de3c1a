"""Manifests put into the cluster by server-side apply, so that what the new ones no longer say also goes.

A field is removed by an apply only when its last owner gives it up. Whoever applied the previous manifests, `kubectl
apply` of either kind for example, still owns their fields: without taking these over, the control plane's proxy would
be both a container (as 2.19 renders it) and an init container (as 2.20 does). The previous applier of an object is
known by owning the label that every rendered object of Linkerd's carries.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from services.upgrader.edges.manifests import Identity, in_order
from steward.clock import Clock
from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.kube.client import Kube
from steward.kube.errors import Conflict, NotFound
from steward.kube.resources import CRDS, Resource
from steward.linkerd import marks

MANAGER = "linkerd-steward"
_LABEL_OF_RENDERED = ("f:metadata", "f:labels", f"f:{marks.CONTROL_PLANE_NS}")
_LAST_APPLIED = "f:kubectl.kubernetes.io/last-applied-configuration"
_TAKE_OVER_TRIES = 5
_PAUSE = timedelta(milliseconds=200)
_CUSTOM = "CustomResourceDefinition"


class UnknownKind(ToolError):
    """The API server does not serve a kind that the manifests have."""


@dataclass(slots=True)
class Kinds:
    """Which resource a kind is, as the API server's discovery says."""

    kube: Kube
    _known: dict[tuple[str, str], Resource] = field(default_factory=dict)

    async def resource_of(self, identity: Identity) -> Resource:
        """Raise UnknownKind where the API server does not have it."""
        key = (identity.api_version, identity.kind)
        if key not in self._known:
            self._known |= await self._discover(identity.api_version)
        found = self._known.get(key)
        if found is None:
            raise UnknownKind(
                f"{identity} cannot be applied: the API server does not serve {identity.api_version}; "
                "install the CustomResourceDefinitions that it belongs to first"
            )
        return found

    async def _discover(self, api_version: str) -> dict[tuple[str, str], Resource]:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version}"
        try:
            listed = await self.kube.request("GET", path)
        except NotFound:
            return {}
        return {
            (api_version, text(row, "kind")): Resource(
                group, version, text(row, "name"), text(row, "kind"), namespaced=dig(row, "namespaced") is True
            )
            for row in rows(listed, "resources")
            if "/" not in text(row, "name")
        }


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies objects one by one, each stamped with the operation that it belongs to."""

    kube: Kube
    clock: Clock
    kinds: Kinds

    async def apply(self, objects: Iterable[JsonObject], operation: str, *, seal: Identity | None = None) -> int:
        """Apply all in order and return how many. `seal` gets its stamp only when everything else is in the cluster.

        So the stamp on the seal says that the whole operation happened, and any other stamp that it began.
        """
        ordered = in_order(objects)
        sealed = [raw for raw in ordered if Identity.of(raw) == seal]
        for raw in ordered:
            await self.put(raw if raw in sealed else _stamped(raw, operation))
        for raw in sealed:
            await self.put(_stamped(raw, operation))
        return len(ordered)

    async def put(self, raw: JsonObject) -> JsonObject:
        """Server-side apply of one object, after taking over from whoever applied it before."""
        identity = Identity.of(raw)
        resource = await self.kinds.resource_of(identity)
        await self._take_over(resource, identity)
        return await self.kube.apply(resource, raw, manager=MANAGER, force=True)

    async def would_change(self, raw: JsonObject) -> bool:
        """Whether applying the object would change its specification, asked of the API server as a dry run."""
        identity = Identity.of(raw)
        resource = await self.kinds.resource_of(identity)
        live = await self.kube.find(resource, identity.name, identity.namespace or None)
        if live is None:
            return True
        after = await self.kube.apply(resource, raw, manager=MANAGER, force=True, dry_run=True)
        return dig(after, "metadata", "generation") != dig(live, "metadata", "generation")

    async def until_established(self, names: Sequence[str], deadline: timedelta) -> tuple[str, ...]:
        """Wait for the CustomResourceDefinitions; those that are not served by `deadline` are returned."""
        until = self.clock.monotonic() + deadline.total_seconds()
        missing = await self.not_established(names)
        while missing and self.clock.monotonic() < until:
            await self.clock.sleep(_PAUSE)
            missing = await self.not_established(missing)
        return missing

    async def not_established(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the CustomResourceDefinitions that the API server does not serve yet."""
        return tuple([name for name in names if not is_established(await self.kube.find(CRDS, name))])

    async def _take_over(self, resource: Resource, identity: Identity) -> None:
        for _ in range(_TAKE_OVER_TRIES):
            live = await self.kube.find(resource, identity.name, identity.namespace or None)
            owners = taken_over(rows(live, "metadata", "managedFields"), identity.api_version) if live else None
            if live is None or owners is None:
                return
            operations: list[JsonObject] = [
                # Replacing the resource version by itself makes the patch a Conflict where it has moved on.
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": dig(live, "metadata", "resourceVersion"),
                },
                {"op": "replace", "path": "/metadata/managedFields", "value": list(owners)},
            ]
            try:
                await self.kube.json_patch(resource, identity.name, operations, identity.namespace or None)
            except Conflict:
                continue
            return
        raise ToolError(f"{identity} changes faster than its fields can be taken over: end what keeps writing to it")


def taken_over(managed: Sequence[JsonObject], api_version: str) -> list[JsonObject] | None:
    """`managedFields` with the fields of earlier appliers handed to us; None where there is nothing to take."""
    earlier = [entry for entry in managed if _applied_manifests(entry)]
    if not earlier:
        return None
    ours = [entry for entry in managed if _is_ours(entry)]
    rest = [entry for entry in managed if entry not in earlier and entry not in ours]
    fields: JsonObject = {}
    for entry in (*ours, *earlier):
        fields = _union(fields, table(entry, "fieldsV1"))
    # What kubectl remembers for itself goes with it: an apply of ours never says it, and so removes it.
    newest = max(text(entry, "time") for entry in (*ours, *earlier))
    merged: JsonObject = {
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": text(earlier[0], "apiVersion", default=api_version),
        "time": newest,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [*rest, merged]


def is_established(crd: JsonObject | None) -> bool:
    """Whether the API server serves the CustomResourceDefinition."""
    return any(
        text(each, "type") == "Established" and text(each, "status") == "True"
        for each in rows(crd or {}, "status", "conditions")
    )


def _is_ours(entry: JsonObject) -> bool:
    return text(entry, "manager") == MANAGER and text(entry, "operation") == "Apply" and not text(entry, "subresource")


def _applied_manifests(entry: JsonObject) -> bool:
    if _is_ours(entry) or text(entry, "subresource"):
        return False
    owned = table(entry, "fieldsV1")
    remembers = dig(owned, "f:metadata", "f:annotations", _LAST_APPLIED) is not None
    return remembers or dig(owned, *_LABEL_OF_RENDERED) is not None


def _union(one: JsonObject, other: JsonObject) -> JsonObject:
    merged = dict(one)
    for key, value in other.items():
        mine = merged.get(key)
        merged[key] = _union(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def _stamped(raw: JsonObject, operation: str) -> JsonObject:
    annotations: dict[str, Json] = {**table(raw, "metadata", "annotations"), marks.LAST_OPERATION: operation}
    metadata: dict[str, Json] = {**table(raw, "metadata"), "annotations": annotations}
    return {**raw, "metadata": metadata}

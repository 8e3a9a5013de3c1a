"""What `linkerd prune` lists, less what it must not: it would take CRDs with every policy of every user, and strangers.

It lists names only, of anything that carries the control plane's label and is not rendered. So each object is looked
at, must carry the label of this very control plane, and is deleted only as the one that was looked at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.upgrader.edges.apply import Kinds
from services.upgrader.edges.manifests import Identity
from steward.jsonvalue import JsonObject, dig, text, texts
from steward.kube.client import Kube
from steward.kube.errors import Conflict
from steward.linkerd import marks

NEVER = frozenset({"CustomResourceDefinition", "Namespace"})
_STEWARDS_OWN = "steward.linkerd.io"


@dataclass(frozen=True, slots=True)
class Pruner:
    """Deletes what an earlier version left behind."""

    kube: Kube
    kinds: Kinds
    namespace: str

    async def leftovers(self, listed: Sequence[JsonObject], excluded: Iterable[str]) -> tuple[Identity, ...]:
        """Those of the listed objects that exist and may be deleted."""
        kept = NEVER | frozenset(excluded)
        found = []
        for raw in listed:
            identity = Identity.of(raw)
            if identity.kind in kept or identity.group.endswith(_STEWARDS_OWN):
                continue
            if await self._ours(identity) is not None:
                found.append(identity)
        return tuple(found)

    async def delete(self, leftovers: Iterable[Identity]) -> tuple[Identity, ...]:
        """Delete them, each only if it is still the one that carries the label."""
        deleted = []
        for identity in leftovers:
            live = await self._ours(identity)
            if live is None:
                continue
            resource = await self.kinds.resource_of(identity)
            uid = text(live, "metadata", "uid")
            try:
                gone = await self.kube.delete(resource, identity.name, identity.namespace or None, uid=uid)
            except Conflict:
                # Another object took the name in between; it is looked at in the next round.
                continue
            if gone:
                deleted.append(identity)
        return tuple(deleted)

    async def _ours(self, identity: Identity) -> JsonObject | None:
        resource = await self.kinds.resource_of(identity)
        live = await self.kube.find(resource, identity.name, identity.namespace or None)
        if live is None or dig(live, "metadata", "deletionTimestamp") is not None:
            return None
        labelled = texts(live, "metadata", "labels").get(marks.CONTROL_PLANE_NS) == self.namespace
        return live if labelled else None

"""Deletion: preconditions, finalizers, the three propagation policies, namespaces, and the garbage collector.

What controllers do a moment later in a real cluster happens here within the same call.
"""

from dataclasses import dataclass
from typing import cast

from steward.jsonvalue import Json, JsonObject, flag, rows, strings, text
from steward.kube.resources import CRDS, NAMESPACES, Resource
from steward.testing.kubernetes import metadata
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.kinds import Kind
from steward.testing.kubernetes.refusal import forbidden, precondition_failed
from steward.testing.kubernetes.store import copied

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_IMMORTAL = ("default", "kube-system", "kube-public")


@dataclass(frozen=True, slots=True)
class Deletion:
    """How to delete: the members of DeleteOptions that matter."""

    propagation: str = "Background"
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False
    grace_seconds: int | None = None


class Undertaker:
    """Deletes objects and what hangs on them."""

    def __init__(self, cluster: ClusterState, *, graceful_pods: bool = False) -> None:
        self._cluster = cluster
        self._graceful_pods = graceful_pods
        cluster.on_removed.append(self._on_removed)

    def delete(
        self, resource: Resource, name: str, namespace: str = "", how: Deletion | None = None
    ) -> tuple[JsonObject, bool]:
        """The object as it is after the request, and whether it is gone already."""
        how = how or Deletion()
        kind = self._cluster.kinds.of(resource)
        value = self._cluster.get(resource, name, namespace)
        self._check(kind, value, how)
        if how.dry_run:
            return value, True
        if resource == NAMESPACES:
            return self._delete_namespace(kind, value)
        finalizers = [*strings(value, "metadata", "finalizers")]
        if how.propagation == "Foreground" and self._dependents(text(value, "metadata", "uid")):
            finalizers = [*dict.fromkeys([*finalizers, _FOREGROUND])]
        if how.propagation == "Orphan":
            self._orphan(text(value, "metadata", "uid"))
        waits = self._graceful_pods and resource.plural == "pods" and bool(text(value, "spec", "nodeName"))
        if not finalizers and not (waits and how.grace_seconds != 0):
            return self._cluster.remove(kind, value), True
        marked = self._mark(kind, value, finalizers, how)
        if _FOREGROUND in finalizers:
            self._collect(text(value, "metadata", "uid"), how)
        still = self._cluster.store.get(kind.table, (namespace, name))
        return (marked, True) if still is None else (still, False)

    def _check(self, kind: Kind, value: JsonObject, how: Deletion) -> None:
        name = text(value, "metadata", "name")
        uid, version = text(value, "metadata", "uid"), text(value, "metadata", "resourceVersion")
        if how.uid and how.uid != uid:
            raise precondition_failed(kind.resource, name, "UID", (how.uid, uid), "deleted and then recreated")
        if how.resource_version and how.resource_version != version:
            raise precondition_failed(
                kind.resource, name, "ResourceVersion", (how.resource_version, version), "modified"
            )
        if kind.resource == NAMESPACES and name in _IMMORTAL:
            raise forbidden(kind.resource, name, "this namespace may not be deleted")

    def _mark(self, kind: Kind, value: JsonObject, finalizers: list[str], how: Deletion) -> JsonObject:
        if text(value, "metadata", "deletionTimestamp"):
            return value
        marked = copied(value)
        where = metadata.of(marked)
        where["deletionTimestamp"] = metadata.stamp(self._cluster.clock.now())
        where["deletionGracePeriodSeconds"] = (
            how.grace_seconds if how.grace_seconds is not None else 30 if not finalizers else 0
        )
        if finalizers:
            where["finalizers"] = cast("list[Json]", finalizers)
        if kind.generation and isinstance(where.get("generation"), int):
            where["generation"] = cast("int", where["generation"]) + 1
        return self._cluster.store.put(kind.table, marked)

    def _delete_namespace(self, kind: Kind, value: JsonObject) -> tuple[JsonObject, bool]:
        name = text(value, "metadata", "name")
        if not text(value, "metadata", "deletionTimestamp"):
            marked = copied(value)
            metadata.of(marked)["deletionTimestamp"] = metadata.stamp(self._cluster.clock.now())
            marked["status"] = {"phase": "Terminating"}
            value = self._cluster.store.put(kind.table, marked)
        for each in self._cluster.kinds.one_of_each_table().values():
            if each.resource.namespaced:
                for one in self._cluster.store.select(each.table, name):
                    self.delete(each.resource, text(one, "metadata", "name"), name, Deletion(grace_seconds=0))
        self._finish_namespace(name)
        still = self._cluster.find(NAMESPACES, name)
        return (value, True) if still is None else (still, False)

    def _finish_namespace(self, name: str) -> None:
        home = self._cluster.find(NAMESPACES, name)
        if home is None or not text(home, "metadata", "deletionTimestamp"):
            return
        if self._cluster.store.population[name] or strings(home, "metadata", "finalizers"):
            return
        self._cluster.remove(self._cluster.kinds.of(NAMESPACES), home)

    def _on_removed(self, kind: Kind, value: JsonObject) -> None:
        if kind.resource == CRDS:
            self._remove_instances(value)
        uid, namespace = text(value, "metadata", "uid"), text(value, "metadata", "namespace")
        self._collect(uid, Deletion())
        for owner in rows(value, "metadata", "ownerReferences"):
            self._release_owner(owner, namespace)
        if namespace:
            self._finish_namespace(namespace)

    def _remove_instances(self, definition: JsonObject) -> None:
        table = (text(definition, "spec", "group"), text(definition, "spec", "names", "plural"))
        kind = next(iter(_kinds_of(definition)), None)
        if kind is not None:
            for one in self._cluster.store.select(table, ""):
                self._cluster.store.remove(table, one)

    def _dependents(self, uid: str) -> list[tuple[Kind, JsonObject]]:
        places = tuple(self._cluster.store.dependents.get(uid, ()))
        if not places:
            return []
        tables = self._cluster.kinds.one_of_each_table()
        found = [(table, self._cluster.store.get(table, key)) for table, key in places if table in tables]
        return [(tables[table], one) for table, one in found if one is not None]

    def _collect(self, uid: str, how: Deletion) -> None:
        """Delete what has no living owner left."""
        for kind, one in self._dependents(uid):
            others = [owner for owner in rows(one, "metadata", "ownerReferences") if text(owner, "uid") != uid]
            if others:
                self._rewrite(kind, one, "ownerReferences", others)
            elif not text(one, "metadata", "deletionTimestamp"):
                self.delete(
                    kind.resource,
                    text(one, "metadata", "name"),
                    text(one, "metadata", "namespace"),
                    Deletion(how.propagation),
                )

    def _orphan(self, uid: str) -> None:
        for kind, one in self._dependents(uid):
            others = [owner for owner in rows(one, "metadata", "ownerReferences") if text(owner, "uid") != uid]
            self._rewrite(kind, one, "ownerReferences", others)

    def _release_owner(self, owner: JsonObject, namespace: str) -> None:
        """A foreground deletion ends with its last blocking dependent."""
        uid = text(owner, "uid")
        kind = self._cluster.kinds.named(text(owner, "apiVersion"), text(owner, "kind"))
        if kind is None:
            return
        where = namespace if kind.resource.namespaced else ""
        waiting = self._cluster.store.get(kind.table, (where, text(owner, "name")))
        if text(waiting, "metadata", "uid") != uid or _FOREGROUND not in strings(waiting, "metadata", "finalizers"):
            return
        left = (found for _, one in self._dependents(uid) for found in rows(one, "metadata", "ownerReferences"))
        if waiting is None or any(text(one, "uid") == uid and flag(one, "blockOwnerDeletion") for one in left):
            return
        others = [name for name in strings(waiting, "metadata", "finalizers") if name != _FOREGROUND]
        self._rewrite(kind, waiting, "finalizers", others)

    def _rewrite(self, kind: Kind, value: JsonObject, member: str, members: object) -> None:
        changed = copied(value)
        if members:
            metadata.of(changed)[member] = cast("Json", members)
        else:
            metadata.of(changed).pop(member, None)
        self._cluster.put(kind, changed)


def _kinds_of(definition: JsonObject) -> list[str]:
    return [text(version, "name") for version in rows(definition, "spec", "versions")]

"""How members of a list are told apart: by key, by value, or not at all. Merging and field ownership need to know.

For built-in kinds the rules follow the API's own annotations, found here by the name of the field and of its parent;
for custom resources the structural schema says it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from steward.jsonvalue import Json, JsonObject, dig, strings, table, text


class Whole(StrEnum):
    """A list without keys."""

    SET = "Set"
    ATOMIC = "Atomic"


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list of objects told apart by these fields."""

    keys: tuple[str, ...]


Shape = Keyed | Whole
Path = tuple[str, ...]

_DEFAULTS = {"protocol": "TCP"}


class Shapes(Protocol):
    """What is known about the fields of one kind; paths name fields only, never list members."""

    def of_list(self, path: Path) -> Shape:
        """How the members of the list at `path` are told apart."""
        ...

    def is_atomic(self, path: Path) -> bool:
        """Whether the object at `path` has one owner as a whole."""
        ...


_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*_CONTAINER_LISTS, "env", "volumes", "imagePullSecrets", "webhooks", "secrets"), ("name",)),
    "matchConditions": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
    "podIPs": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_ATOMIC_OBJECTS = frozenset(
    {"selector", "labelSelector", "namespaceSelector", "objectSelector", "podSelector", "nodeSelector"}
    | {"configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "secretRef", "roleRef"}
)


class BuiltInShapes:
    """The lists of Kubernetes' own kinds."""

    def of_list(self, path: Path) -> Shape:
        """By the field's name."""
        name, parent = path[-1], path[-2] if len(path) > 1 else ""
        if name == "ports":
            return Keyed(("containerPort", "protocol") if parent in _CONTAINER_LISTS else ("port", "protocol"))
        if name == "conditions" and path[0] != "status":
            return Whole.ATOMIC
        if name in _KEYS:
            return Keyed(_KEYS[name])
        return Whole.SET if name == "finalizers" else Whole.ATOMIC

    def is_atomic(self, path: Path) -> bool:
        """By the field's name."""
        return path[-1] in _ATOMIC_OBJECTS


class SchemaShapes:
    """The lists of a custom resource, by its structural schema."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema

    def of_list(self, path: Path) -> Shape:
        """By `x-kubernetes-list-type`; metadata is everywhere the same."""
        if path[0] == "metadata":
            return BuiltInShapes().of_list(path)
        found = self._at(path)
        match text(found, "x-kubernetes-list-type"):
            case "map":
                return Keyed(tuple(strings(found, "x-kubernetes-list-map-keys")))
            case "set":
                return Whole.SET
            case _:
                return Whole.ATOMIC

    def is_atomic(self, path: Path) -> bool:
        """By `x-kubernetes-map-type`."""
        return text(self._at(path), "x-kubernetes-map-type") == "atomic"

    def _at(self, path: Path) -> JsonObject:
        here = self._schema
        for step in path:
            if isinstance(here.get("items"), dict):
                here = table(here, "items")
            named = dig(here, "properties", step)
            here = named if isinstance(named, dict) else table(here, "additionalProperties")
        return here


def member_key(item: Json, keys: Sequence[str]) -> tuple[Json, ...] | None:
    """What tells this member apart, or None where it has no key."""
    if not isinstance(item, dict):
        return None
    found = tuple(item.get(key, _DEFAULTS.get(key)) for key in keys)
    return (
        None
        if any(isinstance(value, dict | list) for value in found) or all(value is None for value in found)
        else found
    )

"""Sets of fields in the form of `fieldsV1`, and the arithmetic of ownership on them.

A set is a tree: `{"f:spec": {"f:replicas": {}}}`. Members of keyed lists are `k:{"name":"web"}`, of sets `v:"x"`.
A node is a member of the set where its tree is empty or has `.`; what is below it are members of their own.
"""

from collections.abc import Iterator
from typing import TypeAlias

import orjson

from steward.jsonvalue import Json, JsonObject
from steward.testing.kubernetes.lists import Keyed, Path, Shapes, Whole, member_key

Fields: TypeAlias = "dict[str, Fields]"

_SYSTEM_METADATA = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"}
    | {"deletionGracePeriodSeconds", "managedFields", "selfLink", "generateName"}
)


def fields_of(value: JsonObject, shapes: Shapes, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Fields:
    """All fields of an object that can be owned; `only` or `without` name top-level members."""
    result: Fields = {}
    for name, member in value.items():
        if name in ("apiVersion", "kind") or name in without or (only and name not in only):
            continue
        if name == "metadata":
            owned = (
                {key: kept for key, kept in member.items() if key not in _SYSTEM_METADATA}
                if isinstance(member, dict)
                else {}
            )
            if owned:
                result["f:metadata"] = _tree(owned, shapes, ("metadata",))
        else:
            result[f"f:{name}"] = _tree(member, shapes, (name,))
    return result


def _tree(value: Json, shapes: Shapes, path: Path) -> Fields:
    if isinstance(value, dict):
        if shapes.is_atomic(path):
            return {}
        return {f"f:{name}": _tree(member, shapes, (*path, name)) for name, member in value.items()}
    if isinstance(value, list):
        members = named(value, shapes, path)
        return {name: {".": {}, **_tree(one, shapes, path)} if name.startswith("k:") else {} for name, one in members}
    return {}


def named(value: list[Json], shapes: Shapes, path: Path) -> list[tuple[str, Json]]:
    """Members of a list under the names of their fields; empty where the list is owned as a whole."""
    shape = shapes.of_list(path)
    if shape is Whole.SET:
        return [(f"v:{orjson.dumps(member).decode()}", member) for member in value]
    if not isinstance(shape, Keyed):
        return []
    result: list[tuple[str, Json]] = []
    for member in value:
        key = member_key(member, shape.keys)
        if key is None:
            return []
        pairs = {name: part for name, part in sorted(zip(shape.keys, key, strict=True)) if part is not None}
        result.append((f"k:{orjson.dumps(pairs).decode()}", member))
    return result


def _node(*, member: bool, below: Fields) -> "Fields | None":
    if not below:
        return {} if member else None
    return {".": {}, **below} if member else below


def _is_member(tree: Fields) -> bool:
    return not tree or "." in tree


def _below(tree: Fields) -> Fields:
    return {name: inner for name, inner in tree.items() if name != "."} if "." in tree else tree


def union(first: Fields, second: Fields) -> Fields:
    """Members of either."""
    result = dict(first)
    for name, tree in second.items():
        known = result.get(name)
        if known is None:
            result[name] = tree
        else:
            below = union(_below(known), _below(tree))
            result[name] = _node(member=_is_member(known) or _is_member(tree), below=below) or {}
    return result


def intersection(first: Fields, second: Fields) -> Fields:
    """Members of both."""
    result: Fields = {}
    for name, tree in first.items():
        other = second.get(name)
        if other is None:
            continue
        both = _is_member(tree) and _is_member(other)
        node = _node(member=both, below=intersection(_below(tree), _below(other)))
        if node is not None:
            result[name] = node
    return result


def difference(first: Fields, second: Fields) -> Fields:
    """Members of the first that are not members of the second."""
    result: Fields = {}
    for name, tree in first.items():
        other = second.get(name)
        if other is None:
            result[name] = tree
            continue
        only = _is_member(tree) and not _is_member(other)
        node = _node(member=only, below=difference(_below(tree), _below(other)))
        if node is not None:
            result[name] = node
    return result


def changed(before: Json, after: Json, shapes: Shapes, path: Path) -> "Fields | None":
    """The fields of `after` whose value is new or different, None where nothing is."""
    if before == after:
        return None
    if isinstance(before, dict) and isinstance(after, dict) and not (path and shapes.is_atomic(path)):
        found = {
            f"f:{name}": changed(before.get(name), member, shapes, (*path, name)) for name, member in after.items()
        }
        return {name: tree for name, tree in found.items() if tree is not None} or None
    if isinstance(before, list) and isinstance(after, list) and (members := named(after, shapes, path)):
        old = dict(named(before, shapes, path))
        inner = {name: _changed_member(old.get(name), name, member, shapes, path) for name, member in members}
        return {name: tree for name, tree in inner.items() if tree is not None} or None
    return _tree(after, shapes, path)


def _changed_member(before: Json, name: str, after: Json, shapes: Shapes, path: Path) -> "Fields | None":
    if before is not None:
        return changed(before, after, shapes, path)
    return {".": {}, **_tree(after, shapes, path)} if name.startswith("k:") else {}


def unowned(gone: Fields, rest: Fields) -> Fields:
    """What of `gone` nobody in `rest` owns; a node stays as long as somebody owns anything in it."""
    result: Fields = {}
    for name, tree in gone.items():
        other = rest.get(name)
        if other is None:
            result[name] = tree
        elif below := unowned(_below(tree), _below(other)):
            result[name] = below
    return result


def leaves(fields: Fields, prefix: str = "") -> Iterator[str]:
    """Readable paths: `.spec.template.spec.containers[name="web"].image`."""
    for name, tree in fields.items():
        if name == ".":
            continue
        here = prefix + readable(name)
        inner = {key: sub for key, sub in tree.items() if key != "."}
        if inner:
            yield from leaves(inner, here)
        else:
            yield here


def readable(name: str) -> str:
    """One step of a path as messages print it."""
    if name.startswith("f:"):
        return f".{name[2:]}"
    if name.startswith("v:"):
        return f"[={name[2:]}]"
    pairs = orjson.loads(name[2:])
    return "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in pairs.items()) + "]"

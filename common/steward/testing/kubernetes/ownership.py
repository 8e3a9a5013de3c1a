"""Field managers: who owns which field (`metadata.managedFields`), and what server-side apply makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.testing.kubernetes.fields import (
    Fields,
    changed,
    difference,
    fields_of,
    intersection,
    leaves,
    named,
    union,
    unowned,
)
from steward.testing.kubernetes.lists import Path, Shapes
from steward.testing.kubernetes.refusal import apply_conflict


@dataclass(frozen=True, slots=True)
class Scope:
    """Which top-level members a write may own: all but the status, or the status alone."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, through what, and when."""

    manager: str
    operation: str
    api_version: str
    time: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """One entry of `managedFields`."""

    writer: Writer
    fields: Fields

    def is_by(self, writer: Writer) -> bool:
        """Whether this writer's fields belong into this entry."""
        mine, theirs = self.writer, writer
        return (mine.manager, mine.operation, mine.subresource) == (
            theirs.manager,
            theirs.operation,
            theirs.subresource,
        )

    def entry(self) -> JsonObject:
        """As JSON."""
        entry: JsonObject = {
            "manager": self.writer.manager,
            "operation": self.writer.operation,
            "apiVersion": self.writer.api_version,
            "time": self.writer.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": cast("JsonObject", self.fields),
        }
        if self.writer.subresource:
            entry["subresource"] = self.writer.subresource
        return entry


def owners_of(value: JsonObject) -> list[Owner]:
    """The entries of an object."""
    return [
        Owner(
            Writer(
                text(entry, "manager"),
                text(entry, "operation"),
                text(entry, "apiVersion"),
                text(entry, "time"),
                text(entry, "subresource"),
            ),
            cast("Fields", table(entry, "fieldsV1")),
        )
        for entry in rows(value, "metadata", "managedFields")
    ]


def note_owners(value: JsonObject, owners: Sequence[Owner]) -> None:
    """Write the entries into the object; those that own nothing disappear."""
    metadata = cast("JsonObject", value["metadata"])
    entries: list[Json] = [owner.entry() for owner in owners if owner.fields]
    if entries:
        metadata["managedFields"] = entries
    else:
        metadata.pop("managedFields", None)


def note_creation(value: JsonObject, writer: Writer, shapes: Shapes, scope: Scope) -> None:
    """Who creates an object owns all of it."""
    note_owners(value, [Owner(writer, fields_of(value, shapes, scope.only, scope.without))])


def note_update(before: JsonObject, after: JsonObject, writer: Writer, shapes: Shapes, scope: Scope) -> None:
    """What changed belongs to the writer from here on; what is gone belongs to nobody."""
    changes = _changes(before, after, shapes, scope)
    present = fields_of(after, shapes)
    owners = [Owner(owner.writer, intersection(owner.fields, present)) for owner in owners_of(after)]
    if changes:
        owners = [one if one.is_by(writer) else replace(one, fields=difference(one.fields, changes)) for one in owners]
        owners = _with(owners, writer, changes)
    note_owners(after, owners)


def applied(
    live: JsonObject, config: JsonObject, writer: Writer, shapes: Shapes, *, force: bool, scope: Scope
) -> JsonObject:
    """`live` (a copy that may be changed) with `config` applied; 409 where others own what would change."""
    owners = owners_of(live)
    mine = fields_of(config, shapes, scope.only, scope.without)
    previous = next((owner for owner in owners if owner.is_by(writer)), None)
    if changes := _changes(live, config, shapes, scope):
        taken = [(owner, intersection(changes, owner.fields)) for owner in owners if not owner.is_by(writer)]
        contested = [(_described(owner), path) for owner, fields in taken for path in leaves(fields)]
        if contested and not force:
            raise apply_conflict(contested)
        owners = [one if one.is_by(writer) else replace(one, fields=difference(one.fields, changes)) for one in owners]
    result = cast("JsonObject", _overlaid(live, _ownable(config, scope), shapes, ()))
    if previous is None:
        note_owners(result, [*owners, Owner(writer, mine)])
        return result
    everybody: Fields = {}
    for owner in owners:
        everybody = everybody if owner.is_by(writer) else union(everybody, owner.fields)
    _remove(result, unowned(difference(previous.fields, mine), everybody), shapes, ())
    if previous.fields != mine:
        owners = [Owner(writer, mine) if owner.is_by(writer) else owner for owner in owners]
    note_owners(result, owners)
    return result


def _described(owner: Owner) -> str:
    """As conflicts name it: appliers by name alone, others with how and when they wrote."""
    writer = owner.writer
    if writer.operation == "Apply":
        return f'"{writer.manager}"'
    through = f' with subresource "{writer.subresource}"' if writer.subresource else ""
    return f'"{writer.manager}"{through} using {writer.api_version}'


def _with(owners: Sequence[Owner], writer: Writer, fields: Fields) -> list[Owner]:
    if not any(owner.is_by(writer) for owner in owners):
        return [*owners, Owner(writer, fields)]
    return [Owner(writer, union(owner.fields, fields)) if owner.is_by(writer) else owner for owner in owners]


def _ownable(value: JsonObject, scope: Scope) -> JsonObject:
    kept = {name: member for name, member in value.items() if name not in scope.without}
    if scope.only:
        kept = {name: member for name, member in kept.items() if name in scope.only}
    metadata = table(value, "metadata")
    names = ("labels", "annotations", "ownerReferences", "finalizers")
    plain: JsonObject = {name: metadata[name] for name in names if name in metadata}
    kept.pop("metadata", None)
    kept.pop("apiVersion", None)
    kept.pop("kind", None)
    return {**kept, "metadata": plain} if plain and not scope.only else kept


def _changes(before: JsonObject, after: JsonObject, shapes: Shapes, scope: Scope) -> Fields:
    return changed(_ownable(before, scope), _ownable(after, scope), shapes, ()) or {}


def _overlaid(live: Json, config: Json, shapes: Shapes, path: Path) -> Json:
    if isinstance(live, dict) and isinstance(config, dict) and not (path and shapes.is_atomic(path)):
        return {
            **live,
            **{name: _overlaid(live.get(name), member, shapes, (*path, name)) for name, member in config.items()},
        }
    if isinstance(live, list) and isinstance(config, list) and (wanted := named(config, shapes, path)):
        new = dict(wanted)
        old = named(live, shapes, path)
        kept = [_overlaid(member, new[name], shapes, path) if name in new else member for name, member in old]
        known = {name for name, _ in old}
        return [*kept, *(member for name, member in wanted if name not in known)]
    return config


def _remove(holder: Json, fields: Fields, shapes: Shapes, path: Path) -> None:
    if isinstance(holder, dict):
        for name, tree in fields.items():
            field = name.removeprefix("f:")
            inner = holder.get(field)
            if tree and isinstance(inner, dict | list):
                _remove(inner, tree, shapes, (*path, field))
            if not tree or inner in ({}, []):
                holder.pop(field, None)
    elif isinstance(holder, list):
        gone = {key for key, tree in fields.items() if not tree or "." in tree}
        kept = [(key, member) for key, member in named(holder, shapes, path) if key not in gone]
        for key, member in kept:
            _remove(member, fields.get(key, {}), shapes, path)
        holder[:] = [member for _, member in kept]

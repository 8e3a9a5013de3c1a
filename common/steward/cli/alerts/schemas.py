"""What an API server would say of one of our objects: members that it does not know, and what does not fit. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError

from steward.jsonvalue import Json, JsonObject, dig, strings, table, text
from steward.resources.base import Resource
from steward.resources.definitions import definition, served_schema

_STATUS = "status"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit the schema."""

    reason: str
    message: str
    remedy: str


def misfits(kind: type[Resource], content: JsonObject) -> Iterator[Misfit]:
    """Everything that does not fit, in the order in which it stands."""
    schema = served_schema(definition(kind))
    spec: JsonObject = {name: member for name, member in content.items() if name != _STATUS}
    yield from _structural(spec, schema, "")
    try:
        kind.of(spec)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(step) for step in each["loc"])
            yield Misfit("Invalid", f"{where}: {each['msg']}", "correct it there")


def _structural(value: Json, schema: JsonObject, path: str) -> Iterator[Misfit]:
    if isinstance(value, list):
        yield from _twice(value, schema, path)
        for at, member in enumerate(value):
            yield from _structural(member, table(schema, "items"), f"{path}[{at}]")
    elif isinstance(value, dict):
        for name, member in value.items():
            inner = _member(schema, name)
            if inner is None:
                yield _unknown(name, schema, path)
            else:
                yield from _structural(member, inner, f"{path}.{name}".lstrip("."))


def _unknown(name: str, schema: JsonObject, path: str) -> Misfit:
    known = sorted(table(schema, "properties"))
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
    where = path or "the object"
    return Misfit("UnknownField", f"{where} has no member {name!r}, and whoever reads it would leave it out", remedy)


def _twice(value: list[Json], schema: JsonObject, path: str) -> Iterator[Misfit]:
    keys = strings(schema, "x-kubernetes-list-map-keys")
    seen: list[tuple[Json, ...]] = []
    for member in value if keys else ():
        identity = tuple(dig(member, key) for key in keys)
        if identity in seen:
            named = ", ".join(f"{key} {part!r}" for key, part in zip(keys, identity, strict=True))
            yield Misfit("Twice", f"{path} has {named} twice", "give each a name of its own")
        seen.append(identity)


def _member(schema: JsonObject, name: str) -> JsonObject | None:
    """The schema of a member; empty where anything goes, None where there is no such member."""
    known = dig(schema, "properties", name)
    if isinstance(known, dict):
        return known
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return extra
    free = not table(schema, "properties") and text(schema, "type") in ("", "object")
    return {} if free else None

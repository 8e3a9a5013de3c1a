"""Structural schemas of custom resources: defaults, pruning, unknown fields, validation.

Evaluated: type, nullable, required, properties, additionalProperties, items, enum, pattern, length, number and size
limits, `format: date-time`, `x-kubernetes-int-or-string`, `x-kubernetes-preserve-unknown-fields`, uniqueness of set and
map lists. Not evaluated: CEL rules (`x-kubernetes-validations`), allOf, anyOf, oneOf, not. A test that is about those
belongs to the real API server.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import gt, lt

import orjson

from steward.jsonvalue import Json, JsonObject, dig, flag, strings, table, text
from steward.testing.kubernetes.lists import member_key
from steward.testing.kubernetes.refusal import Finding
from steward.testing.kubernetes.store import copied

_TYPES: dict[str, Callable[[Json], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}

Beyond = Callable[[float, float], bool]
Bound = tuple[str, Beyond, str]
_NUMBER: tuple[Bound, ...] = (
    ("minimum", lt, "should be greater than or equal to {}"),
    ("maximum", gt, "should be less than or equal to {}"),
)
_BOUNDS: dict[type, tuple[Bound, ...]] = {
    int: _NUMBER,
    float: _NUMBER,
    str: (("minLength", lt, "should be at least {} chars long"), ("maxLength", gt, "should be at most {} chars long")),
    list: (("minItems", lt, "should have at least {} items"), ("maxItems", gt, "should have at most {} items")),
    dict: (
        ("minProperties", lt, "should have at least {} properties"),
        ("maxProperties", gt, "should have at most {} properties"),
    ),
}


def defaulted(value: Json, schema: JsonObject) -> Json:
    """With every default in place, also inside objects that a default created."""
    if isinstance(value, dict):
        result = dict(value)
        for name, inner in table(schema, "properties").items():
            if not isinstance(inner, dict):
                continue
            if name not in result and "default" in inner:
                result[name] = copied({"default": inner["default"]})["default"]
            if name in result:
                result[name] = defaulted(result[name], inner)
        extra = table(schema, "additionalProperties")
        known = table(schema, "properties")
        return {name: member if name in known else defaulted(member, extra) for name, member in result.items()}
    if isinstance(value, list):
        return [defaulted(member, table(schema, "items")) for member in value]
    return value


def pruned(value: Json, schema: JsonObject) -> Json:
    """Without the fields that the schema does not know."""
    if isinstance(value, list):
        return [pruned(member, table(schema, "items")) for member in value]
    if not isinstance(value, dict) or _takes_anything(schema):
        return value
    return {
        name: pruned(member, _member(schema, name) or {})
        for name, member in value.items()
        if _member(schema, name) is not None
    }


def unknown_fields(value: Json, schema: JsonObject, path: str = "") -> Iterator[str]:
    """Paths that pruning would drop."""
    if isinstance(value, list):
        for at, member in enumerate(value):
            yield from unknown_fields(member, table(schema, "items"), f"{path}[{at}]")
    elif isinstance(value, dict) and not _takes_anything(schema):
        for name, member in value.items():
            inner = _member(schema, name)
            if inner is None:
                yield f"{path}.{name}".lstrip(".")
            else:
                yield from unknown_fields(member, inner, f"{path}.{name}")


def findings(value: Json, schema: JsonObject, path: str = "") -> Iterator[Finding]:
    """Everything that is wrong, as the API server words it."""
    if value is None and flag(schema, "nullable"):
        return
    if wrong := _wrong_type(value, schema, path):
        yield wrong
        return
    yield from _limits(value, schema, path)
    if isinstance(value, dict):
        yield from _object_findings(value, schema, path)
    elif isinstance(value, list):
        yield from _list_findings(value, schema, path)


def _object_findings(value: JsonObject, schema: JsonObject, path: str) -> Iterator[Finding]:
    for name in strings(schema, "required"):
        if name not in value:
            yield Finding(_join(path, name), "FieldValueRequired", "Required value")
    for name, member in value.items():
        inner = _member(schema, name)
        if inner:
            yield from findings(member, inner, _join(path, name))


def _list_findings(value: list[Json], schema: JsonObject, path: str) -> Iterator[Finding]:
    items = table(schema, "items")
    for at, member in enumerate(value):
        yield from findings(member, items, f"{path}[{at}]")
    keys = strings(schema, "x-kubernetes-list-map-keys")
    kind = text(schema, "x-kubernetes-list-type")
    seen: list[object] = []
    for at, member in enumerate(value):
        identity = member_key(member, keys) if kind == "map" else member
        if kind in ("map", "set") and identity in seen:
            yield Finding(f"{path}[{at}]", "FieldValueDuplicate", f"Duplicate value: {_shown(member)}")
        seen.append(identity)


def _wrong_type(value: Json, schema: JsonObject, path: str) -> Finding | None:
    wanted = text(schema, "type")
    if flag(schema, "x-kubernetes-int-or-string"):
        wanted = "integer" if isinstance(value, int) else "string"
    fits = _TYPES.get(wanted)
    if fits is None or fits(value):
        return None
    found = next((name for name, test in _TYPES.items() if test(value)), "null")
    message = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return Finding(path, "FieldValueTypeInvalid", message)


def _limits(value: Json, schema: JsonObject, path: str) -> Iterator[Finding]:
    choices = dig(schema, "enum")
    if isinstance(choices, list) and value not in choices:
        listed = ", ".join(_shown(choice) for choice in choices)
        yield Finding(path, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}")
    if isinstance(value, str):
        yield from _text_findings(value, schema, path)
    size = len(value) if isinstance(value, str | list | dict) else value
    if isinstance(size, bool) or not isinstance(size, int | float):
        return
    for keyword, is_beyond, words in _BOUNDS[type(value)]:
        bound = schema.get(keyword)
        if isinstance(bound, int | float) and is_beyond(size, bound):
            yield _invalid(path, value, f"{path} in body {words.format(bound)}")


def _text_findings(value: str, schema: JsonObject, path: str) -> Iterator[Finding]:
    pattern = text(schema, "pattern")
    if pattern and not re.search(pattern, value):
        yield _invalid(path, value, f"{path} in body should match '{pattern}'")
    if text(schema, "format") == "date-time" and not _is_time(value):
        yield _invalid(path, value, f'{path} in body must be of type date-time: "{value}"')


def _invalid(path: str, value: Json, message: str) -> Finding:
    return Finding(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {message}")


def _shown(value: Json) -> str:
    return orjson.dumps(value).decode()


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _takes_anything(schema: JsonObject) -> bool:
    return not schema or flag(schema, "x-kubernetes-preserve-unknown-fields") or flag(schema, "additionalProperties")


def _member(schema: JsonObject, name: str) -> JsonObject | None:
    """The schema of one field; None where it is unknown."""
    known = dig(schema, "properties", name)
    if isinstance(known, dict):
        return known
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return extra
    return {} if _takes_anything(schema) else None

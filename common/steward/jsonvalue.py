"""Foreign JSON as typed values: Kubernetes objects are dictionaries here, read through these few functions.

Every reader is total: a missing or differently typed member is the default, never an exception, because an object
that somebody else wrote may have any shape.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
JsonObject: TypeAlias = dict[str, Json]


def dig(value: Json | Mapping[str, Json], *path: str | int) -> Json:
    """The member at `path`, or None where any part of the way is missing."""
    here = cast("Json", value)
    for step in path:
        if isinstance(here, dict) and isinstance(step, str):
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and -len(here) <= step < len(here):
            here = here[step]
        else:
            return None
    return here


def text(value: Json | Mapping[str, Json], *path: str | int, default: str = "") -> str:
    """The string at `path`."""
    found = dig(value, *path)
    return found if isinstance(found, str) else default


def whole(value: Json | Mapping[str, Json], *path: str | int, default: int = 0) -> int:
    """The integer at `path`; a boolean is not an integer."""
    found = dig(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def flag(value: Json | Mapping[str, Json], *path: str | int, default: bool = False) -> bool:
    """The boolean at `path`."""
    found = dig(value, *path)
    return found if isinstance(found, bool) else default


def table(value: Json | Mapping[str, Json], *path: str | int) -> JsonObject:
    """The object at `path`, or an empty one."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def rows(value: Json | Mapping[str, Json], *path: str | int) -> list[JsonObject]:
    """The objects of the list at `path`; members that are not objects are left out."""
    found = dig(value, *path)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def texts(value: Json | Mapping[str, Json], *path: str | int) -> dict[str, str]:
    """The string members of the object at `path`: labels, annotations, the data of a ConfigMap."""
    return {key: member for key, member in table(value, *path).items() if isinstance(member, str)}


def strings(value: Json | Mapping[str, Json], *path: str | int) -> Sequence[str]:
    """The strings of the list at `path`."""
    found = dig(value, *path)
    return [member for member in found if isinstance(member, str)] if isinstance(found, list) else []


def walk(value: Json) -> Iterator[Json]:
    """Every value inside `value`, itself first."""
    yield value
    if isinstance(value, dict):
        for member in value.values():
            yield from walk(member)
    elif isinstance(value, list):
        for member in value:
            yield from walk(member)

"""Which members of a document were read, so that the others can be named."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from steward.alerting.openslo.documents import Lost
from steward.jsonvalue import Json, JsonObject, dig

Path = tuple[str | int, ...]
NOTHING_LIKE_IT = "Steward has nothing like it"


@dataclass(slots=True)
class Ledger:
    """What was read of one document, and what of it was named as lost."""

    read: set[Path] = field(default_factory=set)
    lost: list[Lost] = field(default_factory=list)


class Claims:
    """One document, or a part of it. Whatever is asked for here counts as read."""

    def __init__(self, content: JsonObject, where: str, at: Path = (), ledger: Ledger | None = None) -> None:
        self.where = where
        self._content = content
        self._at = at
        self._ledger = ledger or Ledger()

    def part(self, *path: str | int) -> "Claims":
        """The part at `path`; what is read there is read of the document."""
        return Claims(self._content, self.where, (*self._at, *path), self._ledger)

    def take(self, *path: str | int) -> Json:
        """The member at `path`, with all that is in it."""
        self._ledger.read.add((*self._at, *path))
        return dig(self._content, *self._at, *path)

    def text(self, *path: str | int) -> str:
        """The string at `path`, or an empty one; anything else there is named as lost."""
        found = self.take(*path)
        if found is not None and not isinstance(found, str):
            self.lose(path, "it is no text")
        return found if isinstance(found, str) else ""

    def number(self, *path: str | int) -> float | None:
        """The number at `path`."""
        found = self.take(*path)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
        if found is not None:
            self.lose(path, "it is no number")
        return None

    def each(self, *path: str | int) -> Iterator["Claims"]:
        """The members of a list."""
        found = dig(self._content, *self._at, *path)
        return (self.part(*path, number) for number in range(len(found) if isinstance(found, list) else 0))

    def members(self, *path: str | int) -> tuple[str, ...]:
        """The names of the members of an object."""
        found = dig(self._content, *self._at, *path)
        return tuple(found) if isinstance(found, dict) else ()

    def has(self, *path: str | int) -> bool:
        """Whether there is anything."""
        return dig(self._content, *self._at, *path) is not None

    def lose(self, path: Path, why: str) -> None:
        """Name a member that cannot be carried over, with all that is in it."""
        self._ledger.read.add((*self._at, *path))
        self._ledger.lost.append(Lost(self.where, _written((*self._at, *path)), why))

    def lost(self) -> Iterator[Lost]:
        """What was named, and every member that nobody asked for."""
        yield from dict.fromkeys(self._ledger.lost)
        for path in _leaves(self._content, ()):
            if not any(path[: len(read)] == read for read in self._ledger.read):
                yield Lost(self.where, _written(path), NOTHING_LIKE_IT)


def _leaves(value: Json, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(member, (*path, key))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _leaves(member, (*path, number))
    elif value not in (None, ""):
        yield path


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")

"""Objects, their versions and their history; nothing here knows what a Pod is.

Stored objects are never changed in place: every write stores a fresh one, so readers, watchers and snapshots may share
them without copying.
"""

import base64
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import orjson

from steward.jsonvalue import Json, JsonObject, rows, text
from steward.testing.kubernetes.refusal import bad_request, expired
from steward.testing.kubernetes.selectors import Match, everything

_SNAPSHOTS_KEPT = 500

Key = tuple[str, str]
TableKey = tuple[str, str]
Place = tuple[TableKey, Key]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `before` is None for a creation, `after` for a removal."""

    version: int
    before: JsonObject | None
    after: JsonObject | None


@dataclass(slots=True)
class Table:
    """All objects of one resource and the changes that are still kept."""

    objects: dict[Key, JsonObject] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    oldest: int = 0
    """Watches may begin at this version or later."""
    listeners: list[Callable[[Change], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Portion:
    """One page of a list."""

    items: list[JsonObject]
    version: int
    token: str
    remaining: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    rest: list[JsonObject]
    version: int


def copied(value: JsonObject) -> JsonObject:
    """A deep copy that may be changed."""
    return cast("JsonObject", orjson.loads(orjson.dumps(value)))


def key_of(value: JsonObject) -> Key:
    """Namespace and name."""
    return (text(value, "metadata", "namespace"), text(value, "metadata", "name"))


class Store:
    """Every table under one counter of versions, as etcd has it."""

    def __init__(self, *, history: int = 10_000) -> None:
        self._tables: dict[TableKey, Table] = {}
        self._history = history
        self._snapshots: dict[str, _Snapshot] = {}
        self._tokens = count(1)
        self._compacted = 0
        self.version = 1
        self.dependents: dict[str, dict[Place, None]] = {}
        """Where objects are whose owner references name this uid."""
        self.population: Counter[str] = Counter()
        """How many objects each namespace holds."""

    def table(self, key: TableKey) -> Table:
        """The table, empty at first."""
        return self._tables.setdefault(key, Table(oldest=self._compacted))

    def get(self, table: TableKey, key: Key) -> JsonObject | None:
        """The object as stored; do not change it."""
        return self.table(table).objects.get(key)

    def put(self, table: TableKey, value: JsonObject) -> JsonObject:
        """Store `value` (from here on not to be changed) under the next version."""
        self.version += 1
        metadata = cast("JsonObject", value["metadata"])
        metadata["resourceVersion"] = str(self.version)
        where = self.table(table)
        key = key_of(value)
        before = where.objects.get(key)
        where.objects[key] = value
        self._index((table, key), before, value)
        self._publish(where, Change(self.version, before, value))
        return value

    def remove(self, table: TableKey, value: JsonObject) -> JsonObject:
        """Take it away; watchers see its last state with the version of the removal."""
        self.version += 1
        where = self.table(table)
        key = key_of(value)
        before = where.objects.pop(key)
        self._index((table, key), before, None)
        metadata: JsonObject = {**cast("JsonObject", before["metadata"]), "resourceVersion": str(self.version)}
        last: JsonObject = {**before, "metadata": metadata}
        self._publish(where, Change(self.version, last, None))
        return last

    def select(self, table: TableKey, namespace: str, match: Match = everything) -> list[JsonObject]:
        """Objects in the order of namespace and name."""
        objects = self.table(table).objects
        keys: Iterable[Key] = objects if not namespace else (key for key in objects if key[0] == namespace)
        return [objects[key] for key in sorted(keys) if match is everything or match(objects[key])]

    def first_page(self, table: TableKey, namespace: str, match: Match, limit: int) -> Portion:
        """The first `limit` objects (all, for 0), and a token for the rest."""
        return self._page(_Snapshot(self.select(table, namespace, match), self.version), limit)

    def next_page(self, token: str, limit: int) -> Portion:
        """The following page of the same state; 410 where that has been forgotten."""
        try:
            name = base64.urlsafe_b64decode(token.encode()).decode()
        except ValueError as error:
            raise bad_request(f"continue key is not valid: {token!r}") from error
        snapshot = self._snapshots.get(name)
        if snapshot is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new "
                "list without the continue parameter."
            )
        return self._page(snapshot, limit)

    def compact(self) -> None:
        """Forget all history: watches from older versions and lists under way get 410."""
        self._snapshots.clear()
        self._compacted = self.version
        for table in self._tables.values():
            table.history.clear()
            table.oldest = self.version

    def _page(self, snapshot: _Snapshot, limit: int) -> Portion:
        if not limit or len(snapshot.rest) <= limit:
            return Portion(snapshot.rest, snapshot.version, "", 0)
        name = str(next(self._tokens))
        rest = _Snapshot(snapshot.rest[limit:], snapshot.version)
        self._snapshots[name] = rest
        while len(self._snapshots) > _SNAPSHOTS_KEPT:
            del self._snapshots[next(iter(self._snapshots))]
        token = base64.urlsafe_b64encode(name.encode()).decode()
        return Portion(snapshot.rest[:limit], snapshot.version, token, len(rest.rest))

    def _index(self, place: Place, before: JsonObject | None, after: JsonObject | None) -> None:
        namespace = place[1][0]
        if namespace:
            self.population[namespace] += (after is not None) - (before is not None)
        for owner in rows(before, "metadata", "ownerReferences"):
            self.dependents.get(text(owner, "uid"), {}).pop(place, None)
        for owner in rows(after, "metadata", "ownerReferences"):
            self.dependents.setdefault(text(owner, "uid"), {})[place] = None

    def _publish(self, table: Table, change: Change) -> None:
        table.history.append(change)
        if len(table.history) > self._history:
            table.oldest = table.history.popleft().version
        for listener in tuple(table.listeners):
            listener(change)


def as_json(value: Json) -> bytes:
    """Serialised."""
    return orjson.dumps(value)

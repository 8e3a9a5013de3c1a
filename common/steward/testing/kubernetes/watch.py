"""Watches: history first, then changes as they happen, bookmarks in between, and 410 inside a 200 answer."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

from steward.jsonvalue import JsonObject, text
from steward.testing.kubernetes.kinds import Kind
from steward.testing.kubernetes.refusal import Refusal, expired
from steward.testing.kubernetes.selectors import Match
from steward.testing.kubernetes.store import Change, Store, as_json


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What to watch and for how long."""

    kind: Kind
    namespace: str
    match: Match
    version: str
    bookmarks: bool
    lasting: timedelta
    bookmark_every: timedelta


@dataclass(slots=True, eq=False)
class Watch:
    """One open watch. `lines()` is what the client receives."""

    store: Store
    request: WatchRequest
    _pending: deque[bytes] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: bool = False
    _since: int = 0

    async def lines(self) -> AsyncIterator[bytes]:
        """Batches of events until the time is over or somebody ends the watch."""
        table = self.store.table(self.request.kind.table)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.request.lasting.total_seconds()
        self._begin()
        table.listeners.append(self._on_change)
        try:
            while not (self._ended and not self._pending):
                if self._pending:
                    batch = b"".join(self._pending)
                    self._pending.clear()
                    yield batch
                left = until - loop.time()
                if left <= 0:
                    self._bookmark()
                    self._ended = True
                elif not self._pending and not self._ended:
                    await self._woken_or_bookmarked(left)
        finally:
            table.listeners.remove(self._on_change)

    def end(self, last: Refusal | None = None) -> None:
        """Close the stream, after an `ERROR` event where one is given."""
        if last is not None:
            self._send("ERROR", last.status())
        self._ended = True
        self._wake.set()

    def _begin(self) -> None:
        asked = self.request.version
        if asked in ("", "0"):
            self._since = self.store.version
            for one in self.store.select(self.request.kind.table, self.request.namespace, self.request.match):
                self._send("ADDED", one)
            return
        self._since = int(asked)
        table = self.store.table(self.request.kind.table)
        if self._since < table.oldest:
            self.end(expired(f"too old resource version: {self._since} ({table.oldest})"))
            return
        for change in table.history:
            self._on_change(change)

    async def _woken_or_bookmarked(self, left: float) -> None:
        every = self.request.bookmark_every.total_seconds()
        try:
            async with asyncio.timeout(min(left, every)):
                await self._wake.wait()
        except TimeoutError:
            if every < left:
                self._bookmark()
        self._wake.clear()

    def _on_change(self, change: Change) -> None:
        if change.version <= self._since or self._ended:
            return
        before = change.before if self._is_wanted(change.before) else None
        after = change.after if self._is_wanted(change.after) else None
        if after is not None:
            self._send("ADDED" if before is None else "MODIFIED", after)
        elif before is not None:
            gone = before if change.after is None else _at(before, change.version)
            self._send("DELETED", gone)

    def _is_wanted(self, value: JsonObject | None) -> bool:
        if value is None:
            return False
        namespace = self.request.namespace
        return (not namespace or text(value, "metadata", "namespace") == namespace) and self.request.match(value)

    def _bookmark(self) -> None:
        if self.request.bookmarks and not self._ended and self.store.version >= self._since:
            resource = self.request.kind.resource
            version: JsonObject = {"resourceVersion": str(self.store.version)}
            self._send("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": version})

    def _send(self, kind: str, value: JsonObject) -> None:
        self._pending.append(b'{"type":"%b","object":%b}\n' % (kind.encode(), as_json(value)))
        self._wake.set()


def _at(value: JsonObject, version: int) -> JsonObject:
    metadata = value["metadata"]
    return {**value, "metadata": {**(metadata if isinstance(metadata, dict) else {}), "resourceVersion": str(version)}}

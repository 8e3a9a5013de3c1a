"""A source: a document on the web and the function of the core that reads it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.version_watcher.core.feed import Feed, read_feed
from services.version_watcher.core.helm_index import HelmIndex, read_index
from services.version_watcher.core.notes import Notes, read_notes
from services.version_watcher.core.reading import Look, Nothing, Read, Source
from services.version_watcher.edges.web import Document, Limits, Unchanged, Web
from services.version_watcher.settings import FetchSettings, SourceSettings, VersionWatcherGroup
from steward.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is and how it is asked."""

    source: Source
    settings: SourceSettings
    fetch: FetchSettings
    accept: str = ""

    @property
    def limits(self) -> Limits:
        """The limits of one look."""
        return Limits(self.settings.largest_bytes, self.fetch.timeout, self.fetch.attempts, self.fetch.backoff)


class Watched(Generic[T]):
    """One source; `look` asks it again and remembers what it said."""

    def __init__(
        self, place: Place, web: Web, clock: Clock, read: Callable[[bytes], Awaitable[Read[T] | Nothing]]
    ) -> None:
        self.place = place
        self.last: Look[T] | None = None
        self.looked = asyncio.Event()
        """Set once it was asked, with whatever success."""
        self._chance = random.Random()
        self._web = web
        self._clock = clock
        self._read = read
        self._marks: dict[str, str] = {}

    @property
    def value(self) -> T | None:
        """What was last read, however long ago."""
        return self.last.last.value if self.last is not None and self.last.last is not None else None

    async def look(self) -> Look[T]:
        """Ask the source."""
        found = await self._web.get(self.place.settings.url, self._marks, self.place.limits, self.place.accept)
        outcome = await self._outcome(found)
        self.last = Look.after(self.last, outcome, self._clock.now())
        self.looked.set()
        return self.last

    async def pause(self) -> None:
        """Wait until it is time to ask again: a tenth of chance keeps a thousand clusters from asking together."""
        await self._clock.sleep(self.place.settings.interval * self._chance.uniform(0.9, 1.1))

    async def _outcome(self, found: Document | Unchanged | Nothing) -> Read[T] | Nothing:
        if isinstance(found, Nothing):
            return found
        if isinstance(found, Unchanged):
            if self.last is not None and self.last.last is not None:
                return self.last.last
            self._marks = {}
            return Nothing("Unchanged", "the source says that nothing changed, but nothing was read yet", reached=True)
        outcome = await self._read(found.body)
        # What could not be read in full is asked for in full again: it may be readable at another time.
        complete = isinstance(outcome, Read) and not outcome.problems
        self._marks = dict(found.marks) if complete else {}
        return outcome


@dataclass(frozen=True, slots=True)
class Sources:
    """The three sources."""

    feed: Watched[Feed]
    notes: Watched[Notes]
    index: Watched[HelmIndex]

    @classmethod
    def of(cls, group: VersionWatcherGroup, web: Web, clock: Clock) -> "Sources":
        """The sources of the settings."""
        return cls(version_check(group, web, clock), release_notes(group, web, clock), helm_index(group, web, clock))


def version_check(group: VersionWatcherGroup, web: Web, clock: Clock) -> Watched[Feed]:
    """The version-check document."""

    async def read(body: bytes) -> Read[Feed] | Nothing:
        return read_feed(body, clock.now())

    return Watched(Place(Source.VERSION_CHECK, group.version_check, group.fetch, "application/json"), web, clock, read)


def release_notes(group: VersionWatcherGroup, web: Web, clock: Clock) -> Watched[Notes]:
    """The list of releases. Read in a thread: a hundred notes are a megabyte of prose."""

    async def read(body: bytes) -> Read[Notes] | Nothing:
        return await asyncio.to_thread(read_notes, body)

    place = Place(Source.RELEASE_NOTES, group.release_notes, group.fetch, "application/vnd.github+json")
    return Watched(place, web, clock, read)


def helm_index(group: VersionWatcherGroup, web: Web, clock: Clock) -> Watched[HelmIndex]:
    """The index of the Helm repository. Read in a thread: megabytes of YAML take a second."""

    async def read(body: bytes) -> Read[HelmIndex] | Nothing:
        return await asyncio.to_thread(read_index, body)

    return Watched(Place(Source.HELM_INDEX, group.helm_index, group.fetch), web, clock, read)

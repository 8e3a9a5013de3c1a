"""The service: sources, mesh and catalog in; the catalog's status and three events out.

One replica acts, chosen by a Lease. What it does are loops that meet only in the status of the ReleaseCatalog, and each
begins with what the API server says, so that any of them may be cut short anywhere:

    look      at each source, at its own interval
    mirror    the mesh, and the spec of the catalog
    decide    whenever anything changed: read the catalog, decide, write its status
    announce  whenever the status owes an event: say it, then write down that it is stored
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from services.version_watcher import metrics
from services.version_watcher.core.announce import owed, stored
from services.version_watcher.core.decide import Decision, Rules, Seen, decide
from services.version_watcher.core.mesh import Patience, Settling, see
from services.version_watcher.core.reading import Nothing, Source
from services.version_watcher.core.telling import tell
from services.version_watcher.edges.catalog import CatalogStore, CatalogUnusable, Held, spec_version
from services.version_watcher.edges.gauges import show
from services.version_watcher.edges.herald import SERVICE, Herald
from services.version_watcher.edges.sources import Sources, Watched
from services.version_watcher.edges.waiting import happened_within
from services.version_watcher.edges.web import Web
from services.version_watcher.settings import VersionWatcherGroup, VersionWatcherSettings
from steward.bus.errors import BusClosed, BusError
from steward.errors import ConfigurationError
from steward.kube.errors import Conflict, KubeError
from steward.kube.lease import Leadership, Lease, LeaseName
from steward.kube.recorder import EventRecorder
from steward.kube.reflector import Reflector
from steward.kube.resources import RELEASE_CATALOGS
from steward.linkerd.knowledge import shipped
from steward.mesh.view import MeshView
from steward.resources.release_catalog import ReleaseCatalogStatus
from steward.service.chassis import Chassis

T = TypeVar("T")

_REFRESH = timedelta(minutes=1)
"""At least so often everything is looked at again, whatever was or was not heard."""
_TOO_OLD = timedelta(minutes=30)
"""A cache that heard nothing for so long is no picture of the mesh; watches end and begin again every few minutes."""


async def serve(chassis: Chassis, *, identity: str = "") -> None:
    """Wait for the lease, then watch until cancelled."""
    settings = chassis.settings
    if not isinstance(settings, VersionWatcherSettings):
        raise ConfigurationError(f"{SERVICE} needs VersionWatcherSettings, not {type(settings).__name__}")
    name = LeaseName(settings.cluster.namespace, SERVICE, identity or f"{socket.gethostname()}_{os.getpid()}")
    group = settings.version_watcher
    chassis.instruments.set(metrics.LEADING, 0)

    async def lead(leadership: Leadership) -> None:
        chassis.log.info("leading", token=leadership.token)
        chassis.instruments.set(metrics.LEADING, 1)
        try:
            async with Web.open(chassis.clock, redirects=group.fetch.redirects) as web:
                await Watcher(chassis, group, web, name.identity).run()
        finally:
            chassis.instruments.set(metrics.LEADING, 0)

    await Lease(chassis.kube, name, settings.lease.duration).always_lead(lead)


class Watcher:
    """The replica that acts."""

    def __init__(self, chassis: Chassis, group: VersionWatcherGroup, web: Web, identity: str) -> None:
        self._chassis = chassis
        self._clock = chassis.clock
        self._group = group
        self._rules = Rules(
            channels=group.channels,
            sources=group.sources,
            stale_after=group.stale_after,
            patience=Patience(group.drift_quiet, group.drift_at_most),
        )
        self._sources = Sources.of(group, web, chassis.clock)
        self._namespace = chassis.settings.cluster.linkerd_namespace
        self._changed = asyncio.Event()
        self._speak = asyncio.Event()
        self._writing = asyncio.Lock()
        self._settling: Settling | None = None
        self._view = MeshView(chassis.kube, self._namespace, on_change=self._changed.set)
        self._store = CatalogStore(chassis.kube, group.catalog)
        self._catalogs = Reflector(
            chassis.kube, RELEASE_CATALOGS, trim=spec_version, on_change=lambda *_: self._changed.set()
        )
        self._herald = Herald(chassis.bus)
        self._recorder = EventRecorder(chassis.kube, f"steward.linkerd.io/{SERVICE}", identity)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run(), name="record")
            tasks.create_task(self._view.run(), name="mesh")
            tasks.create_task(self._catalogs.run(), name="catalogs")
            if Source.VERSION_CHECK in self._rules.sources:
                tasks.create_task(self._look(self._sources.feed, self._look_closer), name="version check")
            if Source.RELEASE_NOTES in self._rules.sources:
                tasks.create_task(self._look(self._sources.notes), name="release notes")
            if Source.HELM_INDEX in self._rules.sources:
                tasks.create_task(self._look(self._sources.index), name="helm index")
            tasks.create_task(self._again_and_again(self._deciding), name="decide")
            tasks.create_task(self._again_and_again(self._announcing), name="announce")

    async def _again_and_again(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` for ever: what the API server or NATS refuses is tried again, from the beginning."""
        while True:
            try:
                await loop()
            except BusClosed:
                raise
            except (KubeError, CatalogUnusable, BusError) as error:
                self._chassis.log.warning("tried again later", problem=str(error), kind=type(error).__name__)
                await self._clock.sleep(self._group.retry)

    async def _look(self, watched: Watched[T], then: Callable[[], Awaitable[None]] | None = None) -> None:
        """Ask one source for ever."""
        while True:
            await self._look_once(watched)
            if then is not None:
                await then()
            await watched.pause()

    async def _look_once(self, watched: Watched[T]) -> None:
        source, began = watched.place.source.value, self._clock.monotonic()
        look = await watched.look()
        failed = isinstance(look.outcome, Nothing)
        result = look.outcome.reason if isinstance(look.outcome, Nothing) else "Read"
        self._chassis.instruments.observe(metrics.FETCH_SECONDS, self._clock.monotonic() - began, source)
        self._chassis.instruments.count(metrics.FETCHES, source, result)
        log = self._chassis.log.warning if failed else self._chassis.log.debug
        log("source looked at", source=source, result=result)
        self._changed.set()

    async def _look_closer(self) -> None:
        """Ask the other sources at once for a head that they do not know yet: it is announced with what is known."""
        feed, notes, index = self._sources.feed.value, self._sources.notes.value, self._sources.index.value
        if feed is None:
            return
        heads = {version for channel, version in feed.offers.items() if channel in self._rules.channels}
        if notes is not None and not heads <= {each.version for each in notes.releases}:
            await self._look_once(self._sources.notes)
        if index is not None and not heads <= {each.version for each in index.releases}:
            await self._look_once(self._sources.index)

    async def _deciding(self) -> None:
        """Decide for ever."""
        await self._first_looks()
        while True:
            self._changed.clear()
            decision = await self._decide()
            now = self._clock.now()
            wait = _REFRESH if decision.look_again_at is None else min(_REFRESH, decision.look_again_at - now)
            if await happened_within(self._changed, self._clock, max(wait, timedelta(0))):
                # What comes together, such as the pods of a rollout, is looked at together.
                await self._clock.sleep(self._group.settle)

    async def _first_looks(self) -> None:
        """Wait for everything to be looked at once, so that the first thing said is said with all that is known."""
        looks = {
            Source.VERSION_CHECK: self._sources.feed.looked,
            Source.RELEASE_NOTES: self._sources.notes.looked,
            Source.HELM_INDEX: self._sources.index.looked,
        }
        for source in self._rules.sources:
            await happened_within(looks[source], self._clock, self._group.first_sync)
        synced = asyncio.Event()
        waiting = asyncio.create_task(self._view.synced())
        waiting.add_done_callback(lambda _: synced.set())
        try:
            await happened_within(synced, self._clock, self._group.first_sync)
        finally:
            waiting.cancel()

    async def _decide(self) -> Decision:
        """Read the catalog, decide, write its status; begin again where somebody else wrote it meanwhile."""
        while True:
            seen = await self._seen()
            async with self._writing:
                held = await self._store.read()
                if not held.status_was_readable:
                    self._chassis.log.warning("the status of the catalog cannot be read and is made anew")
                decision = decide(held.catalog, seen, self._rules, shipped(), self._clock.now())
                try:
                    held = await self._write(held, decision.status)
                except Conflict:
                    self._chassis.instruments.count(metrics.STATUS_WRITES, "conflict")
                    continue
            self._settling = decision.settling
            self._speak_of(held)
            return decision

    async def _seen(self) -> Seen:
        sources = self._sources
        mesh = None
        if self._view.is_synced and self._view.staleness < _TOO_OLD:
            began = self._clock.monotonic()
            inventory = self._view.inventory()
            # In a thread: fifty thousand pods take a fifth of a second, in which others want to be answered.
            mesh = await asyncio.to_thread(see, inventory, self._namespace, shipped())
            self._chassis.instruments.observe(metrics.INVENTORY_SECONDS, self._clock.monotonic() - began)
            self._chassis.instruments.set(metrics.STALENESS, self._view.staleness.total_seconds())
        return Seen(sources.feed.last, sources.notes.last, sources.index.last, mesh, self._settling)

    async def _write(self, held: Held, status: ReleaseCatalogStatus) -> Held:
        """Write the status where it says something else than the one that was read."""
        before = held.catalog.status or ReleaseCatalogStatus()
        if held.catalog.status == status:
            return held
        written = await self._store.write(held, status)
        self._chassis.instruments.count(metrics.STATUS_WRITES, "written")
        for note in tell(before, status):
            self._recorder.record(written.reference, note.type, note.reason, note.message)
            self._chassis.log.info("noted", reason=note.reason, message=note.message)
        return written

    def _speak_of(self, held: Held) -> None:
        due = owed(held.catalog, self._herald.cluster)
        status = held.catalog.status or ReleaseCatalogStatus()
        show(self._chassis.instruments, status, len(due), self._clock.now())
        if due:
            self._speak.set()

    async def _announcing(self) -> None:
        """Say what is owed, for ever."""
        await self._herald.prepare()
        while True:
            await self._speak.wait()
            self._speak.clear()
            held = await self._store.read()
            due = owed(held.catalog, self._herald.cluster)
            if not due:
                continue
            said = await self._herald.say(due)
            for each in due:
                if each.id in said.ids:
                    how = "repeated" if each.id in said.repeated else "published"
                    self._chassis.instruments.count(metrics.EVENTS_SAID, each.event.name, how)
                    self._chassis.log.info("said", event_id=each.id, how=how)
            if said.ids:
                await self._write_down(set(said.ids))
            if said.problem:
                self._chassis.log.warning("events stay owed", problem=said.problem)
                self._speak.set()
                await self._clock.sleep(self._group.retry)
                await self._herald.prepare()

    async def _write_down(self, ids: set[str]) -> None:
        """Write that these events are stored. Dying before costs nothing: they are found in the stream again."""
        while True:
            async with self._writing:
                held = await self._store.read()
                status = held.catalog.status
                if status is None:
                    return
                after = stored(status, ids, self._herald.cluster, held.catalog.metadata.uid)
                try:
                    held = await self._write(held, after)
                except Conflict:
                    continue
            self._speak_of(held)
            return

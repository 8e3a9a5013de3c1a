"""The whole service on a simulated cluster, a real NATS server and an upstream of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.version_watcher.metrics import METRICS
from services.version_watcher.service import serve
from services.version_watcher.settings import VersionWatcherGroup, VersionWatcherSettings
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events.base import Envelope, Event
from steward.events.subjects import subject_filter
from steward.kube.resources import NAMESPACES, RELEASE_CATALOGS
from steward.resources import ReleaseCatalog
from steward.resources.base import Condition, condition_of
from steward.resources.release_catalog import ReleaseCatalogStatus
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.faults import WriteMoment
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.nats import NatsServer
from tests.services.version_watcher.cluster import serve_catalogs
from tests.services.version_watcher.upstream import Upstream

PATIENCE = 30.0
CLUSTER = "testing"


@dataclass
class Replica:
    """One running copy of the service."""

    task: asyncio.Task[None]
    registry: CollectorRegistry

    async def stop(self) -> None:
        """End it as a signal would, and wait."""
        self.task.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([self.task])

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"steward_version_watcher_{name}", labels)


@dataclass
class World:
    """Everything around the service."""

    kubernetes: FakeKubernetes
    nats: NatsServer
    upstream: Upstream

    def start(
        self, group: VersionWatcherGroup | None = None, *, identity: str = "one", kubeconfig: Path | None = None
    ) -> Replica:
        """Start a replica."""
        registry = CollectorRegistry()
        settings = VersionWatcherSettings(
            bus=BusSettings(
                servers=(self.nats.url,),
                cluster=CLUSTER,
                publish_deadline=timedelta(seconds=2),
                drain_deadline=timedelta(seconds=1),
            ),
            cluster=ClusterSettings(kubeconfig=kubeconfig or self.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=timedelta(seconds=2)),
            log=LogSettings(level="error"),
            version_watcher=group or self.upstream.group(),
        )
        return Replica(asyncio.create_task(_run(settings, registry, identity)), registry)

    @asynccontextmanager
    async def running(
        self, group: VersionWatcherGroup | None = None, *, identity: str = "one", kubeconfig: Path | None = None
    ) -> AsyncIterator[Replica]:
        """A replica for the length of a block; what it died of is raised."""
        replica = self.start(group, identity=identity, kubeconfig=kubeconfig)
        try:
            yield replica
        finally:
            await replica.stop()
            if not replica.task.cancelled():
                replica.task.result()

    def events(self, name: str = "*") -> AbstractAsyncContextManager["Stream"]:
        """All events from the beginning, as they come."""
        return events_of(self.nats.url, name)

    def status(self) -> ReleaseCatalogStatus | None:
        """What the catalog says at this moment."""
        found = self.kubernetes.cluster.find(RELEASE_CATALOGS, "default")
        return ReleaseCatalog.of(found).status if found is not None else None

    async def until(self, holds: Callable[[ReleaseCatalogStatus], bool]) -> ReleaseCatalogStatus:
        """Wait until the status is as `holds` says, looking after every write."""
        written = asyncio.Event()
        self.kubernetes.on_write(lambda _: written.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    written.clear()
                    status = self.status()
                    if status is not None and holds(status):
                        return status
                    await written.wait()
        except TimeoutError:
            raise AssertionError(f"the status never became so; it is {self.status()!r}") from None

    def killer(self, *, writes: int, stage: str) -> "Killer":
        """Lets so many writes of the catalog through; the later ones never arrive, as if their process were dead."""
        killer = Killer(writes, stage)
        self.kubernetes.on_write(killer)
        return killer

    async def written(self, matches: Callable[[WriteMoment], bool]) -> None:
        """Wait until a write of that sort was carried out."""
        done = asyncio.Event()
        self.kubernetes.on_write(lambda moment: done.set() if moment.stage == "after" and matches(moment) else None)
        async with asyncio.timeout(PATIENCE):
            await done.wait()

    async def condition(self, type_: str, reason: str) -> Condition:
        """Wait until a condition has that reason."""

        def has(status: ReleaseCatalogStatus) -> bool:
            found = condition_of(status.conditions, type_)
            return found is not None and found.reason == reason

        found = condition_of((await self.until(has)).conditions, type_)
        assert found is not None
        return found


class Killer:
    """A write hook after which nothing of a process reaches the API server any more."""

    def __init__(self, writes: int, stage: str) -> None:
        self.struck = asyncio.Event()
        self._left = writes
        self._stage = stage
        self._over = False

    def spare(self) -> None:
        """Let everything through from here on."""
        self._over = True

    def __call__(self, moment: WriteMoment) -> None:
        if self._over:
            return
        if self.struck.is_set() and "releasecatalogs" in moment.path:
            raise ConnectionResetError
        if moment.stage == self._stage and "releasecatalogs" in moment.path:
            if self._left == 0:
                self.struck.set()
                raise ConnectionResetError
            self._left -= 1


class Stream:
    """The events of a stream in their order."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name

    async def first(self, count: int) -> list[Envelope[Event]]:
        """The first so many, waiting for those that are not there yet."""
        found: list[Envelope[Event]] = []
        async with asyncio.timeout(PATIENCE):
            async for envelope in self._bus.tail(subject_filter(self._name, cluster=CLUSTER), start=Start.ALL):
                found.append(envelope)
                if len(found) == count:
                    return found
        return found

    async def ids(self) -> set[str]:
        return await self._bus.event_ids(subject_filter(self._name, cluster=CLUSTER))

    async def all(self) -> list[Envelope[Event]]:
        """Those that are there."""
        everything = self._bus.tail(subject_filter(self._name, cluster=CLUSTER), start=Start.ALL, follow=False)
        return [envelope async for envelope in everything]


@asynccontextmanager
async def events_of(url: str, name: str = "*") -> AsyncIterator[Stream]:
    """All events of a NATS server from the beginning, as they come."""
    settings = BusSettings(servers=(url,), cluster=CLUSTER)
    bus = await Bus.connect(settings, name="test", clock=SystemClock())
    await bus.reconcile()
    try:
        yield Stream(bus, name)
    finally:
        await bus.close()


async def _run(settings: VersionWatcherSettings, registry: CollectorRegistry, identity: str) -> None:
    async with lent("version-watcher", settings, METRICS, registry=registry, health=Health()) as chassis:
        await serve(chassis, identity=identity)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A cluster that knows ReleaseCatalogs, a NATS server, an upstream with nothing on it."""
    async with FakeKubernetes() as kubernetes, NatsServer() as nats, Upstream() as upstream:
        serve_catalogs(kubernetes.cluster)
        kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
        yield World(kubernetes, nats, upstream)

"""The whole service on a simulated cluster with a simulated mesh, a real NATS server, and agents of a test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import yaml
from prometheus_client import CollectorRegistry

from services.conformance.core.ledger import is_over, status_of
from services.conformance.core.ports import Edges
from services.conformance.core.probe import Probe
from services.conformance.edges.assembled import Surroundings, assembled
from services.conformance.metrics import METRICS
from services.conformance.service import Conformance
from services.conformance.settings import ConformanceGroup, ConformanceSettings, TempoSettings
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.conformance.results import FeatureResult
from steward.events.base import Envelope, Event
from steward.events.subjects import subject_filter
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CONFORMANCE_RUNS, CONFORMANCE_SUITES, CRDS, NAMESPACES, PODS
from steward.resources import KINDS
from steward.resources.conformance_run import ConformanceRun
from steward.resources.definitions import definition
from steward.service.chassis import Chassis
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import WriteMoment
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsServer
from tests.services.conformance.engine.actors import TinyMesh

PATIENCE = 60.0
CLUSTER = "testing"
LINKERD = "edge-26.6.3"
TEMPO = TempoSettings(
    look_again=timedelta(milliseconds=50),
    begin_again=timedelta(milliseconds=50),
    deploy=timedelta(seconds=20),
    drain=timedelta(seconds=20),
    report=timedelta(seconds=10),
    retry=timedelta(milliseconds=30),
    record=timedelta(milliseconds=20),
    sweep=timedelta(milliseconds=200),
    renew=timedelta(seconds=30),
)


@dataclass
class Replica:
    """One running copy of the service."""

    task: asyncio.Task[None]
    registry: CollectorRegistry

    async def stop(self) -> None:
        """End it, and wait."""
        self.task.cancel()
        await asyncio.wait([self.task])

    def sample(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        return self.registry.get_sample_value(f"steward_conformance_{name}", labels)


@dataclass
class World:
    """Everything around the service."""

    kubernetes: FakeKubernetes
    mesh: SimulatedMesh
    nats: NatsServer
    agents: TinyMesh
    probes: tuple[Probe, ...]
    log_level: str = "error"
    tempo: TempoSettings = TEMPO
    clock: SystemClock = field(default_factory=SystemClock)

    def start(self, *, identity: str = "one") -> Replica:
        """Start a replica."""
        registry = CollectorRegistry()
        settings = ConformanceSettings(
            bus=BusSettings(
                servers=(self.nats.url,),
                cluster=CLUSTER,
                publish_deadline=timedelta(seconds=2),
                drain_deadline=timedelta(seconds=1),
            ),
            cluster=ClusterSettings(kubeconfig=self.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=timedelta(seconds=2)),
            log=LogSettings(level=self.log_level),
            conformance=ConformanceGroup(identity=identity, image="exerciser:test", tempo=self.tempo),
        )
        return Replica(asyncio.create_task(self._serve(settings, registry)), registry)

    async def _serve(self, settings: ConformanceSettings, registry: CollectorRegistry) -> None:
        async with lent("conformance", settings, METRICS, registry=registry, health=Health()) as chassis:
            await Conformance(chassis, settings, assemble=self._assembled, probes=self.probes).run()

    @asynccontextmanager
    async def _assembled(self, chassis: Chassis, around: Surroundings) -> AsyncIterator[Edges]:
        async with assembled(chassis, around) as edges:
            yield replace(edges, agents=self.agents)

    @asynccontextmanager
    async def running(self, *, identity: str = "one") -> AsyncIterator[Replica]:
        """A replica for the length of a block; what it died of is raised."""
        replica = self.start(identity=identity)
        try:
            yield replica
        finally:
            await replica.stop()
            if not replica.task.cancelled():
                replica.task.result()

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The bus as a bystander has it."""
        settings = BusSettings(servers=(self.nats.url,), cluster=CLUSTER)
        bus = await Bus.connect(settings, name="test", clock=SystemClock())
        await bus.reconcile()
        try:
            yield bus
        finally:
            await bus.close()

    async def results(self) -> list[FeatureResult]:
        """All that is kept, in the order in which it came."""
        async with self.bus() as bus:
            stored = bus.stored(f"steward.results.v1.{CLUSTER}.conformance.>")
            return [FeatureResult.model_validate_json(each.data) async for each in stored]

    async def events(self) -> list[Envelope[Event]]:
        """What was said so far, in order."""
        async with self.bus() as bus:
            stored = bus.tail(subject_filter("*", cluster=CLUSTER), start=Start.ALL, follow=False)
            return [each async for each in stored if each.data.name.startswith("conformance-")]

    async def told(self, last: str) -> list[Envelope[Event]]:
        """Everything up to the first event of that name, waiting for it."""
        found: list[Envelope[Event]] = []
        async with self.bus() as bus, asyncio.timeout(PATIENCE):
            async for envelope in bus.tail(subject_filter("*", cluster=CLUSTER), start=Start.ALL):
                if envelope.data.name.startswith("conformance-"):
                    found.append(envelope)
                if envelope.data.name == last:
                    return found
        raise AssertionError("the stream has no end")

    def create_run(self, name: str = "mine", **spec: object) -> None:
        """A run as a person would make it."""
        body: JsonObject = {"metadata": {"name": name}, "spec": {**spec}}  # type: ignore[dict-item] # JSON of a test
        self.kubernetes.cluster.create(CONFORMANCE_RUNS, body)

    def create_suite(self, name: str = "default", **spec: object) -> None:
        """A suite as a person would make it."""
        body: JsonObject = {"metadata": {"name": name}, "spec": {**spec}}  # type: ignore[dict-item] # JSON of a test
        self.kubernetes.cluster.create(CONFORMANCE_SUITES, body)

    def wish(self, name: str, state: str) -> None:
        """What people want of a run at present."""
        self.kubernetes.cluster.patch(CONFORMANCE_RUNS, name, Patch("merge", {"spec": {"state": state}}))

    def let_go(self, pod: str, namespace: str) -> None:
        """Let a pod end that a finalizer holds."""
        self.kubernetes.cluster.patch(PODS, pod, Patch("merge", {"metadata": {"finalizers": []}}), namespace)

    def run(self, name: str = "mine") -> ConformanceRun:
        """A run as the API server has it."""
        return ConformanceRun.of(self.kubernetes.cluster.get(CONFORMANCE_RUNS, name))

    async def until(self, holds: Callable[[ConformanceRun], bool], name: str = "mine") -> ConformanceRun:
        """Wait until a run is as `holds` says, looking after every write."""

        def there() -> bool:
            found = self.kubernetes.cluster.find(CONFORMANCE_RUNS, name)
            return found is not None and holds(ConformanceRun.of(found))

        try:
            await self.written(there)
        except TimeoutError:
            found = self.kubernetes.cluster.find(CONFORMANCE_RUNS, name)
            raise AssertionError(f"it never became so; it is {found and found.get('status')!r}") from None
        return self.run(name)

    async def written(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so, looking after every write."""
        written = asyncio.Event()
        self.kubernetes.on_write(lambda _: written.set())
        async with asyncio.timeout(PATIENCE):
            while not holds():
                written.clear()
                if not holds():
                    await written.wait()

    def namespaces(self) -> list[str]:
        """Namespaces of probes."""
        names = [text(each, "metadata", "name") for each in self.kubernetes.cluster.list(NAMESPACES)]
        return [name for name in names if name.startswith("steward-probes-")]


class Death:
    """A process dies with its first write that it is not allowed: nothing of it reaches the API server from then on.

    Leases are no part of a run: they are written by the clock.
    """

    def __init__(self, allowed: int, *, answered: bool) -> None:
        self.struck = asyncio.Event()
        self._left = allowed
        self._answered = answered
        self.over = False

    def __call__(self, moment: WriteMoment) -> None:
        if self.over or "/leases" in moment.path or "selfsubjectaccessreviews" in moment.path:
            return
        if self.struck.is_set() and moment.stage == "before":
            raise ConnectionResetError
        if moment.stage == ("before" if self._answered else "after"):
            self._left -= 1
            if self._left < (0 if self._answered else 1):
                self.struck.set()
                raise ConnectionResetError


def over(run: ConformanceRun) -> bool:
    """Whether it has ended."""
    return is_over(run)


def verdicts(run: ConformanceRun) -> dict[str, str]:
    """What it says of each feature."""
    return {line.feature: str(line.verdict) for line in status_of(run).features}


@asynccontextmanager
async def world(*probes: Probe) -> AsyncIterator[World]:
    """A cluster with a mesh, and agents that are honest until a test breaks something."""
    async with FakeKubernetes() as kubernetes, NatsServer() as nats, SimulatedMesh(kubernetes) as mesh:
        for kind in KINDS:
            kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(kind))))
        kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
        await mesh.install(LINKERD)
        yield World(kubernetes, mesh, nats, TinyMesh(kubernetes), probes)

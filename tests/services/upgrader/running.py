"""The whole service on a simulated cluster with a simulated mesh, and a real NATS server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from services.upgrader.edges.assembled import assembled
from services.upgrader.metrics import METRICS
from services.upgrader.service import Upgrader, surroundings
from services.upgrader.settings import TempoSettings, ToolSettings, UpgraderGroup, UpgraderSettings
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events.base import Envelope, Event
from steward.events.subjects import subject_filter
from steward.jsonvalue import Json, JsonObject, rows, table, texts, whole
from steward.kube.resources import (
    CRDS,
    LEASES,
    NAMESPACES,
    RELEASE_CATALOGS,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
)
from steward.linkerd import marks
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.resources import KINDS
from steward.resources.definitions import definition
from steward.resources.upgrade_policy import UpgradePolicy, UpgradePolicyStatus
from steward.resources.upgrade_run import UpgradeRun
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import WriteMoment
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.values import Method
from steward.testing.nats import NatsServer
from tests.services.upgrader.quick import STAMPS, quicken

PATIENCE = 60.0
CLUSTER = "testing"
OLD, NEW = "edge-25.10.7", "edge-26.6.3"
PLANS = Path(__file__).parents[3] / "services/upgrader/plans"
TEMPO = TempoSettings(
    look_again=timedelta(milliseconds=50),
    ask_again=timedelta(milliseconds=100),
    gate_patience=timedelta(seconds=20),
    record=timedelta(milliseconds=20),
    begin_again=timedelta(milliseconds=50),
)


@dataclass
class Replica:
    """One running copy of the service."""

    task: asyncio.Task[None]
    registry: CollectorRegistry

    async def stop(self) -> None:
        """End it, and wait."""
        self.task.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([self.task])

    def sample(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        return self.registry.get_sample_value(f"steward_upgrader_{name}", labels)


@dataclass
class World:
    """Everything around the service."""

    kubernetes: FakeKubernetes
    mesh: SimulatedMesh
    nats: NatsServer
    folder: Path
    tempo: TempoSettings = TEMPO

    def start(self, *, identity: str = "one", quick: bool = True) -> Replica:
        """Start a replica."""
        registry = CollectorRegistry()
        settings = UpgraderSettings(
            bus=BusSettings(
                servers=(self.nats.url,),
                cluster=CLUSTER,
                publish_deadline=timedelta(seconds=2),
                drain_deadline=timedelta(seconds=1),
            ),
            cluster=ClusterSettings(kubeconfig=self.kubernetes.kubeconfig()),
            lease=LeaseSettings(duration=timedelta(seconds=2)),
            log=LogSettings(level="error"),
            upgrader=UpgraderGroup(
                identity=identity,
                tempo=self.tempo,
                tools=ToolSettings(
                    artifacts=self.folder / "artifacts", work=self.folder / "work", cli_url="", charts_url=""
                ),
            ),
        )
        return Replica(asyncio.create_task(self._serve(settings, registry, quick=quick)), registry)

    async def _serve(self, settings: UpgraderSettings, registry: CollectorRegistry, *, quick: bool) -> None:
        async with (
            lent("upgrader", settings, METRICS, registry=registry, health=Health()) as chassis,
            assembled(chassis.kube, chassis.clock, surroundings(settings)) as edges,
        ):
            used = quicken(edges, self.mesh) if quick else edges
            await Upgrader(chassis, settings, used).run()  # type: ignore[arg-type] # QuickProbes hands the rest on

    @asynccontextmanager
    async def running(self, *, identity: str = "one", quick: bool = True) -> AsyncIterator[Replica]:
        """A replica for the length of a block; what it died of is raised."""
        replica = self.start(identity=identity, quick=quick)
        try:
            yield replica
        finally:
            await replica.stop()
            if not replica.task.cancelled():
                replica.task.result()

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The bus as a bystander has it."""
        bus = await Bus.connect(
            BusSettings(servers=(self.nats.url,), cluster=CLUSTER), name="test", clock=SystemClock()
        )
        await bus.reconcile()
        try:
            yield bus
        finally:
            await bus.close()

    async def events(self) -> list[Envelope[Event]]:
        """What was published so far, in order."""
        async with self.bus() as bus:
            stored = bus.tail(subject_filter("*", cluster=CLUSTER), start=Start.ALL, follow=False)
            return [each async for each in stored if each.data.name.startswith("upgrade-")]

    async def told(self, last: str) -> list[Envelope[Event]]:
        """Everything up to the first event of that name, waiting for it."""
        found: list[Envelope[Event]] = []
        async with self.bus() as bus, asyncio.timeout(PATIENCE):
            async for envelope in bus.tail(subject_filter("*", cluster=CLUSTER), start=Start.ALL):
                found.append(envelope)
                if envelope.data.name == last:
                    return [each for each in found if each.data.name.startswith("upgrade-")]
        raise AssertionError("the stream has no end")

    def runs(self) -> list[UpgradeRun]:
        """The runs as the API server has them."""
        return [UpgradeRun.of(each) for each in self.kubernetes.cluster.list(UPGRADE_RUNS)]

    async def until(self, holds: Callable[[UpgradeRun], bool]) -> UpgradeRun:
        """Wait until some run is as `holds` says, looking after every write."""
        written = asyncio.Event()
        self.kubernetes.on_write(lambda _: written.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    written.clear()
                    found = next((run for run in self.runs() if holds(run)), None)
                    if found is not None:
                        return found
                    await written.wait()
        except TimeoutError:
            raise AssertionError(f"no run ever became so; they are {self.runs()!r}") from None

    def create_run(self, name: str, **spec: object) -> None:
        """A run as a person would make it."""
        body: JsonObject = {"metadata": {"name": name}, "spec": {"target": NEW, **spec}}  # type: ignore[dict-item] # JSON of a test
        self.kubernetes.cluster.create(UPGRADE_RUNS, body)

    def policy(self, **spec: object) -> None:
        """The policy in force: automatic, for whatever is recommended, at once."""
        given = {"mode": "Automatic", "targetSelector": {"minimumReleaseAgeSeconds": 0}, **spec}
        body: JsonObject = {"metadata": {"name": "default"}, "spec": given}  # type: ignore[dict-item] # JSON of a test
        self.kubernetes.cluster.create(UPGRADE_POLICIES, body)

    def catalog(self, head: str = NEW) -> None:
        """What version_watcher would have found out."""
        releases = [shipped().entry(Version.parse(each)).to_json() for each in (OLD, NEW)]
        channel: JsonObject = {
            "name": "edge",
            "head": head,
            "headObservedAt": "2026-06-18T12:00:00Z",
            "offered": head,
            "regressed": False,
        }
        status: JsonObject = {"channels": [channel], "releases": list(releases)}
        self.kubernetes.cluster.create(RELEASE_CATALOGS, {"metadata": {"name": "default"}, "spec": {}})
        self.kubernetes.cluster.set_status(RELEASE_CATALOGS, "default", status)

    def deeds(self) -> Counter[str]:
        """How often each operation left its stamp."""
        found: Counter[str] = Counter()
        for entry in self.kubernetes.audit:
            if entry.path.endswith(f"/{STAMPS}") and entry.code in (200, 201):
                found.update(texts(entry.body, "data").values())
        return found

    def template_changes(self) -> Counter[str]:
        """How often somebody wrote a marker into a workload's template."""
        found: Counter[str] = Counter()
        for entry in self.kubernetes.audit:
            if entry.code == 200 and marked(entry.body):
                found["/".join(entry.path.split("/")[-3:])] += 1
        return found

    async def policy_says(self, reason: str) -> UpgradePolicy:
        """Wait until the policy in force has that reason."""

        def holds() -> bool:
            return any(each.reason == reason for each in (policy().status or UpgradePolicyStatus()).conditions)

        def policy() -> UpgradePolicy:
            return UpgradePolicy.of(self.kubernetes.cluster.get(UPGRADE_POLICIES, "default"))

        await self.written(holds)
        return policy()

    async def written(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so, looking after every write."""
        written = asyncio.Event()
        self.kubernetes.on_write(lambda _: written.set())
        async with asyncio.timeout(PATIENCE):
            while not holds():
                written.clear()
                if not holds():
                    await written.wait()

    def move_head(self, head: str) -> None:
        """The catalog learns of a newer head."""
        found = self.kubernetes.cluster.get(RELEASE_CATALOGS, "default")
        status = table(found, "status")
        channel = {**rows(status, "channels")[0], "head": head, "offered": head}
        self.kubernetes.cluster.set_status(RELEASE_CATALOGS, "default", {**status, "channels": [channel]})

    def take(self, name: str, *, holder: str, token: int) -> None:
        """Another replica writes its term into a run."""
        found = self.kubernetes.cluster.get(UPGRADE_RUNS, name)
        lock: JsonObject = {"holder": holder, "fencingToken": token}
        self.kubernetes.cluster.set_status(UPGRADE_RUNS, name, {**table(found, "status"), "lock": lock})

    def resume(self, name: str) -> None:
        """A person lets a run go on."""
        self.kubernetes.cluster.patch(UPGRADE_RUNS, name, Patch("merge", {"spec": {"state": "Run"}}))

    async def lease_was_taken_again(self) -> None:
        """Wait until the lease changed hands at least twice more: whoever had it found out that it is over."""
        transitions = self._transitions()
        await self.written(lambda: self._transitions() >= transitions + 2)

    def _transitions(self) -> int:
        found = self.kubernetes.cluster.find(LEASES, "upgrader", "linkerd-steward")
        return whole(found, "spec", "leaseTransitions")

    def versions(self, namespace: str) -> Counter[str]:
        """How many pods run which proxy."""
        return self.mesh.proxy_versions(namespace)


def marked(body: Json) -> bool:
    """Whether a write sets the marker in a pod template."""
    return marks.PROXY_TARGET in texts(body, "spec", "template", "metadata", "annotations")


def condition(run: UpgradeRun, type_: str) -> str:
    """Status and reason of a condition, `True/Succeeded`."""
    conditions = run.status.conditions if run.status else ()
    return next((f"{each.status.value}/{each.reason}" for each in conditions if each.type == type_), "")


class Death:
    """A process dies with its first write that it is not allowed: nothing of it reaches the API server from then on.

    Leases and Events are no part of the journey: they are written by the clock, and however often they please.
    """

    def __init__(self, allowed: int, *, answered: bool) -> None:
        self.struck = asyncio.Event()
        self._left = allowed
        self._answered = answered
        self.over = False

    def __call__(self, moment: WriteMoment) -> None:
        if self.over or "/leases" in moment.path or "/events" in moment.path:
            return
        if self.struck.is_set() and moment.stage == "before":
            raise ConnectionResetError
        if moment.stage == ("before" if self._answered else "after"):
            self._left -= 1
            if self._left < (0 if self._answered else 1):
                self.struck.set()
                raise ConnectionResetError


@asynccontextmanager
async def world(folder: Path, *, method: Method = Method.HELM) -> AsyncIterator[World]:
    """A cluster with an older mesh and three workloads that asked for new proxies, and one that did not."""
    async with FakeKubernetes() as kubernetes, NatsServer() as nats, SimulatedMesh(kubernetes) as mesh:
        for kind in KINDS:
            kubernetes.cluster.create(CRDS, yaml.safe_load(yaml.safe_dump(definition(kind))))
        kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
        for path in sorted(PLANS.glob("*.yaml")):
            kubernetes.cluster.create(UPGRADE_PLANS, yaml.safe_load(path.read_text(encoding="utf-8")))
        await mesh.install(OLD, method=method)
        mesh.namespace("shop", annotations={marks.PROXY_UPGRADE: "Auto"})
        mesh.workload("Deployment", "shop", "web", replicas=2)
        mesh.workload("StatefulSet", "shop", "cart", replicas=2)
        mesh.workload("DaemonSet", "shop", "agent")
        mesh.workload("Deployment", "quiet", "bystander", replicas=1)
        await mesh.settled()
        yield World(kubernetes, mesh, nats, folder)

"""Which event and which resource goes where. Everything that acts does so under the lease, one replica at a time."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from services.upgrader.core.acts import Over
from services.upgrader.core.planning import queue
from services.upgrader.core.ports import Edges
from services.upgrader.core.steps import Tempo
from services.upgrader.edges.assembled import Surroundings, assembled
from services.upgrader.edges.tooling import Sources
from services.upgrader.engine.bell import Bell
from services.upgrader.engine.caches import Caches
from services.upgrader.engine.choosing import LOOK_AGAIN, Cause, Choosing
from services.upgrader.engine.conductor import Conductor
from services.upgrader.engine.notes import Notes
from services.upgrader.engine.planner import Planner
from services.upgrader.engine.readings import Readings
from services.upgrader.engine.runs import Runs, UnreadableRun
from services.upgrader.engine.telling import Telling
from services.upgrader.engine.world import Term, World
from services.upgrader.metrics import ERRORS, LOCK_HELD
from services.upgrader.settings import UpgraderSettings, environment
from steward.bus.delivery import Delivery
from steward.bus.errors import BusClosed, BusError
from steward.bus.streams import ConsumerSpec, filters_for
from steward.cancellation import ended
from steward.errors import ConfigurationError
from steward.events.versions import NewVersion, VersionWithdrawn
from steward.kube.errors import Conflict, KubeError
from steward.kube.lease import Leadership, LeadershipLost, Lease, LeaseName
from steward.kube.recorder import EventRecorder
from steward.mesh.view import MeshView
from steward.resources.upgrade_run import DryRun
from steward.service.chassis import Chassis

CONSUMER = "upgrader"
LEASE = "upgrader"
_SETTLE = timedelta(milliseconds=50)
"""A change seldom comes alone: a moment's patience saves a look for each of its companions."""
_LONGEST_BACKOFF = timedelta(minutes=1)


async def serve(chassis: Chassis) -> None:
    """Serve until cancelled."""
    settings = chassis.settings
    if not isinstance(settings, UpgraderSettings):
        raise ConfigurationError(f"upgrader is served with {type(settings).__name__} instead of UpgraderSettings")
    async with assembled(chassis.kube, chassis.clock, surroundings(settings)) as edges:
        await Upgrader(chassis, settings, edges).run()


def surroundings(settings: UpgraderSettings) -> Surroundings:
    """What the edges need to know, from the settings."""
    tools, cluster = settings.upgrader.tools, settings.cluster
    return Surroundings(
        helm=Path(shutil.which(tools.helm) or tools.helm),
        work=tools.work,
        sources=Sources(tools.artifacts, tools.cli_url, tools.charts_url),
        gitops=tools.gitops,
        namespace=cluster.linkerd_namespace,
        kubeconfig=cluster.kubeconfig,
        context=cluster.context,
        environment=environment(),
        handed_on=tools.hand_on,
    )


class Upgrader:
    """The service, put together."""

    def __init__(self, chassis: Chassis, settings: UpgraderSettings, edges: Edges) -> None:
        self._chassis = chassis
        self._settings = settings
        clock, kube = chassis.clock, chassis.kube
        self._changed, self._considered = Bell(clock), Bell(clock)
        self._caches = Caches(kube, chassis.log, self._resources_changed)
        self._mesh = MeshView(kube, settings.cluster.linkerd_namespace, on_change=self._changed.ring)
        self._recorder = EventRecorder(kube, "linkerd-steward/upgrader", settings.upgrader.identity)
        self._telling = Telling(chassis.bus, self._caches, clock, chassis.instruments, chassis.log)
        self._world = World(
            clock=clock,
            runs=Runs(kube),
            caches=self._caches,
            mesh=self._mesh,
            edges=edges,
            notes=Notes(self._recorder),
            instruments=chassis.instruments,
            log=chassis.log,
            tempo=_tempo(settings),
            changed=self._changed,
        )
        self._planner = Planner(self._world)
        self._choosing = Choosing(self._world, kube, self._planner, self._telling.is_told)
        self._readings = Readings(chassis.instruments, self._world.notes, chassis.log)
        name = LeaseName(settings.cluster.namespace, LEASE, settings.upgrader.identity)
        self._lease = Lease(kube, name, settings.lease.duration)

    async def run(self) -> None:
        """Keep the caches, wait for the lease, act under it; until cancelled."""
        self._chassis.instruments.set(LOCK_HELD, 0)
        self._chassis.health.ready_when("upgrader: resources", lambda: self._caches.problem)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._caches.run(), name="caches")
            tasks.create_task(self._mesh.run(), name="mesh")
            tasks.create_task(self._recorder.run(), name="recorder")
            tasks.create_task(self._lease.always_lead(self._lead), name="lease")

    async def _lead(self, leadership: Leadership) -> None:
        """One term."""
        await self._caches.synced()
        term = Term(self._settings.upgrader.identity, leadership.token)
        conductor = Conductor(self._world, self._planner, self._readings, term)
        self._chassis.instruments.set(LOCK_HELD, 1)
        try:
            async with asyncio.TaskGroup() as tasks:
                begun = [
                    tasks.create_task(self._keep(self._changed, lambda: self._conduct(conductor)), name="conduct"),
                    tasks.create_task(self._keep(self._considered, self._consider), name="choose"),
                    tasks.create_task(self._telling.run(), name="tell"),
                    tasks.create_task(self._hear(), name="hear"),
                ]
                await ended(begun)
        except BaseExceptionGroup as group:
            # The lease knows how to go on after a lost term, if it is told in so many words.
            lost, other = group.split(LeadershipLost)
            if lost is None or other is not None:
                raise
            raise LeadershipLost(str(lost.exceptions[0])) from group
        finally:
            self._chassis.instruments.set(LOCK_HELD, 0)

    async def _hear(self) -> None:
        """Releases that are announced. What they change is in the catalog too, so nothing is lost with them."""
        spec = ConsumerSpec(
            name=CONSUMER,
            filters=filters_for((NewVersion, VersionWithdrawn), cluster=self._chassis.bus.cluster),
            description="Releases that upgrader may begin a run for.",
        )
        while True:
            try:
                await self._chassis.bus.reconcile(consumers=(spec,))
                await self._chassis.bus.consume(spec, self._on_release)
            except BusClosed:
                raise
            except BusError as error:
                self._chassis.log.warning("hears no events until NATS is back", error=str(error))
                await self._chassis.clock.sleep(self._settings.upgrader.tempo.begin_again)

    async def _on_release(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if isinstance(envelope.data, NewVersion):
            self._choosing.heard(envelope.data.release, Cause(envelope.id, envelope.traceparent or ""))
        self._considered.ring()

    async def _conduct(self, conductor: Conductor) -> datetime | None:
        """Go on with the run whose turn it is; those that are refused stand in nobody's way."""
        self._readings.runs(self._caches.runs())
        for run in queue(self._caches.runs()):
            try:
                act = await conductor.conduct(run.metadata.name)
            except UnreadableRun as error:
                self._chassis.log.error("run left alone", error=str(error))  # noqa: TRY400 - it is no failure of ours
                continue
            if isinstance(act, Over) or run.spec.dry_run is not DryRun.NONE or act.said.reason == "Refused":
                continue
            return act.until
        return None

    async def _consider(self) -> datetime | None:
        await self._mesh.synced()
        await self._choosing.look()
        return self._chassis.clock.now() + LOOK_AGAIN

    async def _keep(self, bell: Bell, work: Callable[[], Awaitable[datetime | None]]) -> None:
        """Do `work` at each ring and at the time that it asks for; what fails is done again, later each time."""
        failures = 0
        while True:
            try:
                until = await work()
                failures = 0
            except KubeError as error:
                failures += 1
                self._chassis.instruments.count(ERRORS, type(error).__name__)
                say = self._chassis.log.info if isinstance(error, Conflict) else self._chassis.log.warning
                say("again, after an error", error=str(error), failures=failures)
                patience = self._settings.upgrader.tempo.begin_again * 2 ** min(failures - 1, 10)
                await self._chassis.clock.sleep(
                    _SETTLE if isinstance(error, Conflict) else min(patience, _LONGEST_BACKOFF)
                )
                continue
            if await bell.wait(until):
                await self._chassis.clock.sleep(_SETTLE)

    def _resources_changed(self) -> None:
        self._changed.ring()
        self._considered.ring()
        self._telling.changed.ring()


def _tempo(settings: UpgraderSettings) -> Tempo:
    tempo = settings.upgrader.tempo
    return Tempo(
        look_again=tempo.look_again,
        ask_again=tempo.ask_again,
        gate_patience=tempo.gate_patience,
        record=tempo.record,
    )

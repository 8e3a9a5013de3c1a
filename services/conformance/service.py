"""Which resource and which event goes where. Everything that acts does so under the lease, one replica at a time.

conduct   a conductor for each ConformanceRun that is not over
tell      confirmed changes and ended runs, each once
hear      what upgrades ask for
sweep     namespaces that nobody cleans up
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from importlib.metadata import version
from urllib.parse import urlsplit

from services.conformance.core.decide import Patience
from services.conformance.core.manifests import Access
from services.conformance.core.ports import Edges
from services.conformance.core.probe import Probe
from services.conformance.core.probes import PROBES
from services.conformance.core.suites import status_of
from services.conformance.edges.assembled import Surroundings, assembled
from services.conformance.engine.bell import Bell
from services.conformance.engine.company import Company
from services.conformance.engine.knowing import Knowing
from services.conformance.engine.resources import Resources
from services.conformance.engine.runs import Runs
from services.conformance.engine.sweeper import Sweeper
from services.conformance.engine.telling import Telling
from services.conformance.engine.upgrades import HEARD, Upgrades
from services.conformance.engine.world import Means, World
from services.conformance.metrics import LOCK_HELD
from services.conformance.settings import ConformanceSettings
from steward.bus.errors import BusClosed, BusError
from steward.bus.streams import ConsumerSpec, filters_for
from steward.errors import ConfigurationError
from steward.kube.errors import Conflict, KubeError, NotFound
from steward.kube.lease import Leadership, LeadershipLost, Lease, LeaseName
from steward.kube.resources import CONFORMANCE_SUITES
from steward.linkerd.knowledge import shipped
from steward.service.chassis import Chassis

CONSUMER = "conformance"
LEASE = "conformance"
_DEFAULT_PORT = 4222
_BUS_AGAIN = timedelta(milliseconds=500)

Assemble = Callable[[Chassis, Surroundings], AbstractAsyncContextManager[Edges]]


async def serve(chassis: Chassis) -> None:
    """Serve until cancelled."""
    settings = chassis.settings
    if not isinstance(settings, ConformanceSettings):
        raise ConfigurationError(f"conformance is served with {type(settings).__name__} instead of ConformanceSettings")
    await Conformance(chassis, settings).run()


def surroundings(settings: ConformanceSettings) -> Surroundings:
    """What the edges need to know, from the settings."""
    group = settings.conformance
    in_a_pod = settings.cluster.kubeconfig is None
    return Surroundings(
        namespace=settings.cluster.linkerd_namespace,
        priority_class=group.priority_class,
        direct=in_a_pod if group.direct is None else group.direct,
        prometheus=bool(group.prometheus),
        ingress=bool(group.ingress),
    )


def means_of(settings: ConformanceSettings) -> Means:
    """What the engine needs to know, from the settings."""
    group, bus = settings.conformance, settings.bus
    servers = group.agents.servers or bus.servers
    access = Access(
        servers=servers,
        ports=tuple(dict.fromkeys(urlsplit(each).port or _DEFAULT_PORT for each in servers)),
        cluster=bus.cluster,
        user=group.agents.user,
        password=group.agents.password.get_secret_value(),
    )
    tempo = group.tempo
    return Means(
        image=group.image,
        access=access,
        version=version("linkerd-steward"),
        priority_class=group.priority_class,
        at_once=group.at_once,
        retry_within=tempo.retry,
        record=tempo.record,
        renew=tempo.renew,
        report=tempo.report,
        begin_again=tempo.begin_again,
        agents=tempo.look_again,
        patience=Patience(tempo.deploy, tempo.drain, tempo.report, tempo.look_again),
    )


def consumer(cluster: str) -> ConsumerSpec:
    """Where in the stream of events conformance is."""
    return ConsumerSpec(
        name=CONSUMER,
        filters=filters_for(HEARD, cluster=cluster),
        description="Steps of upgrades that conformance answers.",
    )


class Conformance:
    """The service, put together."""

    def __init__(
        self,
        chassis: Chassis,
        settings: ConformanceSettings,
        *,
        assemble: Assemble = assembled,
        probes: tuple[Probe, ...] = PROBES,
        means: Means | None = None,
    ) -> None:
        self._chassis = chassis
        self._settings = settings
        self._assemble = assemble
        self._probes = probes
        self._means = means or means_of(settings)
        self._suites_changed = Bell(chassis.clock)
        self._company: Company | None = None
        self._telling: Telling | None = None
        self._resources = Resources(chassis.kube, chassis.log, self._run_changed, self._suite_changed)
        name = LeaseName(settings.cluster.namespace, LEASE, settings.conformance.identity)
        self._lease = Lease(chassis.kube, name, settings.lease.duration)

    async def run(self) -> None:
        """Keep the caches, wait for the lease, act under it; until cancelled."""
        self._chassis.instruments.set(LOCK_HELD, 0)
        self._chassis.health.ready_when("conformance: resources", lambda: self._resources.problem)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resources.run_caches(), name="caches")
            tasks.create_task(self._lease.always_lead(self._lead), name="lease")

    async def _lead(self, leadership: Leadership) -> None:
        """One term."""
        del leadership
        await self._resources.synced()
        self._chassis.instruments.set(LOCK_HELD, 1)
        try:
            async with self._assemble(self._chassis, surroundings(self._settings)) as edges:
                await self._act(edges)
        except BaseExceptionGroup as group:
            # The lease knows how to go on after a lost term, if it is told in so many words.
            lost, other = group.split(LeadershipLost)
            if lost is None or other is not None:
                raise
            raise LeadershipLost(str(lost.exceptions[0])) from group
        finally:
            self._company = self._telling = None
            self._chassis.instruments.set(LOCK_HELD, 0)

    async def _act(self, edges: Edges) -> None:
        chassis = self._chassis
        knowing = Knowing(self._probes, edges.results, chassis.clock, chassis.instruments)
        telling = self._telling = Telling(chassis, self._resources, knowing, edges.results)
        world = World(
            clock=chassis.clock,
            runs=Runs(chassis.kube),
            edges=edges,
            knowing=knowing,
            probes=self._probes,
            knowledge=shipped(),
            instruments=chassis.instruments,
            log=chassis.log,
            means=self._means,
            told=lambda _: telling.changed.ring(),
            bus_is_up=self._bus_is_up,
        )
        company = self._company = Company(world, self._resources)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(telling.run(), name="tell")
            tasks.create_task(self._hear(world), name="hear")
            tasks.create_task(self._sweep(world), name="sweep")
            tasks.create_task(self._judge_suites(), name="suites")
            tasks.create_task(company.run(), name="conduct")
            tasks.create_task(self._until_known(knowing), name="know")

    async def _until_known(self, knowing: Knowing) -> None:
        """Nothing is judged before what was found out before is known."""
        while not knowing.loaded.is_set():
            try:
                await self._chassis.bus.reconcile()
                await knowing.load()
            except BusClosed:
                raise
            except BusError as error:
                self._chassis.log.warning("waits for NATS, where results are", error=str(error))
                await self._chassis.clock.sleep(self._settings.conformance.tempo.begin_again)

    async def _bus_is_up(self) -> None:
        while not self._chassis.bus.connected:
            await self._chassis.clock.sleep(_BUS_AGAIN)

    async def _hear(self, world: World) -> None:
        """Upgrades. What a lost event would have asked for, a gate or a person can ask for as well."""
        spec = consumer(self._chassis.bus.cluster)
        upgrades = Upgrades(self._resources, world.runs, self._probes, self._chassis.log)
        while True:
            try:
                await self._chassis.bus.reconcile(consumers=(spec,))
                await self._chassis.bus.consume(spec, upgrades.on_event)
            except BusClosed:
                raise
            except BusError as error:
                self._chassis.log.warning("hears no events until NATS is back", error=str(error))
                await self._chassis.clock.sleep(self._settings.conformance.tempo.begin_again)

    async def _sweep(self, world: World) -> None:
        chassis = self._chassis
        sweeper = Sweeper(world.edges.cluster, self._resources, chassis.clock, chassis.instruments, chassis.log)
        while True:
            await sweeper.sweep_once_more()
            await chassis.clock.sleep(self._settings.conformance.tempo.sweep)

    async def _judge_suites(self) -> None:
        """Each suite says of itself what we think of it."""
        while True:
            try:
                for suite in self._resources.suites():
                    status = status_of(suite, self._probes, self._chassis.clock.now())
                    if suite.status != status:
                        await self._chassis.kube.merge(
                            CONFORMANCE_SUITES,
                            suite.metadata.name,
                            {"status": status.to_json()},
                            subresource="status",
                            resource_version=suite.metadata.resource_version,
                        )
            except (Conflict, NotFound):
                await self._suites_changed.wait(None)
                continue
            except KubeError as error:
                self._chassis.log.warning("a suite was not judged yet", error=str(error))
                await self._chassis.clock.sleep(self._settings.conformance.tempo.begin_again)
                continue
            await self._suites_changed.wait(None)

    def _run_changed(self, name: str) -> None:
        if self._company is not None:
            self._company.run_changed(name)
        if self._telling is not None:
            self._telling.changed.ring()

    def _suite_changed(self) -> None:
        self._suites_changed.ring()
        if self._company is not None:
            self._company.all_changed()

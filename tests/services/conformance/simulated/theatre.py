"""A whole run's cast on the simulated data plane: real exercisers, real agents, real edges, nothing else of the engine.

async with opened(nats_server.url, tmp_path) as theatre:
    found = await theatre.play("mtls.identity")
    assert found.verdict is Verdict.PASSED
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

from services.conformance.core.capability import ClusterSeen, Has, capability, has
from services.conformance.core.judge import Which
from services.conformance.core.manifests import (
    MESH,
    PLAIN,
    Access,
    Production,
    cast,
    echo_template,
    furniture,
    namespaces,
)
from services.conformance.core.ports import Edges
from services.conformance.core.probe import Probe
from services.conformance.core.probes import PROBES
from services.conformance.core.stage import Need, Port, Stage, Timings
from services.conformance.edges.agents import Agents
from services.conformance.edges.cluster import ProbedCluster
from services.conformance.edges.control_plane import Controllers
from services.conformance.edges.evidence import StoredEvidence
from services.conformance.edges.results import StreamedResults
from services.conformance.edges.surveying import Surveyor
from services.conformance.engine.runner import Outcome, Runner
from services.conformance.exerciser.exercising import exercising
from services.conformance.exerciser.settings import ExerciserGroup, ExerciserSettings
from steward.bus.client import Bus
from steward.bus.metrics import BusMetrics
from steward.bus.settings import BusSettings
from steward.clock import SystemClock, within
from steward.conformance.reports import Form, RunReport
from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.client import Kube
from steward.linkerd.knowledge import shipped
from steward.resources.conformance_suite import Footprint
from steward.service.logs import logger
from steward.service.patient_bus import PatientBus
from steward.service.settings import LogSettings
from steward.testing.dataplane.config import Timings as PlaneTimings
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.viz.extension import SimulatedViz

LINKERD = "edge-26.8.3"
IMAGE = "exerciser"
RUN, RUN_UID = "theatre", "5f0c1d6a-7b1e-4a53-9d1c-0f4f6f1b2c3d"
CLUSTER = "test"
_AMPLE = timedelta(seconds=60)
_LOG = logger("theatre", LogSettings(level="error"))

DETECT = timedelta(seconds=2)
FAILFAST = timedelta(seconds=1)
IDLE = timedelta(seconds=1)
PLANE = PlaneTimings(failfast=FAILFAST, detect=DETECT, discovery_idle=IDLE, span_batch=timedelta(milliseconds=200))
STAGE = Timings(
    failfast=FAILFAST,
    detect=DETECT,
    discovery_idle=IDLE,
    propagation=timedelta(seconds=8),
    settle=timedelta(seconds=15),
    slack=timedelta(milliseconds=500),
)
"""Long enough that two busy cores tell apart what happens at once from what is waited for."""


@dataclass(slots=True)
class Theatre:
    """The stage, the machinery behind it, and a runner."""

    plane: SimulatedDataPlane
    mesh: SimulatedMesh
    kube: Kube
    agents: Agents
    seen: ClusterSeen
    production: Production
    runner: Runner
    _cycles: "count[int]" = field(default_factory=count)

    async def stage(self) -> Stage:
        """The stage as it is now."""
        return await self.runner.staging()

    def supports(self, probe: Probe) -> Has:
        """Whether this mesh has the feature."""
        return capability(probe, self.seen, shipped())

    async def play(self, feature: str) -> Outcome:
        """One cycle of one probe."""
        return await self.run(by_id(feature))

    async def run(self, probe: Probe) -> Outcome:
        """One cycle."""
        which = Which(RUN, RUN_UID, next(self._cycles), self.runner.clock.now())
        return await self.runner.run(probe, which)

    async def settled(self) -> None:
        """Every pod is ready, and has an agent that takes orders."""
        async with within(self.runner.clock, _AMPLE):
            await self.plane.settled()
        stage = await self.stage()
        pods = frozenset(place.pod for places in stage.places.values() for place in places)
        missing = await self.agents.until_present(RUN_UID, pods, within_time=_AMPLE)
        assert not missing, f"no agent in {', '.join(sorted(missing))}"


def needs_viz(feature: str) -> bool:
    """Whether a feature is there with the extension only, which costs every other one its time."""
    return Need.VIZ in by_id(feature).needs


def by_id(feature: str) -> Probe:
    """The probe of a feature."""
    return next(probe for probe in PROBES if probe.id == feature)


def told(outcome: Outcome) -> str:
    """A result as a person wants to read it when a test fails."""
    found = outcome.result
    broken = [
        f"  {each.name}: expected {each.expected}, observed {each.observed}" for each in found.assertions if not each.ok
    ]
    causes = [f"  {each.code} ({each.rung}): {each.observed}" for each in found.causes]
    control = f"[control {found.control_ok} {outcome.control.message}]"
    head = f"{found.feature}: {found.verdict} {found.reason}: {found.message} {control}"
    return "\n".join([head, *broken, *causes])


def healthy(outcome: Outcome) -> bool:
    """Whether a feature works, and its control does too."""
    return outcome.result.verdict in (Verdict.PASSED, Verdict.FLAKY) and outcome.result.control_ok is not False


@asynccontextmanager
async def opened(
    url: str,
    folder: Path,
    *,
    zones: tuple[str, ...] = ("a", "b"),
    stage: Timings = STAGE,
    plane: PlaneTimings = PLANE,
    nodes: tuple[str, ...] = (),
    values: JsonObject | None = None,
    viz: bool = False,
) -> AsyncIterator[Theatre]:
    """A healthy mesh, and the cast on it."""
    clock = SystemClock()
    settings = BusSettings(servers=(url,), cluster=CLUSTER)
    async with AsyncExitStack() as stack:
        bus = await Bus.connect(settings, name="conformance", clock=clock)
        stack.push_async_callback(bus.close)
        await bus.reconcile()
        kept = PatientBus(settings, name="results", clock=clock, metrics=BusMetrics(), log=_LOG)
        stack.push_async_callback(kept.close)
        agents = await stack.enter_async_context(Agents(bus, clock).listening())
        kubernetes = await stack.enter_async_context(FakeKubernetes())
        kube = await stack.enter_async_context(await Kube.connect(kubeconfig=kubernetes.kubeconfig()))
        mesh = await stack.enter_async_context(SimulatedMesh(kubernetes))
        images = {IMAGE: container_of(settings, folder, lambda: simulated)}
        simulated = SimulatedDataPlane(mesh, images=images, zones=zones, timings=plane)
        await stack.enter_async_context(simulated)
        await mesh.install(LINKERD, overrides=values)
        await simulated.settled()
        if viz:
            await stack.enter_async_context(SimulatedViz(simulated))
        surveyor = Surveyor(kube, "linkerd")
        edges = Edges(
            agents,
            ProbedCluster(kube, surveyor),
            Controllers(kube, "linkerd"),
            StreamedResults(kept),
            StoredEvidence(kept),
            _no_report,
        )
        seen, _ = await edges.cluster.survey()
        made = _production(url, nodes, cni=seen.cni)
        for thing in (*namespaces(made, clock.now()), *furniture(made), *cast(made)):
            await edges.cluster.put(thing)
        runner = Runner(
            edges=edges,
            clock=clock,
            staging=_staging(made, seen, edges, stage),
            agents_of=RUN_UID,
            retries=0,
            retry_within=timedelta(),
            keep_evidence=False,
        )
        theatre = Theatre(simulated, mesh, kube, agents, seen, made, runner)
        await theatre.settled()
        yield theatre


def _production(url: str, nodes: tuple[str, ...], *, cni: bool) -> Production:
    access = Access((url,), (int(url.rpartition(":")[2]),), CLUSTER)
    footprint = Footprint(max_pods=40)
    return Production(RUN, RUN_UID, "steward", 3_600, IMAGE, access, footprint, node_names=nodes, cni=cni)


def _staging(made: Production, seen: ClusterSeen, edges: Edges, timings: Timings) -> Callable[[], Awaitable[Stage]]:
    meshed, plain = made.namespace(MESH), made.namespace(PLAIN)
    bare = Stage(
        run=made.run,
        meshed=meshed,
        plain=plain,
        owner=made.owner,
        linkerd=seen.linkerd,
        linkerd_namespace=seen.linkerd_namespace,
        trust_domain=seen.trust_domain,
        cluster_domain=seen.cluster_domain,
        image=made.image,
        has=has(seen, shipped()),
        timings=timings,
        nodes=made.node_names,
        template=echo_template(made),
    )

    async def staged() -> Stage:
        return replace(bare, places=dict(await edges.cluster.places((meshed, plain))))

    return staged


def container_of(
    bus: BusSettings, folder: Path, plane: Callable[[], SimulatedDataPlane]
) -> Callable[[JsonObject, str, str], AbstractAsyncContextManager[object]]:
    """What runs an exerciser in this process for each pod of its image."""

    def run(pod: JsonObject, inside: str, outside: str) -> AbstractAsyncContextManager[object]:
        name, namespace = text(pod, "metadata", "name"), text(pod, "metadata", "namespace")
        told = _environment(pod)

        async def resolve(host: str) -> tuple[str, ...]:
            return await plane().resolve(host, namespace, name)

        who = ExerciserGroup(
            run=told.get("STEWARD_EXERCISER__RUN", RUN_UID),
            actor=told.get("STEWARD_EXERCISER__ACTOR", ""),
            spare_ports=told.get("STEWARD_EXERCISER__SPARE_PORTS") == "true",
            pod=name,
            node=text(pod, "spec", "nodeName"),
            pod_ip=outside,
            listen=inside,
            source_address=outside,
            ports=_ports(told.get("STEWARD_EXERCISER__PORTS", "")),
            spool=folder / name,
            most_per_second=5_000,
            grace=timedelta(),
        )
        settings = ExerciserSettings(bus=bus, log=LogSettings(level="error"), exerciser=who)
        return exercising(settings, resolve=resolve)

    return run


def _ports(written: str) -> dict[Port, int]:
    """The port that is for loopback only is a free one: all pods share it here."""
    moved = [each.partition("=") for each in written.split(",") if each]
    return {Port.LOOPBACK: 0, **{Port(name): int(number) for name, _, number in moved}}


def _environment(pod: JsonObject) -> Mapping[str, str]:
    containers = [each for each in rows(pod, "spec", "containers") if text(each, "name") == "exerciser"]
    return {text(each, "name"): text(each, "value") for container in containers for each in rows(container, "env")}


def _no_report(report: RunReport, form: Form) -> bytes:
    """Nobody asks for one here."""
    return f"{report} {form}".encode()

"""The default suite, once or for a while, on the mesh that a kubeconfig leads to: the service, by default in this
process, and its report.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import yaml
from prometheus_client import CollectorRegistry

from services.conformance.core.ledger import is_over, status_of
from services.conformance.core.safety import ROLE
from services.conformance.edges.assembled import assembled
from services.conformance.engine.reporting import report_name
from services.conformance.metrics import METRICS
from services.conformance.service import Assemble, Conformance
from services.conformance.settings import AgentSettings, ConformanceGroup, ConformanceSettings, TempoSettings
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import SystemClock, within
from steward.conformance.reports import Form
from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS, CRDS, NAMESPACES
from steward.resources import KINDS
from steward.resources.conformance_run import ConformanceRun
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LogSettings

NAMESPACE = "linkerd-steward"
_LOOK = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which mesh, with what, and how patiently."""

    kubeconfig: Path
    image: str
    bus: BusSettings
    agents: AgentSettings = field(default_factory=AgentSettings)
    """How pods reach the same NATS, where that is not as this process does."""
    only: tuple[str, ...] = ()
    lasting: timedelta | None = None
    """For how long features are tried again and again; None: once."""
    direct: bool = False
    tempo: TempoSettings = field(default_factory=TempoSettings)
    patience: timedelta = timedelta(minutes=30)
    """With one turn, or with what is over and above `lasting`."""
    assemble: Assemble = assembled
    serving: "Callable[[Asked], AbstractAsyncContextManager[None]] | None" = None
    """What runs the service; None: this process does."""


@dataclass(frozen=True, slots=True)
class Exercised:
    """What came of it."""

    run: ConformanceRun
    report: str
    left_behind: tuple[str, ...]

    @property
    def failed(self) -> frozenset[str]:
        """The features that do not work."""
        return frozenset(each.feature for each in status_of(self.run).features if each.verdict is Verdict.FAILED)


async def exercised(asked: Asked) -> Exercised:
    """Run the service against the cluster, make a run, wait for its end, and look at what is left."""
    clock = SystemClock()
    name = f"real-mesh-{uuid4().hex[:8]}"
    async with await Kube.connect(kubeconfig=asked.kubeconfig, clock=clock) as kube:
        await _prepare(kube)
        async with (asked.serving or _serving)(asked):
            body: JsonObject = {"metadata": {"name": name}, "spec": {"only": list(asked.only), **_paced(asked.lasting)}}
            await kube.create(CONFORMANCE_RUNS, body)
            try:
                async with within(clock, asked.patience + (asked.lasting or timedelta())):
                    run = await _until(kube, name, is_over)
                    report = await _report(asked.bus, run)
            finally:
                await kube.delete(CONFORMANCE_RUNS, name)
        return Exercised(run, report, await _left_behind(kube, run))


def _paced(lasting: timedelta | None) -> JsonObject:
    return {"pace": "Continuous", "durationSeconds": int(lasting.total_seconds())} if lasting else {}


async def _prepare(kube: Kube) -> None:
    """The kinds, and the namespace of the lease, where they are missing."""
    for kind in KINDS:
        wanted = yaml.safe_load(yaml.safe_dump(definition(kind)))
        if await kube.find(CRDS, text(wanted, "metadata", "name")) is None:
            await kube.create(CRDS, wanted)
    if await kube.find(NAMESPACES, NAMESPACE) is None:
        await kube.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})


@asynccontextmanager
async def _serving(asked: Asked) -> AsyncIterator[None]:
    settings = ConformanceSettings(
        bus=asked.bus,
        cluster=ClusterSettings(kubeconfig=asked.kubeconfig, namespace=NAMESPACE),
        log=LogSettings(level="error"),
        conformance=ConformanceGroup(image=asked.image, agents=asked.agents, direct=asked.direct, tempo=asked.tempo),
    )

    async def serve() -> None:
        async with lent("conformance", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
            await Conformance(chassis, settings, assemble=asked.assemble).run()

    serving = asyncio.create_task(serve(), name="conformance")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _until(kube: Kube, name: str, holds: Callable[[ConformanceRun], bool]) -> ConformanceRun:
    while True:
        run = ConformanceRun.of(await kube.get(CONFORMANCE_RUNS, name))
        if holds(run):
            return run
        await SystemClock().sleep(_LOOK)


async def _report(settings: BusSettings, run: ConformanceRun) -> str:
    bus = await Bus.connect(settings, name="report", clock=SystemClock())
    try:
        return (await bus.objects.get(report_name(run.metadata.uid, Form.MARKDOWN))).decode()
    finally:
        await bus.close()


async def _left_behind(kube: Kube, run: ConformanceRun) -> tuple[str, ...]:
    found = (await kube.list(NAMESPACES, labels=ROLE)).items
    own = [each for each in found if run.metadata.uid in str(each.get("metadata"))]
    return tuple(sorted(text(each, "metadata", "name") for each in own))

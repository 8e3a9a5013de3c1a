"""The default suite, measured: the mesh and its pods in this process, the service in one of its own."""

import gc
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.conformance.core.carriage import Gathered, reports_filter
from services.conformance.core.ledger import status_of
from services.conformance.core.orders import Fetched, Replies, Report
from services.conformance.edges.results import StreamedResults
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.conformance.results import FeatureResult, Verdict
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import PODS
from steward.resources.conformance_run import ConformanceRun, FeatureLine
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.kubernetes.store import Change
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsServer
from tests.cluster.real_mesh import Asked, Exercised, exercised
from tests.services.conformance.simulated.theatre import CLUSTER, IMAGE, LINKERD, container_of
from tests.suite.service_process import service_process

CLEAN = (Verdict.PASSED, Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it, in what time."""

    exercised: Exercised
    seconds: float
    """From the run's creation until nothing of it was left."""
    processor_seconds: float
    """Of the mesh, its pods and the service together."""
    pods: int
    """Of the run, most at once."""
    requests: int
    """That agents made."""
    results: tuple[FeatureResult, ...]
    """Of every turn of every feature, in the order in which they came."""

    @property
    def features(self) -> tuple[FeatureLine, ...]:
        """Every feature with its last verdict."""
        return status_of(self.exercised.run).features

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Features that nothing was said of."""
        return tuple(each.feature for each in self.features if each.verdict is None)

    @property
    def verdicts(self) -> str:
        """How many of each, of all turns: `114 Passed, 1 Flaky`."""
        counted = Counter(each.verdict for each in self.results)
        return ", ".join(f"{counted[verdict]:,} {verdict}" for verdict in Verdict if counted[verdict])

    @property
    def unclean(self) -> tuple[FeatureResult, ...]:
        """What did not simply pass."""
        return tuple(each for each in self.results if each.verdict not in CLEAN)


async def measured(only: tuple[str, ...] = (), lasting: timedelta | None = None) -> Measured:
    """Run the default suite, once or for so long, on a healthy mesh with the time-outs of real proxies."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nats = await stack.enter_async_context(NatsServer())
        kubernetes = await stack.enter_async_context(FakeKubernetes())
        mesh = await stack.enter_async_context(SimulatedMesh(kubernetes))
        bus = BusSettings(servers=(nats.url,), cluster=CLUSTER)
        images = {IMAGE: container_of(bus, folder, lambda: plane)}
        plane = SimulatedDataPlane(mesh, images=images, zones=("a", "b"))
        await stack.enter_async_context(plane)
        await mesh.install(LINKERD)
        await plane.settled()
        # As services do, lest the collector holds up every proxy of the mesh at once.
        gc.freeze()
        began, spent = time.perf_counter(), _processor_seconds()
        with _most_pods(mesh.cluster) as pods:
            asked = Asked(
                kubernetes.kubeconfig(), IMAGE, bus, only=only, lasting=lasting, direct=True, serving=service_process
            )
            found = await exercised(asked)
        seconds = time.perf_counter() - began
        made, results = await _kept(bus, found.run)
    return Measured(found, seconds, _processor_seconds() - spent, pods.most, made, results)


@dataclass(slots=True)
class _Pods:
    """Of namespaces that did not exist before."""

    before: frozenset[str]
    now: int = 0
    most: int = 0

    def changed(self, change: Change) -> None:
        """A pod came or went."""
        self.now += int(self._counts(change.after)) - int(self._counts(change.before))
        self.most = max(self.most, self.now)

    def _counts(self, pod: JsonObject | None) -> bool:
        return pod is not None and text(pod, "metadata", "namespace") not in self.before


@contextmanager
def _most_pods(cluster: ClusterState) -> Iterator[_Pods]:
    known = frozenset(text(pod, "metadata", "namespace") for pod in cluster.list(PODS))
    counted = _Pods(known)
    listeners = cluster.store.table((PODS.group, PODS.plural)).listeners
    listeners.append(counted.changed)
    try:
        yield counted
    finally:
        listeners.remove(counted.changed)


async def _kept(settings: BusSettings, run: ConformanceRun) -> tuple[int, tuple[FeatureResult, ...]]:
    """How many requests were made and what came of them, as the bus has kept it."""
    bus = await Bus.connect(settings, name="suite", clock=SystemClock())
    try:
        stored = StreamedResults(bus).of_run(run.metadata.uid, run.metadata.name)
        return await _requests(bus), tuple([result async for result in stored])
    finally:
        await bus.close()


async def _requests(bus: Bus) -> int:
    gathered: dict[str, Gathered] = {}
    made = 0
    async with aclosing(bus.stored(reports_filter(bus.cluster))) as messages:
        async for message in messages:
            order = ".".join(message.subject.split(".")[:7])
            report = gathered.setdefault(order, Gathered()).add(dict(message.headers), message.data)
            made += _made(report) if report is not None else 0
    return made


def _made(report: Report) -> int:
    match report.seen:
        case Replies(replies=replies):
            return len(replies)
        case Fetched():
            return 1
        case _:
            return 0


def _processor_seconds() -> float:
    """Of this process and of the processes that it started and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

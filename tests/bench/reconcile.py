"""The cost of one reconcile that changes nothing: where does every workload stand, and what is to be done next?

Every workload but one is proven and that one is on its way, so all must be looked at and nothing is to be done. Cold is
the first look of a process; warm is every later one, in which nothing but the time has changed. Processor time counts:
there is nothing to wait for, and what else the machine does is no cost of ours. The peer of a size is ten times the
figure of the size before it: a ratio of 1 is linear growth. The bar is that of the design.
"""

import time
from dataclasses import replace
from statistics import median

from services.upgrader.core import acts
from services.upgrader.core.decide import Facts, decide
from services.upgrader.core.ledger import status_of, step_of
from services.upgrader.core.observations import Unseen
from services.upgrader.core.operations import marker
from services.upgrader.core.rollout.progress import Recollection
from services.upgrader.core.rollout.standing import Memory
from services.upgrader.core.rollout.surveying import survey_run
from services.upgrader.core.steps import Seen
from services.upgrader.core.writing import written
from steward.linkerd.inventory import Inventory
from steward.linkerd.inventory import Seen as Listed
from steward.linkerd.pods import trim
from steward.linkerd.workloads import trim_namespace, trim_workload
from tests.bench.mesh_objects import RESTARTING, namespace_object, pod_objects, workload_object
from tests.bench.row import Row
from tests.services.upgrader.paper import PaperConductor, new_run, shipped_plans, shop, without_certificates

SIZES = (100, 1_000, 10_000)
ROUNDS = 7
BAR_MS = 50.0
TARGET = "edge-26.6.3"
_STEP = "data-plane"
_PER_NAMESPACE = 50


def under_way() -> PaperConductor:
    """A run that is about to look at its workloads."""
    conductor = PaperConductor(shop(), new_run(TARGET), plans=without_certificates(shipped_plans()))
    while not isinstance(decide(conductor.stored, Facts(now=conductor.cluster.now)), acts.Survey):
        if isinstance(conductor.step(), acts.Wait):
            conductor.cluster.tick()
    return conductor


def mesh(workloads: int, conductor: PaperConductor) -> Inventory:
    """Workloads of three kinds with one to three pods each, as the API server lists them, trimmed as the caches do."""
    run, spaces = conductor.stored, range(0, workloads, _PER_NAMESPACE)
    return Inventory.of(
        conductor.cluster.now,
        conductor.cluster.control_plane(),
        None,
        Listed(
            namespaces=tuple(trim_namespace(namespace_object(space // _PER_NAMESPACE)) for space in spaces),
            workloads=tuple(
                trim_workload(workload_object(number, number // _PER_NAMESPACE, marker(run)))
                for number in range(workloads)
            ),
            pods=tuple(
                trim(pod)
                for number in range(workloads)
                for pod in pod_objects(number, number // _PER_NAMESPACE, marker(run))
            ),
        ),
    )


class Reconcile:
    """One reconcile of the run over a mesh, as the engine does it."""

    def __init__(self, workloads: int) -> None:
        conductor = under_way()
        self.workloads = workloads
        self.run = conductor.stored
        self.inventory = mesh(workloads, conductor)
        self.memory = Memory({}, {}, {})
        while not isinstance(act := self.once(Recollection()), acts.Wait):
            assert not isinstance(act, acts.Doing | acts.Looking | acts.Over), act
            self.run = written(act, self.run, self.inventory.taken_at)

    def once(self, recollection: Recollection) -> acts.NextAct:
        """Look at every workload and decide."""
        snapshot = status_of(self.run).snapshot
        assert snapshot is not None
        facts = Facts(now=self.inventory.taken_at)
        asked = decide(self.run, facts)
        assert isinstance(asked, acts.Survey), asked
        operation = step_of(self.run, _STEP).operation_id
        found = survey_run(self.run, snapshot, self.inventory, self.memory, operation, recollection)
        assert not isinstance(found, Unseen), found
        return decide(self.run, replace(facts, seen=Seen(rollout=found.rollout)))

    def milliseconds(self, *, warm: bool) -> float:
        """Median of several, each of which ends with nothing to do."""
        kept = Recollection()
        self.once(kept)
        took = []
        for _ in range(ROUNDS):
            recollection = kept if warm else Recollection()
            began = time.process_time()
            act = self.once(recollection)
            took.append((time.process_time() - began) * 1000)
            assert isinstance(act, acts.Wait), act
        counted = status_of(self.run).workloads
        assert counted is not None
        assert counted.verified == self.workloads - len(RESTARTING)
        return median(took)


async def measure(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Each size beside ten times the one before it, the largest beside the bar as well."""
    rows: list[Row] = []
    before: dict[bool, float] = {}
    for size in sizes:
        reconcile = Reconcile(size)
        for warm in (True, False):
            took = reconcile.milliseconds(warm=warm)
            name = f"no-change reconcile at {size:,} workloads, {'warm' if warm else 'cold'}"
            if warm in before:
                linear = before[warm] * size / sizes[sizes.index(size) - 1]
                rows.append(Row(name, "ms", took, "linear growth", linear, linear / took))
            else:
                rows.append(Row(name, "ms", took))
            if size == max(SIZES):
                rows.append(Row(name, "ms", took, "bar", BAR_MS, BAR_MS / took))
            before[warm] = took
    return rows

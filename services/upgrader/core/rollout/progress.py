"""Where all workloads stand, and which of them are restarted next. Linear in their number."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from typing import NamedTuple

from services.upgrader.core.journal import Said
from services.upgrader.core.orders import Restart
from services.upgrader.core.rollout.proof import Prover, living
from services.upgrader.core.rollout.standing import PENDING, VERIFIED, Standing, Terms, stand
from services.upgrader.core.rollout.wishes import NamespaceWishes, concerned, order
from services.upgrader.core.steps import Rollout
from steward.linkerd.inventory import Inventory
from steward.linkerd.pods import PodFacts, WorkloadRef
from steward.linkerd.workloads import RESTARTABLE, NamespaceFacts, WorkloadFacts
from steward.resources.upgrade_policy import Wave
from steward.resources.upgrade_run import Workloads, WorkloadState, WorkloadStatus

_MOST_LISTED = 200
_NO_PODS: tuple[PodFacts, ...] = ()
_NOBODY = NamespaceWishes.of(None)

# Those that need a person come first; what is merely waiting comes last.
_LISTED = (
    WorkloadState.FAILED,
    WorkloadState.CONTESTED,
    WorkloadState.NO_EFFECT,
    WorkloadState.UNSUPPORTED,
    WorkloadState.HELD,
    WorkloadState.RESTARTING,
    WorkloadState.PENDING,
)

_UNSUPPORTED = {
    "Pod": "nothing would make it again: delete and create it yourself",
    "Job": "a Job cannot be restarted: it keeps its proxy until it ends",
    "CronJob": "its next Job gets the target's proxy by itself",
    "ReplicaSet": "no Deployment owns it: delete its pods one by one",
}


@dataclass(slots=True)
class _Count:
    """What is gathered while every workload is looked at once."""

    states: Counter[WorkloadState] = field(default_factory=Counter)
    standing: defaultdict[WorkloadState, list[tuple[WorkloadRef, Standing]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    waiting: list[tuple[int, WorkloadFacts]] = field(default_factory=list)
    """Those that may be restarted as soon as there is room, with their order."""
    busy: list[tuple[int, WorkloadRef]] = field(default_factory=list)
    """Those that are on their way, or are waited for."""
    timed: list[WorkloadRef] = field(default_factory=list)
    wake: datetime | None = None

    def add(self, ref: WorkloadRef, standing: Standing) -> None:
        """Count one that is not simply proven or pending."""
        self.states[standing.state] += 1
        self.standing[standing.state].append((ref, standing))
        if standing.timed:
            self.timed.append(ref)
        if standing.wake is not None and (self.wake is None or standing.wake < self.wake):
            self.wake = standing.wake


class _Known(NamedTuple):
    """Where a workload stood, and what that followed from. A tuple, for thousands are made in one go."""

    workload: WorkloadFacts
    pods: tuple[PodFacts, ...]
    namespace: NamespaceFacts | None
    standing: Standing | None
    order: int


class Recollection:
    """Where workloads stood at the last survey, for as long as nothing that it follows from is another object.

    It only saves time: a survey says the same with an empty one.
    """

    def __init__(self) -> None:
        self.known: dict[WorkloadRef, _Known] = {}
        self._terms: tuple[object, ...] = ()

    def turn_to(self, terms: Terms) -> None:
        """Forget everything where other terms hold."""
        key = (terms.marker, terms.prover.target, terms.always, terms.repair, terms.mode, terms.kinds)
        if key != self._terms:
            self._terms = key
            self.known.clear()

    def forget_the_gone(self, workloads: Mapping[WorkloadRef, WorkloadFacts]) -> None:
        """Keep nothing of workloads that were deleted, once there are many of them."""
        if len(self.known) > 2 * len(workloads):
            self.known = {ref: known for ref, known in self.known.items() if ref in workloads}


@dataclass(frozen=True, slots=True)
class Survey:
    """Where the workloads stand, and for which of them a clock begins to run."""

    rollout: Rollout
    timed: tuple[WorkloadRef, ...]
    standing: Mapping[WorkloadState, tuple[tuple[WorkloadRef, Standing], ...]]


def survey(
    inventory: Inventory, terms: Terms, wave: Wave, operation_id: str, recollection: Recollection | None = None
) -> Survey:
    """The whole rollout at this moment."""
    count = _count(inventory, terms, recollection or Recollection())
    workloads = _workloads(count)
    failure = _failure(count, wave)
    restarts = () if failure else tuple(_next(count, wave, terms.marker, operation_id))
    finished = not count.waiting and not count.busy
    rollout = Rollout(
        workloads=workloads,
        restarts=restarts,
        finished=finished,
        failure=failure,
        said=Said("RolledOut" if finished else "RollingOut", _sentence(workloads)),
        wake=count.wake,
    )
    return Survey(rollout, tuple(count.timed), {state: tuple(found) for state, found in count.standing.items()})


def _count(inventory: Inventory, terms: Terms, recollection: Recollection) -> _Count:
    count = _Count()
    verified = 0
    for known in _each(inventory, terms, recollection):
        standing = known.standing
        if standing is VERIFIED:
            verified += 1
        elif standing is PENDING:
            count.waiting.append((known.order, known.workload))
        elif standing is not None:
            count.add(known.workload.ref, standing)
            if standing.state in (WorkloadState.PENDING, WorkloadState.RESTARTING):
                count.busy.append((known.order, known.workload.ref))
    _complete(count, verified)
    for ref, standing in _others(inventory, terms):
        count.add(ref, standing)
    return count


def _each(inventory: Inventory, terms: Terms, recollection: Recollection) -> Iterator[_Known]:
    """Every workload; looked at only where something that its standing follows from is another object than before."""
    recollection.turn_to(terms)
    recollection.forget_the_gone(inventory.workloads)
    home = inventory.control_plane.namespace if inventory.control_plane else ""
    wishes = {name: NamespaceWishes.of(facts) for name, facts in inventory.namespaces.items()}
    recalled, pods_of, namespaces = recollection.known, inventory.pods, inventory.namespaces
    touched = {*terms.memory.restarted, *terms.memory.refused}
    for ref, workload in inventory.workloads.items():
        pods, space = pods_of.get(ref, _NO_PODS), namespaces.get(ref.namespace)
        known = recalled.get(ref)
        if known is not None and known[0] is workload and known[1] is pods and known[2] is space and ref not in touched:
            yield known
        elif ref.namespace != home:
            known = _look(workload, pods, space, wishes.get(ref.namespace, _NOBODY), terms)
            if known.standing is None or known.standing is VERIFIED or known.standing is PENDING:
                recalled[ref] = known
            yield known


def _look(
    workload: WorkloadFacts,
    pods: tuple[PodFacts, ...],
    namespace: NamespaceFacts | None,
    wishes: NamespaceWishes,
    terms: Terms,
) -> _Known:
    inject = namespace.inject if namespace is not None else None
    standing = stand(workload, pods, wishes, inject, terms)
    return _Known(workload, pods, namespace, standing, order(workload, wishes))


def _complete(count: _Count, verified: int) -> None:
    """What was counted apart because there may be thousands of it."""
    count.states[WorkloadState.VERIFIED] += verified
    count.states[WorkloadState.PENDING] += len(count.waiting)
    count.standing[WorkloadState.PENDING] += [(each.ref, PENDING) for _, each in count.waiting[:_MOST_LISTED]]


def _others(inventory: Inventory, terms: Terms) -> Iterator[tuple[WorkloadRef, Standing]]:
    """Pods that no change of a template replaces: reported, not forgotten."""
    home = inventory.control_plane.namespace if inventory.control_plane else ""
    for ref, pods in inventory.pods.items():
        if ref.kind in RESTARTABLE or ref.namespace == home:
            continue
        wishes = NamespaceWishes.of(inventory.namespaces.get(ref.namespace))
        meshed = [pod for pod in living(pods) if pod.proxy is not None]
        if not meshed or not concerned(wishes.upgrade, terms.mode):
            continue
        yield ref, _unsupported(ref, meshed, terms.prover)


def _unsupported(ref: WorkloadRef, pods: list[PodFacts], prover: Prover) -> Standing:
    if all(prover.flaw(pod) is None for pod in pods):
        return VERIFIED
    remedy = _UNSUPPORTED.get(ref.kind, f"only its own controller may restart a {ref.kind}: do so there")
    return Standing(WorkloadState.UNSUPPORTED, "KindUnsupported", remedy)


def _failure(count: _Count, wave: Wave) -> Said | None:
    failures = count.standing[WorkloadState.FAILED]
    if len(failures) <= wave.failure_threshold:
        return None
    named = "; ".join(f"{ref}: {standing.message}" for ref, standing in failures[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
    plural = "s" if len(failures) > 1 else ""
    message = f"{len(failures)} workload{plural} failed, and {wave.failure_threshold or 'none'} may: {named}{more}"
    return Said(failures[0][1].reason, message)


def _next(count: _Count, wave: Wave, marker: str, operation_id: str) -> Iterator[Restart]:
    """Those whose turn it is: none of a later order while one of an earlier order is not done."""
    restarting = [ref for ref, _ in count.standing[WorkloadState.RESTARTING]]
    room = wave.max_parallel_workloads - len(restarting)
    if room <= 0 or not count.waiting:
        return
    first = min(place for place, _ in (*count.waiting, *count.busy))
    busy = Counter(ref.namespace for ref in restarting)
    waiting: defaultdict[str, list[WorkloadFacts]] = defaultdict(list)
    for place, workload in count.waiting:
        if place == first:
            waiting[workload.ref.namespace].append(workload)
    for namespace in sorted(waiting):
        most = min(room, wave.max_parallel_per_namespace - busy[namespace])
        for workload in nsmallest(most, waiting[namespace], key=_place):
            room -= 1
            yield Restart(workload.ref, workload.uid, marker, operation_id)
        if room <= 0:
            return


def _place(workload: WorkloadFacts) -> tuple[str, str]:
    return workload.ref.name, workload.ref.kind


def _workloads(count: _Count) -> Workloads:
    states = count.states
    listed = [
        WorkloadStatus(
            kind=ref.kind,
            namespace=ref.namespace,
            name=ref.name,
            state=state,
            reason=standing.reason,
            message=standing.message,
        )
        for state in _LISTED
        for ref, standing in sorted(count.standing[state][:_MOST_LISTED])
    ]
    return Workloads(
        pending=states[WorkloadState.PENDING],
        restarting=states[WorkloadState.RESTARTING],
        verified=states[WorkloadState.VERIFIED],
        failed=states[WorkloadState.FAILED],
        no_effect=states[WorkloadState.NO_EFFECT],
        contested=states[WorkloadState.CONTESTED],
        held=states[WorkloadState.HELD],
        unsupported=states[WorkloadState.UNSUPPORTED],
        total=sum(states.values()),
        listed=tuple(listed[:_MOST_LISTED]),
    )


def _sentence(workloads: Workloads) -> str:
    text = f"{workloads.verified} of {workloads.total} workloads are proven"
    parts = [
        f"{number} {word}"
        for number, word in (
            (workloads.restarting, "restarting"),
            (workloads.pending, "pending"),
            (workloads.failed, "failed"),
            (workloads.contested, "contested"),
            (workloads.no_effect, "without effect"),
            (workloads.held, "held"),
            (workloads.unsupported, "unsupported"),
        )
        if number
    ]
    return f"{text}, {', '.join(parts)}" if parts else text

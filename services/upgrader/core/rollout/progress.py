"""Where all workloads stand, and which of them are restarted next. Linear in their number."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.upgrader.core.journal import Said
from services.upgrader.core.orders import Restart
from services.upgrader.core.rollout.proof import Prover, living
from services.upgrader.core.rollout.standing import VERIFIED, Standing, Terms, stand
from services.upgrader.core.rollout.wishes import NamespaceWishes, concerned, order
from services.upgrader.core.steps import Rollout
from steward.linkerd.inventory import Inventory
from steward.linkerd.pods import PodFacts, WorkloadRef
from steward.linkerd.workloads import RESTARTABLE, WorkloadFacts
from steward.resources.upgrade_policy import Wave
from steward.resources.upgrade_run import Workloads, WorkloadState, WorkloadStatus

_MOST_LISTED = 200

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
    queue: list[tuple[int, WorkloadFacts, Standing]] = field(default_factory=list)
    """Pending and restarting ones, with their order."""
    timed: list[WorkloadRef] = field(default_factory=list)
    wake: datetime | None = None

    def add(self, ref: WorkloadRef, standing: Standing) -> None:
        self.states[standing.state] += 1
        self.standing[standing.state].append((ref, standing))
        if standing.timed:
            self.timed.append(ref)
        if standing.wake is not None and (self.wake is None or standing.wake < self.wake):
            self.wake = standing.wake


@dataclass(frozen=True, slots=True)
class Survey:
    """Where the workloads stand, and for which of them a clock begins to run."""

    rollout: Rollout
    timed: tuple[WorkloadRef, ...]
    standing: Mapping[WorkloadState, tuple[tuple[WorkloadRef, Standing], ...]]


def survey(inventory: Inventory, terms: Terms, wave: Wave, operation_id: str) -> Survey:
    """The whole rollout at this moment."""
    count = _count(inventory, terms)
    workloads = _workloads(count)
    failure = _failure(count, wave)
    restarts = () if failure else tuple(_next(count, wave, terms.marker, operation_id))
    finished = not count.queue
    rollout = Rollout(
        workloads=workloads,
        restarts=restarts,
        finished=finished,
        failure=failure,
        said=Said("RolledOut" if finished else "RollingOut", _sentence(workloads)),
        wake=count.wake,
    )
    return Survey(rollout, tuple(count.timed), {state: tuple(found) for state, found in count.standing.items()})


def _count(inventory: Inventory, terms: Terms) -> _Count:
    count = _Count()
    home = inventory.control_plane.namespace if inventory.control_plane else ""
    wishes = {name: NamespaceWishes.of(facts) for name, facts in inventory.namespaces.items()}
    injects = {name: facts.inject for name, facts in inventory.namespaces.items()}
    nobody = NamespaceWishes.of(None)
    verified = 0
    pods_of = inventory.pods
    for ref, workload in inventory.workloads.items():
        space = ref.namespace
        if space == home:
            continue
        wish = wishes.get(space, nobody)
        standing = stand(workload, pods_of.get(ref, ()), wish, injects.get(space), terms)
        if standing is VERIFIED:
            verified += 1
        elif standing is not None:
            count.add(ref, standing)
            if standing.state in (WorkloadState.PENDING, WorkloadState.RESTARTING):
                count.queue.append((order({**workload.labels, **workload.annotations}, wish), workload, standing))
    count.states[WorkloadState.VERIFIED] += verified
    for ref, standing in _others(inventory, wishes, terms):
        count.add(ref, standing)
    return count


def _others(
    inventory: Inventory, wishes: Mapping[str, NamespaceWishes], terms: Terms
) -> Iterator[tuple[WorkloadRef, Standing]]:
    """Pods that no change of a template replaces: reported, not forgotten."""
    home = inventory.control_plane.namespace if inventory.control_plane else ""
    for ref, pods in inventory.pods.items():
        if ref.kind in RESTARTABLE or ref.namespace == home:
            continue
        space = wishes.get(ref.namespace)
        meshed = [pod for pod in living(pods) if pod.proxy is not None]
        if not meshed or not concerned(space.upgrade if space else None, terms.mode):
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
    message = f"{len(failures)} workloads failed and {wave.failure_threshold} may: {named}{more}"
    return Said(failures[0][1].reason, message)


def _next(count: _Count, wave: Wave, marker: str, operation_id: str) -> Iterator[Restart]:
    """Those whose turn it is: none of a later order while one of an earlier order is not done."""
    if not count.queue:
        return
    first = min(place for place, _, _ in count.queue)
    busy = [workload.ref for _, workload, standing in count.queue if standing.state is WorkloadState.RESTARTING]
    by_namespace = Counter(ref.namespace for ref in busy)
    room = wave.max_parallel_workloads - len(busy)
    turn = sorted(
        (workload for place, workload, standing in count.queue if standing.ready_to_go and place == first),
        key=lambda workload: (workload.ref.namespace, workload.ref.name, workload.ref.kind),
    )
    for workload in turn:
        if room <= 0:
            return
        if by_namespace[workload.ref.namespace] >= wave.max_parallel_per_namespace:
            continue
        by_namespace[workload.ref.namespace] += 1
        room -= 1
        yield Restart(workload.ref, workload.uid, marker, operation_id)


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

"""Where one workload stands: what was seen of it and what its people want, in the order in which one would ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.upgrader.core.orders import Refused
from services.upgrader.core.rollout.proof import Prover, living
from services.upgrader.core.rollout.wishes import NamespaceWishes, concerned, objection, wished
from steward.linkerd import marks
from steward.linkerd.drifts import same_version
from steward.linkerd.marks import Inject
from steward.linkerd.pods import PodFacts, WorkloadRef
from steward.linkerd.workloads import WorkloadFacts
from steward.resources.upgrade_policy import SelectionMode
from steward.resources.upgrade_run import WorkloadState


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a workload stands and why."""

    state: WorkloadState
    reason: str
    message: str
    wake: datetime | None = None
    """When it may stand elsewhere though nothing is seen to change."""
    timed: bool = False
    """Its time runs, or has run out: where nobody noted since when, it begins to run now."""
    ready_to_go: bool = False
    """It may be restarted as soon as there is room."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process did and noticed. After a crash the clocks begin anew, and nothing else changes."""

    restarted: Mapping[WorkloadRef, datetime]
    """When the run's present marker was set."""
    noticed: Mapping[WorkloadRef, datetime]
    """Since when it is waited for a workload's pods."""
    refused: Mapping[WorkloadRef, Refused]
    """What the API server said when a workload was to be restarted by the present attempt."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every workload of the run."""

    now: datetime
    marker: str
    operations: frozenset[str]
    """Every operation of this run: what carries one of them was touched by it."""
    prover: Prover
    always: bool
    """Restart what is on the target already: a repair, or a raised epoch."""
    repair: bool
    """Restart what is not healthy as well: the restart is the cure."""
    mode: SelectionMode
    kinds: frozenset[str]
    deadline: timedelta
    counted_from: datetime
    """No clock begins before the present attempt, or before a person let the run go on."""
    memory: Memory

    def since(self, ref: WorkloadRef) -> datetime:
        """Since when it is waited for a workload."""
        return max(self.memory.noticed.get(ref, self.now), self.counted_from)


CONTESTED = "Contested"
"""Reason of a refused restart: the marker belongs to somebody else."""

CACHE_LAG = timedelta(seconds=30)
"""For how long a marker that this process set may not be seen yet."""

VERIFIED = Standing(WorkloadState.VERIFIED, "Proven", "every pod runs the target's proxy")
NO_PODS = Standing(WorkloadState.VERIFIED, "NoPods", "it has no pods, and the next one gets the target's proxy")
PENDING = Standing(WorkloadState.PENDING, "Pending", "waits for its turn", ready_to_go=True)


def stand(
    workload: WorkloadFacts, pods: tuple[PodFacts, ...], namespace: NamespaceWishes, inject: Inject | None, terms: Terms
) -> Standing | None:
    """Where the workload stands; None where it is none of the run's business."""
    wish = wished(marks.PROXY_UPGRADE, workload)
    wish = namespace.upgrade if wish is None else wish
    if not concerned(wish, terms.mode) or workload.deleting:
        return None
    alive = living(pods)
    if not _is_meshed(workload, alive, inject):
        return None
    marked = workload.template_annotations.get(marks.PROXY_TARGET) == terms.marker
    if not marked and not terms.always and not terms.prover.any_wrong(alive):
        settled = _on_target_already(workload, alive)
        if settled is not None:
            return settled
    pinned = _pinned(workload, namespace, terms.prover.target.version)
    if pinned is not None:
        return pinned
    if marked:
        return _after(workload, alive, terms)
    against = _against(wish, workload, namespace, terms)
    if against is not None:
        return against
    refused = terms.memory.refused.get(workload.ref)
    return _refused(refused) if refused is not None else _before(workload, terms)


def _is_meshed(workload: WorkloadFacts, alive: list[PodFacts], inject: Inject | None) -> bool:
    """Whether its pods have proxies, or ask for them."""
    for pod in alive:
        if pod.proxy is not None:
            return True
    own = Inject.read(workload.template_annotations.get(marks.INJECT))
    asked = inject if own is None else own
    return asked is not None and asked.wanted and not workload.host_network


def _on_target_already(workload: WorkloadFacts, alive: list[PodFacts]) -> Standing | None:
    """Proven without a restart; None where there is nothing to prove it by."""
    if not alive:
        return NO_PODS if workload.replicas.desired == 0 else None
    unready = sum(not pod.ready for pod in alive)
    if not unready:
        return VERIFIED
    message = f"{unready} of {len(alive)} pods are not ready, with the target's proxy already: look at the application"
    return Standing(WorkloadState.HELD, "NotReady", message)


def _pinned(workload: WorkloadFacts, namespace: NamespaceWishes, version: str) -> Standing | None:
    pin = workload.template_annotations.get(marks.PIN_VERSION) or namespace.pin
    if not pin or same_version(pin, version):
        return None
    message = f"{marks.PIN_VERSION} fixes proxy {pin}: remove it to get {version}"
    return Standing(WorkloadState.HELD, "PinnedByUser", message)


def _against(wish: str | None, workload: WorkloadFacts, namespace: NamespaceWishes, terms: Terms) -> Standing | None:
    """What speaks against ever restarting it, or against doing so at present."""
    held = objection(wish, workload, namespace, terms.now)
    if held is not None:
        return Standing(WorkloadState.HELD, held.reason, held.message, wake=held.until)
    if workload.ref.kind not in terms.kinds:
        message = f"dataPlane.selection.kinds of the policy leaves out {workload.ref.kind}"
        return Standing(WorkloadState.HELD, "KindLeftOut", message)
    if wish is None and namespace.extension:
        message = f"it belongs to the extension {namespace.extension!r}, whose own upgrade restarts it"
        return Standing(WorkloadState.HELD, "Extension", message)
    if workload.manual_proxy:
        message = "its proxy is written into the template: run `linkerd inject --manual` again with the new version"
        return Standing(WorkloadState.UNSUPPORTED, "ManualInjection", message)
    if workload.owner:
        message = f"its template belongs to {workload.owner}, which may undo a change of it: restart it through that"
        return Standing(WorkloadState.UNSUPPORTED, "ForeignOwner", message)
    return None


def _without_effect(workload: WorkloadFacts) -> Standing | None:
    """What keeps a changed template from replacing pods."""
    if workload.paused:
        return Standing(WorkloadState.NO_EFFECT, "Paused", "it is paused: resume it, and restart it or the run")
    if workload.strategy == "OnDelete":
        return Standing(
            WorkloadState.NO_EFFECT, "OnDelete", "its update strategy is OnDelete: delete its pods yourself"
        )
    if workload.partition > 0:
        message = f"its partition {workload.partition} keeps pods below that ordinal: set it to 0"
        return Standing(WorkloadState.NO_EFFECT, "Partition", message)
    return None


def _before(workload: WorkloadFacts, terms: Terms) -> Standing:
    """Not restarted by this run, as far as the template says."""
    done = terms.memory.restarted.get(workload.ref) if terms.memory.restarted else None
    if done is not None and terms.now - done < CACHE_LAG:
        return Standing(WorkloadState.RESTARTING, "Restarting", "its marker is set", wake=done + CACHE_LAG)
    touched = workload.annotations.get(marks.LAST_OPERATION) in terms.operations
    if done is not None or (touched and marks.PROXY_TARGET not in workload.template_annotations):
        message = f"somebody removed {marks.PROXY_TARGET} from its template again: restart it in its own source"
        return Standing(WorkloadState.CONTESTED, "MarkerVanished", message)
    blocked = _without_effect(workload)
    if blocked is not None:
        return blocked
    if workload.replicas.ready < workload.replicas.desired and not terms.repair:
        return _unready_before(workload, terms)
    return PENDING


def _refused(refused: Refused) -> Standing:
    state = WorkloadState.CONTESTED if refused.reason == CONTESTED else WorkloadState.FAILED
    return Standing(state, refused.reason, refused.message)


def _unready_before(workload: WorkloadFacts, terms: Terms) -> Standing:
    """Not healthy before anybody touched it: waited for, and then left alone, so that nobody is blamed for it."""
    ready, desired = workload.replicas.ready, workload.replicas.desired
    end = terms.since(workload.ref) + terms.deadline
    if terms.now < end:
        message = f"{ready} of {desired} pods are ready: waits for the others"
        return Standing(WorkloadState.PENDING, "NotReady", message, wake=end, timed=True)
    message = f"only {ready} of {desired} pods are ready: mend it, or restart it by a run with purpose RestartOnly"
    return Standing(WorkloadState.HELD, "NotReady", message, timed=True)


def _after(workload: WorkloadFacts, alive: list[PodFacts], terms: Terms) -> Standing:
    """Restarted by this run: each new pod is proven, or it is not well."""
    fresh = [pod for pod in alive if pod.target == terms.marker]
    for pod in fresh:
        flaw = terms.prover.flaw(pod)
        if flaw is not None:
            message = f"pod {pod.name} {flaw.sentence}{_versions(pod, terms)}"
            return Standing(WorkloadState.FAILED, flaw.reason, message)
    proven = sum(pod.ready and pod.proxy_ready for pod in fresh)
    if len(fresh) == len(alive) == proven >= workload.replicas.desired and workload.settled:
        return VERIFIED if alive else NO_PODS
    blocked = _without_effect(workload)
    if blocked is not None:
        return blocked
    end = terms.since(workload.ref) + terms.deadline
    if terms.now < end:
        message = f"{proven} of {max(workload.replicas.desired, len(alive))} pods are proven"
        return Standing(WorkloadState.RESTARTING, "Restarting", message, wake=end, timed=True)
    if not fresh and alive:
        message = f"no pod was replaced within {terms.deadline}: is its controller running?"
        return Standing(WorkloadState.NO_EFFECT, "NothingReplaced", message, timed=True)
    return Standing(WorkloadState.FAILED, "DeadlineExceeded", _late(workload, alive, proven, terms), timed=True)


def _versions(pod: PodFacts, terms: Terms) -> str:
    if pod.proxy is None:
        return ""
    return f" ({pod.proxy.label or 'unknown'}, expected {terms.prover.target.version})"


def _late(workload: WorkloadFacts, alive: list[PodFacts], proven: int, terms: Terms) -> str:
    problems = sorted({pod.problem for pod in alive if pod.problem})
    why = f" ({', '.join(problems)})" if problems else ""
    return f"{proven} of {workload.replicas.desired} pods are proven after {terms.deadline}{why}: look at its pods"

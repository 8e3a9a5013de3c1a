"""(run, facts) → the one next act. The whole of what upgrader does follows from calling this again and again.

A run is decided on from outside to inside: is it over, is it to stop, may it begin, which step is next (`steps`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.upgrader.core.acts import (
    Ask,
    AskForPause,
    Conclude,
    NextAct,
    Over,
    Pause,
    Plan,
    Preview,
    Resume,
    Start,
    Wait,
)
from services.upgrader.core.asking import Moment, baseline_gates
from services.upgrader.core.journal import Said
from services.upgrader.core.ledger import DONE, GIVEN_UP, status_of
from services.upgrader.core.plans import CHANGES
from services.upgrader.core.steps import Seen, Tempo, backoff, decide_step
from steward.events.upgrades import GateResult, RunOutcome, StepFailure
from steward.resources.base import Condition, ConditionStatus, condition_of
from steward.resources.upgrade_policy import FailurePolicy
from steward.resources.upgrade_run import DesiredState, DryRun, Snapshot, StepState, StepStatus, UpgradeRun

BY_PERSON = "PausedByPerson"
BY_POLICY = "PausedByPolicy"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may know besides the run."""

    now: datetime
    policy_paused: bool = False
    superseded_by: str = ""
    """A newer release that upgrader would begin with today; empty for runs that a person asked for."""
    seen: Seen = field(default_factory=Seen)
    tempo: Tempo = field(default_factory=Tempo)


def decide(run: UpgradeRun, facts: Facts) -> NextAct:
    """The one next act."""
    status = status_of(run)
    if status.finished_at is not None or run.metadata.deletion_timestamp is not None:
        return Over()
    if run.spec.state is DesiredState.ABORT:
        return Conclude(RunOutcome.ABORTED, Said("AbortedByPerson", "a person set spec.state to Abort"))
    if status.snapshot is None:
        return Plan()
    if run.spec.dry_run is DryRun.PREVIEW:
        return Preview()
    return (
        _supersede(run, facts)
        or _stand_still(run, facts)
        or _begin(run, status.snapshot, facts)
        or _go_on(run, status.snapshot, facts)
    )


def has_changed_anything(run: UpgradeRun) -> bool:
    """Whether the run may have changed the cluster: from then on nothing replaces it."""
    return any(step.type in CHANGES and step.attempt > 0 for step in status_of(run).steps)


def _supersede(run: UpgradeRun, facts: Facts) -> NextAct | None:
    if not facts.superseded_by or has_changed_anything(run):
        return None
    message = (
        f"{facts.superseded_by} is the candidate by now, and nothing was changed yet: a run of its own leads there"
    )
    return Conclude(RunOutcome.ABORTED, Said("Superseded", message))


def _stand_still(run: UpgradeRun, facts: Facts) -> NextAct | None:
    """Pauses, and what ends them. A run that stands still by itself asks a person by setting `spec.state`."""
    halted = condition_of(status_of(run).conditions, "Paused")
    wish = _wish_to_pause(run, facts)
    if halted is None or halted.status is not ConditionStatus.TRUE:
        return Pause(wish) if wish is not None else None
    if wish is not None:
        return Wait(None, Said(halted.reason, halted.message))
    if _is_unanswered(run, halted):
        return AskForPause()
    return Resume(Said("Resumed", "nobody and nothing wants the run to stand still any more"))


def _wish_to_pause(run: UpgradeRun, facts: Facts) -> Said | None:
    if run.spec.state is DesiredState.PAUSE:
        return Said(BY_PERSON, "spec.state is Pause: set it to Run to go on")
    if facts.policy_paused:
        return Said(
            BY_POLICY, f"spec.paused of UpgradePolicy {run.spec.policy_ref.name!r} is true: set it to false to go on"
        )
    return None


def _is_unanswered(run: UpgradeRun, halted: Condition) -> bool:
    """Whether the run stopped by itself and nobody has touched its spec since."""
    by_itself = halted.reason not in (BY_PERSON, BY_POLICY)
    return by_itself and run.metadata.generation <= halted.observed_generation


def _begin(run: UpgradeRun, snapshot: Snapshot, facts: Facts) -> NextAct | None:
    """The start, and the look at every gate before the first change."""
    status = status_of(run)
    if status.started_at is None:
        return Start()
    first = status.steps[0]
    given = [each for step in status.steps for each in step.evidence if each.baseline]
    known = {each.gate for each in given if each.result is not GateResult.ERROR}
    gates = tuple(gate for gate in baseline_gates(run, snapshot.plan_spec) if gate.name not in known)
    if not gates or has_changed_anything(run) or any(step.state in GIVEN_UP for step in status.steps):
        return None
    retry = snapshot.plan_spec.defaults.retry
    errors = {gate.name: sum(each.gate == gate.name for each in given) for gate in gates}
    gates = tuple(gate for gate in gates if errors[gate.name] <= retry.limit)
    if not gates:
        return None
    tried = max(errors[gate.name] for gate in gates)
    if tried:
        until = max(each.observed_at for each in given) + backoff(retry, tried)
        if facts.now < until:
            return Wait(until, Said("BaselineError", f"asking {', '.join(gate.name for gate in gates)} again"))
    return Ask(first.name, gates, Moment.BASELINE)


def _go_on(run: UpgradeRun, snapshot: Snapshot, facts: Facts) -> NextAct:
    status = status_of(run)
    given_up = next((step for step in status.steps if step.state in GIVEN_UP), None)
    if given_up is not None:
        return _give_up(run, snapshot, given_up)
    current = next((step for step in status.steps if step.state not in DONE), None)
    if current is None:
        return Conclude(RunOutcome.SUCCEEDED, Said("Succeeded", _success(run)))
    stuck = _is_stuck(run, snapshot, facts)
    if stuck is not None and current.state is not StepState.BLOCKED:
        return stuck
    return decide_step(run, snapshot, current, facts.now, facts.seen, facts.tempo)


def _give_up(run: UpgradeRun, snapshot: Snapshot, step: StepStatus) -> NextAct:
    """A no is for the policy to weigh; not knowing, and not being able to, is for a person."""
    said = Said(f"Step{_failure(run, step)}", f"step {step.name}: {step.message}")
    aborts = snapshot.policy_spec.failure_policy is FailurePolicy.ABORT
    if aborts and _failure(run, step) == StepFailure.FAILED:
        return Conclude(RunOutcome.FAILED, said)
    return Pause(said)


def _failure(run: UpgradeRun, step: StepStatus) -> str:
    told = [
        each for each in status_of(run).transitions if each.event == "upgrade-step-failed" and each.step == step.name
    ]
    return told[-1].outcome if told else StepFailure.FAILED


def _is_stuck(run: UpgradeRun, snapshot: Snapshot, facts: Facts) -> NextAct | None:
    status = status_of(run)
    patience = timedelta(seconds=snapshot.plan_spec.progress_deadline_seconds)
    moments = [step.updated_at for step in status.steps if step.updated_at is not None]
    resumed = [each.time for each in status.transitions if each.event == "upgrade-resumed"]
    last = max([*moments, *resumed, status.started_at or facts.now])
    if facts.now - last < patience:
        return None
    message = f"nothing moved for {patience}: look at the step, then set spec.state to Run to go on"
    return Pause(Said("ProgressDeadlineExceeded", message))


def _success(run: UpgradeRun) -> str:
    workloads = status_of(run).workloads
    text = f"Linkerd runs {run.spec.target}"
    if workloads is None:
        return text
    left = workloads.failed + workloads.no_effect + workloads.contested + workloads.held + workloads.unsupported
    text += f"; {workloads.verified} of {workloads.total} workloads are proven to run its proxy"
    return f"{text}, {left} need a look: see status.workloads" if left else text

"""Writing down what happened to a run: each function takes the run as it was and gives it as it is.

A transition that others should hear of is appended to `status.transitions`; it becomes exactly one event. Conditions,
phase and progress follow from the rest, so they cannot disagree with it.
"""

from collections.abc import Sequence
from datetime import datetime

from services.upgrader.core.journal import Said, of_run, of_step, told, with_result
from services.upgrader.core.operations import operation_id
from services.upgrader.core.plans import dependents
from steward.events.upgrades import RunOutcome, StepFailure, StepOutcome
from steward.resources.base import Condition, ConditionStatus, condition_of, with_condition
from steward.resources.upgrade_run import (
    Evidence,
    Lock,
    Phase,
    PreviewStep,
    Snapshot,
    StepState,
    StepStatus,
    UpgradeRun,
    UpgradeRunStatus,
    Workloads,
)

DONE = (StepState.SUCCEEDED, StepState.SKIPPED)
UNDER_WAY = (StepState.RUNNING, StepState.VERIFYING)
GIVEN_UP = (StepState.FAILED, StepState.INCONCLUSIVE)

BEGUN = "Begun"
"""Reason of a running step whose act is not known to have happened; every other reason says that it did."""

_MOST_EVIDENCE = 64


def status_of(run: UpgradeRun) -> UpgradeRunStatus:
    """The status, also where nobody has written one yet."""
    return run.status or UpgradeRunStatus()


def step_of(run: UpgradeRun, name: str) -> StepStatus:
    """The state of one step; a run has every step of its snapshot from the moment it is planned."""
    return next(each for each in status_of(run).steps if each.name == name)


def planned(run: UpgradeRun, snapshot: Snapshot, steps: Sequence[StepStatus], now: datetime) -> UpgradeRun:
    """The plan is chosen and everything the run depends on is copied into it."""
    status = status_of(run).model_copy(
        update={"snapshot": snapshot, "steps": tuple(steps), "observed_generation": run.metadata.generation}
    )
    said = Said("Planned", f"{snapshot.plan} leads from {snapshot.from_version} to {run.spec.target}")
    return _settled(run, told(status, of_run(status, "upgrade-planned", "Planned", said, now)), said, now)


def refused(run: UpgradeRun, said: Said, now: datetime) -> UpgradeRun:
    """Nothing can be planned at present; it is looked at again when something changes."""
    status = _conditioned(status_of(run), run, "Planned", ConditionStatus.FALSE, said, now)
    return _settled(run, status, said, now)


def previewed(run: UpgradeRun, steps: tuple[PreviewStep, ...], now: datetime) -> UpgradeRun:
    """What would be done is said, and that is all."""
    status = status_of(run).model_copy(update={"preview": steps, "finished_at": now, "phase": Phase.PREVIEWED})
    return _settled(run, status, Said("Previewed", f"{len(steps)} steps would be done; nothing was"), now)


def started(run: UpgradeRun, now: datetime) -> UpgradeRun:
    """The first step is about to begin."""
    status = status_of(run).model_copy(update={"started_at": now})
    said = Said("Started", f"{len(status.steps)} steps lie ahead")
    return _settled(run, told(status, of_run(status, "upgrade-started", "Started", said, now)), said, now)


def begun(run: UpgradeRun, name: str, now: datetime) -> UpgradeRun:
    """An attempt at a step begins; from here to its end its identity is fixed."""
    step = step_of(run, name)
    attempt = step.attempt + 1
    step = step.model_copy(
        update={
            "state": StepState.RUNNING,
            "attempt": attempt,
            "operation_id": operation_id(run.metadata.uid, name, attempt),
            "started_at": now,
            "updated_at": now,
            "finished_at": None,
            "retry_after": None,
            "reason": BEGUN,
            "message": "",
            "evidence": tuple(each for each in step.evidence if each.baseline),
        }
    )
    said = Said(BEGUN, f"attempt {attempt} at {name}")
    status = _with_step(status_of(run), step)
    transition = of_step(step, "upgrade-step-started", StepState.RUNNING, said, now)
    return _settled(run, told(status, transition), said, now)


def asked(run: UpgradeRun, name: str, evidence: Sequence[Evidence], now: datetime) -> UpgradeRun:
    """Gates answered. A newer answer of a gate replaces the older one, except before the first change."""
    step = step_of(run, name)
    fresh = {(each.gate, each.before) for each in evidence if not each.baseline}
    kept = [each for each in step.evidence if each.baseline or (each.gate, each.before) not in fresh]
    step = step.model_copy(update={"evidence": tuple([*kept, *evidence][-_MOST_EVIDENCE:])})
    return _settled(run, _with_step(status_of(run), step), _progress(run), now)


def moved(run: UpgradeRun, name: str, state: StepState, said: Said, now: datetime) -> UpgradeRun:
    """A step under way stands elsewhere, or says something else."""
    step = step_of(run, name)
    since = step.updated_at if step.state is state else now
    step = step.model_copy(update={"state": state, "reason": said.reason, "message": said.clipped, "updated_at": since})
    return _settled(run, _with_step(status_of(run), step), said, now)


def surveyed(run: UpgradeRun, name: str, workloads: Workloads, said: Said, now: datetime) -> UpgradeRun:
    """Workloads moved on. That is progress, so the step's time starts anew."""
    step = step_of(run, name).model_copy(update={"reason": said.reason, "message": said.clipped, "updated_at": now})
    status = _with_step(status_of(run), step).model_copy(update={"workloads": workloads})
    return _settled(run, status, said, now)


def ended(run: UpgradeRun, name: str, outcome: StepOutcome, said: Said, now: datetime) -> UpgradeRun:
    """A step is done, or there was nothing to do."""
    step = step_of(run, name)
    state = StepState.SUCCEEDED if outcome is StepOutcome.SUCCEEDED else StepState.SKIPPED
    step = step.model_copy(
        update={
            "state": state,
            "reason": said.reason,
            "message": said.clipped,
            "updated_at": now,
            "finished_at": now,
            "started_at": step.started_at or now,
        }
    )
    status = _with_step(status_of(run), step)
    transition = with_result(of_step(step, "upgrade-step-done", state, said, now), step, status, outcome)
    return _settled(run, told(status, transition), said, now)


def failed(
    run: UpgradeRun, name: str, failure: StepFailure, said: Said, now: datetime, retry_after: datetime | None
) -> UpgradeRun:
    """An attempt did not reach its goal; with `retry_after` another one will be made then."""
    step = step_of(run, name)
    final = StepState.INCONCLUSIVE if failure is StepFailure.INCONCLUSIVE else StepState.FAILED
    step = step.model_copy(
        update={
            "state": final if retry_after is None else StepState.PENDING,
            "reason": said.reason,
            "message": said.clipped,
            "updated_at": now,
            "finished_at": now,
            "retry_after": retry_after,
        }
    )
    status = _with_step(status_of(run), step)
    if retry_after is None:
        status = _dependents(status, name, StepState.PENDING, StepState.BLOCKED, f"waits for {name}")
    transition = with_result(of_step(step, "upgrade-step-failed", failure, said, now), step, status, failure)
    transition = transition.model_copy(update={"will_retry": retry_after is not None})
    return _settled(run, told(status, transition), said, now)


def paused(run: UpgradeRun, said: Said, now: datetime) -> UpgradeRun:
    """The run stands still."""
    status = status_of(run)
    transition = of_run(status, "upgrade-paused", "Paused", said, now)
    status = told(status, transition.model_copy(update={"step": _current(status)}))
    status = _conditioned(status, run, "Paused", ConditionStatus.TRUE, said, now)
    return _settled(run, status, said, now)


def resumed(run: UpgradeRun, said: Said, now: datetime) -> UpgradeRun:
    """The run goes on: what was given up is tried anew, and no step is blamed for the time that it stood still."""
    status = status_of(run)
    steps = tuple(_revived(step, now) for step in status.steps)
    transition = of_run(status, "upgrade-resumed", "Resumed", said, now)
    status = told(status, transition.model_copy(update={"step": _current(status)}))
    status = _conditioned(status, run, "Paused", ConditionStatus.FALSE, said, now)
    return _settled(run, status.model_copy(update={"steps": steps}), said, now)


def concluded(run: UpgradeRun, outcome: RunOutcome, said: Said, now: datetime) -> UpgradeRun:
    """The run is over."""
    status = status_of(run)
    given_up = said if outcome is not RunOutcome.SUCCEEDED else None
    steps = tuple(_closed(step, given_up, now) for step in status.steps) if given_up else status.steps
    phases = {
        RunOutcome.SUCCEEDED: Phase.SUCCEEDED,
        RunOutcome.FAILED: Phase.FAILED,
        RunOutcome.ABORTED: Phase.ABORTED,
    }
    status = status.model_copy(update={"steps": steps, "finished_at": now, "phase": phases[outcome]})
    transition = of_run(status, "upgrade-finished", outcome, said, now).model_copy(
        update={
            "duration_seconds": (now - (status.started_at or now)).total_seconds(),
            "outcome": str(outcome),
            "workloads": status.workloads,
        }
    )
    status = told(status, transition)
    good = ConditionStatus.TRUE if outcome is RunOutcome.SUCCEEDED else ConditionStatus.FALSE
    status = _conditioned(status, run, "Succeeded", good, said, now)
    if condition_of(status.conditions, "Paused") is not None:
        status = _conditioned(status, run, "Paused", ConditionStatus.FALSE, said, now)
    return _settled(run, status, said, now)


def locked(run: UpgradeRun, holder: str, token: int) -> UpgradeRun:
    """Who acts from here on."""
    status = status_of(run).model_copy(update={"lock": Lock(holder=holder, fencing_token=token)})
    return run.model_copy(update={"status": status})


def _revived(step: StepStatus, now: datetime) -> StepStatus:
    if step.state in GIVEN_UP:
        return step.model_copy(update={"state": StepState.PENDING, "retry_after": None})
    if step.state is StepState.BLOCKED and step.attempt == 0:
        return step.model_copy(update={"state": StepState.PENDING, "reason": "", "message": ""})
    return step.model_copy(update={"updated_at": now}) if step.state in UNDER_WAY else step


def _closed(step: StepStatus, said: Said, now: datetime) -> StepStatus:
    """A step of a run that ends early: what was under way did not get there, what had not begun never will."""
    if step.state in DONE or step.state in GIVEN_UP:
        return step
    state = StepState.FAILED if step.state in UNDER_WAY else StepState.BLOCKED
    return step.model_copy(
        update={"state": state, "reason": said.reason, "message": said.clipped, "finished_at": now, "retry_after": None}
    )


def _with_step(status: UpgradeRunStatus, new: StepStatus) -> UpgradeRunStatus:
    steps = tuple(new if step.name == new.name else step for step in status.steps)
    return status.model_copy(update={"steps": steps})


def _dependents(status: UpgradeRunStatus, name: str, old: StepState, new: StepState, message: str) -> UpgradeRunStatus:
    waiting = dependents(status.snapshot.plan_spec.steps, name) if status.snapshot else frozenset()
    steps = tuple(
        step.model_copy(update={"state": new, "reason": "DependencyNotDone", "message": message})
        if step.name in waiting and step.state is old
        else step
        for step in status.steps
    )
    return status.model_copy(update={"steps": steps})


def _conditioned(
    status: UpgradeRunStatus, run: UpgradeRun, type: str, value: ConditionStatus, said: Said, now: datetime
) -> UpgradeRunStatus:
    condition = Condition(
        type=type,
        status=value,
        reason=said.reason,
        message=said.clipped,
        observed_generation=run.metadata.generation,
        last_transition_time=now,
    )
    return status.model_copy(update={"conditions": with_condition(status.conditions, condition)})


def _current(status: UpgradeRunStatus) -> str:
    return next((step.name for step in status.steps if step.state not in DONE), "")


def _progress(run: UpgradeRun) -> Said:
    found = condition_of(status_of(run).conditions, "Progressing")
    return Said(found.reason, found.message) if found else Said("Started", "")


def _settled(run: UpgradeRun, status: UpgradeRunStatus, said: Said, now: datetime) -> UpgradeRun:
    """`run` with `status`, and with what follows from it."""
    over = status.finished_at is not None
    halted = condition_of(status.conditions, "Paused")
    is_paused = halted is not None and halted.status is ConditionStatus.TRUE
    moving = ConditionStatus.TRUE if status.snapshot and not over and not is_paused else ConditionStatus.FALSE
    status = _conditioned(status, run, "Progressing", moving, said, now)
    done = sum(step.state in DONE for step in status.steps)
    phase = status.phase
    if not over:
        running = Phase.RUNNING if status.started_at else Phase.PENDING
        phase = Phase.PAUSED if is_paused else running
    status = status.model_copy(
        update={
            "phase": phase,
            "step": "" if over else _current(status),
            "progress": f"{done}/{len(status.steps)}" if status.steps else "",
            "observed_generation": run.metadata.generation,
        }
    )
    return run.model_copy(update={"status": status})

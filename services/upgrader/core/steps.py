"""What comes next in the step that is under way: observe, act once, verify by observing, ask the gates."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.upgrader.core.acts import (
    Act,
    Ask,
    Begin,
    End,
    Fail,
    Look,
    Move,
    NextAct,
    Record,
    RestartSome,
    Survey,
    Wait,
)
from services.upgrader.core.asking import Moment, Tally, concerns, gates_at, tally
from services.upgrader.core.journal import Said
from services.upgrader.core.ledger import BEGUN, status_of
from services.upgrader.core.observations import Unseen
from services.upgrader.core.orders import Restart, Stage, StepObservation
from steward.events.upgrades import GateResult, StepFailure, StepOutcome
from steward.resources.upgrade_plan import InstallMethod, Retry, Step, StepType
from steward.resources.upgrade_run import Snapshot, StepState, StepStatus, UpgradeRun, Workloads


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long to wait for what."""

    look_again: timedelta = timedelta(seconds=2)
    """Between two looks at a goal that is settling; changes that are seen come earlier."""
    ask_again: timedelta = timedelta(seconds=10)
    """Between two questions to a gate that objected."""
    gate_patience: timedelta = timedelta(minutes=2)
    """How long a gate may object after a change: webhooks reload their certificates within kubelet's sync period."""
    record: timedelta = timedelta(seconds=1)
    """Between two writes of where the workloads stand."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where the workloads stand and which come next."""

    workloads: Workloads
    restarts: tuple[Restart, ...]
    finished: bool
    failure: Said | None
    """Why no further workload is restarted."""
    said: Said
    wake: datetime | None
    """When to look again though nothing has changed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at for the step under way; None: not yet."""

    goal: StepObservation | Unseen | None = None
    rollout: Rollout | Unseen | None = None


@dataclass(frozen=True, slots=True)
class _Here:
    """Everything about the step under way."""

    run: UpgradeRun
    snapshot: Snapshot
    step: Step
    state: StepStatus
    now: datetime
    seen: Seen
    tempo: Tempo

    @property
    def since(self) -> datetime:
        """Since when the step stands as it does."""
        return self.state.updated_at or self.now

    @property
    def timeout(self) -> timedelta:
        """How long it may take, or, for workloads, stand still."""
        return timeout_of(self.snapshot, self.step)


def timeout_of(snapshot: Snapshot, step: Step) -> timedelta:
    """The step's own limit, else the plan's."""
    own = step.timeout_seconds
    return timedelta(seconds=own if own is not None else snapshot.plan_spec.defaults.timeout_seconds)


def backoff(retry: Retry, tried: int) -> timedelta:
    """How long to wait before the next attempt: doubled each time, up to the limit."""
    seconds = retry.backoff_seconds * 2 ** min(tried - 1, 30)
    return timedelta(seconds=min(seconds, max(retry.max_backoff_seconds, retry.backoff_seconds)))


def decide_step(
    run: UpgradeRun, snapshot: Snapshot, state: StepStatus, now: datetime, seen: Seen, tempo: Tempo
) -> NextAct:
    """The next act in the step whose turn it is."""
    step = next(each for each in snapshot.plan_spec.steps if each.name == state.name)
    here = _Here(run, snapshot, step, state, now, seen, tempo)
    match state.state:
        case StepState.PENDING:
            return _pending(here)
        case StepState.VERIFYING:
            return _verifying(here)
        case StepState.RUNNING | StepState.BLOCKED:
            return _running(here)
        case StepState.FAILED | StepState.INCONCLUSIVE | StepState.SUCCEEDED | StepState.SKIPPED:
            raise ValueError(f"step {state.name} is {state.state}: it has no next act")


def _pending(here: _Here) -> NextAct:
    again = here.state.retry_after
    if again is not None and here.now < again:
        return Wait(
            again, Said(here.state.reason or "Retrying", f"{here.step.name} is tried again: {here.state.message}")
        )
    if not concerns(here.run, here.step):
        message = "the run only restarts workloads; the control plane is left as it is"
        return End(here.step.name, StepOutcome.SKIPPED, Said("RestartOnly", message))
    if here.step.type is StepType.PRUNE and here.snapshot.install_method is not InstallMethod.CLI:
        message = f"{here.snapshot.install_method} removes by itself what the charts no longer have"
        return End(here.step.name, StepOutcome.SKIPPED, Said("NotACliInstallation", message))
    return Begin(here.step.name)


def _running(here: _Here) -> NextAct:
    asking = _ask(here, Moment.BEFORE)
    if asking is not None:
        return asking
    match here.step.type:
        case StepType.GATE:
            return _verify(here, Said("AskingGates", "the step is its gates"))
        case StepType.RESTART_WORKLOADS:
            return _rolling(here)
        case _:
            return _towards_goal(here)


def _verify(here: _Here, said: Said) -> NextAct:
    return Move(here.step.name, StepState.VERIFYING, said)


def _verifying(here: _Here) -> NextAct:
    asking = _ask(here, Moment.AFTER)
    if asking is not None:
        return asking
    return End(here.step.name, StepOutcome.SUCCEEDED, Said("Succeeded", here.state.message or "done"))


def _ask(here: _Here, moment: Moment) -> NextAct | None:
    """The gates of this moment: None once none of them objects."""
    counted = tally(here.run, here.state, gates_at(here.snapshot.plan_spec, here.step, moment), moment)
    if counted.missing:
        return Ask(here.step.name, counted.missing, moment)
    if counted.objection is None:
        return None
    return _object(here, counted, moment)


def _object(here: _Here, counted: Tally, moment: Moment) -> NextAct:
    """A gate objects. After a change it is given time: certificates are reloaded, caches filled."""
    objection = counted.objection
    if objection is None or counted.asked_at is None:
        raise ValueError("no gate objects")
    said = Said(objection.reason, f"gate {objection.gate} is {objection.result}: {objection.message}")
    patience = timedelta() if here.step.type is StepType.PREFLIGHT else here.tempo.gate_patience
    if counted.asked_at - here.since < patience:
        again = counted.asked_at + here.tempo.ask_again
        return Ask(here.step.name, counted.objecting, moment) if here.now >= again else Wait(again, said)
    failures = {
        GateResult.FAILED: StepFailure.FAILED,
        GateResult.INCONCLUSIVE: StepFailure.INCONCLUSIVE,
        GateResult.ERROR: StepFailure.ERROR,
    }
    return fail(here.run, here.snapshot, here.step, failures[objection.result], said, here.now)


def _towards_goal(here: _Here) -> NextAct:
    goal = here.seen.goal
    if goal is None:
        return Look(here.step.name)
    if isinstance(goal, Unseen):
        return _wait(here, StepFailure.ERROR, Said(goal.reason, goal.message))
    said = Said(goal.reason, goal.message)
    match goal.stage:
        case Stage.REACHED:
            return _verify(here, said)
        case Stage.REFUSED:
            return fail(here.run, here.snapshot, here.step, StepFailure.FAILED, said, here.now)
        case Stage.HANDED_OVER:
            return _hand_over(here, said)
        case Stage.ABSENT | Stage.INTERRUPTED if _may_act(here, goal):
            return Act(here.step.name)
        case _:
            return _settle(here, said)


def _may_act(here: _Here, goal: StepObservation) -> bool:
    """Once for each attempt. An act that left its stamp happened, whatever became of the note that it did."""
    if here.step.type is StepType.PREFLIGHT:
        return False
    if here.state.state is StepState.BLOCKED:
        return goal.stage is Stage.ABSENT
    if here.state.reason != BEGUN:
        return False
    return goal.stage is Stage.INTERRUPTED or goal.operation_id != here.state.operation_id


def _hand_over(here: _Here, said: Said) -> NextAct:
    """Somebody else applies it; that takes as long as it takes."""
    if here.state.state is StepState.BLOCKED and here.state.message == said.clipped:
        return Wait(here.now + here.tempo.ask_again, said)
    return Move(here.step.name, StepState.BLOCKED, said)


def _settle(here: _Here, said: Said) -> NextAct:
    noted = Said(here.state.reason, here.state.message)
    said = Said(_not_ours(said.reason), said.clipped)
    if here.state.state is not StepState.RUNNING or noted != said:
        return Move(here.step.name, StepState.RUNNING, said)
    return _wait(here, StepFailure.FAILED, said)


def _not_ours(reason: str) -> str:
    """`Begun` means that the act is not known to have happened, so nobody else may say it."""
    return "Settling" if reason == BEGUN else reason


def _wait(here: _Here, failure: StepFailure, said: Said) -> NextAct:
    deadline = here.since + here.timeout
    if here.now < deadline:
        return Wait(min(deadline, here.now + here.tempo.look_again), said)
    late = Said("TimedOut", f"not there after {here.timeout}: {said.message}")
    return fail(here.run, here.snapshot, here.step, failure, late, here.now)


def _rolling(here: _Here) -> NextAct:
    rollout = here.seen.rollout
    if rollout is None:
        return Survey(here.step.name)
    if isinstance(rollout, Unseen):
        return _wait(here, StepFailure.ERROR, Said(rollout.reason, rollout.message))
    if rollout.restarts and rollout.failure is None:
        return RestartSome(here.step.name, rollout.restarts)
    over = rollout.finished or rollout.failure is not None
    moved = rollout.workloads != status_of(here.run).workloads
    if moved and (over or here.state.reason == BEGUN or here.now - here.since >= here.tempo.record):
        return Record(here.step.name, rollout.workloads, rollout.said)
    if rollout.failure is not None:
        return fail(here.run, here.snapshot, here.step, StepFailure.FAILED, rollout.failure, here.now)
    if rollout.finished:
        return _verify(here, rollout.said)
    waiting = _wait(here, StepFailure.FAILED, rollout.said)
    if isinstance(waiting, Wait) and rollout.wake is not None and waiting.until is not None:
        return Wait(min(waiting.until, rollout.wake), waiting.said)
    return waiting


def fail(run: UpgradeRun, snapshot: Snapshot, step: Step, failure: StepFailure, said: Said, now: datetime) -> Fail:
    """An attempt ends badly. What could not be tried or told is tried again, within limits; a no is a no."""
    retry = step.retry or snapshot.plan_spec.defaults.retry
    tried = failures_since_resume(run, step.name) + 1
    if failure is not StepFailure.ERROR or tried > retry.limit:
        return Fail(step.name, failure, said, None)
    return Fail(step.name, failure, said, now + backoff(retry, tried))


def failures_since_resume(run: UpgradeRun, step: str) -> int:
    """How many attempts at the step ended badly since a person last let the run go on."""
    count = 0
    for transition in status_of(run).transitions:
        if transition.event == "upgrade-resumed":
            count = 0
        elif transition.event == "upgrade-step-failed" and transition.step == step:
            count += 1
    return count

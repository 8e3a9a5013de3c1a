"""A run's transitions as events. The run alone is enough: said again, after any crash, an event is the same event."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from steward.events.base import Envelope, Event, Trail, enclose
from steward.events.upgrades import (
    GateReport,
    RunOutcome,
    StepFailure,
    StepOutcome,
    UpgradeEvent,
    UpgradeFinished,
    UpgradePaused,
    UpgradePlanned,
    UpgradeResumed,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
    UpgradeStepStarted,
    WorkloadCounts,
)
from steward.resources.upgrade_run import Evidence, Snapshot, Transition, UpgradeRun, Workloads

SERVICE = "upgrader"
CAUSE = "steward.linkerd.io/caused-by"
"""Annotation of a run: the id of the event that led to it."""
TRACE = "steward.linkerd.io/traceparent"
"""Annotation of a run: the trace that it is part of."""


def event_id(run: UpgradeRun, transition: Transition) -> str:
    """The name of a transition, everywhere and for ever."""
    return f"{run.metadata.uid}/{transition.id}"


def story(run: UpgradeRun, cluster: str) -> Iterator[Envelope[Event]]:
    """Everything that happened to the run, in the order in which it happened."""
    status = run.status
    if status is None or status.snapshot is None:
        return
    cause = run.metadata.annotations.get(CAUSE)
    for transition in status.transitions:
        payload = _payload(run, status.snapshot, transition)
        if payload is None:
            continue
        trail = Trail(
            correlation_id=run.metadata.uid,
            causation_id=cause,
            traceparent=run.metadata.annotations.get(TRACE),
        )
        envelope = enclose(
            payload, id=event_id(run, transition), cluster=cluster, service=SERVICE, time=transition.time, trail=trail
        )
        cause = envelope.id
        yield envelope


_Teller: TypeAlias = Callable[[UpgradeRun, Snapshot, Transition], UpgradeEvent]


def _payload(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent | None:
    teller = _TELLERS.get(transition.event)
    return teller(run, snapshot, transition) if teller is not None else None


def _planned(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradePlanned(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        install_method=snapshot.install_method,
        steps=_steps(run),
        notices=snapshot.release.notices if snapshot.release else snapshot.plan_spec.notices,
    )


def _started(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeStarted(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        steps=_steps(run),
    )


def _step_started(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeStepStarted(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        step=transition.step,
        step_type=_type(run, transition),
        attempt=transition.attempt,
        operation_id=transition.operation_id,
    )


def _step_done(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeStepDone(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        step=transition.step,
        step_type=_type(run, transition),
        attempt=transition.attempt,
        operation_id=transition.operation_id,
        outcome=StepOutcome(transition.outcome),
        duration_seconds=transition.duration_seconds or 0.0,
        gates=_gates(transition.evidence),
        workloads=_counts(transition.workloads) if transition.workloads else None,
    )


def _step_failed(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeStepFailed(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        step=transition.step,
        step_type=_type(run, transition),
        attempt=transition.attempt,
        operation_id=transition.operation_id,
        outcome=StepFailure(transition.outcome),
        will_retry=transition.will_retry,
        gates=_gates(transition.evidence),
        workloads=_counts(transition.workloads) if transition.workloads else None,
    )


def _paused(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradePaused(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        step=transition.step or None,
    )


def _resumed(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeResumed(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        step=transition.step or None,
    )


def _finished(run: UpgradeRun, snapshot: Snapshot, transition: Transition) -> UpgradeEvent:
    return UpgradeFinished(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        plan=snapshot.plan,
        from_version=snapshot.from_version,
        to_version=run.spec.target,
        reason=transition.reason,
        message=transition.message,
        outcome=RunOutcome(transition.outcome),
        duration_seconds=transition.duration_seconds or 0.0,
        workloads=_counts(transition.workloads),
    )


_TELLERS: dict[str, _Teller] = {
    UpgradePlanned.name: _planned,
    UpgradeStarted.name: _started,
    UpgradeStepStarted.name: _step_started,
    UpgradeStepDone.name: _step_done,
    UpgradeStepFailed.name: _step_failed,
    UpgradePaused.name: _paused,
    UpgradeResumed.name: _resumed,
    UpgradeFinished.name: _finished,
}


def _steps(run: UpgradeRun) -> tuple[str, ...]:
    return tuple(step.name for step in run.status.steps) if run.status else ()


def _type(run: UpgradeRun, transition: Transition) -> str:
    steps = run.status.steps if run.status else ()
    return next((str(step.type) for step in steps if step.name == transition.step), "")


def _gates(evidence: tuple[Evidence, ...]) -> tuple[GateReport, ...]:
    return tuple(
        GateReport(gate=each.gate, type=each.type, result=each.result, reason=each.reason, message=each.message)
        for each in evidence
    )


def _counts(workloads: Workloads | None) -> WorkloadCounts:
    if workloads is None:
        return WorkloadCounts()
    return WorkloadCounts(
        pending=workloads.pending,
        restarting=workloads.restarting,
        verified=workloads.verified,
        failed=workloads.failed,
        no_effect=workloads.no_effect,
        contested=workloads.contested,
        held=workloads.held,
        unsupported=workloads.unsupported,
    )

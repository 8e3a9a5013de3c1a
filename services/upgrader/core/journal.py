"""Transitions: what happened to a run, in the order in which it happened. Each becomes exactly one event."""

from dataclasses import dataclass
from datetime import datetime

from steward.events.upgrades import StepFailure, StepOutcome
from steward.resources.upgrade_plan import StepType
from steward.resources.upgrade_run import StepStatus, Transition, UpgradeRunStatus

_MOST_TRANSITIONS = 500
_LONGEST_SENTENCE = 4096
_OF_RUN = "run/"


@dataclass(frozen=True, slots=True)
class Said:
    """Why something is as it is: a reason for programs and a sentence for people."""

    reason: str
    message: str

    @property
    def clipped(self) -> str:
        """The sentence as long as a status takes it."""
        short = len(self.message) <= _LONGEST_SENTENCE
        return self.message if short else f"{self.message[: _LONGEST_SENTENCE - 1]}…"


def of_run(status: UpgradeRunStatus, event: str, state: str, said: Said, now: datetime) -> Transition:
    """Something that happened to the run as a whole; counted, for it may happen again."""
    numbers = [int(each.id.split("/")[1]) for each in status.transitions if each.id.startswith(_OF_RUN)]
    return Transition(
        id=f"{_OF_RUN}{max(numbers, default=0) + 1}/{state}",
        event=event,
        time=now,
        reason=said.reason,
        message=said.clipped,
    )


def of_step(step: StepStatus, event: str, state: str, said: Said, now: datetime) -> Transition:
    """Something that happened to an attempt at a step."""
    return Transition(
        id=f"{step.name}/{step.attempt}/{state}",
        event=event,
        time=now,
        step=step.name,
        attempt=step.attempt,
        operation_id=step.operation_id,
        reason=said.reason,
        message=said.clipped,
    )


def with_result(
    transition: Transition, step: StepStatus, status: UpgradeRunStatus, outcome: StepOutcome | StepFailure
) -> Transition:
    """`transition` with what the attempt came to."""
    took = (transition.time - step.started_at).total_seconds() if step.started_at else 0.0
    return transition.model_copy(
        update={
            "outcome": str(outcome),
            "duration_seconds": max(0.0, took),
            "evidence": tuple(each for each in step.evidence if not each.baseline),
            "workloads": status.workloads if step.type is StepType.RESTART_WORKLOADS else None,
        }
    )


def told(status: UpgradeRunStatus, transition: Transition) -> UpgradeRunStatus:
    """`status` with one more thing that happened."""
    return status.model_copy(update={"transitions": (*status.transitions, transition)[-_MOST_TRANSITIONS:]})

"""The conformance service, reached through its resource: a ConformanceRun is asked for, and its status is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from services.upgrader.core.observations import Awaited, BrokenFeature, ConformanceSeen, Unseen
from services.upgrader.core.orders import Exercise
from services.upgrader.edges.installation import unseen
from steward.clock import Clock
from steward.conformance.results import Verdict
from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, NotFound
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources.base import API_VERSION
from steward.resources.conformance_run import ConformanceRun, ConformanceRunStatus, RunPhase, Trigger

_OVER = frozenset({RunPhase.COMPLETED, RunPhase.ABORTED, RunPhase.FAILED})
_PART_OF = "app.kubernetes.io/part-of"
_REMEDY = "install the conformance service, or take the gate out of the plan"


@dataclass(frozen=True, slots=True)
class ExerciseEdge:
    """Asks for exercises and reads how they went."""

    kube: Kube
    clock: Clock

    async def ask(self, exercise: Exercise) -> ConformanceSeen | Awaited | Unseen:
        """Ask for the run where it does not exist, and say how it stands."""
        try:
            found = await self.kube.find(CONFORMANCE_RUNS, exercise.name) or await self._create(exercise)
            return _standing(ConformanceRun.of(found), exercise, self.clock.now())
        except NotFound as error:
            return Unseen("NoConformance", f"ConformanceRuns are unknown here ({error}): {_REMEDY}")
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            said = f"ConformanceRun {exercise.name!r} cannot be read: {problem['msg']}; is conformance of this version?"
            return Unseen("UnreadableConformanceRun", said)
        except StewardError as error:
            return unseen(error)

    async def _create(self, exercise: Exercise) -> JsonObject:
        try:
            return await self.kube.create(CONFORMANCE_RUNS, _body(exercise))
        except AlreadyExists:
            return await self.kube.get(CONFORMANCE_RUNS, exercise.name)


def _body(exercise: Exercise) -> JsonObject:
    only: list[Json] = list(exercise.only)
    return {
        "apiVersion": API_VERSION,
        "kind": CONFORMANCE_RUNS.kind,
        "metadata": {"name": exercise.name, "labels": {_PART_OF: "linkerd-steward"}},
        "spec": {
            "suiteRef": {"name": exercise.suite},
            **({"only": only} if only else {}),
            "trigger": Trigger.UPGRADE_STEP.value,
            "operationId": exercise.operation_id,
            "upgradeRun": exercise.upgrade_run,
        },
    }


def _standing(run: ConformanceRun, exercise: Exercise, now: datetime) -> ConformanceSeen | Awaited | Unseen:
    status = run.status or ConformanceRunStatus()
    if status.phase in _OVER and status.outcome is not None:
        message = next((each.message for each in status.conditions if each.type == "Complete"), status.outcome.value)
        return ConformanceSeen(exercise.name, status.outcome, message, status.summary, _broken(status))
    if run.metadata.deletion_timestamp is not None:
        return Unseen("ConformanceRunDeleted", f"ConformanceRun {exercise.name!r} is being deleted", transient=True)
    begun = run.metadata.creation_timestamp or now
    if now - begun < exercise.timeout:
        return Awaited(f"ConformanceRun {exercise.name!r} is {status.phase.value}")
    if status.phase is RunPhase.PENDING:
        return Unseen("NobodyAnswers", f"nobody took up ConformanceRun {exercise.name!r}: {_REMEDY}")
    return Unseen(
        "TimedOut",
        f"ConformanceRun {exercise.name!r} is still {status.phase.value} after {_written(exercise.timeout)}: "
        "raise the gate's timeoutSeconds, or look at the run",
    )


def _broken(status: ConformanceRunStatus) -> tuple[BrokenFeature, ...]:
    return tuple(
        BrokenFeature(line.feature, line.message or "does not work")
        for line in status.features
        if line.verdict is Verdict.FAILED
    )


def _written(duration: timedelta) -> str:
    return f"{round(duration.total_seconds())} s"

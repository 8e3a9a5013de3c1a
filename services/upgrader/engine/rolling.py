"""The step that restarts workloads: what this process remembers of it, and the restarts themselves."""

import asyncio
from datetime import datetime

from services.upgrader.core.acts import RestartSome
from services.upgrader.core.observations import Unseen
from services.upgrader.core.operations import marker
from services.upgrader.core.orders import Broken, Done, Outcome, Refused, Restart
from services.upgrader.core.rollout.progress import Recollection, Survey
from services.upgrader.core.rollout.standing import Memory, Standing
from services.upgrader.core.rollout.surveying import survey_run
from services.upgrader.core.steps import Rollout
from services.upgrader.engine.mesh import look
from services.upgrader.engine.world import World
from services.upgrader.metrics import PROXY_PODS, RESTARTS, SKIPPED, WORKLOADS
from steward.linkerd.pods import WorkloadRef
from steward.resources.upgrade_run import Snapshot, StepStatus, UpgradeRun, WorkloadState

_AT_ONCE = 8
"""Restarts that are under way at the same time: as many requests as the API server takes without a queue."""
_PASSING = ("Gone", "Replaced", "Paused")


class Rolling:
    """Of one run at a time. After a crash it is empty, and the cluster says what was done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._marker = ""
        self._recollection = Recollection()
        self._operation = ""
        self._refused: dict[WorkloadRef, Refused] = {}
        self._restarted: dict[WorkloadRef, datetime] = {}
        self._noticed: dict[WorkloadRef, datetime] = {}
        self._noted: dict[WorkloadRef, Standing] = {}

    def survey(self, run: UpgradeRun, snapshot: Snapshot, step: StepStatus) -> Rollout | Unseen:
        """Where the workloads stand."""
        seen = look(self._world.mesh)
        if isinstance(seen, Unseen):
            return seen
        self._turn_to(marker(run), step.operation_id)
        memory = Memory(self._restarted, self._noticed, self._refused)
        found = survey_run(run, snapshot, seen, memory, step.operation_id, self._recollection)
        if isinstance(found, Unseen):
            return found
        self._notice(found, seen.taken_at)
        self._world.instruments.show(PROXY_PODS, {(version,): float(pods) for version, pods in seen.proxies().items()})
        return found.rollout

    async def restart(self, act: RestartSome, run: UpgradeRun) -> bool:
        """Restart workloads, a few at a time; False where one was not, which may be so again at once."""
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            begun = [tasks.create_task(self._one(each, run, room)) for each in act.restarts]
        return all(isinstance(task.result(), Done) for task in begun)

    async def _one(self, restart: Restart, run: UpgradeRun, room: asyncio.Semaphore) -> Outcome:
        async with room:
            outcome = await self._world.edges.workloads.restart(restart)
        self._world.instruments.count(RESTARTS, restart.workload.kind, type(outcome).__name__)
        match outcome:
            case Done():
                self._restarted[restart.workload] = self._world.clock.now()
                self._noticed.pop(restart.workload, None)
                self._world.log.info("restarted", workload=str(restart.workload), run=run.metadata.name)
                self._world.notes.restarted(restart.workload, restart.uid, run)
            case Refused():
                # What is gone, replaced or paused shows itself at the next look; the rest is remembered.
                if outcome.reason not in _PASSING:
                    self._refused[restart.workload] = outcome
                self._world.log.warning("not restarted", workload=str(restart.workload), why=outcome.message)
            case Broken():
                self._world.log.warning("not restarted yet", workload=str(restart.workload), why=outcome.message)
        return outcome

    def _turn_to(self, marker: str, operation: str) -> None:
        if marker != self._marker:
            self._marker = marker
            for memory in (self._restarted, self._noticed, self._noted):
                memory.clear()
        if operation != self._operation:
            self._operation = operation
            self._refused.clear()

    def _notice(self, survey: Survey, now: datetime) -> None:
        timed = set(survey.timed)
        for ref in [ref for ref in self._noticed if ref not in timed]:
            del self._noticed[ref]
        for ref in survey.timed:
            self._noticed.setdefault(ref, now)
        skipped: dict[tuple[str, ...], float] = {}
        for state, found in survey.standing.items():
            for ref, standing in found:
                if state in (WorkloadState.HELD, WorkloadState.UNSUPPORTED, WorkloadState.NO_EFFECT):
                    skipped[(standing.reason,)] = skipped.get((standing.reason,), 0) + 1
                if self._noted.get(ref) != standing:
                    self._noted[ref] = standing
                    self._world.notes.standing(ref, standing)
        counted = survey.rollout.workloads
        self._world.instruments.show(SKIPPED, skipped)
        self._world.instruments.show(
            WORKLOADS,
            {
                (state.value,): float(number)
                for state, number in (
                    (WorkloadState.PENDING, counted.pending),
                    (WorkloadState.RESTARTING, counted.restarting),
                    (WorkloadState.VERIFIED, counted.verified),
                    (WorkloadState.FAILED, counted.failed),
                    (WorkloadState.NO_EFFECT, counted.no_effect),
                    (WorkloadState.CONTESTED, counted.contested),
                    (WorkloadState.HELD, counted.held),
                    (WorkloadState.UNSUPPORTED, counted.unsupported),
                )
            },
        )

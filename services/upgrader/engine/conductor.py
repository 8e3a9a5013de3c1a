"""One run, from wherever it is to its end: observe, decide, write, act once, verify, write.

Nothing is held here that the run or the cluster does not say. Whatever interrupts it, the next process begins by
looking and goes on from there.
"""

from dataclasses import replace

from services.upgrader.core import acts, ledger
from services.upgrader.core.decide import Facts, decide
from services.upgrader.core.journal import Said
from services.upgrader.core.ledger import status_of, step_of
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import Awaited
from services.upgrader.core.ordering import definition, order_for
from services.upgrader.core.orders import Broken, Done, Refused
from services.upgrader.core.plans import Refusal
from services.upgrader.core.steps import Seen, fail
from services.upgrader.core.writing import written
from services.upgrader.engine.planner import Planner
from services.upgrader.engine.previews import preview
from services.upgrader.engine.questions import Question, Questions
from services.upgrader.engine.readings import Readings
from services.upgrader.engine.rolling import Rolling
from services.upgrader.engine.world import Term, World
from steward.events.upgrades import StepFailure
from steward.kube.lease import LeadershipLost
from steward.linkerd.knowledge import shipped
from steward.resources.upgrade_run import Snapshot, StepState, UpgradeRun


class Deposed(LeadershipLost):
    """Somebody with a newer term has written to the run: whatever this process still believes is over."""


class Conductor:
    """Conducts runs, one at a time."""

    def __init__(self, world: World, planner: Planner, readings: Readings, term: Term) -> None:
        self._world = world
        self._planner = planner
        self._readings = readings
        self._term = term
        self._questions = Questions(world.edges.probes, world.mesh, world.clock)
        self._rolling = Rolling(world)

    async def conduct(self, name: str) -> acts.Resting:
        """Go on with a run until there is nothing to do at present; the answer says until when."""
        while True:
            run = await self._world.runs.get(name)
            if run is None:
                return acts.Over()
            run = await self._hold(run)
            act = await self._decide(run)
            self._world.log.debug("decided", run=name, act=type(act).__name__)
            if isinstance(act, acts.Wait | acts.Over):
                return act
            if not await self._perform(run, act):
                return acts.Wait(None, Said("Refused", "it cannot be planned at present"))

    async def _hold(self, run: UpgradeRun) -> UpgradeRun:
        """Write into the run who acts, once a term; a newer term means that ours is over."""
        lock = status_of(run).lock
        if status_of(run).finished_at is not None:
            return run
        if lock is not None and lock.fencing_token > self._term.token:
            raise Deposed(
                f"UpgradeRun {run.metadata.name!r} is held by {lock.holder!r} with token {lock.fencing_token}, "
                f"and ours is {self._term.token}"
            )
        if lock is not None and (lock.holder, lock.fencing_token) == (self._term.holder, self._term.token):
            return run
        return await self._world.runs.write(ledger.locked(run, self._term.holder, self._term.token))

    async def _decide(self, run: UpgradeRun) -> acts.NextAct:
        """Ask for the next act, and look at what it wants to have seen first."""
        facts = Facts(
            now=self._world.clock.now(),
            policy_paused=self._world.caches.is_paused(run.spec.policy_ref.name),
            superseded_by=self._planner.superseding(run),
            tempo=self._world.tempo,
        )
        act = decide(run, facts)
        while isinstance(act, acts.Look | acts.Survey):
            facts = replace(facts, seen=await self._look(run, act), now=self._world.clock.now())
            act = decide(run, facts)
        return act

    async def _look(self, run: UpgradeRun, act: acts.Look | acts.Survey) -> Seen:
        snapshot = _snapshot(run)
        step = step_of(run, act.step)
        if isinstance(act, acts.Look):
            return Seen(goal=await self._world.edges.installation.observe(order_for(run, snapshot, step)))
        return Seen(rollout=self._rolling.survey(run, snapshot, step))

    async def _perform(self, run: UpgradeRun, act: acts.Writing | acts.Doing | acts.Looking) -> bool:
        """Carry out one act; False where the run cannot be planned at present."""
        match act:
            case acts.Plan():
                return await self._plan(run)
            case acts.AskForPause():
                await self._world.runs.ask_for_pause(run)
            case acts.Act(step):
                await self._act(run, step)
            case acts.RestartSome():
                await self._restart(run, act)
            case acts.Ask():
                await self._ask(run, act)
            case acts.Preview():
                now = self._world.clock.now()
                await self._write(run, ledger.previewed(run, await preview(self._world, run, _snapshot(run)), now))
            case acts.Look() | acts.Survey():
                raise AssertionError("what is to be looked at is looked at while deciding")
            case _:
                await self._write(run, written(act, run, self._world.clock.now()))
        return True

    async def _write(self, before: UpgradeRun, after: UpgradeRun) -> None:
        """Store the run, then tell whoever listens in this process."""
        stored = await self._world.runs.write(after)
        self._readings.moved(before, stored)

    async def _plan(self, run: UpgradeRun) -> bool:
        now = self._world.clock.now()
        planned = await self._planner.plan(run)
        if isinstance(planned, Refusal):
            said = Said(planned.reason, planned.message)
            after = ledger.refused(run, said, now)
            if after.status != run.status:
                await self._world.runs.write(after)
                self._world.notes.refused(run, said.reason, said.message)
            return False
        await self._write(run, ledger.planned(run, planned.snapshot, planned.steps, now))
        return True

    async def _ask(self, run: UpgradeRun, act: acts.Ask) -> None:
        snapshot = _snapshot(run)
        logical = LogicalVersions.of(self._world.caches.catalog().releases, shipped())
        evidence = []
        for gate in act.gates:
            question = Question(run, snapshot, act.step, gate, act.moment, logical)
            answer = await self._questions.ask(question)
            if isinstance(answer, Awaited):
                continue
            evidence.append(answer)
            self._readings.answered(answer)
        if not evidence:
            # Nothing is written while an answer is on its way: the run is read again, so that a pause is heard.
            await self._world.clock.sleep(self._world.tempo.look_again)
            return
        await self._write(run, ledger.asked(run, act.step, evidence, self._world.clock.now()))

    async def _act(self, run: UpgradeRun, name: str) -> None:
        """The one deed of a step. Its order is written into the run already, so whoever comes next knows of it."""
        snapshot = _snapshot(run)
        order = order_for(run, snapshot, step_of(run, name))
        self._world.log.info("acting", run=run.metadata.name, step=name, operation=order.operation_id)
        outcome = await self._world.edges.installation.act(order)
        now = self._world.clock.now()
        if isinstance(outcome, Done):
            after = ledger.moved(run, name, StepState.RUNNING, Said("Acted", outcome.message), now)
        else:
            after = self._failed(run, snapshot, name, outcome)
        await self._write(run, after)

    async def _restart(self, run: UpgradeRun, act: acts.RestartSome) -> None:
        """Restarts need no note in the run: each leaves its marker in the cluster."""
        if not await self._rolling.restart(act, run):
            await self._world.clock.sleep(self._world.tempo.look_again)

    def _failed(self, run: UpgradeRun, snapshot: Snapshot, name: str, outcome: Refused | Broken) -> UpgradeRun:
        now = self._world.clock.now()
        failure = StepFailure.FAILED if isinstance(outcome, Refused) else StepFailure.ERROR
        said = Said(outcome.reason, outcome.message)
        return written(fail(run, snapshot, definition(snapshot, name), failure, said, now), run, now)


def _snapshot(run: UpgradeRun) -> Snapshot:
    snapshot = status_of(run).snapshot
    if snapshot is None:
        raise AssertionError(f"UpgradeRun {run.metadata.name!r} was not planned")
    return snapshot

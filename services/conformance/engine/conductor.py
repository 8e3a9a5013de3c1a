"""One run, from wherever it is to its end: observe, decide, write, act once.

Nothing is held here that the run, the cluster or the stream does not say. Whatever interrupts it, the next process
begins by looking and goes on from there.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from services.conformance.core import decide as acts
from services.conformance.core import ledger, manifests
from services.conformance.core.capability import ClusterSeen, capability
from services.conformance.core.decide import Facts, decide
from services.conformance.core.ledger import Said, is_over, status_of
from services.conformance.core.ports import Unable
from services.conformance.core.probe import Probe
from services.conformance.core.probes import chosen
from services.conformance.core.suites import digest_of, only
from services.conformance.engine.bell import Bell
from services.conformance.engine.exercising import Exercising
from services.conformance.engine.reporting import Reporting
from services.conformance.engine.resources import Resources
from services.conformance.engine.staging import Staging, production, suite_of
from services.conformance.engine.world import World
from steward.clock import within
from steward.errors import StewardError
from steward.resources.base import ConditionStatus
from steward.resources.conformance_run import ConformanceRun, OwnedNamespace, RunPhase, RunState

Changing = Callable[[ConformanceRun, datetime], ConformanceRun]

_LAST_WORDS = timedelta(seconds=60)


class Gone(Exception):
    """The run was deleted."""


class Conductor:
    """Conducts one run."""

    def __init__(self, world: World, resources: Resources, name: str, bell: Bell) -> None:
        self._world = world
        self._resources = resources
        self._name = name
        self._bell = bell
        self._seen: ClusterSeen | None = None

    async def conduct(self) -> acts.Over | acts.Wait:
        """Go on with the run until there is nothing to do at present; the answer says until when."""
        while True:
            run = await self._world.runs.get(self._name)
            if run is None:
                return acts.Over()
            act = await self._decide(run)
            self._world.log.debug("decided", run=self._name, act=type(act).__name__)
            if isinstance(act, acts.Over):
                return act
            try:
                if isinstance(act, acts.Wait):
                    await self._explain(run, act)
                    return act
                await self._perform(run, act)
            except Gone:
                return acts.Over()

    async def _decide(self, run: ConformanceRun) -> acts.Act:
        """Ask for the next act, and look at what it wants to have seen first."""
        facts = Facts(
            now=self._world.clock.now(),
            suite=self._resources.suite(run.spec.suite_ref.name),
            crowded=self._resources.crowding(run),
            patience=self._world.means.patience,
        )
        act = decide(run, facts)
        while isinstance(act, acts.Inspect | acts.Muster | acts.Count):
            facts = replace(await self._look(run, act, facts), now=self._world.clock.now())
            act = decide(run, facts)
        return act

    async def _look(self, run: ConformanceRun, act: acts.Looking, facts: Facts) -> Facts:
        match act:
            case acts.Inspect():
                seen = await self._survey()
                refusals = await self._world.edges.cluster.refusals()
                return replace(facts, problems=(*seen.problems, *refusals))
            case acts.Muster():
                staging = Staging(self._world, production(run, self._world, await self._survey()), await self._survey())
                return replace(facts, missing=await staging.missing())
            case acts.Count():
                remains = await self._world.edges.cluster.remains(status_of(run).namespaces)
                return replace(facts, remains=remains)

    async def _survey(self) -> ClusterSeen:
        """Once a process: what a mesh has does not change under a run, or the run says so by failing."""
        if self._seen is None:
            self._seen, _ = await self._world.edges.cluster.survey()
        return self._seen

    async def _perform(self, run: ConformanceRun, act: acts.Act) -> None:  # noqa: C901 - one line for each act
        match act:
            case acts.Begin():
                await self._begin(run)
            case acts.Admit():
                await self._admit(run)
            case acts.Deploy():
                await self._deploy(run)
            case acts.Raise(without):
                await self._raise(run, without)
            case acts.Exercise():
                await self._exercise(run)
            case acts.Pause():
                await self._phase(
                    run, RunPhase.PAUSED, ConditionStatus.TRUE, Said("PausedByPerson", "spec.state is Pause")
                )
            case acts.Resume():
                await self._phase(run, RunPhase.RUNNING, ConditionStatus.FALSE, Said("Running", "probes are run"))
            case acts.End(why):
                await self._change(run, lambda now_run, now: ledger.exercised(now_run, why, now))
            case acts.Drain():
                await self._drain(run)
            case acts.Cleaned(done, why):
                await self._change(run, lambda now_run, now: ledger.cleaned_up(now_run, why, now, done=done))
            case acts.Report():
                await Reporting(self._world).report(run)
            case acts.Conclude():
                await self._change(run, ledger.concluded)
            case _:
                raise TypeError(f"{type(act).__name__} is not carried out")

    async def _change(self, run: ConformanceRun, change: Changing) -> ConformanceRun:
        now = self._world.clock.now()
        written = await self._world.runs.change(run, lambda current: change(current, now))
        if written is None:
            raise Gone
        return written

    async def _explain(self, run: ConformanceRun, wait: acts.Wait) -> None:
        """Why nothing happens."""
        phase = status_of(run).phase
        await self._change(run, lambda current, now: ledger.in_phase(current, phase, wait.why, now))

    async def _begin(self, run: ConformanceRun) -> None:
        suite = self._resources.suite(run.spec.suite_ref.name)
        if suite is not None:
            version = self._world.means.version
            digest = digest_of(suite)
            await self._change(run, lambda current, now: ledger.begun(current, suite, digest, version, now))

    async def _admit(self, run: ConformanceRun) -> None:
        seen = await self._survey()
        features = {probe.id: capability(probe, seen, self._world.knowledge) for probe in self._probes(run)}
        await self._change(
            run, lambda current, now: ledger.inspected(current, seen, features, seen.kubernetes_version, now)
        )

    def _probes(self, run: ConformanceRun) -> tuple[Probe, ...]:
        suite = suite_of(run)
        of_suite = chosen(suite.include, suite.exclude, suite.tiers, suite.allow, of=self._world.probes)
        return only(of_suite, run.spec.only, self._world.probes, suite.allow)

    async def _deploy(self, run: ConformanceRun) -> None:
        """Namespaces first, and into the status at once: what is not written there is not deleted by the run."""
        made = production(run, self._world, await self._survey())
        cluster = self._world.edges.cluster
        owned: list[OwnedNamespace] = []
        try:
            owned += [await cluster.claim(each) for each in manifests.namespaces(made, self._world.clock.now())]
        except Unable as error:
            why = Said(error.reason, str(error))
            await self._change(run, lambda current, now: ledger.exercised(current, why, now))
            return
        await self._change(run, lambda current, _: ledger.owning(current, owned))
        for thing in (*manifests.furniture(made), *manifests.cast(made)):
            await cluster.put(thing)
        await self._change(run, ledger.laid_out)

    async def _raise(self, run: ConformanceRun, without: str) -> None:
        def raised(current: ConformanceRun, now: datetime) -> ConformanceRun:
            said = Said("Ready", "every actor is ready and takes orders")
            if without:
                said = Said("NodesMissing", f"every actor is ready, but for clients of single nodes: {without}")
            made = ledger.said(current, ledger.DEPLOYED, ConditionStatus.TRUE, said, now)
            return ledger.in_phase(made, RunPhase.RUNNING, Said("Running", "probes are run"), now)

        await self._change(run, raised)

    async def _phase(self, run: ConformanceRun, phase: RunPhase, paused: ConditionStatus, why: Said) -> None:
        def moved(current: ConformanceRun, now: datetime) -> ConformanceRun:
            return ledger.in_phase(ledger.said(current, ledger.PAUSED, paused, why, now), phase, why, now)

        await self._change(run, moved)

    async def _exercise(self, run: ConformanceRun) -> None:
        """Run probes until they are through, or until the run is to do something else."""
        exercising = Exercising(self._world, run, await self._survey(), self._probes(run))
        probing = asyncio.create_task(exercising.run(), name=f"probes of {self._name}")
        renewing = asyncio.create_task(self._renew(run), name=f"renewal of {self._name}")
        try:
            while not (probing.done() or renewing.done()) and self._goes_on(run):
                await self._either(probing, renewing)
        finally:
            await _cancelled(renewing)
            finished = await _cancelled(probing)
            try:
                if finished is None and not _is_cancelling():
                    await self._last_words(exercising)
            finally:
                await exercising.close()
        if finished is not None:
            raise _reason(finished)

    async def _last_words(self, exercising: Exercising) -> None:
        try:
            async with within(self._world.clock, _LAST_WORDS):
                await exercising.finish()
        except TimeoutError:
            self._world.log.warning("not everything was written down", run=self._name)

    async def _either(self, probing: "asyncio.Task[None]", renewing: "asyncio.Task[None]") -> None:
        current = self._resources.run(self._name)
        until = acts.end_of(current) if current is not None else None
        ringing = asyncio.create_task(self._bell.wait(until))
        try:
            await asyncio.wait((probing, renewing, ringing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ringing.cancel()
            await asyncio.wait([ringing])

    def _goes_on(self, run: ConformanceRun) -> bool:
        current = self._resources.run(self._name)
        if current is None or current.metadata.uid != run.metadata.uid or is_over(current):
            return False
        if current.metadata.deletion_timestamp is not None or current.spec.state is not RunState.RUN:
            return False
        end = acts.end_of(current)
        return end is None or self._world.clock.now() < end

    async def _renew(self, run: ConformanceRun) -> None:
        """The namespaces live on while the run does; what of the cast was deleted is put back."""
        while True:
            await self._world.clock.sleep(self._world.means.renew)
            await self._deploy(run)

    async def _drain(self, run: ConformanceRun) -> None:
        problems = []
        for owned in status_of(run).namespaces:
            problem = await self._world.edges.cluster.drop(owned, run.metadata.uid)
            if problem:
                problems.append(problem)
        if problems:
            why = Said("NotOurs", "; ".join(problems))
            await self._change(run, lambda current, now: ledger.cleaned_up(current, why, now, done=False))
            return
        until = self._world.clock.now() + self._world.means.patience.look_again
        await self._bell.wait(until)


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _cancelled(task: "asyncio.Task[None]") -> BaseException | None:
    """End a task; what it died of, unless it ended as it should."""
    task.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.exception()


def _reason(error: BaseException) -> BaseException:
    """Of several probes that met the same trouble at once, one speaks for all; a defect stays what it is."""
    if isinstance(error, BaseExceptionGroup):
        expected, other = error.split(StewardError)
        if expected is not None and other is None:
            return _reason(expected.exceptions[0])
    return error

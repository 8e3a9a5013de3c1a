"""The probes of a run: once through all of them, or tier by tier again and again.

A result is kept in the stream before anything else is done with it. What was kept is known after any crash, so that
nothing is run twice under one id; what was not is run again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.conformance.core.capability import ClusterSeen, capability
from services.conformance.core.dependencies import broken_ground, in_layers
from services.conformance.core.judge import Control, Which, disbelieved, skipped, undecided
from services.conformance.core.ledger import status_of, told
from services.conformance.core.probe import Probe
from services.conformance.core.schedule import Allowance, Timetable, fitting
from services.conformance.engine.floor import Floor
from services.conformance.engine.runner import Outcome, Runner
from services.conformance.engine.soaking import Soaking, is_held
from services.conformance.engine.staging import Staging, production, suite_of
from services.conformance.engine.world import World
from services.conformance.metrics import LATENESS, PROPAGATION, RESULTS, SECONDS, UNKEPT
from steward.bus.errors import BusClosed, BusError
from steward.conformance.results import Capability, FeatureResult, Tier, Verdict
from steward.resources.conformance_run import ConformanceRun
from steward.resources.conformance_suite import Pace


@dataclass(slots=True)
class _Batch:
    """Probes that are due together."""

    cycle: int
    due: datetime
    open_groups: dict[str, int] = field(default_factory=dict)
    held_back: dict[str, list[Outcome]] = field(default_factory=dict)


class Exercising:
    """One run's probes, by one process."""

    def __init__(self, world: World, run: ConformanceRun, seen: ClusterSeen, probes: Sequence[Probe]) -> None:
        self._world = world
        self._run = run
        suite = suite_of(run)
        made = production(run, world, seen)
        self._continuous = run.spec.pace is Pace.CONTINUOUS
        self._staging = Staging(world, made, seen)
        self._floor = Floor(world.means.at_once, made.spare_pods)
        # What is over in minutes need not stay within its requests a second.
        allowance = Allowance(suite.footprint.max_requests_per_second) if self._continuous else None
        self._runner = Runner(
            edges=world.edges,
            clock=world.clock,
            staging=self._staging,
            agents_of=run.metadata.uid,
            retries=suite.confirmation.inline_retries,
            allowance=allowance,
            retry_within=world.means.retry_within,
            keep_evidence=run.spec.keep_evidence,
        )
        self._soaking = Soaking(self._runner)
        began = status_of(run).started_at or world.clock.now()
        self._timetable = Timetable.of(began, suite.schedule, suite.jitter_percent)
        supported = [
            probe for probe in probes if capability(probe, seen, world.knowledge).capability is Capability.SUPPORTED
        ]
        self._probes, self._too_large = fitting(supported, made.spare_pods)
        self._verdicts: dict[str, Verdict] = {}
        self._controls: dict[str, Control] = {}
        self._fresh: list[FeatureResult] = []
        self._recording = asyncio.Lock()
        self._recorded_at = float("-inf")

    async def run(self) -> None:
        """Until all is done; a continuous run never is."""
        world = self._world
        await world.knowing.loaded.wait()
        timetable = self._timetable if self._continuous else None
        world.knowing.judge_by([*self._probes, *self._too_large], suite_of(self._run), timetable)
        await self._take_up()
        await self._clear_stage()
        await self._refuse_the_large()
        try:
            if self._continuous:
                async with asyncio.TaskGroup() as tasks:
                    for tier in Tier:
                        probes = [probe for probe in self._probes if probe.tier is tier]
                        if probes:
                            tasks.create_task(self._again_and_again(tier, probes), name=f"tier {tier}")
            else:
                await self._once()
        finally:
            world.knowing.forget_pace(self._probes)

    async def finish(self) -> None:
        """Judge what is still held open, and write down everything. Called when a run ends as it should."""
        now = self._world.clock.now()
        for probe in self._soaking.open:
            number = self._timetable.current(probe.tier, now).number
            while self._world.knowing.history(probe.id).knows(self._run.metadata.uid, number):
                number += 1
            outcome = await self._soaking.judge(probe, self._which(number))
            if outcome is not None:
                await self._keep([outcome])
        await self._record(at_once=True)

    async def close(self) -> None:
        """Let go of everything that is held open."""
        await self._soaking.close()

    async def _take_up(self) -> None:
        """What an earlier process kept and did not write down; of a continuous run the next cycles will tell."""
        if self._continuous:
            return
        kept: list[FeatureResult] = []
        uid, name = self._run.metadata.uid, self._run.metadata.name
        async for result in self._world.edges.results.of_run(uid, name):
            kept.append(result)
            self._verdicts[result.feature] = result.verdict
            self._world.knowing.add(result)
        self._fresh += kept
        if kept:
            await self._record(at_once=True)

    async def _clear_stage(self) -> None:
        """Objects of a probe that was cut off would be in everybody's way."""
        stage = await self._staging()
        for thing in await self._world.edges.cluster.leftovers((stage.meshed, stage.plain)):
            await self._world.edges.cluster.remove(thing)

    async def _refuse_the_large(self) -> None:
        """Probes that need more pods than the suite allows."""
        for probe in self._too_large:
            if not self._is_known(probe, 0):
                message = f"needs {probe.extra_pods} more pods than the cast: raise footprint.maxPods of the suite"
                result = undecided(probe, self._which(0), "NoRoom", message)
                await self._keep([Outcome(result, Control())])

    async def _once(self) -> None:
        waiting = [probe for probe in self._probes if not self._is_known(probe, 0)]
        await self._batch(waiting, _Batch(0, self._world.clock.now()))
        await self._record(at_once=True)

    async def _again_and_again(self, tier: Tier, probes: Sequence[Probe]) -> None:
        clock = self._world.clock
        while True:
            cycle = self._timetable.current(tier, clock.now())
            due = [probe for probe in probes if not self._is_known(probe, cycle.number)]
            if due:
                late = max(0.0, (clock.now() - cycle.due).total_seconds())
                self._world.instruments.observe(LATENESS, late, tier.value)
                await self._batch(due, _Batch(cycle.number, cycle.due))
                await self._record()
            following = self._timetable.following(tier, clock.now())
            await clock.sleep(following.due - clock.now())

    async def _batch(self, probes: Sequence[Probe], batch: _Batch) -> None:
        """Layer by layer; each group is judged when the last of it is done, for its controls speak for all of it."""
        for probe in probes:
            batch.open_groups[probe.group] = batch.open_groups.get(probe.group, 0) + 1
        for layer in in_layers(probes):
            async with asyncio.TaskGroup() as tasks:
                for probe in sorted(layer, key=lambda each: (each.alone, each.id)):
                    tasks.create_task(self._turn(probe, batch), name=probe.id)

    async def _turn(self, probe: Probe, batch: _Batch) -> None:
        async with self._floor.taken_by(probe):
            outcome = await self._cycle(probe, batch.cycle)
        if outcome is not None:
            self._verdicts[probe.id] = outcome.result.verdict
            batch.held_back.setdefault(probe.group, []).append(outcome)
        batch.open_groups[probe.group] -= 1
        if not batch.open_groups[probe.group]:
            await self._keep(self._judged_together(batch.held_back.pop(probe.group, [])))
            await self._record()

    async def _cycle(self, probe: Probe, number: int) -> Outcome | None:
        which = self._which(number)
        because = broken_ground(probe, self._verdicts)
        if because:
            return Outcome(skipped(probe, which, because), Control())
        await self._world.bus_is_up()
        began = self._world.clock.monotonic()
        if self._continuous and is_held(probe, await self._staging()):
            outcome = await self._soaking.turn(probe, which)
        else:
            outcome = await self._runner.run(probe, which)
        self._world.instruments.observe(SECONDS, self._world.clock.monotonic() - began, probe.id)
        return outcome

    def _judged_together(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """A control that does not hold makes nonsense of all that its group says."""
        for each in outcomes:
            if each.control.ok is not None:
                self._controls[each.result.feature] = each.control
        groups = {each.result.feature.split(".", 1)[0] for each in outcomes}
        broken = [
            control.message
            for feature, control in sorted(self._controls.items())
            if control.ok is False and feature.split(".", 1)[0] in groups
        ]
        if not broken:
            return list(outcomes)
        results = disbelieved([each.result for each in outcomes], broken[0])
        judged = [Outcome(result, each.control, each.evidence) for result, each in zip(results, outcomes, strict=True)]
        for each in judged:
            self._verdicts[each.result.feature] = each.result.verdict
        return judged

    async def _keep(self, outcomes: Sequence[Outcome]) -> None:
        """Into the stream first: a result that is not there is none."""
        for outcome in outcomes:
            result = outcome.result
            await self._until_kept(outcome)
            if self._world.knowing.add(result):
                self._world.instruments.count(RESULTS, result.feature, result.verdict.value)
                if result.timing.effect_seconds is not None:
                    self._world.instruments.observe(PROPAGATION, result.timing.effect_seconds, result.feature, "effect")
            self._fresh.append(result)
            self._world.told(result)

    async def _until_kept(self, outcome: Outcome) -> None:
        """Without NATS a result waits, and its probe with it."""
        edges = self._world.edges
        while True:
            try:
                if outcome.evidence:
                    await edges.evidence.put(outcome.result.evidence, outcome.evidence)
                await edges.results.keep(outcome.result)
            except BusClosed:
                raise
            except BusError as error:
                self._world.instruments.set(UNKEPT, 1)
                self._world.log.warning("a result waits for NATS", id=outcome.result.id, error=str(error))
                await self._world.clock.sleep(self._world.means.begin_again)
                await self._world.bus_is_up()
            else:
                self._world.instruments.set(UNKEPT, 0)
                return

    async def _record(self, *, at_once: bool = False) -> None:
        """Write what was found out into the status; not for each result, unless there is nothing to wait for."""
        clock = self._world.clock
        async with self._recording:
            due = self._recorded_at + self._world.means.record.total_seconds()
            if not self._fresh or (not at_once and clock.monotonic() < due):
                return
            news, self._fresh = self._fresh, []
            states = {result.feature: self._world.knowing.state(result.feature) for result in news}
            try:
                await self._world.runs.change(self._run, lambda run: told(run, news, states))
            except BaseException:
                self._fresh = [*news, *self._fresh]
                raise
            self._recorded_at = clock.monotonic()

    def _which(self, number: int) -> Which:
        return Which(self._run.metadata.name, self._run.metadata.uid, number, self._world.clock.now())

    def _is_known(self, probe: Probe, number: int) -> bool:
        return self._world.knowing.history(probe.id).knows(self._run.metadata.uid, number)

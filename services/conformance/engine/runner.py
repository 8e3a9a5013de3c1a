"""One probe, one cycle: attempts until it is sure, its negative control, and after a failure the reasons."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from services.conformance.core import explain
from services.conformance.core.confirmation import pause, settled, try_again
from services.conformance.core.evidence import Evidence
from services.conformance.core.judge import (
    Control,
    Explained,
    Judgement,
    Which,
    controlled,
    proven,
    result,
    unless_disturbed,
)
from services.conformance.core.ports import Edges
from services.conformance.core.probe import Probe
from services.conformance.core.redaction import kept
from services.conformance.core.schedule import Allowance, Share, cost
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Step
from services.conformance.engine.playing import Play
from steward.clock import Clock, within
from steward.conformance.results import Attempt, FeatureResult, Verdict
from steward.errors import StewardError

Staging: TypeAlias = Callable[[], Awaitable[Stage]]
"""The stage as the cluster has it at this moment."""

SETUP = "setup"
_SLACK = timedelta(seconds=30)
_DIAGNOSIS = timedelta(minutes=2)
_NOWHERE = Stage(run="", meshed="", plain="", owner={})
"""Of an attempt that never got a stage."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, its evidence, and how its control fared."""

    result: FeatureResult
    control: Control
    evidence: bytes = b""


@dataclass(slots=True)
class _Attempts:
    judged: list[tuple[Judgement, datetime]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    control: Control = field(default_factory=Control)
    explained: Explained = field(default_factory=Explained)
    stage: Stage | None = None

    @property
    def tried(self) -> tuple[Attempt, ...]:
        """As confirmation counts them."""
        return tuple(Attempt(verdict=each.verdict, at=at, message=each.message) for each, at in self.judged)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs probes of one run."""

    edges: Edges
    clock: Clock
    staging: Staging
    agents_of: str
    retries: int
    allowance: Allowance | None = None
    """What attempts wait for before they begin; without one they need not."""
    keep_evidence: bool = True
    retry_within: timedelta = timedelta(seconds=5)

    async def run(self, probe: Probe, which: Which) -> Outcome:
        """One cycle."""
        tried = _Attempts()
        while True:
            await self._attempt(probe, tried)
            if not try_again(tried.tried, self.retries):
                break
            await self.clock.sleep(pause(self.retries, self.retry_within))
        return self._outcome(probe, which, tried)

    async def begin(self, probe: Probe) -> Play:
        """A play whose end comes later (`conclude`); whoever begins it leaves its context."""
        play = await self._staged(probe)
        if probe.objects is not None:
            await play.apply(SETUP, probe.objects(play.stage))
        return play

    async def conclude(self, probe: Probe, which: Which, play: Play, steps: Sequence[Step]) -> Outcome:
        """The rest of a play that began in another cycle. What was held cannot be tried again."""
        tried = _Attempts(stage=play.stage)
        try:
            async with within(self.clock, probe.bound + _SLACK):
                await play.run(steps)
        except TimeoutError:
            pass
        tried.judged.append((proven(probe.proof, play.stage, play.evidence), self.clock.now()))
        await self._look_back(probe, play, tried)
        return self._outcome(probe, which, tried)

    def _outcome(self, probe: Probe, which: Which, tried: _Attempts) -> Outcome:
        seen = (tried.stage or _NOWHERE, tried.evidence[-1])
        found = result(probe, which, tried.judged, seen, tried.control, tried.explained)
        if found.verdict in (Verdict.PASSED, Verdict.SKIPPED) or not self.keep_evidence:
            return Outcome(found, tried.control)
        found = found.model_copy(update={"evidence": f"conformance/{which.run_uid}/{probe.id}/{which.cycle}.json"})
        return Outcome(found, tried.control, kept(found, tried.evidence))

    async def _attempt(self, probe: Probe, tried: _Attempts) -> None:
        """From set-up to clean-up. What follows the last attempt needs its objects, so it is part of it."""
        try:
            play = await self._staged(probe)
        except StewardError as error:
            tried.evidence.append(Evidence())
            tried.judged.append((_untold("NoStage", str(error)), self.clock.now()))
            return
        async with play:
            judged = await self._perform(probe, play)
            tried.stage = play.stage
            tried.judged.append((judged, self.clock.now()))
            if try_again(tried.tried, self.retries):
                tried.evidence.append(play.evidence)
            else:
                await self._look_back(probe, play, tried)
        await play.emptied()

    async def _staged(self, probe: Probe) -> Play:
        """A play that has not begun, with the requests for all of it, on the stage as it is then."""
        stage, share = await self.staging(), Share()
        if self.allowance is not None:
            share = Share(self.allowance, cost(probe, stage))
            wait = self.allowance.wait(share.left, self.clock.monotonic())
            if wait:
                await self.clock.sleep(wait)
                stage = await self.staging()
        return Play(self.edges, self.clock, stage, probe.id, self.agents_of, share)

    async def _look_back(self, probe: Probe, play: Play, tried: _Attempts) -> None:
        """After the last attempt: the control, and the reasons of a failure."""
        await self._control(probe, play, tried)
        if settled(tried.tried) is Verdict.FAILED:
            await self._explain(probe, play, tried)
        tried.evidence.append(play.evidence)

    async def _perform(self, probe: Probe, play: Play) -> Judgement:
        try:
            async with within(self.clock, probe.bound + _SLACK):
                if probe.objects is not None:
                    await play.apply(SETUP, probe.objects(play.stage))
                    failure = play.found[SETUP].failure
                    if failure is not None:
                        return _untold(failure.reason, failure.message)
                await play.run(probe.steps(play.stage))
        except TimeoutError:
            patience = (probe.bound + _SLACK).total_seconds()
            judged = proven(probe.proof, play.stage, play.evidence)
            if judged.verdict is Verdict.INCONCLUSIVE:
                return _untold("TookTooLong", f"not done within {patience:g} s: {judged.message}")
            return judged
        return proven(probe.proof, play.stage, play.evidence)

    async def _control(self, probe: Probe, play: Play, tried: _Attempts) -> None:
        """The control is judged by its own steps, beside what the probe found.

        It is tried again as the probe is: one slow answer must not take the word of a whole group away.
        """
        for attempt in range(self.retries + 1):
            tried.control = await self._controlled(probe, play)
            if tried.control.ok is not False or attempt == self.retries:
                return
            await self.clock.sleep(pause(self.retries, self.retry_within))

    async def _controlled(self, probe: Probe, play: Play) -> Control:
        if probe.control is None:
            return Control()
        other = replace(play, found=dict(play.found))
        try:
            async with within(self.clock, probe.bound + _SLACK):
                await other.run(probe.control.steps(play.stage))
        except TimeoutError:
            pass
        return controlled(probe, play.stage, other.evidence)

    async def _explain(self, probe: Probe, play: Play, tried: _Attempts) -> None:
        try:
            async with within(self.clock, _DIAGNOSIS):
                await play.run(explain.steps(probe, play.stage))
        except TimeoutError:
            pass
        causes = explain.causes(probe, play.stage, play.evidence)
        judged, at = tried.judged[-1]
        tried.judged[-1] = (unless_disturbed(judged, explain.noise(causes)), at)
        tried.explained = Explained(causes, explain.rung_of(causes))


def _untold(reason: str, message: str) -> Judgement:
    return Judgement(Verdict.INCONCLUSIVE, reason, message[:1000])

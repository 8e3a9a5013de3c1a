"""What is opened in one cycle and judged in the next: connections that must live through whatever happens between.

The steps of a soak probe are cut at its first `Released`. What comes before opens, what follows judges; in a run that
goes through once both follow one another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.conformance.core.judge import Which
from services.conformance.core.probe import Probe
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Released, Step
from services.conformance.engine.playing import Play
from services.conformance.engine.runner import Outcome, Runner


def is_held(probe: Probe, stage: Stage) -> bool:
    """Whether a probe has something to hold from one cycle to the next."""
    return probe.soak and _cut(probe.steps(stage)) > 0


@dataclass(slots=True)
class Soaking:
    """The probes of one run that hold something."""

    runner: Runner
    _open: dict[str, tuple[Probe, Play]] = field(default_factory=dict)

    @property
    def open(self) -> Iterator[Probe]:
        """Those that hold something at present."""
        return iter([probe for probe, _ in self._open.values()])

    async def turn(self, probe: Probe, which: Which) -> Outcome | None:
        """Judge what was opened in the turn before, and open it anew. The first turn only opens."""
        outcome = await self.judge(probe, which)
        play = await self.runner.begin(probe)
        self._open[probe.id] = (probe, play)
        steps = probe.steps(play.stage)
        await play.run(steps[: _cut(steps)])
        return outcome

    async def judge(self, probe: Probe, which: Which) -> Outcome | None:
        """Judge what is open, and close it; None where nothing is."""
        held = self._open.pop(probe.id, None)
        if held is None:
            return None
        _, play = held
        async with play:
            steps = probe.steps(play.stage)
            return await self.runner.conclude(probe, which, play, steps[_cut(steps) :])

    async def close(self) -> None:
        """Let everything go, unjudged."""
        for _, play in list(self._open.values()):
            async with play:
                pass
        self._open.clear()


def _cut(steps: Sequence[Step]) -> int:
    """Where judging begins; 0 where nothing is released."""
    return next((at for at, step in enumerate(steps) if isinstance(step, Released)), 0)

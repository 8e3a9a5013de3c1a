"""Brings what is wanted into force, as far as the target takes it; the last good one of everything else stays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.alerting.core.adoption import Adopted, Contents, Verdict, adoption
from services.alerting.core.carrier import Carrier
from steward.errors import StewardError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is in force now. `broken`: the target refuses even what was good, so the fault is somebody else's."""

    in_force: Contents
    refused: Contents = field(default_factory=dict)
    broken: str = ""
    shown: int = 0
    """How many times the target was asked."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A text, or the wish that there be none, that the target did not take."""

    text: str | None
    said: str


class Adopting:
    """One target over time."""

    def __init__(self, carrier: Carrier, *, others_write: bool = False) -> None:
        """`others_write`: what is there is asked each time, because it can change without us."""
        self._carrier = carrier
        self._others_write = others_write
        self._in_force: Contents | None = None
        self._refused: Mapping[str, _Refused] = {}
        """What was refused is not shown again with every change of something else."""

    async def begin(self) -> None:
        """After a start: what was good is shown before anything else is known."""
        if not self._others_write:
            await self._begin(await self.good())

    async def adopt(self, wanted: Contents) -> Outcome:
        """Bring `wanted` into force. A target that does not answer is left what was good, and the error is raised."""
        good = await self.good()
        try:
            outcome = await self._adopted(good, wanted)
            if not outcome.broken:
                await self._carrier.keep(outcome.in_force)
        except StewardError:
            await self._leave(good)
            raise
        if outcome.broken:
            await self._leave(good)
            return outcome
        self._in_force = outcome.in_force
        self._refused = {name: _Refused(wanted.get(name), said) for name, said in outcome.refused.items()}
        return outcome

    async def good(self) -> Contents:
        """What is known to be good."""
        if self._in_force is None or self._others_write:
            return await self._carrier.good()
        return self._in_force

    async def _adopted(self, good: Contents, wanted: Contents) -> Outcome:
        doubt = await self._begin(good)
        spared = {} if doubt else self._refused_before(wanted)
        # Where even the good is refused, some of it is good no more, or the fault is somebody else's.
        base = {} if doubt else good
        adopted, shown = await self._tried(base, _with(wanted, good, spared))
        broken = ""
        if adopted.restore or (doubt and not shown):
            shown += 1
            broken = await self._carrier.show(adopted.contents) or ""
        refused = {**spared, **adopted.refused}
        return Outcome(good if broken else adopted.contents, refused, broken, shown)

    async def _tried(self, base: Contents, wanted: Contents) -> tuple[Adopted, int]:
        steps = adoption(base, wanted)
        verdict: Verdict = None
        shown = 0
        while True:
            try:
                trial = steps.send(verdict) if shown else next(steps)
            except StopIteration as ended:
                return ended.value, shown
            verdict = await self._carrier.show(trial.contents)
            shown += 1

    async def _begin(self, good: Contents) -> Verdict:
        """After a start, or after silence: what was good is shown again, because anything may have happened since."""
        if self._in_force is not None or self._others_write:
            return None
        self._refused = {}
        doubt = await self._carrier.show(good)
        if doubt is None:
            self._in_force = good
        return doubt

    async def _leave(self, good: Contents) -> None:
        """Files that nobody has judged must not wait there for a target that starts."""
        self._in_force = None
        await self._carrier.put_back(good)

    def _refused_before(self, wanted: Contents) -> dict[str, str]:
        if self._others_write:
            # Whoever was in the way may be gone.
            return {}
        return {name: each.said for name, each in self._refused.items() if wanted.get(name) == each.text}


def _with(wanted: Contents, good: Contents, spared: Mapping[str, str]) -> Contents:
    """`wanted`, but what is spared as it is now."""
    now = {name: good[name] for name in spared if name in good}
    return {**{name: text for name, text in wanted.items() if name not in spared}, **now}

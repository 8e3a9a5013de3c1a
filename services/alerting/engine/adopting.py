"""Brings what is wanted into force, as far as the target takes it; the last good one of everything else stays."""

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


class Adopting:
    """One target over time."""

    def __init__(self, carrier: Carrier, *, others_write: bool = False) -> None:
        """`others_write`: what is there is asked each time, because it can change without us."""
        self._carrier = carrier
        self._others_write = others_write
        self._in_force: Contents | None = None

    async def adopt(self, wanted: Contents) -> Outcome:
        """Bring `wanted` into force. A target that does not answer is left what was good, and the error is raised."""
        good = await self._begin()
        try:
            adopted, shown = await self._tried(good, wanted)
        except StewardError:
            # Files that nobody has judged must not wait there for a target that starts.
            self._in_force = None
            await self._carrier.put_back(good)
            raise
        broken = ""
        if adopted.restore:
            shown += 1
            broken = await self._carrier.show(adopted.contents) or ""
        await self._carrier.keep(adopted.contents)
        self._in_force = adopted.contents
        return Outcome(adopted.contents, adopted.refused, broken, shown)

    async def good(self) -> Contents:
        """What is known to be good."""
        if self._in_force is None or self._others_write:
            return await self._carrier.good()
        return self._in_force

    async def _tried(self, good: Contents, wanted: Contents) -> tuple[Adopted, int]:
        steps = adoption(good, wanted)
        verdict: Verdict = None
        shown = 0
        while True:
            try:
                trial = steps.send(verdict) if shown else next(steps)
            except StopIteration as ended:
                return ended.value, shown
            verdict = await self._carrier.show(trial.contents)
            shown += 1

    async def _begin(self) -> Contents:
        """After a start, or after silence: what was good is shown again, because anything may have happened since."""
        if self._others_write:
            return await self._carrier.good()
        if self._in_force is None:
            good = await self._carrier.good()
            await self._carrier.show(good)
            self._in_force = good
        return self._in_force

"""One way to break the mesh, and what the probe of the broken feature must then say."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.conformance.core.stage import Stage
from steward.events.conformance import Rung
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import EVERYWHERE, Fault, Scope

Breaking = Callable[[SimulatedDataPlane, Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mutation:
    """`code` is the first cause that must be named, `rung` its class.

    `fault` is a switch of the simulation, or whatever must be done to break it. Where `control` is set, it is the
    probe's negative control that is broken: then the group is inconclusive, and no cause is named.
    """

    probe: str
    fault: Fault | Breaking
    code: str = ""
    rung: Rung | None = None
    scope: Scope = EVERYWHERE
    control: bool = False
    repair: Breaking | None = None
    """What undoes a `fault` that is no switch of the simulation's own."""

    @property
    def name(self) -> str:
        """How a table names it."""
        return self.fault.name if isinstance(self.fault, Fault) else self.fault.__name__.replace("_", "-")

    async def break_it(self, plane: SimulatedDataPlane, stage: Stage) -> None:
        """From now on it is broken."""
        if isinstance(self.fault, Fault):
            plane.faults.switch_on(self.fault, self.scope)
        else:
            await self.fault(plane, stage)

    async def mend_it(self, plane: SimulatedDataPlane, stage: Stage) -> None:
        """As it was before."""
        if self.repair is not None:
            await self.repair(plane, stage)
        plane.faults.clear()

"""All runs of a term: each that is not over has a conductor of its own."""

import asyncio
from datetime import timedelta

from services.conformance.core.decide import Over
from services.conformance.core.ledger import is_over, status_of
from services.conformance.engine.bell import Bell
from services.conformance.engine.conductor import Conductor
from services.conformance.engine.resources import Resources
from services.conformance.engine.runs import UnreadableRun
from services.conformance.engine.world import World
from services.conformance.metrics import ERRORS, RUN_PHASE
from steward.bus.errors import BusClosed
from steward.errors import StewardError
from steward.kube.errors import Conflict

_LONGEST_BACKOFF = timedelta(minutes=1)


class Company:
    """The conductors."""

    def __init__(self, world: World, resources: Resources) -> None:
        self._world = world
        self._resources = resources
        self._bells: dict[str, Bell] = {}
        self._changed = Bell(world.clock)

    def run_changed(self, name: str) -> None:
        """A run was made, changed or deleted."""
        bell = self._bells.get(name)
        if bell is not None:
            bell.ring()
        self._changed.ring()

    def all_changed(self) -> None:
        """Something changed that any run may wait for."""
        for bell in self._bells.values():
            bell.ring()
        self._changed.ring()

    async def run(self) -> None:
        """Conduct for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._show()
                for run in self._resources.runs():
                    name = run.metadata.name
                    if name not in self._bells and not is_over(run):
                        self._bells[name] = Bell(self._world.clock)
                        tasks.create_task(self._conduct(name), name=f"run {name}")
                await self._changed.wait(None)

    def _show(self) -> None:
        phases: dict[tuple[str, ...], float] = {}
        for run in self._resources.runs():
            if not is_over(run):
                phase = (status_of(run).phase.value,)
                phases[phase] = phases.get(phase, 0) + 1
        self._world.instruments.show(RUN_PHASE, phases)

    async def _conduct(self, name: str) -> None:
        """One run, until it is over; what fails is begun again, later each time."""
        bell = self._bells[name]
        conductor = Conductor(self._world, self._resources, name, bell)
        failures = 0
        try:
            while True:
                try:
                    act = await conductor.conduct()
                    failures = 0
                except UnreadableRun as error:
                    self._world.log.error("run left alone", error=str(error))  # noqa: TRY400 - no failure of ours
                    await bell.wait(None)
                    continue
                except BusClosed:
                    raise
                except StewardError as error:
                    failures += 1
                    await self._begin_again(name, error, failures)
                    continue
                if isinstance(act, Over):
                    return
                await bell.wait(act.until)
        finally:
            del self._bells[name]
            # Others may have waited for this one.
            self.all_changed()

    async def _begin_again(self, name: str, error: StewardError, failures: int) -> None:
        self._world.instruments.count(ERRORS, type(error).__name__)
        say = self._world.log.info if isinstance(error, Conflict) else self._world.log.warning
        say("again, after an error", run=name, error=str(error), failures=failures)
        patience = self._world.means.begin_again * 2 ** min(failures - 1, 10)
        await self._world.clock.sleep(min(patience, _LONGEST_BACKOFF))

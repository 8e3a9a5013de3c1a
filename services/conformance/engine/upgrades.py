"""Upgrades, as conformance hears of them. It answers only where somebody made the default suite."""

from dataclasses import dataclass
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.conformance.core import asked_by_upgrades as asked
from services.conformance.core.probe import Probe
from services.conformance.engine.resources import Resources
from services.conformance.engine.runs import Runs
from steward.bus.delivery import Delivery
from steward.errors import Retry
from steward.events.upgrades import UpgradeFinished, UpgradeStarted, UpgradeStepDone
from steward.jsonvalue import JsonObject, text
from steward.kube.errors import Invalid, KubeError, NotFound

_AGAIN = timedelta(seconds=5)
HEARD = (UpgradeStarted, UpgradeStepDone, UpgradeFinished)


@dataclass(frozen=True, slots=True)
class Upgrades:
    """Makes runs, and ends them."""

    resources: Resources
    runs: Runs
    probes: tuple[Probe, ...]
    log: FilteringBoundLogger

    async def on_event(self, delivery: Delivery) -> None:
        """Said twice it does the same: the names of runs follow from the upgrade."""
        await self.resources.synced()
        if not self.resources.has_default:
            return
        try:
            await self._answer(delivery)
        except Invalid as error:
            self.log.warning("an upgrade asks for what cannot be made", error=str(error))
        except KubeError as error:
            raise Retry(_AGAIN, str(error)) from error

    async def _answer(self, delivery: Delivery) -> None:
        match delivery.envelope.data:
            case UpgradeStepDone() as done:
                body = asked.after_step(done, self.resources.runs())
                if body is not None:
                    await self._make(body)
            case UpgradeStarted() as started:
                if any(probe.soak for probe in self.probes):
                    await self._make(asked.watch(started))
            case UpgradeFinished() as finished:
                for run in asked.watches_over(finished, self.resources.runs()):
                    await self._stop(run.metadata.name)
            case _:
                return

    async def _make(self, body: JsonObject) -> None:
        if await self.runs.create(body):
            self.log.info("an upgrade is answered", run=text(body, "metadata", "name"))

    async def _stop(self, name: str) -> None:
        run = self.resources.run(name)
        if run is None:
            return
        try:
            await self.runs.stop(run)
        except NotFound:
            return

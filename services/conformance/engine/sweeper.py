"""Namespaces of ours that nobody cleans up: their run is gone or over, or was not renewed in time."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from services.conformance.core.ports import Cluster
from services.conformance.engine.resources import Resources
from services.conformance.metrics import SWEPT
from steward.clock import Clock
from steward.kube.errors import KubeError
from steward.service.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Looks again and again, from the beginning of a term on."""

    cluster: Cluster
    resources: Resources
    clock: Clock
    instruments: Instruments
    log: FilteringBoundLogger

    async def sweep(self) -> None:
        """Once. Every deletion names the uid that was looked at."""
        for owned, run_uid in await self.cluster.abandoned(self.resources.living(), self.clock.now()):
            problem = await self.cluster.drop(owned, run_uid)
            if problem:
                self.log.warning("left alone", namespace=owned.name, why=problem)
            else:
                self.instruments.count(SWEPT)
                self.log.info("swept", namespace=owned.name, run_uid=run_uid)

    async def sweep_once_more(self) -> None:
        """The same, where the API server may be away."""
        try:
            await self.sweep()
        except KubeError as error:
            self.log.warning("not swept yet", error=str(error))

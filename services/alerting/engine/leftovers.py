"""Never both ways at once: where files carry, objects that were made for the operator before are taken away."""

from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.alerting.edges.operator_kinds import KINDS
from services.alerting.edges.operator_objects import OperatorObjects
from steward.kube.client import Kube
from steward.kube.errors import Forbidden, KubeError
from steward.kube.resources import Resource


class Leftovers:
    """Objects of ours of the operator's kinds.

    The other way round nothing is left: files are read by the Prometheus and the Alertmanager of our own pod only,
    which are gone with it, and folders that are still named beside the operator are refused (`core.delivery`).
    """

    def __init__(self, kube: Kube, log: FilteringBoundLogger, again: timedelta) -> None:
        self._kube = kube
        self._log = log
        self._again = again

    async def take_away(self) -> None:
        """Return once there are none, or none that we may see."""
        for resource in KINDS:
            while not await self._taken_away(resource):
                await self._kube.clock.sleep(self._again)

    async def _taken_away(self, resource: Resource) -> bool:
        try:
            gone = await OperatorObjects(self._kube, resource).clear() if await self._kube.serves(resource) else 0
        except Forbidden as refused:
            self._log.warning(
                "objects for the prometheus-operator may be left, and would tell everything twice: let alerting list "
                "and delete them, or delete those with the label app.kubernetes.io/managed-by=linkerd-steward",
                kind=resource.kind,
                error=str(refused),
            )
            return True
        except KubeError as error:
            self._log.warning("objects for the prometheus-operator are taken away later", error=str(error))
            return False
        if gone:
            self._log.info("objects for the prometheus-operator were taken away", kind=resource.kind, objects=gone)
        return True

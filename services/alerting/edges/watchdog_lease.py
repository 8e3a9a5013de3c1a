"""When the Watchdog last came to a replica that does not lead, told to the one that does.

A post of Alertmanager's goes to any replica, and the leader alone says that none came. A Lease is made for that: its
`renewTime` says when something was last alive, and `kubectl get lease` shows it.
"""

from dataclasses import dataclass
from datetime import datetime

from steward.jsonvalue import JsonObject, table, text
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, Conflict
from steward.kube.micro_time import micro_time, read_micro_time
from steward.kube.resources import LEASES

NAME = "alerting-watchdog"


@dataclass(frozen=True, slots=True)
class WatchdogLease:
    """The Lease, in Steward's own namespace. Both methods raise `KubeError`."""

    kube: Kube
    namespace: str

    async def last(self) -> datetime | None:
        """When it last came to anybody who wrote it down."""
        found = await self.kube.find(LEASES, NAME, self.namespace)
        return read_micro_time(text(found, "spec", "renewTime")) if found else None

    async def note(self, identity: str, at: datetime) -> None:
        """Write down that it came. Whoever wrote at the same moment knows as much."""
        found = await self.kube.find(LEASES, NAME, self.namespace)
        spec: JsonObject = {"holderIdentity": identity, "renewTime": micro_time(at)}
        try:
            if found is None:
                body: JsonObject = {"metadata": {"name": NAME, "namespace": self.namespace}, "spec": spec}
                await self.kube.create(LEASES, body)
            else:
                await self.kube.replace(LEASES, {**found, "spec": {**table(found, "spec"), **spec}})
        except (AlreadyExists, Conflict):
            return

"""Says what a status owes. Whether an event is stored already is asked before it is said again."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.version_watcher.core.announce import Owed
from steward.bus.errors import BusClosed, BusError
from steward.events.base import Trail, enclose
from steward.events.subjects import subject_filter
from steward.service.patient_bus import EventBus
from steward.service.trace import new_traceparent

SERVICE = "version-watcher"


@dataclass(frozen=True, slots=True)
class Said:
    """Ids that are stored for certain; `repeated` were so before. `problem`: why the rest is not."""

    ids: frozenset[str]
    repeated: frozenset[str]
    problem: str = ""


class Herald:
    """Publishes events of one cluster."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    @property
    def cluster(self) -> str:
        """The name of the cluster that the events are about."""
        return self._bus.cluster

    async def prepare(self) -> None:
        """Make sure that the streams are there; nothing is ever destroyed for it."""
        await self._bus.reconcile()

    async def say(self, owed: Iterable[Owed]) -> Said:
        """Store each event once and in order, up to the first that NATS does not take."""
        waiting = tuple(owed)
        ids: set[str] = set()
        repeated: set[str] = set()
        try:
            # The stream forgets message ids after its duplicate window; the events themselves it keeps for a month.
            for name in {each.event.name for each in waiting}:
                repeated |= await self._bus.event_ids(subject_filter(name, cluster=self.cluster))
            for each in waiting:
                if each.id not in repeated:
                    await self._publish(each)
                ids.add(each.id)
        except BusClosed:
            raise
        except BusError as error:
            return Said(frozenset(ids), frozenset(ids & repeated), str(error))
        return Said(frozenset(ids), frozenset(ids & repeated))

    async def _publish(self, each: Owed) -> None:
        trail = Trail(traceparent=new_traceparent())
        await self._bus.publish(
            enclose(each.event, id=each.id, cluster=self.cluster, service=SERVICE, time=each.time, trail=trail)
        )

"""Transitions → events on the bus, in order, each once. The run never waits for it.

What is stored already is asked of the stream, so that a restart repeats nothing; what is missing is published under
its stable id. Without NATS the transitions wait in the runs, where they are.
"""

import asyncio
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.upgrader.core.story import story
from services.upgrader.engine.bell import Bell
from services.upgrader.engine.caches import Caches
from services.upgrader.metrics import UNTOLD
from steward.bus.errors import BusClosed, BusError, EventTooLarge
from steward.clock import Clock
from steward.events.base import Envelope, Event
from steward.events.subjects import ROOT, token
from steward.resources.upgrade_run import UpgradeRun
from steward.service.instruments import Instruments
from steward.service.patient_bus import EventBus

TOO_OLD = timedelta(days=29)
"""The stream keeps thirty days: what is missing from before was told, and forgotten."""
_AGAIN = timedelta(seconds=2)


class Telling:
    """Publishes what happened to every run."""

    def __init__(
        self, bus: EventBus, caches: Caches, clock: Clock, instruments: Instruments, log: FilteringBoundLogger
    ) -> None:
        self.changed = Bell(clock)
        self._bus = bus
        self._caches = caches
        self._clock = clock
        self._instruments = instruments
        self._log = log
        self._told: dict[str, set[str]] = {}
        self._asked: set[str] = set()

    def is_told(self, run: UpgradeRun) -> bool:
        """Whether everything that happened to the run is in the stream."""
        told = self._told.get(run.metadata.uid, set())
        return all(each.id in told for each in story(run, self._bus.cluster))

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            try:
                await self._tell_all()
            except BusClosed:
                raise
            except BusError as error:
                self._log.warning("events wait for NATS", error=str(error))
                await self._clock.sleep(_AGAIN)
                continue
            await self.changed.wait(None)

    async def _tell_all(self) -> None:
        runs = self._caches.runs()
        for uid in [uid for uid in self._told if all(run.metadata.uid != uid for run in runs)]:
            del self._told[uid]
            self._asked.discard(uid)
        waiting = {run.metadata.uid: self._untold(run) for run in runs}
        self._instruments.set(UNTOLD, sum(len(each) for each in waiting.values()))
        for run in runs:
            if not waiting[run.metadata.uid]:
                continue
            if run.metadata.uid not in self._asked:
                await self._ask_the_stream(run)
            for envelope in self._untold(run):
                await self._tell(run, envelope)
        self._instruments.set(UNTOLD, sum(len(self._untold(run)) for run in runs))

    def _untold(self, run: UpgradeRun) -> list[Envelope[Event]]:
        told = self._told.get(run.metadata.uid, set())
        limit = self._clock.now() - TOO_OLD
        return [each for each in story(run, self._bus.cluster) if each.id not in told and each.time >= limit]

    async def _ask_the_stream(self, run: UpgradeRun) -> None:
        """Once for each run and process: a name may have been used before, so ids decide, and they hold the uid."""
        subject = ".".join((ROOT, self._bus.cluster, "*", token(run.metadata.name)))
        stored = await self._bus.event_ids(subject)
        self._told.setdefault(run.metadata.uid, set()).update(stored)
        self._asked.add(run.metadata.uid)

    async def _tell(self, run: UpgradeRun, envelope: Envelope[Event]) -> None:
        try:
            async with asyncio.timeout(60):
                await self._bus.publish(envelope)
        except EventTooLarge as error:
            self._log.error("event left out", name=envelope.data.name, id=envelope.id, error=str(error))
        except TimeoutError:
            raise BusError(f"event {envelope.id!r} could not be published within a minute") from None
        self._told.setdefault(run.metadata.uid, set()).add(envelope.id)

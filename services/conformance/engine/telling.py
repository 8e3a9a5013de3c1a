"""Confirmed changes and ended runs → events on the bus, each once. Nothing ever waits for it.

What was said is asked of the stream of events when a term begins, so that a restart repeats nothing; what is missing
follows from states and runs, which are rebuilt, so that nothing is lost either.
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta

from services.conformance.core import story
from services.conformance.core.ports import Results
from services.conformance.engine.bell import Bell
from services.conformance.engine.knowing import Knowing
from services.conformance.engine.resources import Resources
from services.conformance.metrics import UNTOLD
from steward.bus.errors import BusClosed, BusError, EventTooLarge
from steward.bus.streams import EVENTS
from steward.events.base import Envelope, Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered, ConformanceRunFinished
from steward.events.subjects import key_of, subject, subject_filter
from steward.service.chassis import Chassis

TOO_OLD = timedelta(days=29)
"""The stream keeps thirty days: what is missing from before was told, and forgotten."""
_AGAIN = timedelta(seconds=2)
_LOOK_AGAIN = timedelta(minutes=1)
"""A quarantine ends by itself, and then something may have to be said."""


class Telling:
    """Publishes what happened to features and runs."""

    def __init__(self, chassis: Chassis, resources: Resources, knowing: Knowing, results: Results) -> None:
        self.changed = Bell(chassis.clock)
        self._bus = chassis.bus
        self._resources = resources
        self._knowing = knowing
        self._results = results
        self._clock = chassis.clock
        self._instruments = chassis.instruments
        self._log = chassis.log
        self._told: dict[str, str] | None = None
        self._runs_told: set[str] = set()

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
            await self.changed.wait(self._clock.now() + _LOOK_AGAIN)

    async def _tell_all(self) -> None:
        await self._knowing.loaded.wait()
        if self._told is None:
            self._told = await self._said_so_far()
        waiting = list(self._owed(self._told))
        self._instruments.set(UNTOLD, len(waiting))
        for feature, what in waiting:
            await self._tell(feature, what, self._told)
        for run in self._resources.runs():
            envelope = story.finished(run, self._bus.cluster)
            if envelope is not None and run.metadata.uid not in self._runs_told:
                await self._tell_run(envelope, run.metadata.name, run.metadata.uid)
        self._knowing.show()
        self._instruments.set(UNTOLD, len(list(self._owed(self._told))))

    def _owed(self, told: dict[str, str]) -> Iterable[tuple[str, str]]:
        for feature in self._knowing.features():
            course = self._knowing.history(feature).course
            asleep = self._knowing.quarantine(feature) is not None
            what = story.owed(course, told.get(feature, ""), asleep=asleep)
            if what:
                yield feature, what

    async def _tell(self, feature: str, what: str, told: dict[str, str]) -> None:
        course = self._knowing.history(feature).course
        probe, mark = self._knowing.probe(feature), course.confirmed_by
        if probe is None or mark is None or mark.at < self._clock.now() - TOO_OLD:
            told[feature] = what
            return
        if what == story.FAILED:
            result = await self._results.one(feature, mark)
            envelope = story.failed(probe, course, mark, result, self._bus.cluster)
        else:
            envelope = story.recovered(probe, course, mark, self._bus.cluster)
        await self._publish(envelope)
        self._log.info("told", feature=feature, what=what)
        told[feature] = what

    async def _tell_run(self, envelope: Envelope[Event], name: str, uid: str) -> None:
        about = subject(self._bus.cluster, ConformanceRunFinished.name, (name,))
        if envelope.id not in await self._bus.event_ids(about) and envelope.time >= self._clock.now() - TOO_OLD:
            await self._publish(envelope)
        self._runs_told.add(uid)

    async def _publish(self, envelope: Envelope[Event]) -> None:
        try:
            async with asyncio.timeout(60):
                await self._bus.publish(envelope)
        except EventTooLarge as error:
            self._log.error("event left out", name=envelope.data.name, id=envelope.id, error=str(error))
        except TimeoutError:
            raise BusError(f"event {envelope.id!r} could not be published within a minute") from None

    async def _said_so_far(self) -> dict[str, str]:
        """The last that was said of each feature."""
        last: dict[str, tuple[int, str]] = {}
        for event, what in ((ConformanceFailed, story.FAILED), (ConformanceRecovered, story.RECOVERED)):
            wanted = subject_filter(event.name, cluster=self._bus.cluster)
            async with aclosing(self._bus.stored(wanted, stream=EVENTS.name, headers_only=True)) as messages:
                async for message in messages:
                    feature = ".".join(key_of(message.subject))
                    last[feature] = max(last.get(feature, (0, "")), (message.sequence, what))
        return {feature: what for feature, (_, what) in last.items()}

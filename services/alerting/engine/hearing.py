"""Alertmanager's webhook → events: each beginning and each end of an alert once, whatever happens on the way.

A post is answered 200 once everything in it is stored; otherwise Alertmanager is told to come again. What was said
before a restart is asked of the stream, so that a restart repeats nothing.
"""

from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta

from services.alerting.edges.webhook import Answer
from services.alerting.metrics import TOLD, WATCHDOG_SEEN, WEBHOOKS
from steward.alerting.told import Heard, Known, Transition, ended_unheard, heard, identity, settled_before
from steward.alerting.webhook import Status, TellingAlert, Unreadable, read
from steward.bus.errors import BusClosed, BusError
from steward.bus.streams import EVENTS, Start
from steward.clock import within
from steward.events import codec
from steward.events.alerts import AlertEvent, AlertFiring, AlertResolved
from steward.events.base import enclose
from steward.events.subjects import subject_filter
from steward.service.chassis import Chassis

SERVICE = "alerting"
WATCHDOG = "Watchdog"
_STORED_WITHIN = timedelta(seconds=8)
"""Alertmanager waits ten seconds for an answer; a post that takes longer comes again."""
_MEMORY = timedelta(hours=24)
_REMEMBER_AGAIN = timedelta(minutes=30)
"""Another replica may have said something meanwhile; for two hours NATS knows an event again that is said twice."""


class Hearing:
    """What is known of every alert, and what is said of it."""

    def __init__(self, chassis: Chassis) -> None:
        self._bus = chassis.bus
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._known: dict[str, Known] = {}
        self._remembered_at: float | None = None

    @property
    def known(self) -> dict[str, Known]:
        """Of every alert by its fingerprint."""
        return self._known

    async def receive(self, body: bytes) -> Answer:
        """Take one post."""
        found = read(body)
        if isinstance(found, Unreadable):
            self._instruments.count(WEBHOOKS, found.reason)
            self._log.warning("a post of Alertmanager's cannot be read", reason=found.reason, problem=found.message)
            return 400, found.message
        try:
            async with within(self._clock, _STORED_WITHIN):
                await self.remember()
                for alert in found.alerts:
                    await self._take(alert)
        except BusClosed:
            raise
        except (BusError, TimeoutError) as error:
            self._instruments.count(WEBHOOKS, "NotStored")
            self._log.warning("alerts wait for NATS", problem=str(error) or "it did not answer in time")
            return 503, "NATS does not take events now: come again"
        self._instruments.count(WEBHOOKS, "Stored")
        return 200, "stored"

    async def remember(self) -> None:
        """Learn what was said before, by us or by another replica."""
        now = self._clock.monotonic()
        if self._remembered_at is not None and now - self._remembered_at < _REMEMBER_AGAIN.total_seconds():
            return
        for event in (AlertFiring, AlertResolved):
            wanted = subject_filter(event.name, cluster=self._bus.cluster)
            async with aclosing(self._bus.stored(wanted, stream=EVENTS.name, start=Start.LATEST)) as messages:
                async for message in messages:
                    said = codec.decode(message.data)
                    if isinstance(said, codec.Known) and isinstance(said.envelope.data, AlertEvent):
                        self._note(heard(self._known.get(said.envelope.data.fingerprint), _as_told(said.envelope.data)))
        self._remembered_at = now

    async def compare(self, active: Iterable[str]) -> None:
        """Say the end of what Alertmanager has no more; `active` are fingerprints of all that it has."""
        await self.remember()
        for ended in ended_unheard(tuple(self._known.values()), active, self._clock.now()):
            await self._say(ended.transitions)
            self._note(ended)
        for old in [each for each in self._known.values() if settled_before(each, self._clock.now(), _MEMORY)]:
            del self._known[old.fingerprint]

    async def say_ourselves(self, alert: TellingAlert) -> None:
        """Say of an alert what Alertmanager may be unable to tell us; told by it as well, it is the same event."""
        await self.remember()
        await self._take(alert)

    async def _take(self, alert: TellingAlert) -> None:
        if alert.labels.get("alertname") == WATCHDOG:
            self.watchdog_seen = self._clock.now()
            self._instruments.set(WATCHDOG_SEEN, self.watchdog_seen.timestamp())
            return
        found = heard(self._known.get(alert.fingerprint), alert)
        await self._say(found.transitions)
        self._note(found)

    async def _say(self, transitions: Iterable[Transition]) -> None:
        for each in transitions:
            at = each.until if isinstance(each, AlertResolved) else each.since
            name = f"{identity(each)}/{self._bus.cluster}"
            await self._bus.publish(enclose(each, id=name, cluster=self._bus.cluster, service=SERVICE, time=at))
            self._instruments.count(TOLD, each.name)
            self._log.info(each.name, alert=each.alert, fingerprint=each.fingerprint)

    def _note(self, found: Heard) -> None:
        self._known[found.known.fingerprint] = found.known


def _as_told(event: AlertEvent) -> TellingAlert:
    """An event of before, as the post from which it came."""
    until = event.until if isinstance(event, AlertResolved) else None
    return TellingAlert(
        fingerprint=event.fingerprint,
        status=Status.FIRING if until is None else Status.RESOLVED,
        labels=event.labels,
        annotations={"summary": event.summary, "description": event.description, "runbook": event.runbook},
        since=event.since,
        until=until,
    )

"""Alertmanager's webhook → events: each beginning and each end of an alert once, whatever happens on the way.

A post is answered 200 once everything in it is stored; otherwise Alertmanager is told to come again. It does not where
the alert ended meanwhile, so what could not be stored is kept here too, and said when NATS is back. What was said
before a restart is asked of the stream, so that a restart repeats nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta

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
_MOST_WAITING = 50_000
"""Beginnings and ends that wait for NATS; of more, Alertmanager alone remembers."""

_Key = tuple[str, Status, datetime]


class Hearing:
    """What is known of every alert, and what is said of it."""

    def __init__(self, chassis: Chassis) -> None:
        self._bus = chassis.bus
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._known: dict[str, Known] = {}
        self._remembered_at: float | None = None
        self._waiting: dict[_Key, TellingAlert] = {}
        self._one_by_one = asyncio.Lock()
        self.watchdog_seen: datetime | None = None
        """When the Watchdog last came back; None: not since we began."""

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
        taken = [self._take(alert) for alert in found.alerts]
        try:
            async with within(self._clock, _STORED_WITHIN):
                await self.catch_up()
        except BusClosed:
            raise
        except (BusError, TimeoutError) as error:
            self._instruments.count(WEBHOOKS, "NotStored")
            self._log.warning("alerts wait for NATS", problem=str(error) or "it did not answer in time")
            return 503, "NATS does not take events now: come again"
        if not all(taken):
            self._instruments.count(WEBHOOKS, "NotStored")
            return 503, "too much waits for NATS: come again"
        self._instruments.count(WEBHOOKS, "Stored")
        return 200, "stored"

    @property
    def waits(self) -> bool:
        """Whether something is yet to be said."""
        return bool(self._waiting)

    async def catch_up(self) -> None:
        """Say what waits, in the order in which it was told. Raise BusError where NATS does not take it."""
        async with self._one_by_one:
            await self._remember()
            for key, alert in tuple(self._waiting.items()):
                await self._learn(heard(self._known.get(alert.fingerprint), alert))
                self._waiting.pop(key, None)

    async def _remember(self) -> None:
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

    async def compare(self, ask: Callable[[], Awaitable[Iterable[str]]]) -> None:
        """Say the end of what Alertmanager has no more; `ask` brings the fingerprints of all that it has."""
        await self.catch_up()
        # What it tells while it is asked may be missing in its answer.
        before = tuple(self._known.values())
        active = frozenset(await ask())
        async with self._one_by_one:
            unchanged = [each for each in before if self._known.get(each.fingerprint) is each]
            for ended in ended_unheard(unchanged, active, self._clock.now()):
                await self._learn(ended)
        for old in [each for each in self._known.values() if settled_before(each, self._clock.now(), _MEMORY)]:
            del self._known[old.fingerprint]

    async def say_ourselves(self, alert: TellingAlert) -> None:
        """Say of an alert what Alertmanager may be unable to tell us; told by it as well, it is the same event.

        Where NATS does not take it, it waits with all others, and BusError is raised.
        """
        self._waiting[_key(alert)] = alert
        await self.catch_up()

    def _take(self, alert: TellingAlert) -> bool:
        if alert.labels.get("alertname") == WATCHDOG:
            self.watchdog_seen = self._clock.now()
            self._instruments.set(WATCHDOG_SEEN, self.watchdog_seen.timestamp())
            return True
        key = _key(alert)
        if key not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting[key] = alert
        return True

    async def _learn(self, found: Heard) -> None:
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


def _key(alert: TellingAlert) -> _Key:
    return alert.fingerprint, alert.status, alert.since


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

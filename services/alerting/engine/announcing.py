"""Says which rules and routes are in force, once for each change; what was said last, the stream remembers."""

import hashlib
from contextlib import aclosing

from services.alerting.engine.applying import Standing
from services.alerting.metrics import TOLD
from steward.bus.streams import EVENTS, Start
from steward.events.alerts import AlertPolicyApplied, Refusal
from steward.events.base import enclose
from steward.events.codec import Known, decode
from steward.events.subjects import subject
from steward.service.chassis import Chassis

SERVICE = "alerting"
_MOST = 100
"""Refusals that one event tells; of more it tells the number."""


class Announcing:
    """Compares what is in force with what was last said of it."""

    def __init__(self, chassis: Chassis, delivery: str) -> None:
        self._bus = chassis.bus
        self._clock = chassis.clock
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._delivery = delivery
        self._said: AlertPolicyApplied | None = None
        self._asked = False

    async def say(self, standing: Standing) -> None:
        """Publish where it differs. Raise BusError where NATS cannot be asked or told."""
        event = self._event(standing)
        if not self._asked:
            self._said = await self._last()
            self._asked = True
        if self._said == event:
            return
        now = self._clock.now()
        # The same change, said again after a crash, has the same name. The way back and forth again has another, by the
        # minute in which it was gone.
        change = f"{_state(self._said)}-{_state(event)}/{now:%Y%m%dT%H%M}"
        id = f"{event.name}/{self._bus.cluster}/{self._delivery}/{change}"
        # Where the answer is lost, the stream is asked again what was said.
        self._asked = False
        await self._bus.publish(enclose(event, id=id, cluster=self._bus.cluster, service=SERVICE, time=now))
        self._asked = True
        self._instruments.count(TOLD, event.name)
        self._said = event

    async def _last(self) -> AlertPolicyApplied | None:
        wanted = subject(self._bus.cluster, AlertPolicyApplied.name, (self._delivery,))
        last: AlertPolicyApplied | None = None
        async with aclosing(self._bus.stored(wanted, stream=EVENTS.name, start=Start.LATEST)) as messages:
            async for message in messages:
                found = decode(message.data)
                if isinstance(found, Known) and isinstance(found.envelope.data, AlertPolicyApplied):
                    last = found.envelope.data
        return last

    def _event(self, standing: Standing) -> AlertPolicyApplied:
        refused = [
            Refusal(object=name, reason=each.reason, message=each.message) for name, each in standing.refused.items()
        ]
        refused.sort(key=lambda each: each.object)
        message = f"{standing.rule_count} rules and {len(standing.channels)} channels are in force"
        if refused:
            first = refused[0]
            message += f"; {len(refused)} refused, of which the last good ones stay: {first.object}: {first.message}"
        return AlertPolicyApplied(
            target=self._delivery,
            digest=standing.digest,
            rules=standing.rule_count,
            channels=len(standing.channels),
            refused=tuple(refused[:_MOST]),
            message=message,
        )


def _state(event: AlertPolicyApplied | None) -> str:
    """A short name of all that an event says."""
    said = event.model_dump_json() if event is not None else ""
    return hashlib.sha256(said.encode()).hexdigest()[:12]

"""Events → alerts of Steward's own, told to Alertmanager again and again while they last."""

from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta

from services.alerting.metrics import POSTED
from steward.alerting import from_events, from_kubernetes
from steward.alerting.standing import Mark, Post, Standing, news, posts
from steward.bus.delivery import Delivery
from steward.bus.errors import BusClosed, BusError
from steward.bus.streams import EVENTS, ConsumerSpec, Start, filters_for
from steward.events import codec
from steward.events.base import Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered
from steward.events.subjects import subject_filter
from steward.events.upgrades import (
    UpgradeEvent,
    UpgradeFinished,
    UpgradePaused,
    UpgradeResumed,
    UpgradeRolledBack,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
)
from steward.events.versions import MeshDrifted, NewVersion, VersionWithdrawn
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import KubeError, NotFound
from steward.kube.resources import CORE_EVENTS, RELEASE_CATALOGS
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import MonitoringError
from steward.service.chassis import Chassis

CONSUMER = "alerting"
HEARD: tuple[type[Event], ...] = (
    NewVersion,
    VersionWithdrawn,
    MeshDrifted,
    UpgradeStarted,
    UpgradePaused,
    UpgradeResumed,
    UpgradeStepDone,
    UpgradeStepFailed,
    UpgradeRolledBack,
    UpgradeFinished,
    ConformanceFailed,
    ConformanceRecovered,
)
_OF_IDENTITY = ("IssuerValidationFailed", "IssuerUpdateSkipped", "IssuerUpdated", "IssuedLeafCertificate")
_OF_ANYBODY = ("InjectionSkipped", "Injected")
_FORGOTTEN_AFTER = timedelta(days=31)
"""The stream keeps events for thirty days."""


def consumer(cluster: str) -> ConsumerSpec:
    """Where in the stream of events alerting is."""
    return ConsumerSpec(
        name=CONSUMER, filters=filters_for(HEARD, cluster=cluster), description="Events that become alerts."
    )


class OwnAlerts:
    """What lasts, and telling it."""

    def __init__(self, chassis: Chassis, alertmanager: Alertmanager, namespace: str, ends_after: timedelta) -> None:
        self._bus = chassis.bus
        self._clock = chassis.clock
        self._kube: Kube = chassis.kube
        self._log = chassis.log
        self._instruments = chassis.instruments
        self._alertmanager = alertmanager
        self._namespace = namespace
        self._ends_after = ends_after
        self._standing = Standing()

    async def hear(self, begin_again: timedelta) -> None:
        """Until cancelled: first how things stand, then what happens."""
        spec = consumer(self._bus.cluster)
        while True:
            try:
                # The place in the stream is made before the past is read, so that nothing falls in between.
                await self._bus.reconcile(consumers=(spec,))
                await self._learn()
                await self._bus.consume(spec, self._on_event)
            except BusClosed:
                raise
            except BusError as error:
                self._log.warning("hears no events until NATS is back", error=str(error))
                await self._clock.sleep(begin_again)

    async def keep_telling(self, every: timedelta) -> None:
        """Until cancelled: whatever lasts is told again before Alertmanager forgets it."""
        while True:
            await self._look_at_events()
            await self._look_at_catalogs()
            now = self._clock.now()
            self._standing = self._standing.forgotten(now - _FORGOTTEN_AFTER)
            await self._tell(posts(self._standing, now, self._ends_after))
            await self._clock.sleep(every)

    async def _learn(self) -> None:
        for event in HEARD:
            # The steps of a run share its subject: the last of them alone does not tell how the others ended.
            start = Start.ALL if issubclass(event, UpgradeEvent) else Start.LATEST
            wanted = subject_filter(event.name, cluster=self._bus.cluster)
            async with aclosing(self._bus.stored(wanted, stream=EVENTS.name, start=start)) as messages:
                async for message in messages:
                    said = codec.decode(message.data)
                    if isinstance(said, codec.Known):
                        envelope = said.envelope
                        self._take(from_events.marks(envelope.data, envelope.time, self._namespace))

    async def _on_event(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        before = self._standing
        self._take(from_events.marks(envelope.data, envelope.time, self._namespace))
        await self._tell(news(before, self._standing, self._clock.now(), self._ends_after))

    async def _look_at_catalogs(self) -> None:
        """What version_watcher found: that nothing differs any more no event of ours says."""
        try:
            found = await self._kube.list(RELEASE_CATALOGS)
        except NotFound:
            return
        except KubeError as error:
            self._log.warning("the ReleaseCatalog cannot be read: drift that is over is told on", error=str(error))
            return
        self._take([mark for raw in found.items for mark in from_kubernetes.catalog_marks(raw)])

    async def _look_at_events(self) -> None:
        wanted = [(reason, self._namespace) for reason in _OF_IDENTITY] + [(reason, None) for reason in _OF_ANYBODY]
        for reason, namespace in wanted:
            try:
                found = await self._kube.list(CORE_EVENTS, namespace, fields=f"reason={reason}")
            except KubeError as error:
                self._log.warning("events of Kubernetes cannot be read", reason=reason, error=str(error))
                return
            self._take(_marks(found.items, self._namespace))

    def _take(self, marks: Iterable[Mark]) -> None:
        self._standing = self._standing.after(marks)

    async def _tell(self, found: tuple[Post, ...]) -> None:
        """An Alertmanager that is away is told with the next round."""
        if not found:
            return
        try:
            await self._alertmanager.post([each.to_json() for each in found])
            self._instruments.count(POSTED, by=len(found))
        except MonitoringError as error:
            self._log.warning("alerts of our own wait for Alertmanager", error=str(error))


def _marks(found: Iterable[JsonObject], namespace: str) -> Iterable[Mark]:
    for raw in found:
        event = from_kubernetes.kubernetes_event(raw)
        if event is not None:
            yield from from_kubernetes.marks(event, namespace)

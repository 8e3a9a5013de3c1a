"""Which object, event and webhook goes where.

look     at Prometheus and Alertmanager: what they are, what they have, what fires
apply    policies and channels, whenever one of them or what they depend on changed
hear     Alertmanager's webhook, whose alerts become events; and events, which become alerts
export   certificates, injection, progress, as metrics

With delivery by files each pod has a Prometheus and an Alertmanager of its own, and acts for these. Otherwise there may
be several replicas, and which of them does what is decided so:

every one     looks, exports, and answers the webhook: a Service may send a post to any of them. An event has the same
              id whoever says it, and NATS keeps one of each; alerts take the series of all exporters together, and an
              alert that waits for an hour does not begin anew because another replica leads
the leader    under a Lease: writes objects and statuses, says what is in force, tells alerts of our own, silences,
              and looks for ends that nobody was told of
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.alerting import metrics
from services.alerting.core.delivery import Chosen, Delivery, Wish, chosen
from services.alerting.core.writing import fires
from services.alerting.edges.operator_kinds import PROMETHEUS_RULES
from services.alerting.edges.watchdog_lease import WatchdogLease
from services.alerting.edges.watched import Watched
from services.alerting.edges.webhook import Webhook
from services.alerting.engine.announcing import Announcing
from services.alerting.engine.applying import Applying
from services.alerting.engine.bell import Bell
from services.alerting.engine.exporting import Exporting
from services.alerting.engine.hearing import WATCHDOG, Hearing
from services.alerting.engine.leftovers import Leftovers
from services.alerting.engine.looking import Looking
from services.alerting.engine.means import Ways
from services.alerting.engine.own_alerts import OwnAlerts
from services.alerting.engine.silencing import Silencing
from services.alerting.engine.watchdog import Expecting, Watchdog
from services.alerting.settings import AlertingGroup, AlertingSettings
from steward.alerting.pack import shipped_pack
from steward.bus.errors import BusClosed, BusError
from steward.errors import ConfigurationError
from steward.jsonvalue import text
from steward.kube.errors import KubeError
from steward.kube.lease import Leadership, LeadershipLost, Lease, LeaseName
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Address, JsonApi, MonitoringError
from steward.monitoring.prometheus import Prometheus
from steward.service.chassis import Chassis

LEASE = "alerting"
_LONGEST_PAUSE = timedelta(minutes=1)
_APPLY_ANYWAY = 10
"""Looks after which objects are looked at though nothing changed: somebody may have deleted one."""


async def serve(chassis: Chassis) -> None:
    """Serve until cancelled."""
    settings = chassis.settings
    if not isinstance(settings, AlertingSettings):
        raise ConfigurationError(f"alerting is served with {type(settings).__name__} instead of AlertingSettings")
    async with surroundings(chassis, settings.alerting) as around:
        chassis.log.info("delivery", by=around.chosen.by or "nothing", why=around.chosen.message)
        await Alerting(chassis, settings, around).run()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is around the service."""

    prometheus: Prometheus | None
    alertmanager: Alertmanager | None
    chosen: Chosen


@asynccontextmanager
async def surroundings(chassis: Chassis, group: AlertingGroup) -> AsyncIterator[Surroundings]:
    """Clients of what is configured, and the way that is open."""
    async with AsyncExitStack() as stack:
        prometheus = alertmanager = None
        if group.prometheus.url:
            address = Address(group.prometheus.url, group.prometheus.token_file, group.prometheus.ca_file)
            prometheus = Prometheus(await stack.enter_async_context(JsonApi.open(address, "Prometheus")))
        if group.alertmanager.url:
            address = Address(group.alertmanager.url, group.alertmanager.token_file, group.alertmanager.ca_file)
            alertmanager = Alertmanager(await stack.enter_async_context(JsonApi.open(address, "Alertmanager")))
        asks_operator = group.delivery is not Delivery.FILES and group.files.rules is None
        there = asks_operator and await _serves_operator(chassis, group.tempo.begin_again)
        yield Surroundings(prometheus, alertmanager, chosen(wish_of(group), operator_is_there=there))


async def _serves_operator(chassis: Chassis, again: timedelta) -> bool:
    """Whether the operator's kinds are installed, asked until the API server tells."""
    while True:
        try:
            return await chassis.kube.serves(PROMETHEUS_RULES)
        except KubeError as error:
            chassis.log.warning("whether the prometheus-operator is installed nobody tells yet", problem=str(error))
            await chassis.clock.sleep(again)


def wish_of(group: AlertingGroup) -> Wish:
    """What the settings say of the way."""
    files = group.files
    named = sum(each is not None for each in (files.rules, files.alertmanager, files.secrets, files.good))
    return Wish(group.delivery, named, bool(group.prometheus.url and group.alertmanager.url))


class Alerting:
    """The service, put together."""

    def __init__(self, chassis: Chassis, settings: AlertingSettings, around: Surroundings) -> None:
        self._chassis = chassis
        self._group = group = settings.alerting
        self._around = around
        self._bell = Bell(chassis.clock)
        self._watched = Watched(chassis.kube, chassis.log, self._bell.ring)
        self._looking = Looking(
            around.prometheus,
            around.alertmanager,
            lambda: self._exporting.linkerd(),
            forced=group.prometheus.scrape,
            log=chassis.log,
        )
        self._exporting = Exporting(chassis, settings.cluster.linkerd_namespace, lambda: self._looking.seen)
        self._linkerd = settings.cluster.linkerd_namespace
        self._hearing = Hearing(chassis)
        clients = around.prometheus, around.alertmanager
        ways = Ways(chassis.kube, group, settings.cluster.namespace, around.chosen, clients)
        means = ways.means(self._watched, self._looking)
        self._secrets_moved = means.secrets_moved
        self._announcing = Announcing(chassis, means.delivery)
        self._applying = Applying(chassis, means)
        self._announce = asyncio.Event()
        self._applied = asyncio.Event()
        name = LeaseName(settings.cluster.namespace, LEASE, group.identity)
        self._lease = Lease(chassis.kube, name, settings.lease.duration)
        self._watchdog_lease = WatchdogLease(chassis.kube, settings.cluster.namespace)

    async def run(self) -> None:
        """Until cancelled."""
        chassis, group = self._chassis, self._group
        chassis.instruments.set(metrics.LEADING, 0)
        chassis.health.ready_when("alerting: resources", lambda: self._watched.problem)
        if self._around.chosen.by is Delivery.OPERATOR and not group.webhook.url:
            chassis.log.warning("Alertmanager does not tell us of alerts: webhook.url, our address for it, is not set")
        webhook = group.webhook
        async with (
            Webhook(webhook.address, webhook.port, webhook.token_file, self._hearing.receive),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._watched.run(), name="watch")
            tasks.create_task(
                self._looking.look_for_ever(chassis.clock, group.tempo.look_again, self._bell.ring), name="look"
            )
            tasks.create_task(self._exporting.run(group.tempo.look_again), name="export")
            tasks.create_task(self._catch_up(), name="catch up")
            if self._around.chosen.by is Delivery.FILES:
                tasks.create_task(self._lead(None), name="act")
            else:
                tasks.create_task(self._lease.always_lead(self._lead), name="lease")
                tasks.create_task(self._pass_watchdog_on(), name="pass the Watchdog on")

    async def _lead(self, leadership: Leadership | None) -> None:
        """One term; without leadership it lasts as long as the pod, whose own Prometheus nobody else serves."""
        del leadership
        self._chassis.instruments.set(metrics.LEADING, 1)
        try:
            await self._act()
        except BaseExceptionGroup as group:
            # The lease knows how to go on after a lost term, if it is told in so many words.
            lost, other = group.split(LeadershipLost)
            if lost is None or other is not None:
                raise
            raise LeadershipLost(str(lost.exceptions[0])) from group
        finally:
            self._applying.rest()
            self._chassis.instruments.set(metrics.LEADING, 0)

    async def _act(self) -> None:
        chassis, tempo = self._chassis, self._group.tempo
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._apply(), name="apply")
            tasks.create_task(self._announce_all(), name="announce")
            if self._around.chosen.by is Delivery.OPERATOR:
                tasks.create_task(self._apply_anyway(), name="apply anyway")
            if self._around.chosen.by is Delivery.FILES:
                tasks.create_task(self._take_leftovers_away(), name="leftovers")
                tasks.create_task(self._reread(), name="read secrets again")
            if self._around.alertmanager is not None:
                own = OwnAlerts(chassis, self._around.alertmanager, self._linkerd, tempo.ends_after)
                tasks.create_task(own.hear(tempo.begin_again), name="hear events")
                tasks.create_task(own.keep_telling(tempo.refresh), name="tell own alerts")
                tasks.create_task(self._compare(self._around.alertmanager), name="compare alerts")
                expecting = Expecting(self._watchdog_is_due, self._watchdog_elsewhere)
                watchdog = Watchdog(chassis, self._hearing, self._around.alertmanager, self._linkerd, expecting)
                tasks.create_task(
                    watchdog.watch(tempo.watchdog, tempo.look_again, tempo.ends_after), name="wait for the Watchdog"
                )
                silencing = Silencing(chassis, self._around.alertmanager, self._exporting.upgrades, _muted())
                tasks.create_task(silencing.keep(tempo.refresh, tempo.upgrade_moves), name="silence")

    async def _watchdog_is_due(self) -> bool:
        if self._around.chosen.by is Delivery.OPERATOR and not self._group.webhook.url:
            # The operator's Alertmanager has nowhere to send it.
            return False
        texts = tuple(await self._applying.rules_known())
        return await asyncio.to_thread(lambda: any(fires(each, WATCHDOG) for each in texts))

    async def _watchdog_elsewhere(self) -> datetime | None:
        return None if self._around.chosen.by is Delivery.FILES else await self._watchdog_lease.last()

    async def _pass_watchdog_on(self) -> None:
        """What a replica hears that does not lead, the leader would miss."""
        passed: datetime | None = None
        while True:
            await self._chassis.clock.sleep(self._group.tempo.look_again)
            heard = self._hearing.watchdog_seen
            if heard == passed or heard is None or self._lease.leadership is not None:
                continue
            try:
                await self._watchdog_lease.note(self._group.identity, heard)
                passed = heard
            except KubeError as error:
                self._chassis.log.warning("the leader is not told that the Watchdog came", problem=str(error))

    async def _apply(self) -> None:
        await self._applying.begin()
        # Rules for a monitoring or a mesh that was not seen yet would be others, and alerts would end and begin anew.
        await self._watched.synced()
        await self._exporting.looked.wait()
        await self._looking.look()
        self._bell.ring()
        pauses = self._pauses()
        while True:
            await self._bell.settled(self._group.tempo.settle)
            try:
                again = (await self._applying.apply(self._looking.seen)).untried
            except (KubeError, MonitoringError) as error:
                self._chassis.log.warning("applied again later", problem=str(error))
                again = True
            self._announce.set()
            if again:
                await self._chassis.clock.sleep(next(pauses))
                self._bell.ring()
            else:
                pauses = self._pauses()
                self._applied.set()

    def _pauses(self) -> Iterator[timedelta]:
        pause = self._group.tempo.begin_again
        while True:
            yield pause
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _apply_anyway(self) -> None:
        """While something waits to be seen: its patience ends. Otherwise now and then."""
        looks = 0
        while True:
            await self._chassis.clock.sleep(self._group.tempo.look_again)
            looks += 1
            if self._applying.standing.unknown or looks % _APPLY_ANYWAY == 0:
                self._bell.ring()

    async def _take_leftovers_away(self) -> None:
        """Once files are in force, so that there is no time without rules."""
        await self._applied.wait()
        chassis = self._chassis
        await Leftovers(chassis.kube, chassis.log, self._group.tempo.begin_again).take_away()

    async def _reread(self) -> None:
        """Secrets are read by name, with the right to get them alone: whether they changed is asked."""
        while True:
            await self._chassis.clock.sleep(self._group.tempo.reread)
            try:
                if await self._secrets_moved():
                    self._bell.ring()
            except KubeError as error:
                self._chassis.log.warning("secrets of channels were not read again", problem=str(error))

    async def _catch_up(self) -> None:
        """What Alertmanager told while NATS was away is said without waiting for it to come again."""
        while True:
            await self._chassis.clock.sleep(self._group.tempo.begin_again)
            if not self._hearing.waits:
                continue
            try:
                await self._chassis.bus.reconcile()
                await self._hearing.catch_up()
            except BusClosed:
                raise
            except BusError as error:
                self._chassis.log.warning("alerts wait for NATS", problem=str(error))

    async def _announce_all(self) -> None:
        """What is in force is said when NATS takes it; nothing waits for that."""
        while True:
            await self._announce.wait()
            self._announce.clear()
            try:
                await self._chassis.bus.reconcile()
                await self._announcing.say(self._applying.standing)
            except BusClosed:
                raise
            except BusError as error:
                self._chassis.log.warning("events wait for NATS", error=str(error))
                await self._chassis.clock.sleep(self._group.tempo.begin_again)
                self._announce.set()

    async def _compare(self, alertmanager: Alertmanager) -> None:
        """Ends that nobody was told of, because the alert was silenced or Alertmanager lost it."""
        while True:
            await self._chassis.clock.sleep(self._group.tempo.compare)
            try:
                started = await alertmanager.started()
                if started is None or self._chassis.clock.now() - started < self._group.tempo.compare:
                    continue
                await self._hearing.compare(lambda: _fingerprints(alertmanager))
            except BusClosed:
                raise
            except (BusError, MonitoringError) as error:
                self._chassis.log.warning("alerts were not compared", problem=str(error))


async def _fingerprints(alertmanager: Alertmanager) -> Iterable[str]:
    return [text(each, "fingerprint") for each in await alertmanager.alerts()]


def _muted() -> tuple[str, ...]:
    """Alerts that an upgrade in progress explains."""
    return tuple(alert.name for alert in shipped_pack().alerts if alert.muted_by_upgrade)

"""Which object, event and webhook goes where.

look     at Prometheus and Alertmanager: what they are, what they have, what fires
apply    policies and channels, whenever one of them or what they depend on changed
hear     Alertmanager's webhook, whose alerts become events; and events, which become alerts
export   certificates, injection, progress, as metrics
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.alerting import metrics
from services.alerting.core.adoption import Contents
from services.alerting.core.channel_units import configuration
from services.alerting.core.delivery import Chosen, Delivery, Wish, chosen
from services.alerting.edges.file_routes import SUFFIX as ROUTE_SUFFIX
from services.alerting.edges.file_routes import FileRoutes
from services.alerting.edges.file_rules import SUFFIX as RULE_SUFFIX
from services.alerting.edges.file_rules import FileRules
from services.alerting.edges.folder import Folder
from services.alerting.edges.objects import Objects
from services.alerting.edges.operator_kinds import PROMETHEUS_RULES, served
from services.alerting.edges.operator_objects import Kept, OperatorObjects
from services.alerting.edges.secrets import ChannelSecrets
from services.alerting.edges.watched import Watched
from services.alerting.edges.webhook import PATH, Webhook
from services.alerting.engine.adopting import Adopting
from services.alerting.engine.announcing import Announcing
from services.alerting.engine.applying import Applying, Means
from services.alerting.engine.bell import Bell
from services.alerting.engine.exporting import Exporting
from services.alerting.engine.hearing import Hearing
from services.alerting.engine.looking import Looking
from services.alerting.engine.own_alerts import OwnAlerts, Silencing
from services.alerting.engine.rendering import RenderingChannels, RenderingRules
from services.alerting.settings import AlertingGroup, AlertingSettings
from steward.alerting.channels.secrets import SUFFIX as SECRET_SUFFIX
from steward.alerting.channels.target import OwnWebhook, Target
from steward.alerting.pack import inhibitions, shipped_pack
from steward.bus.errors import BusClosed, BusError
from steward.errors import ConfigurationError
from steward.jsonvalue import text
from steward.kube.errors import KubeError
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Address, JsonApi, MonitoringError
from steward.monitoring.prometheus import Prometheus
from steward.service.chassis import Chassis

SERVICE = "alerting"
_LONGEST_PAUSE = timedelta(minutes=1)


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
        there = asks_operator and await served(chassis.kube, PROMETHEUS_RULES)
        yield Surroundings(prometheus, alertmanager, chosen(wish_of(group), operator_is_there=there))


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
        self._home = settings.cluster.namespace
        self._linkerd = settings.cluster.linkerd_namespace
        self._hearing = Hearing(chassis)
        self._announcing = Announcing(chassis, around.chosen.by.value if around.chosen.by else "Nothing")
        self._channels = RenderingChannels(self._watched, self._target(), self._secrets())
        self._applying = Applying(chassis, self._means())
        self._announce = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        chassis, group = self._chassis, self._group
        chassis.instruments.set(metrics.LEADING, 1)
        chassis.health.ready_when("alerting: resources", lambda: self._watched.problem)
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
            tasks.create_task(self._apply(), name="apply")
            tasks.create_task(self._announce_all(), name="announce")
            tasks.create_task(self._reread(self._channels), name="read secrets again")
            tasks.create_task(self._catch_up(), name="catch up")
            if self._around.alertmanager is not None:
                own = OwnAlerts(chassis, self._around.alertmanager, self._linkerd, group.tempo.ends_after)
                tasks.create_task(own.hear(group.tempo.begin_again), name="hear events")
                tasks.create_task(own.keep_telling(group.tempo.refresh), name="tell own alerts")
                tasks.create_task(self._compare(self._around.alertmanager), name="compare alerts")
                silencing = Silencing(chassis, self._around.alertmanager, self._exporting.upgrades, _muted())
                tasks.create_task(silencing.keep(group.tempo.refresh), name="silence")

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
                await self._applying.apply(self._looking.seen)
                again = not self._applying.settled
            except (KubeError, MonitoringError) as error:
                self._chassis.log.warning("applied again later", problem=str(error))
                again = True
            self._announce.set()
            if again:
                await self._chassis.clock.sleep(next(pauses))
                self._bell.ring()
            else:
                pauses = self._pauses()

    def _pauses(self) -> Iterator[timedelta]:
        pause = self._group.tempo.begin_again
        while True:
            yield pause
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _reread(self, channels: RenderingChannels) -> None:
        """Secrets are read by name, with the right to get them alone: whether they changed is asked."""
        while True:
            await self._chassis.clock.sleep(self._group.tempo.reread)
            try:
                if await channels.secrets_moved():
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

    def _means(self) -> Means:
        around, group = self._around, self._group
        rendering = RenderingRules(self._watched, around.prometheus, self._home, group.runbooks)
        rules, routes = self._carriers(self._channels)
        return Means(
            rules=rules,
            routes=routes,
            render_rules=rendering,
            render_channels=self._channels,
            present=self._looking.present,
            unreadable=self._watched.unreadable,
            objects=Objects(self._chassis.kube),
            delivery=around.chosen.by.value if around.chosen.by else "Nothing",
            missing=around.chosen.message,
        )

    def _carriers(self, channels: RenderingChannels) -> tuple[Adopting | None, Adopting | None]:
        around, files, operator = self._around, self._group.files, self._group.operator
        if around.chosen.by is Delivery.OPERATOR:
            rules = OperatorObjects(self._chassis.kube, Kept(PROMETHEUS_RULES, operator.rule_labels))
            return Adopting(rules), None
        prometheus, alertmanager = around.prometheus, around.alertmanager
        if around.chosen.by is not Delivery.FILES or prometheus is None or alertmanager is None:
            return None, None
        if files.rules is None or files.alertmanager is None or files.good is None:
            return None, None
        live, kept = Folder(files.rules, RULE_SUFFIX), Folder(files.good / "rules", RULE_SUFFIX)
        rule_files = FileRules(live, kept, prometheus)

        def rendering(contents: Contents) -> str:
            return configuration(contents, channels.target(self._looking.seen))

        route_file = FileRoutes(
            Folder(files.alertmanager, ".yml"),
            Folder(files.good / "channels", ROUTE_SUFFIX),
            alertmanager,
            rendering,
        )
        return Adopting(rule_files), Adopting(route_file)

    def _secrets(self) -> ChannelSecrets | None:
        folder = self._group.files.secrets
        if folder is None or self._around.chosen.by is not Delivery.FILES:
            return None
        return ChannelSecrets(Objects(self._chassis.kube), Folder(folder, SECRET_SUFFIX, secret=True))

    def _target(self) -> Target:
        group = self._group
        webhook, secrets = group.webhook, group.files.secrets or Path("/etc/linkerd-steward/secrets")
        url = webhook.url or f"http://{webhook.address}:{webhook.port}{PATH}"
        return Target(
            home=self._home,
            secrets=str(secrets),
            own=OwnWebhook(url, token_file=str(webhook.token_file or "")),
            inhibitions=inhibitions(),
        )


async def _fingerprints(alertmanager: Alertmanager) -> Iterable[str]:
    return [text(each, "fingerprint") for each in await alertmanager.alerts()]


def _muted() -> tuple[str, ...]:
    """Alerts that an upgrade in progress explains."""
    return tuple(alert.name for alert in shipped_pack().alerts if alert.muted_by_upgrade)

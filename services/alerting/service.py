"""Which object, event and webhook goes where.

look     at Prometheus and Alertmanager: what they are, what they have, what fires
apply    policies and channels, whenever one of them or what they depend on changed
hear     Alertmanager's webhook, whose alerts become events; and events, which become alerts
export   certificates, injection, progress, as metrics
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.alerting.core.delivery import Chosen, Delivery, Wish, chosen
from services.alerting.edges.operator_kinds import PROMETHEUS_RULES, served
from services.alerting.settings import AlertingGroup, AlertingSettings
from steward.errors import ConfigurationError
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Address, JsonApi
from steward.monitoring.prometheus import Prometheus
from steward.service.chassis import Chassis

SERVICE = "alerting"


async def serve(chassis: Chassis) -> None:
    """Serve until cancelled."""
    settings = chassis.settings
    if not isinstance(settings, AlertingSettings):
        raise ConfigurationError(f"alerting is served with {type(settings).__name__} instead of AlertingSettings")
    async with surroundings(chassis, settings.alerting) as around:
        chassis.log.info("delivery", by=around.chosen.by or "nothing", why=around.chosen.message)


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

"""All services in one process: one event loop, one page of metrics, one pair of probes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.alerting.metrics import METRICS as ALERTING_METRICS
from services.alerting.service import serve as serve_alerting
from services.alerting.settings import AlertingSettings
from services.conformance.metrics import METRICS as CONFORMANCE_METRICS
from services.conformance.service import serve as serve_conformance
from services.conformance.settings import ConformanceSettings
from services.upgrader.metrics import METRICS as UPGRADER_METRICS
from services.upgrader.service import serve as serve_upgrader
from services.upgrader.settings import UpgraderSettings
from services.version_watcher.metrics import METRICS as VERSION_WATCHER_METRICS
from services.version_watcher.service import serve as serve_version_watcher
from services.version_watcher.settings import VersionWatcherSettings
from steward.service.health import Health
from steward.service.instruments import Metric
from steward.service.runtime import Serve, lent
from steward.service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Member:
    """One service as this process runs it."""

    name: str
    settings: type[ServiceSettings]
    metrics: tuple[Metric, ...]
    serve: Serve


MEMBERS = (
    Member("version-watcher", VersionWatcherSettings, VERSION_WATCHER_METRICS, serve_version_watcher),
    Member("upgrader", UpgraderSettings, UPGRADER_METRICS, serve_upgrader),
    Member("conformance", ConformanceSettings, CONFORMANCE_METRICS, serve_conformance),
    Member("alerting", AlertingSettings, ALERTING_METRICS, serve_alerting),
)

Configure = Callable[[Member], ServiceSettings]


async def serve_all(configure: Configure, registry: CollectorRegistry, health: Health) -> None:
    """Run every member until cancelled, or until one of them fails; the others then stop too."""
    async with asyncio.TaskGroup() as tasks:
        for member in MEMBERS:
            tasks.create_task(_serve(member, configure(member), registry, health), name=member.name)


async def _serve(member: Member, settings: ServiceSettings, registry: CollectorRegistry, health: Health) -> None:
    async with lent(member.name, settings, member.metrics, registry=registry, health=health) as chassis:
        chassis.log.info("started", cluster=settings.bus.cluster)
        await member.serve(chassis)

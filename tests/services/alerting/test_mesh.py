"""The pack for the control plane on the pages of real versions: silent while all is well, loud about what is not."""

import asyncio
from pathlib import Path

import pytest

from steward.events.alerts import AlertFiring, AlertResolved
from steward.jsonvalue import JsonObject
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.linkerd_pages.faults import Fault
from steward.testing.monitoring.tools import MonitoringTools
from tests.services.alerting.running import HOME, World, meshed_world

pytestmark = pytest.mark.monitoring

NEWEST = Version.parse("edge-26.8.3")
VERSIONS = [*(each.edge for each in shipped().logical if each.name != "2.15"), NEWEST]
MACHINES = {"Watchdog", "LinkerdUpgradeInProgress"}
PACK: JsonObject = {"controlPlane": {}}


async def alerts(around: World) -> dict[str, str]:
    """Name and state of all that pends or fires, the watchdog apart."""
    return {each.name: each.state for each in await around.prometheus.alerts() if each.name not in MACHINES}


@pytest.mark.parametrize("version", VERSIONS, ids=str)
async def test_nothing_fires_or_pends_on_a_healthy_mesh_of_any_version(
    monitoring_tools: MonitoringTools, tmp_path: Path, version: Version
) -> None:
    async with meshed_world(monitoring_tools, tmp_path, version) as meshed, meshed.around.running():
        around = meshed.around
        around.policy("control-plane", PACK, HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        await around.scraped(times=8)
        assert await alerts(around) == {}


del asyncio, Fault, AlertFiring, AlertResolved

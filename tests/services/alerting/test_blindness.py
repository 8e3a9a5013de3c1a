"""A metric that changes its name, or vanishes: every alert that needs it is reported blind, none is silently green."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.alerting.blindness import metrics_of
from steward.alerting.families import Appears, Exposer, Family, catalogue
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.pack import shipped_pack
from steward.alerting.rendering import render
from steward.alerting.rules import Alerting, Group, Recording
from steward.jsonvalue import JsonObject
from steward.linkerd.version import Version
from steward.resources.alert_policy import ControlPlane
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from tests.services.alerting.meshed import meshed_world
from tests.services.alerting.running import HOME

pytestmark = pytest.mark.monitoring

NEWEST = Version.parse("edge-26.8.3")
PACK: JsonObject = {"controlPlane": {}}
EVERYBODYS = {"process_start_time_seconds"}
"""What every program exports: a name alone does not tell that it is the proxies' that is missing."""
WITNESSES = {each.witness for each in catalogue().families.values()}
"""Where one of these is missing, so is all that else may rightly be absent; that is what is told."""
ELSEWHERE = {Exposer.STEWARD, Exposer.PROMETHEUS, Exposer.ALERTMANAGER}
"""Pages that are real here, and cannot be changed."""


def families() -> Iterator[tuple[Family, frozenset[str]]]:
    """Every family of the mesh that the pack must find, with the alerts that ask for it."""
    groups = render(
        shipped_pack(), Monitoring(ScrapeProfile(ScrapeKind.STEWARD), linkerd=NEWEST), ControlPlane()
    ).groups
    known = catalogue()
    for name in sorted({family.name for each in metrics_of(groups) if (family := known.family(each)) is not None}):
        family = known.families[name]
        if family.name in EVERYBODYS:
            continue
        if family.appears is Appears.ALWAYS and not {each.by for each in family.exposures} & ELSEWHERE:
            yield family, frozenset(_alerts(family, groups))


def _alerts(family: Family, groups: tuple[Group, ...]) -> Iterator[str]:
    """Alerts that ask for a family, or for one of which nothing is known where this one is not there."""
    known = catalogue()
    wanted = {name for each in known.families.values() if each.witness == family.name for name in each.series}
    wanted |= set(family.series)
    rules = [rule for group in groups for rule in group.rules]
    recordings = tuple(each for each in rules if isinstance(each, Recording))
    for rule in rules:
        if isinstance(rule, Alerting) and metrics_of((Group("one", (*recordings, rule)),)) & wanted:
            yield rule.alert


async def test_each_metric_of_the_mesh_that_is_renamed_is_told_with_its_alerts_and_seen_again_when_it_is_back(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    wanted = list(families())
    assert len(wanted) > 20
    async with meshed_world(monitoring_tools, tmp_path, NEWEST) as meshed, meshed.around.running() as replica:
        around = meshed.around
        around.policy("control-plane", PACK, HOME)
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        for family, alerts in wanted:
            meshed.pages.rename(family.name, f"{family.name}_anew")
            said = await around.policy_says("control-plane", "Sighted", "Blind", HOME)
            first = said.message.partition(" cannot fire")[0]
            assert first in alerts, (family.name, said.message)
            assert family.name in WITNESSES or any(each in said.message for each in family.series), said.message
            status = around.find_policy("control-plane", HOME).status
            assert status is not None
            assert status.blind >= 1
            assert replica.sample("blind_alerts", policy=f"AlertPolicy/{HOME}/control-plane") == status.blind
            meshed.pages.name_all()
            await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        meshed.pages.rename("response_total")
        await around.policy_says("control-plane", "Sighted", "Blind", HOME)

        async def pends() -> bool:
            return "LinkerdAlertBlind" in {each.name for each in await around.prometheus.alerts()}

        await eventually("LinkerdAlertBlind", pends)


async def test_a_prometheus_that_is_away_is_no_proof_of_sight(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    async with meshed_world(monitoring_tools, tmp_path, NEWEST) as meshed, meshed.around.running() as replica:
        around = meshed.around
        around.policy("control-plane", PACK, HOME)
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        await around.prometheus.kill()
        await around.policy_says("control-plane", "Sighted", "NotAsked", HOME)
        await around.until_sample(replica, "unreachable")
        await around.prometheus.start()
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)

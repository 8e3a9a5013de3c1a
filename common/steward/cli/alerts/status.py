"""`alerts status`: how alerting stands."""

from steward.alerting.scrape_detection import detect
from steward.alerting.targets import targets_in
from steward.cli.alerts.current import CurrentAlert
from steward.cli.alerts.objects import all_channels, all_policies
from steward.cli.alerts.reach import Monitors, alertmanager, prometheus
from steward.cli.alerts.standing import (
    AlertingStanding,
    AlertmanagerSeen,
    PrometheusSeen,
    Trouble,
    standing_document,
    standing_report,
)
from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import explain
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, show_document
from steward.cli.version import running_linkerd
from steward.errors import StewardError
from steward.jsonvalue import rows, text
from steward.kube.client import Kube


@leaf
async def status(session: Session, where: Monitors, output: Output = Format.TABLE, timeout: Timeout = None) -> ExitCode:
    """Show how alerting stands: what is in force, refused, blind and firing, and what was found of the monitoring.

    Ends with 0 where all is in force and sees, 1 where something is not, 4 where something is blind.

    Example: linkerd steward alerts status
    """
    async with limit(timeout), cluster(session) as kube:
        found = await _gathered(session, where, kube)
    show_document(standing_document(found), output, standing_report(found), session.environment)
    return found.code


async def _gathered(session: Session, where: Monitors, kube: Kube) -> AlertingStanding:
    policies, channels = await all_policies(kube), await all_channels(kube)
    unasked: list[Trouble] = []
    seen: PrometheusSeen | None = None
    told: AlertmanagerSeen | None = None
    try:
        seen = await _prometheus(session, where, kube)
    except StewardError as error:
        unasked.append(Trouble("Prometheus", "cannot be asked", explain(error).message))
    try:
        told = await _alertmanager(session, where, kube)
    except StewardError as error:
        unasked.append(Trouble("Alertmanager", "cannot be asked", explain(error).message))
    return AlertingStanding(policies, channels, seen, told, await running_linkerd(kube), tuple(unasked))


async def _prometheus(session: Session, where: Monitors, kube: Kube) -> PrometheusSeen:
    async with prometheus(session, where, kube) as api:
        about = await api.about()
        groups = await api.groups()
        scraped = detect(targets_in(await api.targets()))
    rules = sum(len(rows(group, "rules")) for group in groups)
    return PrometheusSeen(about.version, about.retention, about.evaluation, rules, scraped)


async def _alertmanager(session: Session, where: Monitors, kube: Kube) -> AlertmanagerSeen:
    async with alertmanager(session, where, kube) as api:
        version = await api.version()
        alerts = tuple(CurrentAlert.of(each) for each in await api.alerts())
        silences = [each for each in await api.silences() if text(each, "status", "state") == "active"]
    return AlertmanagerSeen(version, alerts, len(silences))

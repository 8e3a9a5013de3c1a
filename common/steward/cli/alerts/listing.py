"""`alerts list`: the alerts that Alertmanager has just now."""

from dataclasses import dataclass
from typing import Annotated

import typer

from steward.alerting.rules import Severity
from steward.cli.alerts.completing import Alert
from steward.cli.alerts.current import CurrentAlert, alert_document, alert_table, most_urgent_first
from steward.cli.alerts.reach import Alertmanagers, alertmanager
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, note, show_document


@dataclass(frozen=True, slots=True)
class Which:
    """Which alerts."""

    alert: Alert = ""
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only alerts about this namespace.", metavar="NAME")
    ] = ""
    severity: Annotated[
        list[Severity] | None,
        typer.Option("--severity", help="Only this severity; repeatable.", metavar="critical|warning|info|none"),
    ] = None
    told: Annotated[
        bool, typer.Option("--told", help="Only those that somebody is told of: not silenced, inhibited or muted.")
    ] = False

    def fits(self, alert: CurrentAlert) -> bool:
        """Whether an alert is meant."""
        severities = [each.value for each in self.severity or []]
        return (
            self.alert in ("", alert.alert)
            and self.namespace in ("", alert.namespace)
            and (not severities or alert.severity in severities)
            and not (self.told and not alert.told)
        )


@leaf
async def list_alerts(
    session: Session, which: Which, where: Alertmanagers, output: Output = Format.TABLE, timeout: Timeout = None
) -> ExitCode:
    """List what fires now, the most urgent first: since when, who is told, what is silenced or inhibited.

    Example: linkerd steward alerts list --severity critical
    """
    async with limit(timeout), alertmanager(session, where) as api:
        found = [CurrentAlert.of(each) for each in await api.alerts()]
    alerts = most_urgent_first(each for each in found if which.fits(each))
    if not alerts and output is Format.TABLE:
        note("nothing fires" if not found else f"none of the {len(found)} alerts that fire is meant")
        return ExitCode.OK
    items = [alert_document(each) for each in alerts]
    show_document({"items": [*items]}, output, alert_table(alerts, session.clock.now()), session.environment)
    return ExitCode.OK

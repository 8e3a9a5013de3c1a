"""`alerts pack`: the alerts that are shipped for the control plane and its proxies."""

from typing import Annotated

import typer

from steward.cli.alerts.packed import left_out_lines, pack_table, packed
from steward.cli.alerts.target import For
from steward.cli.exit_codes import ExitCode
from steward.cli.options import Output, Session, leaf
from steward.cli.output import Format, note, show_document


@leaf
async def pack(
    session: Session,
    target: For,
    alert: Annotated[str, typer.Option("--alert", help="Only this alert.", metavar="NAME")] = "",
    output: Output = Format.TABLE,
) -> ExitCode:
    """List the alerts that are shipped: severity, threshold, expression, metrics, versions, runbook; needs no cluster.

    Example: linkerd steward alerts pack --linkerd 2.18 --scrape PodMonitor -o json
    """
    found = packed(target.monitoring(session.linkerd_namespace)).only(alert)
    show_document(found.document(), output, pack_table(found), session.environment)
    if output is Format.TABLE:
        for line in left_out_lines(found):
            note(line)
    return ExitCode.OK

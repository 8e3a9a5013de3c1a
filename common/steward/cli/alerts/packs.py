"""`alerts pack` and `alerts runbook`: the alerts that are shipped for the control plane, and what to do about each."""

from typing import Annotated

import typer
from rich.markdown import Markdown

from steward.alerting.pack import shipped_pack
from steward.alerting.runbooks import UnknownRunbook, runbook_names
from steward.alerting.runbooks import runbook as page_of
from steward.cli.alerts.packed import left_out_lines, pack_table, packed
from steward.cli.alerts.target import For
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, leaf
from steward.cli.output import Format, note, show, show_document, write


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
    if alert and shipped_pack().find(alert) is None:
        raise Refusal(
            f"the pack has no alert {alert!r}", "linkerd steward alerts pack lists those it has", ExitCode.NOT_FOUND
        )
    found = packed(target.monitoring(session.linkerd_namespace)).only(alert)
    show_document(found.document(), output, pack_table(found), session.environment)
    if output is Format.TABLE:
        for line in left_out_lines(found):
            note(line)
    return ExitCode.OK


@leaf
async def runbook(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="ALERT", help="Name of the alert; all names where none is given.")
    ] = "",
) -> ExitCode:
    """Print what to do about an alert: what it means, what users notice, likely causes, steps; needs no cluster.

    Example: linkerd steward alerts runbook LinkerdInjectorFailingOpen
    """
    if not name:
        write("".join(f"{each}\n" for each in runbook_names()))
        return ExitCode.OK
    try:
        page = page_of(name)
    except UnknownRunbook as error:
        near = [each for each in runbook_names() if name.lower() in each.lower()]
        remedy = f"did you mean {', '.join(near[:3])}?" if near else "linkerd steward alerts runbook lists them"
        raise Refusal(f"there is no runbook for {name!r}", remedy, ExitCode.NOT_FOUND) from error
    if session.environment.output_is_terminal:
        show(Markdown(page), session.environment)
    else:
        write(page)
    return ExitCode.OK

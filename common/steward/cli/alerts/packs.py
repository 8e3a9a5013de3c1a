"""`alerts pack` and `alerts runbook`: the alerts that are shipped for the control plane, and what to do about each."""

from typing import Annotated

import typer
from rich.markdown import Markdown

from steward.alerting.listing import PackListing, pack_listing
from steward.alerting.pack import shipped_pack
from steward.alerting.runbooks import UnknownRunbook, runbook_names
from steward.alerting.runbooks import runbook as page_of
from steward.cli.alerts.packed import pack_table
from steward.cli.alerts.target import For
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, leaf
from steward.cli.output import Format, show, show_document, write


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
    listing = pack_listing(target.monitoring(session.linkerd_namespace))
    if alert and shipped_pack().find(alert) is None:
        raise Refusal(
            f"the pack has no alert {alert!r}", "linkerd steward alerts pack lists those it has", ExitCode.NOT_FOUND
        )
    if alert:
        listing = PackListing(
            linkerd=listing.linkerd, rules=tuple(each for each in listing.rules if each.name == alert)
        )
    document = listing.model_dump(mode="json", by_alias=True)
    show_document(document, output, pack_table(listing), session.environment)
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

"""`alerts check`: objects in files, before anybody applies them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from steward.alerting.channels.target import Target
from steward.cli.alerts.documents import Files, read_documents
from steward.cli.alerts.judged import Finding, Judged, judged, judged_document, judged_report, whereabouts
from steward.cli.alerts.reach import Monitors, prometheus
from steward.cli.alerts.target import Fit
from steward.cli.connection import NAMESPACE
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, show_document
from steward.jsonvalue import text


@dataclass(frozen=True, slots=True)
class Which:
    """Which files, and where their objects belong."""

    file: Files = None
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Of objects that name none.", metavar="NAME")] = (
        "default"
    )
    home: Annotated[
        str, typer.Option("--steward-namespace", help="Where Steward is: its channels see everything.", metavar="NAME")
    ] = NAMESPACE
    prometheus: Annotated[
        str,
        typer.Option("--prometheus", help="Have this Prometheus read the queries of rules, too.", metavar="URL"),
    ] = ""


@leaf
async def check(
    session: Session, which: Which, fit: Fit, output: Output = Format.TABLE, timeout: Timeout = None
) -> ExitCode:
    """Check AlertPolicies and AlertChannels in files: what would be refused, by name, reason and remedy.

    Needs no cluster. Services, ServiceProfiles and routes in the files say what objectives are for; a Service that is
    in none of them is taken to be there. Ends with 1 where anything would be refused.

    Example: linkerd steward alerts check -f alerting/ --linkerd 2.18 --alertmanager-version 0.27
    """
    if not which.file:
        raise Refusal("there is nothing to check", "name files with -f FILE; - is stdin", ExitCode.USAGE)
    documents = read_documents(which.file, which.namespace)
    around = whereabouts(fit.monitoring(session.linkerd_namespace), which.home)
    found = judged(documents, around, Target(which.home, fit.alertmanager))
    if not found:
        raise Refusal("the files hold no object of alerting", "name others with -f FILE", ExitCode.USAGE)
    if which.prometheus:
        async with limit(timeout):
            found = await _asked(session, which.prometheus, found)
    show_document(judged_document(found), output, judged_report(found), session.environment)
    return ExitCode.FAILED if any(each.refused for each in found) else ExitCode.OK


async def _asked(session: Session, url: str, found: Sequence[Judged]) -> list[Judged]:
    """Have a real Prometheus read every rule that it would have to."""
    told: list[Judged] = []
    async with prometheus(session, Monitors(prometheus=url)) as api:
        for each in found:
            objections = [
                Finding(
                    "QueryRefused", f"{text(rule, 'alert') or text(rule, 'record')}: {objection}", "correct the query"
                )
                for group in (each.rules.groups if each.rules else ())
                for rule in [one.to_prometheus() for one in group.rules]
                if (objection := await api.objection(text(rule, "expr"))) is not None
            ]
            told.append(replace(each, findings=(*each.findings, *objections)))
    return told

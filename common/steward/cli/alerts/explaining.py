"""`alerts explain`: all that is known of one alert."""

import re
from dataclasses import replace
from typing import Annotated

import typer

from steward.alerting.pack import shipped_pack
from steward.alerting.runbooks import runbook_names
from steward.cli.alerts.current import CurrentAlert
from steward.cli.alerts.explained import Explained, RuleInForce, explained_document, explained_report, rules_named
from steward.cli.alerts.packed import packed
from steward.cli.alerts.reach import Monitors, alertmanager, prometheus
from steward.cli.alerts.target import For
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.explain import explain as told
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, note, show_document
from steward.errors import StewardError

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@leaf
async def explain(
    session: Session,
    where: Monitors,
    wanted: Annotated[
        str, typer.Argument(metavar="ALERT|FINGERPRINT", help="As alerts list and alerts pack show them.")
    ],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Only what is shipped; ask nobody.")] = False,
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Say what an alert means, by which expression it is found out, where it fires, and what to do.

    Example: linkerd steward alerts explain LinkerdInjectorFailingOpen
    """
    if offline:
        found = _shipped(session, wanted)
    else:
        async with limit(timeout):
            found = await _asked(session, where, wanted)
    if not found.known:
        raise _nobody_knows(wanted)
    report = explained_report(found, session.clock.now())
    show_document(explained_document(found), output, report, session.environment)
    return ExitCode.OK


async def _asked(session: Session, where: Monitors, wanted: str) -> Explained:
    problems: list[StewardError] = []
    current: list[CurrentAlert] = []
    rules: list[RuleInForce] = []
    asked = False
    try:
        current = await _current(session, where, wanted)
        asked = True
    except StewardError as error:
        problems.append(error)
    name = current[0].alert if current else wanted
    try:
        async with prometheus(session, where) as api:
            rules = rules_named(await api.groups(), name)
    except StewardError as error:
        problems.append(error)
    found = replace(_shipped(session, name), current=current, asked=asked, in_force=rules)
    if problems and not found.known:
        raise problems[0]
    for each in problems:
        note(f"not everything is known: {told(each).message}")
    return found


async def _current(session: Session, where: Monitors, wanted: str) -> list[CurrentAlert]:
    async with alertmanager(session, where) as api:
        found = [CurrentAlert.of(each) for each in await api.alerts()]
    if _FINGERPRINT.fullmatch(wanted):
        return [each for each in found if each.fingerprint == wanted]
    return [each for each in found if each.alert == wanted]


def _shipped(session: Session, name: str) -> Explained:
    page = next((each for each in runbook_names() if each == name), "")
    return Explained(name, shipped=packed(For().monitoring(session.linkerd_namespace)).of(name), runbook=page)


def _nobody_knows(wanted: str) -> Refusal:
    if _FINGERPRINT.fullmatch(wanted):
        remedy = "it may be over: linkerd steward alerts history -o json has the fingerprints of those that were"
        return Refusal(f"no alert with fingerprint {wanted!r} fires", remedy, ExitCode.NOT_FOUND)
    near = [each.name for each in shipped_pack().alerts if wanted.lower() in each.name.lower()]
    remedy = f"did you mean {', '.join(near[:3])}?" if near else "linkerd steward alerts pack and list show them"
    return Refusal(f"nobody knows an alert {wanted!r}", remedy, ExitCode.NOT_FOUND)

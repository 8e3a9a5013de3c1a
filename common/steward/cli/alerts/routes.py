"""`alerts route`: who would be told of an alert with these labels, who not, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from steward.alerting.channels.model import Configuration
from steward.alerting.channels.plain import rendered
from steward.alerting.channels.target import Target
from steward.alerting.matching import Labels
from steward.alerting.promql import Matcher
from steward.alerting.routing import Circumstances, SilenceInForce, who_is_told
from steward.cli.alerts.current import CurrentAlert, Standing
from steward.cli.alerts.documents import Files, read_as, read_documents
from steward.cli.alerts.matchers import labels as read_labels
from steward.cli.alerts.objects import all_channels
from steward.cli.alerts.reach import Alertmanagers, alertmanager
from steward.cli.alerts.routed import Routed, routed_document, routed_report
from steward.cli.alerts.target import NEWEST
from steward.cli.connection import NAMESPACE, cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, show_document
from steward.jsonvalue import JsonObject, flag, rows, text
from steward.kube.client import Kube
from steward.resources import AlertChannel

_NOTHING = Circumstances()


@dataclass(frozen=True, slots=True)
class Origin:
    """Which channels, and what else is taken into account."""

    file: Files = None
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of objects in files that name none.", metavar="NAME")
    ] = "default"
    now: Annotated[
        bool,
        typer.Option("--now", help="Ask Alertmanager what is silenced, inhibited and quiet at this moment, too."),
    ] = False


@leaf
async def route(
    session: Session,
    origin: Origin,
    where: Alertmanagers,
    written: Annotated[
        list[str], typer.Argument(metavar="LABEL=VALUE…", help="Labels of the alert, such as severity=critical.")
    ],
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Say who would be told of an alert with these labels, who not, and why. Tells nobody.

    The channels are those of the cluster, or with -f those of files. Ends with 1 where nobody would be told.

    Example: linkerd steward alerts route alertname=LinkerdInjectorSlow severity=warning namespace=linkerd
    """
    given = read_labels(written)
    async with limit(timeout):
        routed = await _routed(session, origin, where, given)
    show_document(routed_document(routed), output, routed_report(routed), session.environment)
    return ExitCode.OK if routed.channels else ExitCode.FAILED


async def _routed(session: Session, origin: Origin, where: Alertmanagers, labels: Labels) -> Routed:
    if origin.file:
        channels = read_as(AlertChannel, read_documents(origin.file, origin.namespace))
        if not channels:
            raise Refusal(f"no AlertChannel is in {_named(origin.file)}", "name files that hold some", ExitCode.USAGE)
        if not origin.now:
            return routed(channels, Target(NAMESPACE, NEWEST), labels)
        return await _now(session, where, channels, labels)
    async with cluster(session) as kube:
        channels = await all_channels(kube)
        if origin.now:
            return await _now(session, where, channels, labels, kube)
        return routed(channels, Target(await steward_namespace(kube), NEWEST), labels)


def routed(
    channels: Iterable[AlertChannel], target: Target, labels: Labels, around: Circumstances = _NOTHING
) -> Routed:
    """The answer for these channels. Pure."""
    found = rendered(channels, target)
    return Routed(labels, who_is_told(found.configuration, labels, around), found)


async def _now(
    session: Session,
    where: Alertmanagers,
    channels: Iterable[AlertChannel],
    labels: Labels,
    kube: Kube | None = None,
) -> Routed:
    """With the version that Alertmanager has, and all that is so at this moment."""
    async with alertmanager(session, where, kube) as api:
        version = await api.version()
        alerts = [CurrentAlert.of(each) for each in await api.alerts()]
        silences = await api.silences()
    home = await steward_namespace(kube) if kube is not None else NAMESPACE
    found = rendered(channels, Target(home, version))
    around = Circumstances(
        firing=tuple(each.labels for each in alerts if each.standing is not Standing.INHIBITED),
        silences=tuple(_silence(each) for each in silences if text(each, "status", "state") == "active"),
        muted=_quiet(found.configuration, session.clock.now()),
    )
    return Routed(labels, who_is_told(found.configuration, labels, around), found)


def _silence(raw: JsonObject) -> SilenceInForce:
    return SilenceInForce(
        text(raw, "id"), tuple(_matcher(each) for each in rows(raw, "matchers")), text(raw, "comment")
    )


def _matcher(raw: JsonObject) -> Matcher:
    equal = flag(raw, "isEqual", default=True)
    operator = ("=~" if equal else "!~") if flag(raw, "isRegex") else ("=" if equal else "!=")
    return Matcher(text(raw, "name"), operator, text(raw, "value"))


def _quiet(tree: Configuration, now: datetime) -> frozenset[str]:
    """Names of the quiet times that are on."""
    return frozenset(each.name for each in tree.mute_times if each.covers(_local(now, each.time_zone)))


def _local(now: datetime, zone: str) -> datetime:
    try:
        return now.astimezone(ZoneInfo(zone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        # This machine does not know the zone; Alertmanager, which has it in force, does.
        return now


def _named(files: Iterable[Path]) -> str:
    return ", ".join(str(each) for each in files)

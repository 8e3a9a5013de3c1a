"""`alerts test`: one real alert through Alertmanager to one channel, and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

import typer

from steward.cli.alerts.completing import channel_names
from steward.cli.alerts.current import CurrentAlert
from steward.cli.alerts.deliveries import Counted, Outcome, counted, words
from steward.cli.alerts.making import namespace_of
from steward.cli.alerts.objects import all_channels
from steward.cli.alerts.reach import Alertmanagers, Way, way_to_alertmanager
from steward.cli.alerts.trial import Report, Trial, others_told, report_document, report_view, trial_of
from steward.cli.connection import cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, note, show_document
from steward.jsonvalue import Json
from steward.kube.client import Kube
from steward.kube.errors import KubeError
from steward.kube.resources import ALERT_CHANNELS
from steward.monitoring.alertmanager import Alertmanager
from steward.resources import AlertChannel
from steward.yamlvalue import MalformedYaml, parse_yaml

_LOOK_AGAIN = timedelta(milliseconds=500)
_ENDS_BY_ITSELF = timedelta(minutes=1)
_CONTAINER = "alertmanager"


@dataclass(frozen=True, slots=True)
class How:
    """Which channel exactly, and for how long."""

    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace; that of the context.", metavar="NAME")
    ] = ""
    until_resolved: Annotated[
        bool, typer.Option("--until-resolved", help="Wait until it was told that it is over, too.")
    ] = False


@leaf
async def try_channel(
    session: Session,
    where: Alertmanagers,
    how: How,
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="Name of the AlertChannel.", autocompletion=channel_names)
    ],
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Send one real alert to a channel, and say what came back: delivered, or failed in Alertmanager's own words.

    Nobody else is told. Ends with 0 where it was delivered, 1 where it failed, 4 where nothing was sent.

    Example: linkerd steward alerts test mail -n shop
    """
    place = namespace_of(session, how.namespace)
    async with limit(timeout), cluster(session) as kube:
        found = AlertChannel.of(await kube.get(ALERT_CHANNELS, channel, place))
        async with way_to_alertmanager(session, where, kube) as way:
            report = await _tried(session, kube, way, found, until_resolved=how.until_resolved)
    show_document(report_document(report), output, report_view(report), session.environment)
    if report.hint:
        note(f"hint: {report.hint}")
    return report.code


async def _tried(session: Session, kube: Kube, way: Way, channel: AlertChannel, *, until_resolved: bool) -> Report:
    api = Alertmanager(way.api)
    by = session.flags.as_user or session.environment.user or "linkerd-steward"
    trial = trial_of(channel, _parsed(await api.configuration()), by, session.clock.now())
    await _disturbs_nobody(kube, trial)
    watched = _Watched(session, way, api, trial)
    report = await watched.tell(until_resolved=until_resolved and channel.spec.send_resolved)
    if until_resolved and not channel.spec.send_resolved:
        note("the channel is never told that anything is over: sendResolved is false")
    if report.counted.outcome is Outcome.FAILED and way.pod is not None:
        return replace(report, words=await _words(kube, way, trial, report.took))
    return report


async def _disturbs_nobody(kube: Kube, trial: Trial) -> None:
    others = others_told(trial, await all_channels(kube), await steward_namespace(kube)) if not trial.apart else []
    if others:
        raise Refusal(
            f"trials have no route of their own in this Alertmanager: a test of {trial.name} would be told to "
            f"{', '.join(others)}, too",
            "let the channel ask for a label that no other asks for, or let alerting deliver by files",
        )


class _Watched:
    """One trial, from its beginning to its end."""

    def __init__(self, session: Session, way: Way, api: Alertmanager, trial: Trial) -> None:
        self._clock = session.clock
        self._way = way
        self._api = api
        self._trial = trial

    async def tell(self, *, until_resolved: bool) -> Report:
        """Post the alert, watch what becomes of it, and end it whatever happens."""
        trial = self._trial
        started = self._clock.monotonic()
        before = await self._counted()
        ended = False
        try:
            await self._api.post([trial.alert(trial.begin + trial.patience + _ENDS_BY_ITSELF)])
            happened = await self._watch(before, trial.patience)
            took = timedelta(seconds=self._clock.monotonic() - started)
            alert = await self._standing()
            if until_resolved and happened.outcome is Outcome.DELIVERED:
                before = await self._counted()
                await self._api.post([trial.alert(self._clock.now())])
                ended = True
                end = await self._watch(before, trial.patience_for_the_end)
                return Report(trial, happened, took, alert=alert, ended=end.outcome is Outcome.DELIVERED)
            return Report(trial, happened, took, alert=alert)
        finally:
            if not ended:
                await self._api.post([trial.alert(self._clock.now())])

    async def _watch(self, before: Counted, patience: timedelta) -> Counted:
        end = self._clock.monotonic() + patience.total_seconds()
        happened = (await self._counted()).since(before)
        while not happened.final and self._clock.monotonic() < end:
            await self._clock.sleep(_LOOK_AGAIN)
            happened = (await self._counted()).since(before)
        return happened

    async def _counted(self) -> Counted:
        page = await self._way.api.get("/metrics")
        return counted(page if isinstance(page, str) else "", self._trial.integration, self._trial.receiver)

    async def _standing(self) -> CurrentAlert | None:
        labels = self._trial.labels
        found: Sequence[CurrentAlert] = [CurrentAlert.of(each) for each in await self._api.alerts()]
        return next((each for each in found if each.labels == labels), None)


async def _words(kube: Kube, way: Way, trial: Trial, since: timedelta) -> str:
    """Alertmanager's own, from its log; empty where nobody may read that."""
    pod = way.pod
    if pod is None:
        return ""
    try:
        log = await kube.log(pod.namespace, pod.pod, _CONTAINER, since + _LOOK_AGAIN * 4)
    except KubeError as error:
        note(f"its words cannot be read: {error}")
        return ""
    return words(log, trial.receiver)


def _parsed(configuration: str) -> Json:
    try:
        return parse_yaml(configuration)
    except MalformedYaml as error:
        raise Refusal(f"Alertmanager tells a configuration that is no YAML: {error}") from error

"""An alert that only tries a channel: its labels, where it goes, and what is to be said of how it went. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Group, RenderableType

from steward.alerting.channels.model import NOBODY
from steward.alerting.channels.target import OWN, TRIAL, Target
from steward.alerting.rules import Severity
from steward.cli.alerts.current import CurrentAlert, Standing
from steward.cli.alerts.deliveries import Counted, Outcome, integration_of
from steward.cli.alerts.objects import channel_word
from steward.cli.alerts.routes import routed
from steward.cli.alerts.target import NEWEST
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.marks import BAD, GOOD, WARNING
from steward.cli.output import plain
from steward.jsonvalue import Json, JsonObject, rows, text, walk
from steward.resources import AlertChannel

ALERT = "StewardTest"
_AT_ONCE = timedelta(seconds=25)
"""Until a trial that is routed by itself is taken or given up: Alertmanager tries for ten seconds, twice at most."""
_MARGIN = timedelta(seconds=30)
_CODES = {
    Outcome.DELIVERED: ExitCode.OK,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.NOT_SENT: ExitCode.NEEDS_ATTENTION,
}
_HINTS = {
    "authError": "the far end does not know us: check the Secret that the channel names",
    "clientError": "the far end refuses what it is sent: check the address, and the Secret that the channel names",
    "rateLimited": "the far end wants less: try again later",
    "serverError": "the far end is in trouble: try again later",
    "contextDeadlineExceeded": "the far end did not answer in time: check its address, and network policies",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried. `apart`: a route of its own leads trials to this channel, and to nobody else."""

    channel: AlertChannel
    receiver: str
    """As Alertmanager calls the channel."""
    apart: bool
    by: str
    begin: datetime

    @property
    def name(self) -> str:
        """Namespace and name of the channel."""
        return name_of(self.channel)

    @property
    def integration(self) -> str:
        """What Alertmanager calls this kind of channel."""
        return integration_of(self.channel.spec)

    @property
    def labels(self) -> dict[str, str]:
        """Of the alert. Where trials have no route of their own it has to be one that the channel asks for."""
        asked = self.channel.spec.match
        severity = asked.severities[0] if asked.severities else Severity.INFO
        namespace = asked.namespaces[0] if asked.namespaces else self.channel.metadata.namespace
        alone = {"alertname": ALERT, "severity": severity.value, "namespace": namespace, TRIAL: self.name}
        # Each trial is an alert of its own: what was told a minute ago is not told again.
        alone["at"] = f"{self.begin:%Y-%m-%dT%H:%M:%S.%fZ}"
        if self.apart:
            return alone
        wanted = {"team": asked.teams[0]} if asked.teams else {}
        if asked.alerts:
            wanted["alertname"] = asked.alerts[0]
        return {**alone, **wanted, **asked.labels}

    @property
    def patience(self) -> timedelta:
        """How long it may take until it is told."""
        return _AT_ONCE if self.apart else timedelta(seconds=self.channel.spec.group_wait_seconds) + _MARGIN

    @property
    def patience_for_the_end(self) -> timedelta:
        """How long it may take until it is told that it is over."""
        return _AT_ONCE if self.apart else timedelta(seconds=self.channel.spec.group_interval_seconds) + _MARGIN

    def alert(self, end: datetime) -> JsonObject:
        """As Alertmanager is told of it."""
        return {
            "labels": dict(self.labels),
            "annotations": {
                "summary": f"Test of AlertChannel {self.name} by {self.by}: nothing is wrong",
                "description": "Sent with linkerd-steward alerts test. It ends by itself.",
            },
            "startsAt": self.begin.isoformat(),
            "endsAt": end.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """How it went. `alert` is the trial as Alertmanager had it; `ended`: whether the end was told, None if unasked."""

    trial: Trial
    counted: Counted
    took: timedelta
    words: str = ""
    alert: CurrentAlert | None = None
    ended: bool | None = None

    @property
    def code(self) -> ExitCode:
        """0 delivered, 1 failed, 4 nothing was sent."""
        return ExitCode.FAILED if self.ended is False else _CODES[self.counted.outcome]

    @property
    def reason(self) -> str:
        """Alertmanager's word for why."""
        return ", ".join(each for each in sorted(self.counted.given_up or {}) if each)

    @property
    def message(self) -> str:
        """A sentence for people."""
        match self.counted.outcome:
            case Outcome.DELIVERED:
                return f"delivered after {self.took.total_seconds():.1f} s"
            case Outcome.FAILED:
                goes_on = "" if self.counted.final else ", and Alertmanager goes on trying"
                why = f" ({self.reason})" if self.reason else ""
                said = f": {self.words}" if self.words else ""
                return f"failed after {self.counted.in_vain} attempts{why}{goes_on}{said}"
            case Outcome.NOT_SENT:
                return f"nothing was sent within {self.took.total_seconds():.0f} s: {self._why_not}"

    @property
    def _why_not(self) -> str:
        alert = self.alert
        if alert is None:
            return "Alertmanager does not have the alert any more"
        match alert.standing:
            case Standing.SILENCED:
                return f"silenced by {', '.join(alert.silenced_by)}"
            case Standing.INHIBITED:
                return "another alert that fires keeps it quiet"
            case Standing.MUTED:
                return f"it is a quiet time of the channel: {', '.join(alert.muted_by)}"
            case Standing.FIRING:
                return "Alertmanager did not try, and says no reason"

    @property
    def hint(self) -> str:
        """What to do."""
        if self.counted.outcome is not Outcome.FAILED:
            return ""
        where = "" if self.words else "the log of Alertmanager has its words; "
        return where + _HINTS.get(self.reason, "linkerd steward alerts channels shows the channel")

    @property
    def doubt(self) -> str:
        """Why the outcome may be that of another notification; empty where it cannot."""
        if self.counted.by_receiver or self.counted.tried - self.counted.in_vain <= 1:
            return ""
        return (
            f"{self.counted.taken} notifications by {self.trial.integration} were taken meanwhile, and Alertmanager "
            "does not say whose: start it with --enable-feature=receiver-name-in-metrics"
        )


def name_of(channel: AlertChannel) -> str:
    """Namespace and name."""
    return f"{channel.metadata.namespace}/{channel.metadata.name}"


def trial_of(channel: AlertChannel, configuration: Json, by: str, begin: datetime) -> Trial:
    """The trial of a channel in an Alertmanager. Raise Refusal where the channel is not in its configuration."""
    name = name_of(channel)
    # The operator puts namespace and name of its object before the receiver's.
    by_operator = f"{channel.metadata.namespace}/{OWN}-{channel.metadata.name}/{channel.metadata.name}"
    known = {text(each, "name") for each in rows(configuration, "receivers")}
    receiver = next((each for each in (name, by_operator) if each in known), None)
    if receiver is None:
        word = channel_word(channel)
        raise Refusal(
            f"AlertChannel {name!r} is not in force in this Alertmanager: {word.message or word.state}",
            "linkerd steward alerts status shows what is in force, and why not",
        )
    apart = any(each == f'{TRIAL}="{name}"' for each in walk(configuration))
    return Trial(channel, receiver, apart, by, begin)


def others_told(trial: Trial, channels: Iterable[AlertChannel], home: str) -> list[str]:
    """Who else would be told of the trial."""
    if trial.apart:
        return []
    found = routed(channels, Target(home, NEWEST), {**trial.labels, TRIAL: ""})
    return [each for each in found.channels if each not in (trial.name, NOBODY)]


def report_document(report: Report) -> JsonObject:
    """How it went, for programs."""
    trial, happened = report.trial, report.counted
    return {
        "channel": trial.name,
        "outcome": happened.outcome.value,
        "message": report.message,
        "reason": report.reason,
        "said": report.words,
        "seconds": round(report.took.total_seconds(), 3),
        "receiver": trial.receiver,
        "integration": trial.integration,
        "attempts": happened.tried,
        "failedAttempts": happened.in_vain,
        "endTold": report.ended,
        "doubt": report.doubt,
        "labels": dict(trial.labels),
    }


def report_view(report: Report) -> RenderableType:
    """How it went, for people."""
    mark, style = {
        Outcome.DELIVERED: (GOOD, "green"),
        Outcome.FAILED: (BAD, "red"),
        Outcome.NOT_SENT: (WARNING, "yellow"),
    }[report.counted.outcome]
    parts: list[RenderableType] = [plain(f"{mark} {report.trial.name}: {report.message}", style)]
    if report.ended is not None:
        told = "was told" if report.ended else "was not told in time"
        parts.append(
            plain(f"{GOOD if report.ended else BAD} that it is over {told}", "green" if report.ended else "red")
        )
    if report.doubt:
        parts.append(plain(f"{WARNING} {report.doubt}", "yellow"))
    return Group(*parts)

"""How alerting stands: what is in force, what is not, what was found of the monitoring. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from steward.alerting.monitoring import NUMBER
from steward.alerting.pack import WATCHDOG
from steward.alerting.scrape_detection import Detected
from steward.cli.alerts.current import CurrentAlert, Standing, rank
from steward.cli.alerts.objects import Word, channel_word, policy_word
from steward.cli.exit_codes import ExitCode
from steward.cli.go_flags import spelled
from steward.cli.marks import BAD, GOOD, WARNING
from steward.cli.output import grid, plain
from steward.jsonvalue import Json, JsonObject
from steward.resources import AlertChannel, AlertPolicy

_UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class PrometheusSeen:
    """The Prometheus that carries the rules."""

    version: NUMBER
    retention: timedelta | None
    evaluation: timedelta | None
    rules: int
    scraped: Detected

    @property
    def remembers(self) -> str:
        """For people."""
        return spelled(self.retention) if self.retention else _UNKNOWN


@dataclass(frozen=True, slots=True)
class AlertmanagerSeen:
    """The Alertmanager that carries the routes, and what fires there."""

    version: NUMBER
    alerts: tuple[CurrentAlert, ...]
    silences: int

    def counts(self) -> dict[str, int]:
        """How many alerts somebody is told of, by severity; and how many nobody, by why."""
        told = [each for each in self.alerts if each.standing is Standing.FIRING and each.alert != WATCHDOG]
        by_severity = Counter(each.severity or "without severity" for each in told)
        quiet = Counter(each.standing.value for each in self.alerts if each.standing is not Standing.FIRING)
        return {**dict(sorted(by_severity.items(), key=lambda pair: rank(pair[0]))), **quiet}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it should be."""

    object: str
    state: str
    message: str
    blind: bool = False
    """It works, and does not see everything; or nobody has said yet whether it works."""

    def document(self) -> JsonObject:
        """For programs."""
        return {"object": self.object, "state": self.state, "message": self.message}


@dataclass(frozen=True, slots=True)
class AlertingStanding:
    """All of it. What could not be asked is None, and among the troubles."""

    policies: Sequence[AlertPolicy]
    channels: Sequence[AlertChannel]
    prometheus: PrometheusSeen | None
    alertmanager: AlertmanagerSeen | None
    linkerd: str
    unasked: tuple[Trouble, ...] = ()

    @property
    def troubles(self) -> list[Trouble]:
        """What is not as it should be, the worst first."""
        found = [*self.unasked, *self._way()]
        found += _of(
            "AlertPolicy", ((each.metadata.namespace, each.metadata.name, policy_word(each)) for each in self.policies)
        )
        found += _of(
            "AlertChannel",
            ((each.metadata.namespace, each.metadata.name, channel_word(each)) for each in self.channels),
        )
        return sorted(found, key=lambda each: each.blind)

    @property
    def code(self) -> ExitCode:
        """0 all is in force and sees, 1 something is not, 4 something is blind or not looked at yet."""
        troubles = self.troubles
        if not troubles:
            return ExitCode.OK
        return ExitCode.NEEDS_ATTENTION if all(each.blind for each in troubles) else ExitCode.FAILED

    def _way(self) -> list[Trouble]:
        """Whether alerts get from Prometheus to Alertmanager: the Watchdog always fires."""
        watched = any(each.spec.control_plane is not None and policy_word(each).final for each in self.policies)
        if self.alertmanager is None or not watched:
            return []
        if any(each.alert == WATCHDOG for each in self.alertmanager.alerts):
            return []
        message = "the Watchdog, which always fires, is not at Alertmanager: Prometheus does not tell it of alerts"
        return [Trouble("Alertmanager", "no Watchdog", message)]


def standing_document(standing: AlertingStanding) -> JsonObject:
    """For programs."""
    troubles: list[Json] = [each.document() for each in standing.troubles]
    return {
        "policies": dict(_counts(policy_word(each) for each in standing.policies)),
        "channels": dict(_counts(channel_word(each) for each in standing.channels)),
        "alerts": dict(standing.alertmanager.counts()) if standing.alertmanager else None,
        "prometheus": _prometheus(standing.prometheus),
        "alertmanager": _alertmanager(standing.alertmanager),
        "linkerd": standing.linkerd,
        "troubles": troubles,
    }


def _prometheus(seen: PrometheusSeen | None) -> Json:
    if seen is None:
        return None
    return {
        "version": _number(seen.version),
        "retentionSeconds": seen.retention.total_seconds() if seen.retention else None,
        "evaluationSeconds": seen.evaluation.total_seconds() if seen.evaluation else None,
        "rules": seen.rules,
        "scrape": {
            "kind": seen.scraped.profile.kind.value,
            "reason": seen.scraped.reason,
            "message": seen.scraped.message,
        },
    }


def _alertmanager(seen: AlertmanagerSeen | None) -> Json:
    return {"version": _number(seen.version), "silences": seen.silences} if seen is not None else None


def standing_report(standing: AlertingStanding) -> RenderableType:
    """For people."""
    lines: list[tuple[str, str | Text]] = [
        ("AlertPolicies", _said(_counts(policy_word(each) for each in standing.policies))),
        ("AlertChannels", _said(_counts(channel_word(each) for each in standing.channels))),
    ]
    alertmanager, prometheus = standing.alertmanager, standing.prometheus
    if alertmanager is not None:
        lines.append(("Alerts", _alerts(alertmanager)))
    if prometheus is not None:
        every = f", evaluates every {spelled(prometheus.evaluation)}" if prometheus.evaluation else ""
        remembers = f"{_number(prometheus.version)}, remembers {prometheus.remembers}{every}, {prometheus.rules} rules"
        lines += [("Prometheus", remembers), ("Scraped by", prometheus.scraped.message)]
    if alertmanager is not None:
        silences = f", {alertmanager.silences} silences" if alertmanager.silences else ""
        lines.append(("Alertmanager", f"{_number(alertmanager.version)}{silences}"))
    lines.append(("Linkerd", standing.linkerd or _UNKNOWN))
    parts: list[RenderableType] = [grid(("", ""), lines)]
    troubles = standing.troubles
    if troubles:
        parts.append(Text(""))
        parts += [_trouble(each) for each in troubles]
    else:
        parts += [Text(""), plain(f"{GOOD} everything is in force, and every alert can see", "green")]
    return Group(*parts)


def _of(kind: str, words: Iterable[tuple[str, str, Word]]) -> list[Trouble]:
    return [
        Trouble(f"{kind} {namespace}/{name}", word.state, word.message, blind=not word.trouble)
        for namespace, name, word in words
        if not word.ok
    ]


def _counts(words: Iterable[Word]) -> dict[str, int]:
    counts = Counter(each.state for each in words)
    return {"in force": counts.pop("in force", 0), **dict(sorted(counts.items()))}


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def _alerts(seen: AlertmanagerSeen) -> str:
    return ", ".join(f"{count} {what}" for what, count in seen.counts().items()) or "nothing fires"


def _number(version: NUMBER) -> str:
    return ".".join(map(str, version)) or _UNKNOWN


def _trouble(trouble: Trouble) -> Text:
    mark, style = (WARNING, "yellow") if trouble.blind else (BAD, "red")
    return plain(
        f"{mark} {trouble.object}: {trouble.state}" + (f": {trouble.message}" if trouble.message else ""), style
    )

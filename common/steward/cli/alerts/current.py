"""Alerts as Alertmanager has them just now, as values and for people. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from rich.console import RenderableType
from rich.text import Text

from steward.alerting.rules import Severity
from steward.cli.go_flags import spelled
from steward.cli.output import grid, plain
from steward.jsonvalue import Json, JsonObject, rows, strings, text, texts

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ORDER = tuple(each.value for each in Severity)
STYLES = {
    Severity.CRITICAL.value: "bold red",
    Severity.WARNING.value: "yellow",
    Severity.INFO.value: "cyan",
    Severity.NONE.value: "dim",
}


class Standing(StrEnum):
    """What Alertmanager does with an alert."""

    FIRING = "firing"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MUTED = "muted"
    """By a time interval of its route."""


@dataclass(frozen=True, slots=True)
class CurrentAlert:
    """One alert. `receivers` are told unless it is silenced, inhibited or muted."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: datetime
    receivers: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    source: str = ""

    @classmethod
    def of(cls, raw: JsonObject) -> "CurrentAlert":
        """A member of the answer to GET /api/v2/alerts."""
        return cls(
            fingerprint=text(raw, "fingerprint"),
            labels=texts(raw, "labels"),
            annotations=texts(raw, "annotations"),
            since=moment(text(raw, "startsAt")),
            receivers=tuple(text(each, "name") for each in rows(raw, "receivers")),
            silenced_by=tuple(strings(raw, "status", "silencedBy")),
            inhibited_by=tuple(strings(raw, "status", "inhibitedBy")),
            muted_by=tuple(strings(raw, "status", "mutedBy")),
            source=text(raw, "generatorURL"),
        )

    @property
    def alert(self) -> str:
        """Its name."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        """critical, warning, info, or what the rule says."""
        return self.labels.get("severity", "")

    @property
    def namespace(self) -> str:
        """The namespace that it is about."""
        return self.labels.get("namespace", "")

    @property
    def standing(self) -> Standing:
        """What becomes of it."""
        if self.silenced_by:
            return Standing.SILENCED
        if self.inhibited_by:
            return Standing.INHIBITED
        return Standing.MUTED if self.muted_by else Standing.FIRING

    @property
    def told(self) -> tuple[str, ...]:
        """Who is told of it."""
        return self.receivers if self.standing is Standing.FIRING else ()


def moment(said: str) -> datetime:
    """A time as Alertmanager writes it; long ago where it writes none."""
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return _LONG_AGO
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def rank(severity: str) -> int:
    """Where a severity stands; one that nobody knows stands last."""
    return _ORDER.index(severity) if severity in _ORDER else len(_ORDER)


def most_urgent_first(alerts: Iterable[CurrentAlert]) -> list[CurrentAlert]:
    """By severity, then the oldest first."""
    return sorted(alerts, key=lambda each: (rank(each.severity), each.since, each.alert, each.fingerprint))


def styled(severity: str) -> Text:
    """A severity in its colour."""
    return plain(severity or "-", STYLES.get(severity, ""))


def alert_document(alert: CurrentAlert) -> JsonObject:
    """An alert for programs."""
    told: list[Json] = list(alert.told)
    silenced: list[Json] = list(alert.silenced_by)
    inhibited: list[Json] = list(alert.inhibited_by)
    return {
        "alert": alert.alert,
        "severity": alert.severity,
        "namespace": alert.namespace,
        "since": alert.since.isoformat(),
        "state": alert.standing.value,
        "told": told,
        "silencedBy": silenced,
        "inhibitedBy": inhibited,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
    }


def alert_table(alerts: Sequence[CurrentAlert], now: datetime) -> RenderableType:
    """A line for each alert, the most urgent first."""
    names = {each.fingerprint: each.alert for each in alerts}
    return grid(
        ("ALERT", "SEVERITY", "NAMESPACE", "FOR", "STATE", "TOLD", "SUMMARY"),
        [_line(each, names, now) for each in most_urgent_first(alerts)],
    )


def _line(alert: CurrentAlert, names: Mapping[str, str], now: datetime) -> tuple[str | Text, ...]:
    firing = alert.standing is Standing.FIRING
    return (
        plain(alert.alert, STYLES.get(alert.severity, "") if firing else "dim"),
        styled(alert.severity),
        alert.namespace or "-",
        spelled(now - alert.since),
        plain(_why(alert, names), "" if firing else "dim"),
        ", ".join(alert.told) or "nobody",
        alert.annotations.get("summary", ""),
    )


def _why(alert: CurrentAlert, names: Mapping[str, str]) -> str:
    match alert.standing:
        case Standing.SILENCED:
            return f"silenced by {', '.join(each[:8] for each in alert.silenced_by)}"
        case Standing.INHIBITED:
            causes = sorted({names.get(each, each) for each in alert.inhibited_by})
            return f"inhibited by {', '.join(causes)}"
        case Standing.MUTED:
            return f"muted by {', '.join(alert.muted_by)}"
        case Standing.FIRING:
            return "firing"

"""Alerts as the bus told them: each from its beginning to its end. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.alerts.current import STYLES, rank, styled
from steward.cli.go_flags import spelled
from steward.cli.marks import BAD, GOOD
from steward.cli.output import clean, grid, plain
from steward.events.alerts import AlertEvent, AlertFiring, AlertResolved
from steward.events.base import Envelope, Event
from steward.events.subjects import subject_filter
from steward.jsonvalue import JsonObject

LATELY = 8


@dataclass(frozen=True, slots=True)
class Incident:
    """One alert, from when it began to fire until it was over; `until` is None where no end was told."""

    cluster: str
    said: AlertEvent
    until: datetime | None = None

    @property
    def namespace(self) -> str:
        """The namespace that it is about."""
        return self.said.labels.get("namespace", "")

    def lasted(self, now: datetime) -> timedelta:
        """From its beginning to its end, or to now."""
        return max(timedelta(), (self.until or now) - self.said.since)

    def touches(self, start: datetime) -> bool:
        """Whether any of it was after `start`."""
        return self.until is None or self.until >= start


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which alerts are meant; what is not said means all."""

    alert: str = ""
    namespace: str = ""

    @property
    def subjects(self) -> tuple[str, str]:
        """The filters on the bus."""
        key = (self.alert,) if self.alert else ()
        return subject_filter(AlertFiring.name, key=key), subject_filter(AlertResolved.name, key=key)

    def fits(self, event: Event) -> bool:
        """Whether an event is about one of them."""
        return isinstance(event, AlertEvent) and self.namespace in ("", event.labels.get("namespace", ""))


class Incidents:
    """Folds events into incidents. What is told twice counts once; an end without its beginning tells both."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Incident] = {}
        self._past: list[Incident] = []

    def see(self, envelope: Envelope[Event]) -> Incident | None:
        """The incident that this event begins or ends; None where it says nothing new."""
        event = envelope.data
        if not isinstance(event, AlertEvent):
            return None
        key = (envelope.cluster, event.fingerprint)
        last = self._last.get(key)
        if last is not None and event.since < last.said.since:
            return None
        until = event.until if isinstance(event, AlertResolved) else None
        now = Incident(envelope.cluster, event, until)
        if last is not None and event.since == last.said.since:
            if until is None or last.until is not None:
                return None
            # The beginning says more than the end does: where its query can be looked at.
            now = replace(last, until=until)
        elif last is not None:
            self._past.append(last)
        self._last[key] = now
        return now

    @property
    def all(self) -> list[Incident]:
        """Every incident, the oldest first."""
        return sorted([*self._past, *self._last.values()], key=lambda each: (each.said.since, each.said.alert))

    @property
    def firing(self) -> list[Incident]:
        """Those that are not over, the most urgent first."""
        open_ones = (each for each in self._last.values() if each.until is None)
        return sorted(open_ones, key=lambda each: (rank(each.said.severity), each.said.since, each.said.alert))


def folded(envelopes: Iterable[Envelope[Event]]) -> list[Incident]:
    """The incidents that these events tell of, the oldest first."""
    incidents = Incidents()
    for each in envelopes:
        incidents.see(each)
    return incidents.all


def incident_document(incident: Incident, now: datetime) -> JsonObject:
    """An incident for programs."""
    said = incident.said
    return {
        "alert": said.alert,
        "severity": said.severity,
        "namespace": incident.namespace,
        "cluster": incident.cluster,
        "since": said.since.isoformat(),
        "until": incident.until.isoformat() if incident.until else None,
        "seconds": incident.lasted(now).total_seconds(),
        "fingerprint": said.fingerprint,
        "labels": dict(said.labels),
        "summary": said.summary,
        "description": said.description,
        "runbook": said.runbook,
    }


def incident_table(incidents: Sequence[Incident], now: datetime) -> RenderableType:
    """A line for each incident, the newest first."""
    rows = [
        (
            f"{each.said.since:%Y-%m-%d %H:%M:%S}",
            plain(each.said.alert, STYLES.get(each.said.severity, "") if each.until is None else ""),
            styled(each.said.severity),
            each.namespace or "-",
            spelled(each.lasted(now)) if each.until else plain(f"{spelled(each.lasted(now))}, not over", "bold"),
            each.said.summary,
        )
        for each in reversed(incidents)
    ]
    return grid(("SINCE", "ALERT", "SEVERITY", "NAMESPACE", "LASTED", "SUMMARY"), rows)


def incident_line(incident: Incident, now: datetime) -> str:
    """What just happened, as a line."""
    said = incident.said
    moment = incident.until or said.since
    what = "resolved" if incident.until else "firing"
    after = f"  after {spelled(incident.lasted(now))}" if incident.until else ""
    where = incident.namespace or "-"
    line = f"{moment:%Y-%m-%d %H:%M:%SZ}  {what:<8}  {said.severity or '-':<8}  {said.alert}  {where}{after}"
    return clean(f"{line}  {said.summary}".rstrip())


def live_picture(incidents: Incidents, now: datetime) -> RenderableType:
    """What fires, and what was over lately."""
    firing = incidents.firing
    over = sorted((each for each in incidents.all if each.until), key=lambda each: each.until or now)
    parts: list[RenderableType] = []
    if firing:
        parts.append(plain(f"{BAD} {len(firing)} firing, {now:%H:%M:%SZ}", "bold red"))
        parts.append(_picture_of(firing, now))
    else:
        parts.append(plain(f"{GOOD} nothing fires, {now:%H:%M:%SZ}", "green"))
    if over:
        parts += [Text(""), plain("Over lately:", "bold"), incident_table(over[-LATELY:], now)]
    return Group(*parts)


def _picture_of(firing: Sequence[Incident], now: datetime) -> RenderableType:
    rows = [
        (
            plain(each.said.alert, STYLES.get(each.said.severity, "")),
            styled(each.said.severity),
            each.namespace or "-",
            spelled(each.lasted(now)),
            each.said.summary,
        )
        for each in firing
    ]
    return grid(("ALERT", "SEVERITY", "NAMESPACE", "FOR", "SUMMARY"), rows)

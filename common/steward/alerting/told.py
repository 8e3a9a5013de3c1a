"""What Alertmanager tells, as transitions: each beginning and each end of an alert once, however often it is told.

An alert is a label set, by its fingerprint; an episode of it is the time at which it began. Posts come again, late,
in another order, and not at all: an end may come without its beginning, and a new beginning without the end before.
So what is known of an alert is the set of its episodes, and what follows from a post depends on what is known and not
on when it came:

    an episode that is told        begins
    an episode that is resolved    ends, and began before that
    an episode with a later one    ended when the later one began, where nobody told the end
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from steward.alerting.webhook import Status, TellingAlert
from steward.events.alerts import AlertFiring, AlertResolved

MOST_EPISODES = 64
"""Of one alert that are remembered, the latest ones."""
NAMELESS = "(no name)"
"""In place of the label `alertname`, which Alertmanager does not ask for."""


@dataclass(frozen=True, slots=True)
class Episode:
    """From when an alert fired, and until when; None: it does."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one alert."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    source: str = ""
    episodes: tuple[Episode, ...] = ()
    """In the order in which they began."""

    @property
    def fires(self) -> bool:
        """Whether its last episode goes on."""
        return bool(self.episodes) and self.episodes[-1].until is None


Transition = AlertFiring | AlertResolved


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known after a post, and what is to be told of it, in order."""

    known: Known
    transitions: tuple[Transition, ...] = field(default=())


def heard(before: Known | None, alert: TellingAlert) -> Heard:
    """What one alert of a post changes about what is known of the same alert, if anything."""
    known = _described(before, alert)
    episodes = {each.since: each for each in known.episodes}
    fresh = alert.since not in episodes
    if fresh and _is_forgotten(known, alert.since):
        return Heard(known)
    here = episodes.get(alert.since, Episode(alert.since))
    if here.until is None and alert.status is Status.RESOLVED:
        here = replace(here, until=alert.until or alert.since)
    episodes[alert.since] = here
    after = _settled(episodes.values())
    transitions = _between(known, after)
    return Heard(replace(known, episodes=after[-MOST_EPISODES:]), transitions)


def ended_unheard(known: Iterable[Known], active: Iterable[str], now: datetime) -> tuple[Heard, ...]:
    """Alerts whose end was never told, because nobody is told of what is silenced or forgotten.

    `active`: fingerprints of every alert that Alertmanager has, silenced and inhibited ones too. Ask one that has run
    for a few minutes: a new one has none until Prometheus tells them again, and what ended stays ended.
    """
    there = frozenset(active)
    return tuple(_ended(each, now) for each in known if each.fires and each.fingerprint not in there)


def settled_before(known: Known, now: datetime, memory: timedelta) -> bool:
    """Whether an alert can be forgotten: it has ended, so long ago that no post of it is still under way."""
    last = known.episodes[-1] if known.episodes else None
    return last is None or (last.until is not None and now - last.until > memory)


def identity(transition: Transition) -> str:
    """The stable name of a transition: told again, it is the same event."""
    return f"{transition.name}/{transition.fingerprint}/{transition.since.isoformat()}"


def _described(before: Known | None, alert: TellingAlert) -> Known:
    """Annotations are those of the latest episode that was told."""
    if before is None:
        return Known(alert.fingerprint, alert.labels, alert.annotations, alert.source)
    if before.episodes and alert.since < before.episodes[-1].since:
        return before
    return replace(before, labels=alert.labels, annotations=alert.annotations, source=alert.source)


def _is_forgotten(known: Known, since: datetime) -> bool:
    return len(known.episodes) >= MOST_EPISODES and since < known.episodes[0].since


def _settled(episodes: Iterable[Episode]) -> tuple[Episode, ...]:
    """In order, each ended when the next began at the latest."""
    found = sorted(episodes, key=lambda each: each.since)
    ends = [each.since for each in found[1:]]
    closed = [
        each if each.until is not None else replace(each, until=end) for each, end in zip(found[:-1], ends, strict=True)
    ]
    return (*closed, *found[-1:])


def _between(known: Known, after: tuple[Episode, ...]) -> tuple[Transition, ...]:
    before = {each.since: each for each in known.episodes}
    found: list[Transition] = []
    for each in after:
        old = before.get(each.since)
        if old is None:
            found.append(_firing(known, each))
        if each.until is not None and (old is None or old.until is None):
            found.append(_resolved(known, each, each.until))
    return tuple(found)


def _ended(known: Known, now: datetime) -> Heard:
    last = replace(known.episodes[-1], until=max(now, known.episodes[-1].since))
    after = (*known.episodes[:-1], last)
    return Heard(replace(known, episodes=after), _between(known, after))


def _firing(known: Known, episode: Episode) -> AlertFiring:
    return AlertFiring(
        fingerprint=known.fingerprint,
        alert=known.labels.get("alertname") or NAMELESS,
        severity=known.labels.get("severity", ""),
        labels=dict(known.labels),
        summary=known.annotations.get("summary", ""),
        description=known.annotations.get("description", ""),
        runbook=_runbook(known),
        since=episode.since,
        source=known.source,
    )


def _resolved(known: Known, episode: Episode, until: datetime) -> AlertResolved:
    return AlertResolved(
        fingerprint=known.fingerprint,
        alert=known.labels.get("alertname") or NAMELESS,
        severity=known.labels.get("severity", ""),
        labels=dict(known.labels),
        summary=known.annotations.get("summary", ""),
        description=known.annotations.get("description", ""),
        runbook=_runbook(known),
        since=episode.since,
        until=until,
    )


def _runbook(known: Known) -> str:
    return known.annotations.get("runbook_url") or known.annotations.get("runbook", "")

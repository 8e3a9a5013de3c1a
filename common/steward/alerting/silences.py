"""The silence that an upgrade in progress asks for: what it explains is told to nobody, for as long as it goes on.

There is one silence for a run. It is short and made longer while the run goes on, so that it ends when we are gone;
found again by the run's name and uid in its comment; and ended when the run is over, or does not move any more: whoever
conducted it may be gone, and nothing is muted for ever. Whoever ends it by hand meant it: then there is none for this
run any more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from steward.alerting.promql import Matcher
from steward.jsonvalue import Json, JsonObject, flag, rows, text

AUTHOR = "linkerd-steward"
"""Who makes the silences. Where several clusters share one Alertmanager, each has an author of its own."""
_MARKED = re.compile(r"\(uid [^)]+\)")
LASTS = timedelta(minutes=15)
"""How long it lasts without being made longer."""
_SOON = LASTS / 2
_ENDING = timedelta(seconds=5)
"""An end that Alertmanager does not take for past, though its clock differs a little from ours."""


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """An UpgradeRun that acts."""

    name: str
    uid: str
    from_version: str
    to_version: str
    since: datetime
    moved: datetime | None = None
    """When its status last said something new; None: not since it began."""

    def stands_still(self, now: datetime, patience: timedelta) -> bool:
        """Whether it has said nothing new for longer than that."""
        return now - max(self.since, self.moved or self.since) > patience


@dataclass(frozen=True, slots=True)
class Explained:
    """What an upgrade explains."""

    alerts: tuple[str, ...]
    """Names of alerts; none: no silence is made, and those that there are end."""
    author: str = AUTHOR
    scope: tuple[Matcher, ...] = ()
    """What else such an alert must fit, such as the cluster."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence of Alertmanager. Without `id` it is yet to be made."""

    matchers: tuple[Matcher, ...]
    starts: datetime
    ends: datetime
    author: str
    comment: str
    id: str = ""
    updated: datetime | None = None
    """When it was last changed; Alertmanager says so."""

    def to_json(self) -> JsonObject:
        """As the API takes it: with an id it changes the one that there is."""
        matchers: list[Json] = [
            {
                "name": each.label,
                "value": each.value,
                "isRegex": each.operator in ("=~", "!~"),
                "isEqual": each.operator in ("=", "=~"),
            }
            for each in self.matchers
        ]
        return {
            **({"id": self.id} if self.id else {}),
            "matchers": matchers,
            "startsAt": self.starts.isoformat(),
            "endsAt": self.ends.isoformat(),
            "createdBy": self.author,
            "comment": self.comment,
        }


class Reason(StrEnum):
    """Why a silence is put to Alertmanager."""

    BEGIN = "Begin"
    EXTEND = "Extend"
    OVER = "Over"
    """Its run acts no more."""
    DOUBLE = "Double"
    """There is another for its run."""
    OUTDATED = "Outdated"
    """It names other alerts than it should; a new one takes its place."""


@dataclass(frozen=True, slots=True)
class Put:
    """Make this silence, or change the one whose id it has.

    Silences are ended by an end that comes soon, never by deleting them: that is how the hand of a person looks.
    """

    silence: Silence
    reason: Reason


def read(raw: JsonObject) -> Silence | None:
    """A silence of the API; None where it is not one that can be understood here."""
    try:
        matchers = tuple(_matcher(each) for each in rows(raw, "matchers"))
        starts, ends = _time(raw, "startsAt"), _time(raw, "endsAt")
        updated = _time(raw, "updatedAt") if text(raw, "updatedAt") else None
    except (ValueError, OverflowError):
        return None
    silence_id = text(raw, "id")
    if not silence_id:
        return None
    return Silence(matchers, starts, ends, text(raw, "createdBy"), text(raw, "comment"), silence_id, updated)


def acts(
    runs: Iterable[RunInProgress], explained: Explained, known: Iterable[Silence], now: datetime
) -> tuple[Put, ...]:
    """What is to be done about the silences that Alertmanager knows."""
    ours = [each for each in known if each.author == explained.author and _MARKED.search(each.comment)]
    wanted = list(runs) if explained.alerts else []
    found: list[Put] = []
    for run in wanted:
        found += _of_run(run, explained, [each for each in ours if _mark(run) in each.comment], now)
    marks = tuple(_mark(run) for run in wanted)
    others = (each for each in ours if not any(mark in each.comment for mark in marks))
    found += [_end(each, Reason.OVER, now) for each in others if _lasts(each, now)]
    return tuple(found)


def _of_run(run: RunInProgress, explained: Explained, there: list[Silence], now: datetime) -> list[Put]:
    lasting = sorted((each for each in there if _lasts(each, now)), key=lambda each: (each.ends, each.id), reverse=True)
    if not lasting and any(_ended_by_hand(each, now) for each in there):
        return []
    matchers = _matchers(explained)
    fitting = [each for each in lasting if set(each.matchers) == set(matchers)]
    found = [_end(each, Reason.DOUBLE if each in fitting else Reason.OUTDATED, now) for each in lasting]
    if not fitting:
        return [Put(_fresh(run, matchers, explained.author, now), Reason.BEGIN), *found]
    kept = fitting[0]
    found = [each for each in found if each.silence.id != kept.id]
    if kept.ends - now > _SOON:
        return found
    return [Put(replace(kept, ends=now + LASTS), Reason.EXTEND), *found]


def _fresh(run: RunInProgress, matchers: tuple[Matcher, ...], author: str, now: datetime) -> Silence:
    comment = (
        f"Upgrade {run.name} {_mark(run)} from {run.from_version} to {run.to_version} is in progress, which explains "
        "these alerts. It ends with the upgrade; ended by hand, it stays ended."
    )
    return Silence(matchers, now, now + LASTS, author, comment)


def _end(silence: Silence, reason: Reason, now: datetime) -> Put:
    return Put(replace(silence, ends=now + _ENDING), reason)


def _lasts(silence: Silence, now: datetime) -> bool:
    return silence.ends > now + _ENDING


def _matchers(explained: Explained) -> tuple[Matcher, ...]:
    return (Matcher.any_of("alertname", sorted(set(explained.alerts))), *explained.scope)


def _mark(run: RunInProgress) -> str:
    return f"(uid {run.uid})"


def _ended_by_hand(silence: Silence, now: datetime) -> bool:
    """Alertmanager writes the time of the change as the end; one that ran out was last changed before its end."""
    return silence.ends <= now and silence.updated is not None and silence.updated >= silence.ends


def _matcher(raw: JsonObject) -> Matcher:
    regex, equal = flag(raw, "isRegex"), flag(raw, "isEqual", default=True)
    operator = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}[regex, equal]
    return Matcher(text(raw, "name"), operator, text(raw, "value"))


def _time(raw: JsonObject, name: str) -> datetime:
    return datetime.fromisoformat(text(raw, name)).astimezone(UTC)

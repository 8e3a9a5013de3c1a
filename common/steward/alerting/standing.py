"""Which of Steward's own alerts last, as events say it, and what Alertmanager is to be told at a time.

Events come again and in any order. What follows from them is therefore kept so that the order does not matter: of each
alert the latest beginning, of each part of the world the latest end. An alert lasts while its beginning is later than
every end of a part that it belongs to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from steward.alerting.own_alerts import Posted
from steward.jsonvalue import JsonObject

Scope = tuple[str, ...]
"""A part of the world, most general first: whatever ends ("upgrade", uid) ends everything below it."""


@dataclass(frozen=True, slots=True)
class Begins:
    """An alert begins, or is said again."""

    scope: Scope
    at: datetime
    """When it was said; the later saying counts."""
    alert: Posted
    since: datetime
    lasts: timedelta | None = None
    """How long after it was last said it ends by itself; None: only an end ends it."""
    only_on: str = ""
    """The version of the control plane that it is about; it lasts only while that is known to run."""

    @property
    def rank(self) -> tuple[datetime, datetime, str, str]:
        """Of two that were said at the same time, always the same one counts."""
        return (
            self.at,
            self.since,
            repr(sorted(self.alert.labels.items())),
            repr(sorted(self.alert.annotations.items())),
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """Everything of a part of the world ends."""

    scope: Scope
    at: datetime


@dataclass(frozen=True, slots=True, order=True)
class Runs:
    """A version of the control plane runs."""

    at: datetime
    version: str


Mark = Begins | Ends | Runs


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known from all events so far."""

    begun: Mapping[Scope, Begins] = field(default_factory=dict)
    ended: Mapping[Scope, datetime] = field(default_factory=dict)
    running: Runs | None = None

    def after(self, marks: Iterable[Mark]) -> "Standing":
        """What is known when these were heard too; it is the same in whatever order, and how often, they come."""
        begun, ended, running = dict(self.begun), dict(self.ended), self.running
        for mark in marks:
            match mark:
                case Begins():
                    known = begun.get(mark.scope)
                    begun[mark.scope] = mark if known is None else max(known, mark, key=lambda each: each.rank)
                case Ends():
                    ended[mark.scope] = max(ended.get(mark.scope, mark.at), mark.at)
                case Runs():
                    running = mark if running is None else max(running, mark)
        return Standing(begun, ended, running)

    def end_of(self, begins: Begins) -> datetime | None:
        """When it ended, or will by itself; None where only another event can tell."""
        told = [
            end
            for depth in range(1, len(begins.scope) + 1)
            if (end := self.ended.get(begins.scope[:depth])) is not None and end >= begins.at
        ]
        if begins.lasts is not None:
            told.append(begins.at + begins.lasts)
        if begins.only_on and self.running is None:
            told.append(begins.at)
        elif begins.only_on and self.running is not None and self.running.version != begins.only_on:
            told.append(max(begins.at, self.running.at))
        return min(told, default=None)

    def forgotten(self, before: datetime) -> "Standing":
        """Without what ended before that. Events older than that must not come again."""
        begun = {
            scope: each
            for scope, each in self.begun.items()
            if (end := self.end_of(each)) is None or end >= before or each.only_on
        }
        return Standing(begun, {scope: at for scope, at in self.ended.items() if at >= before}, self.running)


@dataclass(frozen=True, slots=True)
class Post:
    """One alert as Alertmanager takes it at a time."""

    alert: Posted
    since: datetime
    until: datetime
    """In the future while it lasts: not told again by then, it ends by itself."""

    def to_json(self) -> JsonObject:
        """As a member of a POST to /api/v2/alerts."""
        return {
            "labels": dict(self.alert.labels),
            "annotations": dict(self.alert.annotations),
            "startsAt": self.since.isoformat(),
            "endsAt": self.until.isoformat(),
        }


def posts(standing: Standing, now: datetime, ends_after: timedelta) -> tuple[Post, ...]:
    """Everything that Alertmanager is to be told at `now`: what lasts, and what ended less than `ends_after` ago.

    Told again at least every third of `ends_after`, an alert goes on; told no more, because we are gone, it ends.
    """
    found: list[Post] = []
    for begins in standing.begun.values():
        end = standing.end_of(begins)
        if begins.at > now or (end is not None and end <= now - ends_after):
            continue
        until = now + ends_after if end is None else min(end, now + ends_after)
        found.append(Post(begins.alert, min(begins.since, until), until))
    return tuple(sorted(found, key=lambda post: sorted(post.alert.labels.items())))


def news(before: Standing, after: Standing, now: datetime, ends_after: timedelta) -> tuple[Post, ...]:
    """Those of `posts` that are otherwise than before: what an event gives reason to tell at once."""
    known = frozenset(_said(each) for each in posts(before, now, ends_after))
    return tuple(each for each in posts(after, now, ends_after) if _said(each) not in known)


def _said(post: Post) -> tuple[object, ...]:
    return (
        tuple(sorted(post.alert.labels.items())),
        tuple(sorted(post.alert.annotations.items())),
        post.since,
        post.until,
    )

"""Objectives that annotations of a Service, ServiceProfile, HTTPRoute or GRPCRoute ask for.

    alerts.steward.linkerd.io/success-rate: "99.9"       percent of the requests that must succeed
    alerts.steward.linkerd.io/latency: "500ms@99"        within which time how many percent of the answers must come
    alerts.steward.linkerd.io/window: "30d"              over which both hold
    alerts.steward.linkerd.io/side: "client"             or server
    alerts.steward.linkerd.io/granularity: "target"      or route: each route by itself
    alerts.steward.linkerd.io/minimum-rps: "0.1"         with fewer requests a second nobody is told
    alerts.steward.linkerd.io/severity: "critical"       of what burns fast: critical, warning or info
    alerts.steward.linkerd.io/team: "payments"           label of the alerts

What cannot be read is named, and then nothing of the object is in force.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from steward.alerting.objectives.burn import written
from steward.alerting.objectives.facts import ANNOTATION_PREFIX
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.wanted import Audience, Goal, Latency, Success, Target, View, Wanted
from steward.alerting.rules import Severity
from steward.durations import duration
from steward.resources.alert_policy import Granularity, Side

_Choice = TypeVar("_Choice", bound=StrEnum)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MONTH = timedelta(days=30)
_SHORTEST, _LONGEST = timedelta(days=1), timedelta(days=90)
_SLOWEST = timedelta(seconds=50)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MOST_RPS = 1_000_000.0
_LONGEST_TEAM = 63
_LONGEST_VALUE = 80
_LOWEST, _HIGHEST = 1, 99.999
_PERCENT = "a percentage from 1 to 99.999, such as 99.9"
_LATENCY = "a time up to 50s in whole milliseconds and a percentage, such as 500ms@99"


class Unreadable(ValueError):
    """A value that says nothing; the text says what would."""


@dataclass(frozen=True, slots=True)
class _Said:
    goals: tuple[Goal, ...] = ()
    window: timedelta = _MONTH
    view: View = field(default_factory=View)
    audience: Audience = field(default_factory=Audience)


def wanted_by_annotations(target: Target, annotations: Mapping[str, str]) -> tuple[Wanted, ...] | Refused:
    """What the annotations of an object ask for; nothing where they ask for nothing."""
    said, wrong = _Said(), list[str]()
    asked = {key: value for key, value in sorted(annotations.items()) if key.startswith(ANNOTATION_PREFIX)}
    for key, value in asked.items():
        try:
            said = _read(said, key.removeprefix(ANNOTATION_PREFIX), value)
        except Unreadable as unreadable:
            wrong.append(f"{key}: {unreadable}")
    if asked and not wrong and not said.goals:
        wrong.append(f"no objective is named: write {ANNOTATION_PREFIX}success-rate or {ANNOTATION_PREFIX}latency")
    if wrong:
        return Refused("AnnotationUnreadable", f"nothing of {target} is in force: {'; '.join(wrong)}")
    return tuple(Wanted(target, _name(goal, said), goal, said.window, said.view, said.audience) for goal in said.goals)


def _name(goal: Goal, said: _Said) -> str:
    """Of the objective. It tells all that an alert depends on, so that one alert does for all objectives of a name."""
    kind = "success" if isinstance(goal, Success) else f"latency-{goal.milliseconds}ms"
    usual = _Said()
    view, audience = said.view, said.audience
    words = [kind, f"{goal.percent:.12g}"]
    if said.window != usual.window:
        words.append(written(said.window))
    if view.minimum_rps != usual.view.minimum_rps:
        words.append(f"from-{view.minimum_rps:.12g}rps")
    if view.side is not usual.view.side:
        words.append(view.side.value.lower())
    if audience.severity is not usual.audience.severity:
        words.append(audience.severity.value)
    if audience.team:
        words.append(f"team-{audience.team}")
    return "-".join(words)


def _read(said: _Said, name: str, value: str) -> _Said:
    if len(value) > _LONGEST_VALUE:
        raise Unreadable(f"a value is no longer than {_LONGEST_VALUE} characters")
    reader = _READERS.get(name)
    if reader is None:
        raise Unreadable(f"there is no such annotation: there are {', '.join(_READERS)}")
    return reader(said, value.strip())


def _with_goal(said: _Said, goal: Goal) -> _Said:
    return replace(said, goals=(*said.goals, goal))


def _latency(said: str) -> Latency:
    within, at, percent = said.partition("@")
    span = _span(within)
    if not at or span is None or not _MILLISECOND <= span <= _SLOWEST or span % _MILLISECOND:
        raise Unreadable(f"{said!r} is not {_LATENCY}")
    return Latency(_percent(percent.strip(), said, _LATENCY), span // _MILLISECOND)


def _percent(said: str, whole: str, wanted: str) -> float:
    number = float(said) if _NUMBER.fullmatch(said) else 0.0
    if not _LOWEST <= number <= _HIGHEST:
        raise Unreadable(f"{whole!r} is not {wanted}")
    return number


def _span(said: str) -> timedelta | None:
    try:
        span = duration(said)
    except OverflowError:
        return None
    return span if isinstance(span, timedelta) else None


def _window(said: str) -> timedelta:
    span = _span(said)
    if span is None or not _SHORTEST <= span <= _LONGEST or span % _SECOND:
        raise Unreadable(f"{said!r} is no time from {written(_SHORTEST)} to {written(_LONGEST)}, such as 30d")
    return span


def _rps(said: str) -> float:
    if not _NUMBER.fullmatch(said) or float(said) > _MOST_RPS:
        raise Unreadable(f"{said!r} is no number of requests a second, such as 0.5")
    return float(said)


def _team(said: str) -> str:
    if not said or len(said) > _LONGEST_TEAM:
        raise Unreadable(f"{said!r} is no name of a team: 1 to {_LONGEST_TEAM} characters")
    return said


def _one_of(said: str, choices: type[_Choice]) -> _Choice:
    for choice in choices:
        if choice.value.lower() == said.lower():
            return choice
    raise Unreadable(f"{said!r} is none of {', '.join(choice.value.lower() for choice in choices)}")


_READERS: Mapping[str, Callable[[_Said, str], _Said]] = {
    "success-rate": lambda said, value: _with_goal(said, Success(_percent(value, value, _PERCENT))),
    "latency": lambda said, value: _with_goal(said, _latency(value)),
    "window": lambda said, value: replace(said, window=_window(value)),
    "side": lambda said, value: replace(said, view=replace(said.view, side=_one_of(value, Side))),
    "granularity": lambda said, value: replace(said, view=replace(said.view, granularity=_one_of(value, Granularity))),
    "minimum-rps": lambda said, value: replace(said, view=replace(said.view, minimum_rps=_rps(value))),
    "severity": lambda said, value: replace(said, audience=replace(said.audience, severity=_one_of(value, Severity))),
    "team": lambda said, value: replace(said, audience=replace(said.audience, team=_team(value))),
}

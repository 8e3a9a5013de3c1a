"""Who would be told of an alert and why, for people and for programs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from steward.alerting.channels.model import NOBODY
from steward.alerting.channels.plain import Rendered
from steward.alerting.channels.target import OWN
from steward.alerting.promql import Matcher
from steward.alerting.routing import Answer, Inhibited, NotTold, Told
from steward.cli.marks import BAD, GOOD, LEFT_OUT, WARNING
from steward.cli.output import grid, plain
from steward.jsonvalue import Json, JsonObject

_MACHINES = (NOBODY, OWN)


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer, and what it was given for."""

    labels: Mapping[str, str]
    answer: Answer
    rendered: Rendered

    @property
    def kept_quiet(self) -> bool:
        """Whether nobody is told, whatever the routes say."""
        return bool(self.answer.silenced or self.answer.inhibited)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are told."""
        return tuple(each for each in self.answer.notified if each not in _MACHINES)

    @property
    def told(self) -> list[Told]:
        """Where the routes lead."""
        return [each for each in self.answer.told if each.receiver not in _MACHINES]

    @property
    def not_told(self) -> list[NotTold]:
        """The routes that do not take it."""
        return [each for each in self.answer.not_told if each.receiver not in _MACHINES]

    def kind(self, receiver: str) -> str:
        """What kind of channel it is."""
        found = next((each for each in self.rendered.configuration.receivers if each.name == receiver), None)
        destination = found.destination if found is not None else None
        return type(destination).__name__.removesuffix("Channel") if destination is not None else "-"


def routed_document(routed: Routed) -> JsonObject:
    """The answer for programs."""
    told: list[Json] = [
        {
            "channel": each.receiver,
            "kind": routed.kind(each.receiver),
            "because": [*conditions(each.path)],
            "quiet": bool(each.quiet),
        }
        for each in routed.told
    ]
    not_told: list[Json] = [
        {
            "channel": each.receiver,
            "reason": each.reason,
            "condition": str(each.failed) if each.failed else "",
            "has": routed.labels.get(each.failed.label, "") if each.failed else "",
        }
        for each in routed.not_told
    ]
    refused: list[Json] = [
        {"object": each.object, "reason": each.reason, "message": each.sentence} for each in routed.rendered.refused
    ]
    silenced: list[Json] = [{"id": each.id, "comment": each.comment} for each in routed.answer.silenced]
    inhibited: list[Json] = [dict(each.by) for each in routed.answer.inhibited]
    return {
        "labels": dict(routed.labels),
        "notified": list(routed.channels),
        "told": told,
        "notTold": not_told,
        "refused": refused,
        "silencedBy": silenced,
        "inhibitedBy": inhibited,
    }


def routed_report(routed: Routed) -> RenderableType:
    """The answer for people."""
    parts: list[RenderableType] = [plain(_headline(routed), "bold"), *_kept_quiet(routed.answer)]
    rows: list[tuple[str | Text, ...]] = [_told(routed, each) for each in routed.told]
    rows += [_not_told(routed, each) for each in routed.not_told]
    rows += [
        (Text(BAD, "red"), each.object.partition("/")[2], "-", f"not in force: {each.sentence}")
        for each in routed.rendered.refused
    ]
    if rows:
        parts += [Text(""), grid(("", "CHANNEL", "KIND", "WHY"), rows)]
    parts += [plain(f"{WARNING} {each.object}: {each.message}", "yellow") for each in routed.rendered.remarks]
    return Group(*parts)


def conditions(path: Iterable[Sequence[Matcher]]) -> list[str]:
    """The conditions on the way to a receiver."""
    return [str(each) for matchers in path for each in matchers]


def _headline(routed: Routed) -> str:
    if routed.channels:
        return f"told: {', '.join(routed.channels)}"
    return "nobody is told"


def _kept_quiet(answer: Answer) -> list[RenderableType]:
    lines: list[RenderableType] = [
        plain(f"{WARNING} silenced by {each.id}: {each.comment}", "yellow") for each in answer.silenced
    ]
    return lines + [plain(f"{WARNING} {_inhibitor(each)}", "yellow") for each in answer.inhibited]


def _inhibitor(inhibited: Inhibited) -> str:
    by = inhibited.by
    where = f" in {by['namespace']}" if by.get("namespace") else ""
    return f"kept quiet by {by.get('alertname', 'an alert')} ({by.get('severity', 'no severity')}){where}, which fires"


def _told(routed: Routed, told: Told) -> tuple[str | Text, ...]:
    why = ", ".join(conditions(told.path)) or "it gets everything"
    kind = routed.kind(told.receiver)
    if told.quiet:
        return Text(WARNING, "yellow"), told.receiver, kind, f"would be told ({why}), but is in a quiet time"
    if routed.kept_quiet:
        return Text(WARNING, "yellow"), told.receiver, kind, f"would be told ({why})"
    return Text(GOOD, "green"), told.receiver, kind, why


def _not_told(routed: Routed, not_told: NotTold) -> tuple[str | Text, ...]:
    failed = not_told.failed
    why = "another route took it"
    if failed is not None:
        has = routed.labels.get(failed.label)
        why = f"asks for {failed}, and " + (f"it is {has!r}" if has else f"it has no label {failed.label}")
    return Text(LEFT_OUT, "dim"), plain(not_told.receiver, "dim"), routed.kind(not_told.receiver), why

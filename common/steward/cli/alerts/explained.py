"""One alert, explained: what it means, how it is found out, where it fires, what to do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.alerts.current import CurrentAlert, alert_document, alert_table, most_urgent_first, styled
from steward.cli.alerts.packed import PackedRule, rule_report
from steward.cli.go_flags import spelled
from steward.cli.marks import BAD, GOOD
from steward.cli.output import grid, plain
from steward.jsonvalue import Json, JsonObject, dig, rows, text, texts


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule as Prometheus has it."""

    group: str
    expression: str
    lasting: timedelta
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    error: str

    def document(self) -> JsonObject:
        """For programs."""
        return {
            "group": self.group,
            "severity": self.labels.get("severity", ""),
            "expression": self.expression,
            "forSeconds": self.lasting.total_seconds(),
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "state": self.state,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of one alert."""

    name: str
    current: Sequence[CurrentAlert] = ()
    asked: bool = False
    """Whether Alertmanager said which alerts fire; where it did not, nobody knows that this one does not."""
    in_force: Sequence[RuleInForce] = ()
    shipped: Sequence[PackedRule] = ()
    runbook: str = ""
    """The page that says what to do; empty where there is none."""

    @property
    def known(self) -> bool:
        """Whether anybody knows it."""
        return bool(self.current or self.in_force or self.shipped or self.runbook)

    @property
    def page(self) -> str:
        """An address, or the name of a page that is shipped; empty where there is neither."""
        told = [each.annotations for each in self.in_force] + [each.annotations for each in self.current]
        said = next((each["runbook"] for each in told if each.get("runbook")), "")
        return said or self.runbook


def rules_named(groups: Sequence[JsonObject], name: str) -> list[RuleInForce]:
    """The alerting rules of that name, of the groups that Prometheus tells."""
    return [
        RuleInForce(
            group=text(group, "name"),
            expression=text(rule, "query"),
            lasting=timedelta(seconds=_number(dig(rule, "duration"))),
            labels=texts(rule, "labels"),
            annotations=texts(rule, "annotations"),
            state=text(rule, "state"),
            error=text(rule, "lastError"),
        )
        for group in groups
        for rule in rows(group, "rules")
        if text(rule, "type") == "alerting" and text(rule, "name") == name
    ]


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def explained_document(found: Explained) -> JsonObject:
    """For programs."""
    current: list[Json] = [alert_document(each) for each in most_urgent_first(found.current)]
    in_force: list[Json] = [each.document() for each in found.in_force]
    shipped: list[Json] = [each.document() for each in found.shipped]
    return {
        "alert": found.name,
        "firing": current,
        "rules": in_force,
        "shipped": shipped,
        "runbook": found.page,
    }


def explained_report(found: Explained, now: datetime) -> RenderableType:
    """For people."""
    parts: list[RenderableType] = []
    if found.shipped:
        parts.append(rule_report(found.shipped))
    else:
        parts.append(plain(found.name, "bold"))
    parts += _in_force(found.in_force)
    parts += _current(found, now) if found.asked else []
    if found.page:
        shipped = found.page == found.runbook
        how = f"linkerd steward alerts runbook {found.page}" if shipped else found.page
        parts += [Text(""), plain(f"What to do: {how}")]
    return Group(*parts)


def _in_force(rules: Sequence[RuleInForce]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for each in rules:
        head = plain("In force: ", "bold").append_text(styled(each.labels.get("severity", "")))
        head.append(f"  group {each.group}, for {spelled(each.lasting)}, {each.state}")
        parts += [Text(""), head, plain(each.expression, "dim")]
        if each.error:
            parts.append(plain(f"{BAD} {each.error}", "red"))
    return parts


def _current(found: Explained, now: datetime) -> list[RenderableType]:
    if not found.current:
        return [Text(""), plain(f"{GOOD} It does not fire now.", "green")]
    parts: list[RenderableType] = [Text(""), plain(f"{BAD} It fires:", "bold red"), alert_table(found.current, now)]
    for each in most_urgent_first(found.current):
        labels = [(name, value) for name, value in sorted(each.labels.items())]
        said = [(name, value) for name, value in sorted(each.annotations.items()) if value]
        origin = [("looked at in", each.source)] if each.source else []
        parts += [Text(""), plain(each.fingerprint, "bold"), grid(("", ""), [*labels, *said, *origin])]
    return parts

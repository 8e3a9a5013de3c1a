"""The pack as rules, each with what it asks for and since when that is there. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from steward.alerting.families import MetricCatalogue, catalogue
from steward.alerting.monitoring import Monitoring
from steward.alerting.pack import Pack, PackAlert, shipped_pack
from steward.alerting.reading import read
from steward.alerting.rendering import LeftOut, render
from steward.alerting.rules import Alerting, seconds
from steward.alerting.spans import span
from steward.cli.alerts.current import styled
from steward.cli.go_flags import spelled
from steward.cli.marks import WARNING
from steward.cli.output import grid, plain
from steward.jsonvalue import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Versions:
    """From which Linkerd on all metrics of a rule are there, and from which on one is not any more."""

    since: str = ""
    until: str = ""

    def __str__(self) -> str:
        span = f"{self.since} …" if self.since else "all"
        return f"{span} before {self.until}" if self.until else span


@dataclass(frozen=True, slots=True)
class PackedRule:
    """One rule, and the alert of the pack that it is of."""

    alert: PackAlert
    rule: Alerting
    metrics: tuple[str, ...]
    versions: Versions

    @property
    def threshold(self) -> float | None:
        """Above or below which it fires, in the alert's unit."""
        found = (tier.threshold for tier in self.alert.tiers if tier.severity is self.rule.severity)
        return next(found, None)

    def document(self) -> JsonObject:
        """The rule for programs."""
        metrics: list[Json] = list(self.metrics)
        caused: list[Json] = [each.alert for each in self.alert.causes]
        return {
            "name": self.rule.alert,
            "title": self.alert.title,
            "severity": self.rule.severity.value,
            "component": self.rule.labels.get("component", ""),
            "expression": self.rule.expr,
            "for": seconds(self.rule.lasting),
            "threshold": self.threshold,
            "unit": self.alert.unit,
            "metrics": metrics,
            "versions": {"since": self.versions.since, "until": self.versions.until},
            "inhibitedBy": caused,
            "labels": {**self.rule.labels, "severity": self.rule.severity.value},
            "summary": self.rule.annotations.get("summary", ""),
            "description": self.rule.annotations.get("description", ""),
            "runbook": self.alert.runbook,
        }


@dataclass(frozen=True, slots=True)
class Packed:
    """The whole pack for one monitoring."""

    rules: tuple[PackedRule, ...]
    left_out: tuple[LeftOut, ...]

    def of(self, name: str) -> tuple[PackedRule, ...]:
        """The rules of one alert."""
        return tuple(each for each in self.rules if each.rule.alert == name)

    def only(self, name: str) -> "Packed":
        """The same for one alert; for all where no name is given."""
        if not name:
            return self
        return Packed(self.of(name), tuple(each for each in self.left_out if each.alert == name))

    def document(self) -> JsonObject:
        """For programs."""
        items: list[Json] = [each.document() for each in self.rules]
        left_out: list[Json] = [
            {"name": each.alert, "reason": each.reason.value, "message": each.sentence} for each in self.left_out
        ]
        return {"items": items, "leftOut": left_out}


def packed(monitoring: Monitoring, pack: Pack | None = None) -> Packed:
    """The rules of the pack for this monitoring."""
    shipped = pack or shipped_pack()
    found = render(shipped, monitoring)
    alerts = {each.name: each for each in shipped.alerts}
    known = catalogue()
    rules = tuple(
        _rule(alerts[rule.alert], rule, known)
        for group in found.groups
        for rule in group.rules
        if isinstance(rule, Alerting)
    )
    return Packed(rules, found.left_out)


def _rule(alert: PackAlert, rule: Alerting, known: MetricCatalogue) -> PackedRule:
    metrics = tuple(sorted(read(rule.expr).metrics))
    page = next((tier.by for tier in alert.tiers if tier.severity is rule.severity), None)
    found = span(metrics, page, known)
    since, until = (known.told(each) if each is not None else "" for each in (found.since, found.until))
    return PackedRule(alert, rule, metrics, Versions(since, until))


def pack_table(found: Packed) -> RenderableType:
    """A line for each rule."""
    rows: list[tuple[str | Text, ...]] = [
        (
            each.rule.alert,
            styled(each.rule.severity.value),
            each.rule.labels.get("component", ""),
            spelled(each.rule.lasting),
            _threshold(each),
            str(each.versions),
            each.alert.title,
        )
        for each in found.rules
    ]
    return grid(("ALERT", "SEVERITY", "COMPONENT", "FOR", "THRESHOLD", "LINKERD", "MEANS"), rows)


def rule_report(rules: Sequence[PackedRule]) -> RenderableType:
    """One alert of the pack, with each of its rules."""
    alert = rules[0].alert
    parts: list[RenderableType] = [plain(alert.name, "bold").append(f"   {alert.title}"), plain(alert.description)]
    causes = ", ".join(dict.fromkeys(each.alert for each in alert.causes))
    parts += [plain(f"Not told while {causes} fires, which explains it.", "dim")] if causes else []
    for each in rules:
        component = each.rule.labels.get("component", "")
        head = styled(each.rule.severity.value).append(f"  {component}" if component else "")
        lines = [
            ("for", spelled(each.rule.lasting)),
            ("threshold", _threshold(each)),
            ("metrics", ", ".join(each.metrics)),
            ("Linkerd", str(each.versions)),
        ]
        parts += [Text(""), head, grid(("", ""), [(name, value) for name, value in lines if value])]
        parts.append(plain(each.rule.expr, "dim"))
    return Group(*parts)


def left_out_lines(found: Packed) -> list[str]:
    """Why some are not there."""
    return [f"{WARNING} {each.sentence}" for each in found.left_out]


def _threshold(rule: PackedRule) -> str:
    if rule.threshold is None:
        return ""
    return f"{rule.threshold:.12g} {rule.alert.unit}".strip()

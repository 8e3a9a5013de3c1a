"""The pack for people: each rule with its threshold and since when its metrics are there. Pure."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from steward.alerting.listing import ListedRule, PackListing
from steward.alerting.pack import PackAlert
from steward.cli.alerts.current import styled
from steward.cli.marks import WARNING
from steward.cli.output import grid, plain


def pack_table(listing: PackListing) -> RenderableType:
    """A line for each rule."""
    rows: list[tuple[str | Text, ...]] = [
        (
            plain(each.name, "dim" if each.left_out else ""),
            styled(each.severity.value),
            each.component,
            each.lasting,
            threshold(each),
            each.versions,
            f"left out: {each.message}" if each.left_out else each.title,
        )
        for each in listing.rules
    ]
    return grid(("ALERT", "SEVERITY", "COMPONENT", "FOR", "THRESHOLD", "LINKERD", "MEANS"), rows)


def alert_report(alert: PackAlert, rules: Sequence[ListedRule]) -> RenderableType:
    """One alert of the pack, with each of its rules."""
    parts: list[RenderableType] = [plain(alert.name, "bold").append(f"   {alert.title}"), plain(alert.description)]
    causes = ", ".join(dict.fromkeys(each.alert for each in alert.causes))
    parts += [plain(f"Not told while {causes} fires, which explains it.", "dim")] if causes else []
    for each in rules:
        parts += [Text(""), styled(each.severity.value).append(f"  {each.component}" if each.component else "")]
        parts += _rule(each)
    return Group(*parts)


def _rule(rule: ListedRule) -> list[RenderableType]:
    if rule.left_out:
        return [plain(f"{WARNING} {rule.message}", "yellow")]
    lines = [
        ("for", rule.lasting),
        ("threshold", threshold(rule)),
        ("metrics", ", ".join(rule.metrics)),
        ("Linkerd", rule.versions),
    ]
    return [grid(("", ""), [(name, value) for name, value in lines if value]), plain(rule.expression, "dim")]


def threshold(rule: ListedRule) -> str:
    """Above or below which it fires, in its unit."""
    return "" if rule.threshold is None else f"{rule.threshold:.12g} {rule.unit}".strip()

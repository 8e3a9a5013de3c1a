"""The pack as a list for people and programs: what `linkerd-steward alerts pack` prints, with or without a cluster."""

from collections.abc import Iterator

from pydantic import Field

from steward.alerting.families import Exposure, MetricCatalogue, catalogue
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.pack import PackAlert, Tier, asked_of, shipped_pack
from steward.alerting.rendering import LeftOut, Rendered, changed_tiers, render, written_out
from steward.alerting.rules import Alerting, Severity, seconds
from steward.events.base import Part
from steward.resources.alert_policy import ControlPlane

ANYWHERE = Monitoring(ScrapeProfile(ScrapeKind.STEWARD))
"""As Steward's own scrape configuration has it, for a version that is not known."""


class Alternative(Part):
    """What is asked instead of a version that lacks the rule's metrics."""

    expression: str
    metrics: tuple[str, ...]
    versions: str


class ListedRule(Part):
    """One rule: an alert has one for each severity and component."""

    name: str
    number: int | None = Field(default=None, description="In the policy for the control plane; added ones have none.")
    title: str
    severity: Severity
    component: str = ""
    expression: str = Field(description="PromQL; empty where it is left out.")
    lasting: str = Field(alias="for", description="How long it must be so, such as 300s.")
    threshold: float | None = None
    unit: str = ""
    metrics: tuple[str, ...] = Field(description="Names of the series that it asks for.")
    versions: str = Field(description="Which versions of Linkerd have these metrics.")
    alternatives: tuple[Alternative, ...] = Field(default=(), description="For versions that lack these metrics.")
    runbook: str
    inhibited_by: tuple[str, ...] = Field(default=(), description="Alerts that keep this one quiet while they fire.")
    muted_by_upgrade: bool = False
    left_out: str = Field(default="", description="Why it is not among the rules: a reason in CamelCase.")
    message: str = Field(default="", description="The same as a sentence.")


class PackListing(Part):
    """The whole pack."""

    linkerd: str = Field(default="", description="The version that it is for; empty: any.")
    rules: tuple[ListedRule, ...]
    refused: tuple[str, ...] = Field(default=(), description="Changes that a policy asks for and that mean nothing.")


def pack_listing(monitoring: Monitoring | None = None, changes: ControlPlane | None = None) -> PackListing:
    """Every rule of the pack, as it is rendered for `monitoring` and a policy, or left out with the reason."""
    found, asked = monitoring or ANYWHERE, changes or ControlPlane()
    rendered = render(shipped_pack(), found, asked)
    wanted = {change.alert: change for change in asked.changes}
    rules = (
        listed
        for alert in shipped_pack().alerts
        for listed in _listed(alert, changed_tiers(alert, wanted.get(alert.name))[0], rendered, found)
    )
    return PackListing(
        linkerd=str(found.linkerd or ""),
        rules=tuple(rules),
        refused=tuple(each.sentence for each in rendered.refused),
    )


def _listed(
    alert: PackAlert, tiers: tuple[Tier, ...], rendered: Rendered, monitoring: Monitoring
) -> Iterator[ListedRule]:
    for tier in tiers:
        for rule in _rules(alert, tier, rendered):
            yield _in_force(alert, tier, rule, monitoring)
        for each in rendered.left_out:
            if each.alert == alert.name and each.severity in (None, tier.severity):
                yield _absent(alert, tier, each)


def _rules(alert: PackAlert, tier: Tier, rendered: Rendered) -> Iterator[Alerting]:
    for group in rendered.groups:
        for rule in group.rules:
            if isinstance(rule, Alerting) and (rule.alert, rule.severity) == (alert.name, tier.severity):
                yield rule


def _in_force(alert: PackAlert, tier: Tier, rule: Alerting, monitoring: Monitoring) -> ListedRule:
    component = rule.labels.get("component", "")
    queries = [written_out(expr, tier, monitoring, component) for expr in tier.expr]
    # Of a version that is known, one expression holds; the others are those of other versions.
    others = () if monitoring.linkerd else tuple(_alternative(each, tier) for each in queries if each != rule.expr)
    return _base(alert, tier, asked_of(rule.expr)).model_copy(
        update={"component": component, "expression": rule.expr, "alternatives": others}
    )


def _absent(alert: PackAlert, tier: Tier, left_out: LeftOut) -> ListedRule:
    return _base(alert, tier, asked_of(tier.expr[0])).model_copy(
        update={"left_out": left_out.reason.value, "message": left_out.sentence}
    )


def _base(alert: PackAlert, tier: Tier, metrics: frozenset[str]) -> ListedRule:
    return ListedRule(
        name=alert.name,
        number=alert.number,
        title=alert.title,
        severity=tier.severity,
        component=alert.component,
        expression="",
        lasting=seconds(tier.lasting),
        threshold=tier.threshold,
        unit=alert.unit,
        metrics=tuple(sorted(metrics)),
        versions=versions(metrics, tier, catalogue()),
        runbook=alert.runbook,
        inhibited_by=tuple(dict.fromkeys(cause.alert for cause in alert.inhibited_by)),
        muted_by_upgrade=alert.muted_by_upgrade,
    )


def _alternative(expr: str, tier: Tier) -> Alternative:
    metrics = asked_of(expr)
    return Alternative(expression=expr, metrics=tuple(sorted(metrics)), versions=versions(metrics, tier, catalogue()))


def versions(metrics: frozenset[str], tier: Tier, known: MetricCatalogue) -> str:
    """Which versions have all of `metrics`, in words: `all`, `since edge-25.2.1 (Linkerd 2.18)`."""
    exposures = [each for name in metrics for each in _earliest(name, tier, known)]
    begins = max((each.since for each in exposures if each.since is not None), default=None)
    ends = min((each.until for each in exposures if each.until is not None), default=None)
    said = [f"since {known.told(begins)}"] if begins is not None else []
    if ends is not None:
        said.append(f"before {known.told(ends)}")
    return ", ".join(said) or "all"


def _earliest(name: str, tier: Tier, known: MetricCatalogue) -> list[Exposure]:
    """Of several pages that have a metric, the first that had it decides, or the one that the tier asks."""
    family = known.family(name)
    if family is None:
        return []
    mine = [each for each in family.exposures if each.by is tier.by] or list(family.exposures)
    always = [each for each in mine if each.since is None]
    return always[:1] or sorted(mine, key=lambda each: str(each.since))[:1]

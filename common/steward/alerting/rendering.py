"""The pack for the monitoring that was found: rules for Prometheus, and why some alerts are not among them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.alerting.families import MetricCatalogue, Missing, catalogue
from steward.alerting.monitoring import Monitoring
from steward.alerting.pack import PLACEHOLDER, STEWARD_LABEL, STEWARD_VALUE, About, Pack, PackAlert, Tier, asked_of
from steward.alerting.rules import Alerting, Group, Severity
from steward.resources.alert_policy import ControlPlane, PackChange

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_AS_SHIPPED = ControlPlane()


class LeftOutReason(StrEnum):
    """Why an alert, or one tier of it, is not rendered, or not as it was asked for."""

    EXCLUDED = "Excluded"
    METRIC_MISSING = "MetricMissing"
    UNKNOWN_ALERT = "UnknownAlert"
    NO_THRESHOLD = "NoThreshold"
    AMBIGUOUS_CHANGE = "AmbiguousChange"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not among the rules, or not as it was asked for, and why."""

    alert: str
    reason: LeftOutReason
    sentence: str
    severity: Severity | None = None
    """The tier that is meant; None: all of them."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What Prometheus is told of the pack."""

    groups: tuple[Group, ...]
    left_out: tuple[LeftOut, ...] = ()
    """Alerts, or tiers of them, that are not there."""
    refused: tuple[LeftOut, ...] = ()
    """Changes that a policy asks for and that mean nothing; the alert stays as it is shipped."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The expression of a tier that a version can answer, or what it lacks for the preferred one."""

    expr: str | None
    missing: tuple[Missing, ...] = ()


def render(pack: Pack, monitoring: Monitoring, changes: ControlPlane = _AS_SHIPPED, *, runbooks: str = "") -> Rendered:
    """The rules of `pack` for what was found, changed as a policy asks. `runbooks`: address that pages are below."""
    wanted = {change.alert: change for change in changes.changes}
    left_out, refused = list(_excluded(pack, changes)), list(_nowhere(pack, changes))
    groups: list[Group] = []
    for group in pack.groups:
        rules: list[Alerting] = []
        for alert in group.alerts:
            if alert.name in changes.exclude:
                continue
            tiers, why = changed_tiers(alert, wanted.get(alert.name))
            refused += why
            for tier in tiers:
                chosen = choose(tier, monitoring)
                if chosen.expr is None:
                    left_out.append(_lacking(alert, tier, chosen.missing))
                else:
                    rules += _rules(alert, tier, chosen.expr, monitoring, runbooks)
        if rules:
            groups.append(Group(group.group, tuple(rules)))
    return Rendered(tuple(groups), tuple(left_out), tuple(refused))


def choose(tier: Tier, monitoring: Monitoring, known: MetricCatalogue | None = None) -> Chosen:
    """The first expression of `tier` whose metrics the version has."""
    metrics = known or catalogue()
    lacking: tuple[Missing, ...] = ()
    for expr in tier.expr:
        missing = _missing(asked_of(expr), tier, monitoring, metrics)
        if not missing:
            return Chosen(expr)
        lacking = lacking or missing
    return Chosen(None, lacking)


def _missing(names: Iterable[str], tier: Tier, monitoring: Monitoring, known: MetricCatalogue) -> tuple[Missing, ...]:
    """A tier that asks one page asks it for what several pages have; the rest may be anywhere."""
    found: list[Missing] = []
    for name in sorted(names):
        family = known.family(name)
        there = family is not None and tier.by in {each.by for each in family.exposures}
        found += known.missing([name], monitoring.linkerd, tier.by if there else None)
    return tuple(found)


def _excluded(pack: Pack, changes: ControlPlane) -> Iterator[LeftOut]:
    for name in changes.exclude:
        if pack.find(name) is not None:
            yield LeftOut(name, LeftOutReason.EXCLUDED, f"{name} is excluded by the policy.")


def _nowhere(pack: Pack, changes: ControlPlane) -> Iterator[LeftOut]:
    for name in (*changes.exclude, *(change.alert for change in changes.changes)):
        if pack.find(name) is None:
            told = (
                f"The pack has no alert that is called {name}: `linkerd-steward alerts pack` lists those that it has."
            )
            yield LeftOut(name, LeftOutReason.UNKNOWN_ALERT, told)


def _lacking(alert: PackAlert, tier: Tier, missing: tuple[Missing, ...]) -> LeftOut:
    told = f"{alert.name} ({tier.severity.value}) is left out: " + " ".join(each.sentence for each in missing)
    return LeftOut(alert.name, LeftOutReason.METRIC_MISSING, told, tier.severity)


def changed_tiers(alert: PackAlert, change: PackChange | None) -> tuple[tuple[Tier, ...], list[LeftOut]]:
    """The tiers as a policy wants them, and what of the change means nothing.

    The severity of a change names the tier, where the alert has several; one that no tier has makes one tier of it.
    """
    if change is None:
        return alert.tiers, []
    named = [tier for tier in alert.tiers if tier.severity is change.severity]
    if len(alert.tiers) > 1 and not named and change.severity is None and change.threshold is not None:
        severities = " or ".join(tier.severity.value for tier in alert.tiers)
        told = f"{alert.name} has several thresholds: say with severity {severities} which one is meant."
        return alert.tiers, [LeftOut(alert.name, LeftOutReason.AMBIGUOUS_CHANGE, told)]
    kept = alert.tiers if named or change.severity is None else alert.tiers[:1]
    meant = named or kept
    if change.threshold is not None and any(tier.threshold is None for tier in meant):
        told = f"{alert.name} has no threshold that could be another."
        return alert.tiers, [LeftOut(alert.name, LeftOutReason.NO_THRESHOLD, told)]
    return tuple(_as_asked(tier, change) if tier in meant else tier for tier in kept), []


def _as_asked(tier: Tier, change: PackChange) -> Tier:
    said: dict[str, Severity | timedelta | float] = {}
    if change.severity is not None:
        said["severity"] = change.severity
    if change.for_seconds is not None:
        said["lasting"] = timedelta(seconds=change.for_seconds)
    if change.threshold is not None:
        said["threshold"] = change.threshold
    return tier.model_copy(update=said)


def _rules(alert: PackAlert, tier: Tier, expr: str, monitoring: Monitoring, runbooks: str) -> Iterator[Alerting]:
    for component in alert.components or (alert.component,):
        labels = {STEWARD_LABEL: STEWARD_VALUE}
        if component:
            labels["component"] = component
        if alert.namespace is About.LINKERD:
            labels["namespace"] = monitoring.linkerd_namespace
        annotations = {
            "summary": alert.summary.replace("$component", component),
            "description": alert.description.replace("$component", component),
            "runbook": alert.runbook,
        }
        if runbooks:
            annotations["runbook_url"] = f"{runbooks.rstrip('/')}/{alert.runbook.lower()}"
        yield Alerting(
            alert=alert.name,
            expr=written_out(expr, tier, monitoring, component),
            severity=tier.severity,
            lasting=tier.lasting,
            labels=labels,
            annotations=annotations,
        )


def written_out(expr: str, tier: Tier, monitoring: Monitoring, component: str = "") -> str:
    """A template of `tier` as a query. Raise ValueError where the monitoring names a namespace that is none."""
    if _NAMESPACE.fullmatch(monitoring.linkerd_namespace) is None:
        raise ValueError(f"{monitoring.linkerd_namespace!r} is no name of a namespace")
    scrape = monitoring.scrape
    places = {
        "proxies": str(scrape.proxies),
        "controllers": str(scrape.controllers),
        "multicluster": str(scrape.multicluster),
        "api_server": str(scrape.api_server),
        "exporter": str(scrape.exporter),
        "own_namespace": scrape.own_namespace,
        "linkerd": monitoring.linkerd_namespace,
        "threshold": "" if tier.threshold is None else _number(tier.threshold),
        "component": component,
    }
    return PLACEHOLDER.sub(lambda match: places[match[1]], expr)


def _number(value: float) -> str:
    return str(round(value)) if value == round(value) else repr(value)

"""Policies, and what is annotated, as units of rules with what became of each part."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from services.alerting.core.units import ANNOTATED, Refusal, RuleUnit, WatchedAlert
from steward.alerting.blindness import blind, metrics_of
from steward.alerting.families import catalogue
from steward.alerting.monitoring import Monitoring
from steward.alerting.objectives.facts import MeshFacts
from steward.alerting.objectives.rendering import RenderedPolicy, rendered_annotations, rendered_policy
from steward.alerting.pack import shipped_pack
from steward.alerting.rendering import Rendered, render
from steward.alerting.rules import Group, rule_document
from steward.resources.alert_policy import AlertPolicy, TargetStatus
from steward.yamlvalue import render_yaml

OWN_RULES = "/rules"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rules are rendered for."""

    facts: MeshFacts
    monitoring: Monitoring
    home: str
    """Steward's own namespace: the policy for the control plane is there, and nowhere else."""
    runbooks: str = ""
    """Address that the pages of alerts are below."""


def rule_units(policies: Iterable[AlertPolicy], around: Surroundings) -> tuple[RuleUnit, ...]:
    """A unit for each policy, and one for the annotations of each namespace."""
    units = [policy_unit(policy, around) for policy in policies]
    annotated = rendered_annotations(around.facts, around.monitoring)
    return (*units, *(_annotated_unit(namespace, found) for namespace, found in annotated))


def policy_unit(policy: AlertPolicy, around: Surroundings) -> RuleUnit:
    """The rules of one policy."""
    namespace, name = policy.metadata.namespace, policy.metadata.name
    found = rendered_policy(policy, around.facts, around.monitoring)
    own = tuple(group for group in found.groups if group.name.endswith(OWN_RULES))
    pack = Rendered(())
    if policy.spec.control_plane is not None:
        if namespace != around.home:
            message = (
                f"controlPlane belongs into a policy in the namespace {around.home!r}: in two namespaces it would tell "
                "everything twice"
            )
            return RuleUnit(namespace, name, None, policy=policy, refusal=Refusal("NotHere", message))
        pack = render(shipped_pack(), around.monitoring, policy.spec.control_plane, runbooks=around.runbooks)
    groups = (*pack.groups, *found.groups)
    targets = (*_of_pack(pack), *found.targets)
    if not groups:
        reason = next((each for each in targets if each.reason != "Rendered"), None)
        refusal = Refusal(reason.reason, f"{reason.target}: {reason.message}") if reason else None
        return RuleUnit(namespace, name, None, targets=targets, policy=policy, refusal=refusal)
    return RuleUnit(
        namespace,
        name,
        render_yaml(rule_document(groups)),
        rules=sum(len(group.rules) for group in groups),
        targets=targets,
        alerts=_watched(found),
        groups=(*pack.groups, *own),
        policy=policy,
    )


def _annotated_unit(namespace: str, found: RenderedPolicy) -> RuleUnit:
    refused = next((each for each in found.targets if each.reason != "Rendered"), None)
    return RuleUnit(
        namespace,
        ANNOTATED,
        render_yaml(rule_document(found.groups)) if found.groups else None,
        rules=found.rules,
        targets=found.targets,
        alerts=_watched(found),
        refusal=Refusal(refused.reason, f"{refused.target}: {refused.message}")
        if refused and not found.groups
        else None,
    )


def needed_metrics(units: Iterable[RuleUnit]) -> frozenset[str]:
    """Everything whose presence tells whether alerts can fire: what they need, and what shows that it may be absent."""
    known = catalogue()
    needed: set[str] = set()
    for unit in units:
        needed |= metrics_of(unit.groups)
        for alert in unit.alerts:
            needed |= alert.metrics
    for name in tuple(needed):
        family = known.family(name)
        witness = known.family(family.witness) if family is not None else None
        needed |= set(witness.series) if witness is not None else set()
    return frozenset(needed)


def blind_alerts(unit: RuleUnit, present: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Alerts of a unit that cannot fire, and the metrics that they lack."""
    found = {each.alert: each.metrics for each in blind(unit.groups, present) if each.certain}
    names = frozenset(present)
    for alert in unit.alerts:
        if not alert.metrics <= names:
            found[alert.name] = tuple(sorted(alert.metrics - names))
    return found


def doubtful_alerts(unit: RuleUnit, present: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Alerts of a unit of which nobody can tell, and the metrics that they may rightly lack."""
    return {each.alert: each.metrics for each in blind(unit.groups, present) if not each.certain}


def _watched(found: RenderedPolicy) -> tuple[WatchedAlert, ...]:
    return tuple(WatchedAlert(name, metrics) for name, metrics in found.watched)


def _of_pack(pack: Rendered) -> tuple[TargetStatus, ...]:
    """What is missing because a version has not got it is told, and is no fault of the policy."""
    left_out = (
        TargetStatus(target=f"Alert/{each.alert}", reason="Rendered", message=each.sentence) for each in pack.left_out
    )
    refused = (
        TargetStatus(target=f"Alert/{each.alert}", reason=each.reason.value, message=each.sentence)
        for each in pack.refused
    )
    return (*left_out, *refused)


def own_expressions(groups: Iterable[Group]) -> tuple[str, ...]:
    """Queries that somebody else wrote."""
    return tuple(rule.expr for group in groups if group.name.endswith(OWN_RULES) for rule in group.rules)

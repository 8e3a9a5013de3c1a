"""Policies, and what is annotated, as units of rules with what became of each part."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from services.alerting.core.units import ANNOTATED, Refusal, RuleUnit, WatchedAlert
from services.alerting.core.writing import Unwritten, Writing, as_file
from steward.alerting.blindness import blind, metrics_of
from steward.alerting.families import catalogue
from steward.alerting.objectives.rendering import RenderedPolicy, rendered_annotations
from steward.alerting.policy_rules import Whereabouts, policy_rules
from steward.alerting.rules import Group
from steward.resources.alert_policy import AlertPolicy

OWN_RULES = "/rules"


@dataclass(frozen=True, slots=True)
class RuleUnits:
    """All units, and what they were made for: while that is the same, only policies that changed are rendered anew."""

    around: Whereabouts | None = None
    of_policies: tuple[RuleUnit, ...] = ()
    annotated: tuple[RuleUnit, ...] = ()

    @property
    def all(self) -> tuple[RuleUnit, ...]:
        """A unit for each policy, and one for the annotations of each namespace."""
        return (*self.of_policies, *self.annotated)


def rule_units(
    policies: Iterable[AlertPolicy], around: Whereabouts, write: Writing = as_file, before: RuleUnits | None = None
) -> RuleUnits:
    """The units, those of `before` where nothing is otherwise now. `write` is the same each time."""
    if before is None or before.around != around:
        annotated = rendered_annotations(around.facts, around.monitoring)
        before = RuleUnits(
            around, (), tuple(_annotated_unit(namespace, found, write) for namespace, found in annotated)
        )
    known = {(each.namespace, each.name): each for each in before.of_policies}
    units = (_policy_unit(policy, around, write, known) for policy in policies)
    return replace(before, of_policies=tuple(units))


def _policy_unit(
    policy: AlertPolicy, around: Whereabouts, write: Writing, known: Mapping[tuple[str, str], RuleUnit]
) -> RuleUnit:
    unit = known.get((policy.metadata.namespace, policy.metadata.name))
    if unit is None or unit.policy is None:
        return policy_unit(policy, around, write)
    if unit.policy.metadata.uid != policy.metadata.uid or unit.policy.spec != policy.spec:
        return policy_unit(policy, around, write)
    # Its status may be another.
    return replace(unit, policy=policy)


def policy_unit(policy: AlertPolicy, around: Whereabouts, write: Writing = as_file) -> RuleUnit:
    """The rules of one policy, written for the way that they are carried."""
    namespace, name = policy.metadata.namespace, policy.metadata.name
    found = policy_rules(policy, around)
    if found.misplaced:
        return RuleUnit(namespace, name, None, policy=policy, refusal=Refusal("NotHere", found.misplaced))
    if not found.groups:
        reason = next(iter(found.refused), None)
        refusal = Refusal(reason.reason, f"{reason.target}: {reason.message}") if reason else None
        return RuleUnit(namespace, name, None, targets=found.targets, policy=policy, refusal=refusal)
    return RuleUnit(
        namespace,
        name,
        write(Unwritten(namespace, name, found.groups, policy)),
        rules=sum(len(group.rules) for group in found.groups),
        targets=found.targets,
        alerts=_watched(found.found),
        groups=(*found.pack, *found.own),
        policy=policy,
    )


def _annotated_unit(namespace: str, found: RenderedPolicy, write: Writing) -> RuleUnit:
    refused = next((each for each in found.targets if each.reason != "Rendered"), None)
    return RuleUnit(
        namespace,
        ANNOTATED,
        write(Unwritten(namespace, ANNOTATED, found.groups)) if found.groups else None,
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


def own_expressions(groups: Iterable[Group]) -> tuple[str, ...]:
    """Queries that somebody else wrote."""
    return tuple(rule.expr for group in groups if group.name.endswith(OWN_RULES) for rule in group.rules)

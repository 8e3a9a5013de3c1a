"""Objectives of targets, one by one, gathered into as few AlertPolicies as can be."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from typing import TypeVar

from steward.alerting.openslo.indicators import Measure
from steward.alerting.rules import Severity
from steward.resources.alert_policy import AlertPolicy, AlertPolicySpec, Objective, TargetRef
from steward.resources.base import ObjectMeta

_MOST_TARGETS, _MOST_OBJECTIVES = 64, 16
_ANY_TARGET, _ANY_OBJECTIVE = TargetRef(name="any"), Objective(name="any")
_Member = TypeVar("_Member")


@dataclass(frozen=True, slots=True)
class Asked:
    """One objective of one target."""

    policy: str
    measure: Measure
    objective: Objective
    severity: Severity | None = None
    """None: nothing says it, and another objective of the policy may."""
    team: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


def policies_of(asked: Iterable[Asked]) -> tuple[AlertPolicy, ...]:
    """The policies. What is not the same for all targets of a name becomes another policy, `name-2` and so on."""
    gathered: dict[tuple[str, str], list[Asked]] = {}
    for each in asked:
        gathered.setdefault((each.measure.namespace, each.policy), []).append(each)
    return tuple(
        AlertPolicy(
            metadata=ObjectMeta(namespace=namespace, name=name if number == 1 else f"{name}-{number}"), spec=spec
        )
        for (namespace, name), members in gathered.items()
        for number, spec in enumerate(_specs(members), 1)
    )


def _specs(members: Sequence[Asked]) -> Iterator[AlertPolicySpec]:
    severity = next((each.severity for each in members if each.severity is not None), Severity.CRITICAL)
    team = next((each.team for each in members if each.team is not None), "")
    alike: dict[Asked, dict[TargetRef, list[Objective]]] = {}
    for each in members:
        told = replace(each, severity=each.severity or severity, team=team if each.team is None else each.team)
        found = alike.setdefault(_common(told), {}).setdefault(each.measure.target, [])
        if each.objective not in found:
            found.append(_renamed(each.objective, found))
    for common, targets in alike.items():
        for objectives, those in _by_objectives(targets):
            for some, few in product(_chunks(objectives, _MOST_OBJECTIVES), list(_chunks(those, _MOST_TARGETS))):
                yield _spec(common, few, some)


def _common(asked: Asked) -> Asked:
    """What all objectives of one policy have in common: everything but target and goal."""
    nothing = replace(asked.measure, target=_ANY_TARGET, milliseconds=None)
    return replace(asked, measure=nothing, objective=_ANY_OBJECTIVE)


def _renamed(objective: Objective, others: Sequence[Objective]) -> Objective:
    """Two SLOs may call their objectives alike."""
    taken = {other.name for other in others}
    names = (objective.name if number == 1 else f"{objective.name[:36]}-{number}" for number in count(1))
    return objective.model_copy(update={"name": next(name for name in names if name not in taken)})


def _by_objectives(
    targets: Mapping[TargetRef, Sequence[Objective]],
) -> Iterator[tuple[tuple[Objective, ...], tuple[TargetRef, ...]]]:
    same: dict[tuple[Objective, ...], list[TargetRef]] = {}
    for target, objectives in targets.items():
        same.setdefault(tuple(objectives), []).append(target)
    return ((objectives, tuple(those)) for objectives, those in same.items())


def _spec(common: Asked, targets: tuple[TargetRef, ...], objectives: tuple[Objective, ...]) -> AlertPolicySpec:
    return AlertPolicySpec(
        targets=targets,
        objectives=objectives,
        granularity=common.measure.granularity,
        side=common.measure.side,
        minimum_requests_per_second=common.measure.minimum_rps,
        severity=common.severity or Severity.CRITICAL,
        team=common.team or "",
        labels=dict(common.labels),
    )


def _chunks(members: tuple[_Member, ...], most: int) -> Iterator[tuple[_Member, ...]]:
    return (members[start : start + most] for start in range(0, len(members), most))

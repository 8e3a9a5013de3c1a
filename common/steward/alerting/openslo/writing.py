"""An AlertPolicy as documents of OpenSLO.

Each objective of each target is an SLO with an SLI of its own, and each row of the burn-rate table an AlertPolicy with
one AlertCondition, as OpenSLO wants it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.objectives.burn import Budget, Limit, written
from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.slo_rules import severity_of_slow_burn
from steward.alerting.objectives.wanted import Goal, Latency, goal_of
from steward.alerting.openslo.conditions import rows_of
from steward.alerting.openslo.documents import (
    ALERTMANAGER,
    NOBODY,
    POLICY,
    SOURCE,
    Kind,
    Lost,
    document,
    named,
    shorthand,
)
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_policy import AlertPolicy, Objective, TargetRef

_LABEL_KEY = re.compile(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_LABEL_VALUE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents, and what has no place in them."""

    documents: tuple[JsonObject, ...]
    lost: tuple[Lost, ...]


def openslo_of(policy: AlertPolicy) -> Documents:
    """The objectives of a policy. Each document comes after those that it refers to."""
    writer = _Writer(policy)
    documents = {(str(each["kind"]), _name(each)): each for each in writer.documents()}
    return Documents(tuple(documents.values()), tuple(dict.fromkeys(writer.lost())))


class _Writer:
    def __init__(self, policy: AlertPolicy) -> None:
        self._name = policy.metadata.name
        self._namespace = policy.metadata.namespace
        self._spec = policy.spec
        self._where = f"AlertPolicy/{self._namespace}/{self._name}"
        self._targets = tuple(dict.fromkeys(policy.spec.targets))
        self._objectives = tuple({each.name: each for each in policy.spec.objectives}.values())
        self._labels: JsonObject = {
            key: value
            for key, value in policy.spec.labels.items()
            if _LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)
        }

    def documents(self) -> Iterator[JsonObject]:
        goals = [(objective, goal_of(objective)) for objective in self._objectives]
        carried = [
            (objective, goal, window)
            for objective, goal in goals
            if not isinstance(goal, Refused) and (window := shorthand(timedelta(seconds=objective.window_seconds)))
        ]
        if self._targets and any(_rows(objective, goal) for objective, goal, _ in carried):
            yield self._team()
        for objective, goal, window in carried:
            for target in self._targets:
                service = named(self._namespace, target.kind.value, target.name)
                yield document(Kind.SERVICE, service, {}, displayName=target.name[:63])
                indicator = named(self._namespace, self._name, target.kind.value, target.name, objective.name)
                yield document(Kind.SLI, indicator, {"ratioMetric": self._ratio(target, goal)})
                rows = _rows(objective, goal)
                for row in rows:
                    yield from self._alert(row)
                yield self._slo(objective, goal, window, service, indicator, rows)

    def _slo(
        self, objective: Objective, goal: Goal, window: str, service: str, indicator: str, rows: tuple[Limit, ...]
    ) -> JsonObject:
        aim: JsonObject = {"displayName": objective.name, "targetPercent": goal.percent}
        alerts: list[Json] = [{"alertPolicyRef": self._alert_name(row)} for row in rows]
        rolling: JsonObject = {"duration": window, "isRolling": True}
        spec: JsonObject = {
            "service": service,
            "indicatorRef": indicator,
            "timeWindow": [rolling],
            "budgetingMethod": "Occurrences",
            "objectives": [aim],
            **({"alertPolicies": alerts} if alerts else {}),
        }
        return document(Kind.SLO, indicator, spec, labels=self._labels, annotations={POLICY: self._name})

    def _ratio(self, target: TargetRef, goal: Goal) -> JsonObject:
        looked_at: JsonObject = {
            "kind": target.kind.value,
            "name": target.name,
            "namespace": self._namespace,
            "side": self._spec.side.value,
            "granularity": self._spec.granularity.value,
            "minimumRequestsPerSecond": self._spec.minimum_requests_per_second,
        }
        good: JsonObject = {"withinMilliseconds": goal.milliseconds} if isinstance(goal, Latency) else {"success": True}
        return {
            "counter": True,
            "good": {"metricSource": {"type": SOURCE, "spec": {**looked_at, **good}}},
            "total": {"metricSource": {"type": SOURCE, "spec": looked_at}},
        }

    def _alert(self, limit: Limit) -> Iterator[JsonObject]:
        name, row = self._alert_name(limit), limit.row
        severity = self._spec.severity if row.urgent else severity_of_slow_burn(self._spec.severity)
        condition: JsonObject = {
            "kind": "burnrate",
            "op": "gt",
            "threshold": float(limit.factor),
            "lookbackWindow": shorthand(row.long),
            # The nearest that OpenSLO has to a second, shorter window.
            "alertAfter": shorthand(row.short),
        }
        yield document(Kind.ALERT_CONDITION, name, {"severity": severity.value, "condition": condition})
        spec: JsonObject = {
            "alertWhenBreaching": True,
            "alertWhenResolved": False,
            "alertWhenNoData": False,
            "conditions": [{"conditionRef": name}],
            "notificationTargets": [{"targetRef": self._team_name()}],
        }
        yield document(Kind.ALERT_POLICY, name, spec)

    def _alert_name(self, limit: Limit) -> str:
        return named(self._namespace, self._name, written(limit.row.long), f"{float(limit.factor):g}")

    def _team(self) -> JsonObject:
        team = self._spec.team
        return document(Kind.NOTIFICATION_TARGET, self._team_name(), {"target": ALERTMANAGER}, displayName=team)

    def _team_name(self) -> str:
        return named(self._spec.team) if self._spec.team else NOBODY

    def lost(self) -> Iterator[Lost]:
        spec = self._spec
        if spec.control_plane is not None:
            yield Lost(self._where, "spec.controlPlane", "OpenSLO knows objectives, and no alerts besides")
        for rule in spec.rules:
            yield Lost(self._where, f"spec.rules.{rule.name}", "OpenSLO knows objectives, and no rules besides")
        for key in spec.labels:
            if key not in self._labels:
                yield Lost(self._where, f"spec.labels.{key}", "OpenSLO has no label of such a name or value")
        for objective in self._objectives:
            yield from self._lost_of(objective)
        if self._objectives and not self._targets:
            yield Lost(self._where, "spec.objectives", "they have no target")
        written = [each for each in self._objectives if shorthand(timedelta(seconds=each.window_seconds)) is not None]
        goals = ((objective, goal_of(objective)) for objective in written)
        if spec.team and not any(_rows(each, goal) for each, goal in goals if not isinstance(goal, Refused)):
            yield Lost(self._where, "spec.team", "no objective has an alert that would carry it")

    def _lost_of(self, objective: Objective) -> Iterator[Lost]:
        what = f"spec.objectives.{objective.name}"
        goal = goal_of(objective)
        if isinstance(goal, Refused):
            yield Lost(self._where, what, goal.message)
            return
        span = timedelta(seconds=objective.window_seconds)
        if shorthand(span) is None:
            yield Lost(self._where, what, f"OpenSLO has no {objective.window_seconds} s: whole minutes only")
        if self._targets and not any(limit.row.urgent for limit in _rows(objective, goal)):
            yield Lost(self._where, f"{what}: spec.severity", "no row of its budget is urgent, and only those carry it")


def _rows(objective: Objective, goal: Goal) -> tuple[Limit, ...]:
    return rows_of(Budget(goal.percent, timedelta(seconds=objective.window_seconds)))


def _name(each: JsonObject) -> str:
    metadata = each["metadata"]
    return str(metadata["name"]) if isinstance(metadata, dict) else ""

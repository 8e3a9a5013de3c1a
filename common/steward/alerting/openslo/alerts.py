"""Who is told by alert policies of OpenSLO, and which of their conditions Steward's own table has not got."""

from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.objectives.burn import Budget, Limit
from steward.alerting.objectives.slo_rules import severity_of_slow_burn
from steward.alerting.openslo.claims import Claims
from steward.alerting.openslo.conditions import Burning, read_severity, same_row
from steward.alerting.openslo.documents import ALERTMANAGER, NOBODY, Kind, read_shorthand
from steward.alerting.openslo.shelf import Shelf
from steward.alerting.rules import Severity

_LONGEST_TEAM = 63


@dataclass(frozen=True, slots=True)
class Alerted:
    """Who is told, as far as the documents say."""

    severity: Severity | None = None
    team: str | None = None


@dataclass(frozen=True, slots=True)
class _Condition:
    limit: Limit
    severity: Severity
    claims: Claims


def alerted_by(slo: Claims, shelf: Shelf, budget: Budget) -> Alerted:
    """What the alert policies of an SLO say, with a budget."""
    conditions: list[_Condition] = []
    teams: dict[str, Claims] = {}
    for part in slo.each("spec", "alertPolicies"):
        policy = shelf.referred(part, "alertPolicyRef", Kind.ALERT_POLICY)
        if policy is None:
            continue
        _when(policy)
        for each in policy.each("spec", "conditions"):
            condition = _condition(shelf.referred(each, "conditionRef", Kind.ALERT_CONDITION), budget)
            conditions += [condition] if condition else []
        for each in policy.each("spec", "notificationTargets"):
            teams |= _team(shelf.referred(each, "targetRef", Kind.NOTIFICATION_TARGET))
    return Alerted(_severity(conditions), _first(teams))


def _when(policy: Claims) -> None:
    wanted = (
        ("alertWhenBreaching", True, "an objective always alerts when it is breached"),
        ("alertWhenResolved", False, "an AlertChannel says whether it tells what is over"),
        ("alertWhenNoData", False, "no traffic is no alert"),
    )
    for member, usual, why in wanted:
        said = policy.take("spec", member)
        if said is not None and said is not usual:
            policy.lose(("spec", member), why)


def _condition(found: Claims | None, budget: Budget) -> _Condition | None:
    if found is None:
        return None
    spec = found.part("spec")
    word = spec.text("severity")
    severity = read_severity(word)
    if severity is None:
        spec.lose(("severity",), f"{word!r} is none of {', '.join(Severity)}, page, ticket")
    rate, window = spec.number("condition", "threshold"), read_shorthand(spec.text("condition", "lookbackWindow"))
    after = read_shorthand(spec.text("condition", "alertAfter"))
    over = spec.text("condition", "op") in ("gt", "gte") and spec.text("condition", "kind") in ("", "burnrate")
    limit = same_row(Burning(rate, window), budget) if over and rate is not None and window is not None else None
    if limit is None:
        spec.lose(("condition",), "Steward alerts by the table of the SRE workbook, which has no such row")
        return None
    if after not in (None, timedelta(), limit.row.short):
        spec.lose(("condition", "alertAfter"), "Steward has a second window, a twelfth of the first")
    return _Condition(limit, severity, found) if severity else None


def _severity(conditions: list[_Condition]) -> Severity | None:
    urgent = [each for each in conditions if each.limit.row.urgent]
    chosen = urgent[0].severity if urgent else None
    for each in conditions:
        if chosen is None or each.severity is (chosen if each.limit.row.urgent else severity_of_slow_burn(chosen)):
            continue
        each.claims.lose(("spec", "severity"), f"a policy has one severity, and this one has {chosen.value}")
    return chosen


def _team(found: Claims | None) -> dict[str, Claims]:
    if found is None:
        return {}
    if found.text("spec", "target") not in ("", ALERTMANAGER):
        found.lose(("spec", "target"), "an AlertChannel says where alerts go; its routes choose by the team")
    team = found.text("metadata", "displayName") or found.text("metadata", "name")
    if team == NOBODY:
        return {}
    if len(team) > _LONGEST_TEAM:
        found.lose(("metadata",), f"the name of a team is no longer than {_LONGEST_TEAM} characters")
        return {}
    return {team: found}


def _first(teams: dict[str, Claims]) -> str | None:
    chosen = next(iter(teams), None)
    for team, found in teams.items():
        if team != chosen:
            found.lose(("metadata", "name"), f"a policy has one team, and this one is of {chosen!r}")
    return chosen

"""What plans and policies say of themselves in their status."""

from datetime import datetime

from services.upgrader.core.candidate import Candidate, Finding, NoWay, UpToDate
from services.upgrader.core.journal import Said
from services.upgrader.core.plans import flaw, plan_hash
from steward.resources.base import Condition, ConditionStatus, with_condition
from steward.resources.upgrade_plan import UpgradePlan, UpgradePlanStatus
from steward.resources.upgrade_policy import UpgradePolicy, UpgradePolicyStatus

_MOST_REFUSALS = 8


def plan_status(plan: UpgradePlan, now: datetime) -> UpgradePlanStatus:
    """Whether the plan can be used, and the hash by which its runs are known."""
    wrong = flaw(plan.spec)
    condition = Condition(
        type="Valid",
        status=ConditionStatus.FALSE if wrong else ConditionStatus.TRUE,
        reason=wrong.reason if wrong else "Valid",
        message=Said("", wrong.message).clipped if wrong else f"{len(plan.spec.steps)} steps",
        observed_generation=plan.metadata.generation,
        last_transition_time=now,
    )
    old = plan.status or UpgradePlanStatus()
    return UpgradePlanStatus(
        observed_generation=plan.metadata.generation,
        plan_hash=plan_hash(plan.spec),
        conditions=with_condition(old.conditions, condition),
    )


def policy_status(policy: UpgradePolicy, finding: Finding, now: datetime) -> UpgradePolicyStatus:
    """The candidate, and whether a way leads there."""
    value, said = _path(finding)
    condition = Condition(
        type="PathAvailable",
        status=value,
        reason=said.reason,
        message=said.clipped,
        observed_generation=policy.metadata.generation,
        last_transition_time=now,
    )
    old = policy.status or UpgradePolicyStatus()
    return UpgradePolicyStatus(
        observed_generation=policy.metadata.generation,
        candidate=str(finding.version) if isinstance(finding, Candidate) else None,
        conditions=with_condition(old.conditions, condition),
    )


def _path(finding: Finding) -> tuple[ConditionStatus, Said]:
    match finding:
        case Candidate(version, _, chosen):
            message = f"plan {chosen.plan.metadata.name!r} leads to {version}"
            return ConditionStatus.TRUE, Said("PathFound", message)
        case UpToDate(message):
            return ConditionStatus.TRUE, Said("UpToDate", message)
        case NoWay(refusal, refusals):
            others = [f"{version}: {each.message}" for version, each in refusals[1:_MOST_REFUSALS]]
            return ConditionStatus.FALSE, Said(refusal.reason, "; ".join([refusal.message, *others]))

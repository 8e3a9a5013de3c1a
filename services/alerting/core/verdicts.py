"""What became of a policy or a channel, as its status and as an event."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.alerting.core.adoption import Contents
from services.alerting.core.units import ChannelUnit, Refusal, RuleUnit
from steward.alerting.rules import Alerting
from steward.resources.alert_channel import AlertChannelStatus
from steward.resources.alert_policy import AlertPolicyStatus
from steward.resources.base import Condition, ConditionStatus, with_condition

ACCEPTED, IN_FORCE, SIGHTED = "Accepted", "InForce", "Sighted"
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Carried:
    """How carrying one unit ended. `refusal` with `standing`: an earlier version of it is in force."""

    in_force: bool
    refusal: Refusal | None = None
    standing: bool = False
    unknown: bool = False
    """Nobody can tell: the target does not answer, or there is none, or what was made was not seen there yet."""
    remark: str = ""
    """What else is to be said of what is in force."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of the alerts of one unit. `blind`: alert → metrics that this Prometheus does not have."""

    blind: Mapping[str, Iterable[str]]
    doubtful: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """Alert → metrics that are not there, as where what they count never happened, or is not installed."""
    firing: int = 0
    known: bool = True
    problem: str = ""
    """Why it is not known, where that can be told."""


def policy_status(unit: RuleUnit, carried: Carried, sight: Sight, now: datetime) -> AlertPolicyStatus:
    """The status of the policy that `unit` was rendered from."""
    assert unit.policy is not None
    old = unit.policy.status or AlertPolicyStatus()
    generation = unit.policy.metadata.generation
    conditions = old.conditions
    for kind, (status, reason, message) in (
        (ACCEPTED, _accepted(unit)),
        (IN_FORCE, _in_force(carried, generation)),
        (SIGHTED, _sighted(unit, sight)),
    ):
        conditions = with_condition(conditions, _condition(kind, status, reason, message, generation, now))
    return AlertPolicyStatus(
        observed_generation=generation,
        digest=digest(unit.content or ""),
        rules=unit.rules,
        blind=len(sight.blind),
        firing=sight.firing,
        targets=unit.targets[:512],
        conditions=conditions,
    )


def channel_status(unit: ChannelUnit, carried: Carried, now: datetime) -> AlertChannelStatus:
    """The status of the channel."""
    old = unit.channel.status or AlertChannelStatus()
    generation = unit.channel.metadata.generation
    status, reason, message = _in_force(carried, generation)
    condition = _condition(IN_FORCE, status, reason, message, generation, now)
    return AlertChannelStatus(
        observed_generation=generation, kind=unit.kind, conditions=with_condition(old.conditions, condition)
    )


def digest(content: str) -> str:
    """A short name for exactly this content."""
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def digest_of(*contents: Contents) -> str:
    """A short name for exactly these contents."""
    found = hashlib.sha256()
    together = {name: content for each in contents for name, content in each.items()}
    for count, (name, content) in enumerate(sorted(together.items())):
        found.update((f"\n{name}\0{content}" if count else f"{name}\0{content}").encode())
    return f"sha256:{found.hexdigest()}"


_Said = tuple[ConditionStatus, str, str]


def _accepted(unit: RuleUnit) -> _Said:
    if unit.refusal is not None:
        return ConditionStatus.FALSE, unit.refusal.reason, unit.refusal.message
    refused = [each for each in unit.targets if each.reason not in ("", "Rendered")]
    if refused:
        first = refused[0]
        more = f"; {len(refused) - 1} more, see status.targets" if len(refused) > 1 else ""
        return ConditionStatus.FALSE, "PartlyRefused", f"{first.target}: {first.message or first.reason}{more}"
    return ConditionStatus.TRUE, "Rendered", f"{unit.rules} rules"


def _in_force(carried: Carried, generation: int) -> _Said:
    refusal = carried.refusal
    if refusal is None:
        more = f"; it {carried.remark}" if carried.remark else ""
        return ConditionStatus.TRUE, "Applied", f"generation {generation} is in force{more}"
    stays = "; the last good one stays in force" if carried.standing else "; nothing of it is in force"
    status = ConditionStatus.UNKNOWN if carried.unknown else ConditionStatus.FALSE
    return status, refusal.reason, refusal.message if carried.unknown else f"{refusal.message}{stays}"


def _sighted(unit: RuleUnit, sight: Sight) -> _Said:
    if not sight.known:
        why = f": {sight.problem}" if sight.problem else ""
        return ConditionStatus.UNKNOWN, "NotAsked", f"which metrics this Prometheus has is not known{why or ' yet'}"
    if not sight.blind:
        return ConditionStatus.TRUE, "MetricsThere", _in_sight(unit, sight)
    first, metrics = _first(sight.blind)
    more = f"; {len(sight.blind) - 1} more alerts are blind" if len(sight.blind) > 1 else ""
    message = f"{first} cannot fire: this Prometheus has no {', '.join(metrics)}{more}"
    return ConditionStatus.FALSE, "Blind", message


def _in_sight(unit: RuleUnit, sight: Sight) -> str:
    names = {each.name for each in unit.alerts}
    names |= {rule.alert for group in unit.groups for rule in group.rules if isinstance(rule, Alerting)}
    if not sight.doubtful:
        return f"every metric of {len(names)} alerts is there"
    first, metrics = _first(sight.doubtful)
    more = f", and of {len(sight.doubtful) - 1} more alerts" if len(sight.doubtful) > 1 else ""
    return (
        f"every metric that must be there is; {', '.join(metrics)} of {first}{more} is not, as where what it counts "
        "never happened or is not installed"
    )


def _first(found: Mapping[str, Iterable[str]]) -> tuple[str, list[str]]:
    return next(iter(sorted((name, sorted(missing)) for name, missing in found.items())))


def _condition(
    kind: str, status: ConditionStatus, reason: str, message: str, generation: int, now: datetime
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:_LONGEST],
        observed_generation=generation,
        last_transition_time=now,
    )

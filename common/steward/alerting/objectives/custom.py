"""Rules of one's own in an AlertPolicy: alerts of the policy's namespace, whatever their query says.

Their texts are taken literally. A template could ask this Prometheus for series of other namespaces. Names and labels
by which Steward's own alerts are told apart are not to be had: with them anybody could keep alerts of the control plane
quiet, stand in for the Watchdog, or speak through a channel of somebody else's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from steward.alerting.objectives.refusals import Refused
from steward.alerting.objectives.wanted import RESERVED_LABELS, Audience
from steward.alerting.own_alerts import OWN_ALERTS
from steward.alerting.pack import shipped_pack
from steward.alerting.rules import Alerting, steady
from steward.resources.alert_policy import AlertPolicy, CustomRule


@dataclass(frozen=True, slots=True)
class CustomAlerts:
    """What the rules of a policy come to."""

    alerts: tuple[Alerting, ...] = ()
    refused: tuple[tuple[str, Refused], ...] = ()
    """Pairs of a rule, such as Rule/Watchdog, and why it is not in force."""


def custom_alerts(policy: AlertPolicy, audience: Audience) -> CustomAlerts:
    """One alert for each rule, but for those that cannot be."""
    refused = dict(_refused(policy))
    alerts = (_alert(policy, rule, audience) for rule in policy.spec.rules if rule.name not in refused)
    return CustomAlerts(tuple(alerts), tuple((f"Rule/{name}", why) for name, why in refused.items()))


def _refused(policy: AlertPolicy) -> Iterator[tuple[str, Refused]]:
    for rule in policy.spec.rules:
        if rule.name in _taken():
            yield (
                rule.name,
                Refused("NameTaken", f"{rule.name} is an alert of Steward's own: call this one otherwise"),
            )


@cache
def _taken() -> frozenset[str]:
    """Names by which alerts keep others quiet, are muted by upgrades, or are told to Steward alone."""
    return frozenset({*(alert.name for alert in shipped_pack().alerts), *(alert.name for alert in OWN_ALERTS)})


def _alert(policy: AlertPolicy, rule: CustomRule, audience: Audience) -> Alerting:
    ours = {"namespace": policy.metadata.namespace, "policy": policy.metadata.name, "team": audience.team}
    annotations = {"summary": rule.summary, "description": rule.description, "runbook": rule.name}
    labels = {name: steady(value) for name, value in {**dict(audience.labels), **ours}.items() if value}
    # A label that a rule gives no value is taken away from what its query finds.
    nothing = dict.fromkeys(sorted(RESERVED_LABELS), "")
    return Alerting(
        alert=rule.name,
        expr=rule.expr,
        severity=rule.severity,
        lasting=timedelta(seconds=rule.for_seconds),
        labels={**labels, **nothing},
        annotations={name: steady(value) for name, value in annotations.items() if value},
    )

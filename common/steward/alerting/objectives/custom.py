"""Rules of one's own in an AlertPolicy: alerts of the policy's namespace, whatever their query says.

Their texts are taken literally. A template could ask this Prometheus for series of other namespaces.
"""

from datetime import timedelta

from steward.alerting.objectives.wanted import Audience
from steward.alerting.rules import Alerting, steady
from steward.resources.alert_policy import AlertPolicy, CustomRule


def custom_alerts(policy: AlertPolicy, audience: Audience) -> tuple[Alerting, ...]:
    """One alert for each rule."""
    return tuple(_alert(policy, rule, audience) for rule in policy.spec.rules)


def _alert(policy: AlertPolicy, rule: CustomRule, audience: Audience) -> Alerting:
    ours = {"namespace": policy.metadata.namespace, "policy": policy.metadata.name, "team": audience.team}
    annotations = {"summary": rule.summary, "description": rule.description, "runbook": rule.name}
    return Alerting(
        alert=rule.name,
        expr=rule.expr,
        severity=rule.severity,
        lasting=timedelta(seconds=rule.for_seconds),
        labels={name: steady(value) for name, value in {**dict(audience.labels), **ours}.items() if value},
        annotations={name: steady(value) for name, value in annotations.items() if value},
    )

"""Only what changed is rendered anew, and the result is what rendering everything would have given."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.alerting.core.rule_units import rule_units
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.objectives.facts import ANNOTATION_PREFIX, MeshFacts, service_facts
from steward.alerting.policy_rules import Whereabouts
from steward.jsonvalue import JsonObject
from steward.resources.alert_policy import AlertPolicy, AlertPolicyStatus


def policy(name: str, threshold: int = 1, uid: str = "") -> AlertPolicy:
    return AlertPolicy.of(
        {
            "metadata": {"name": name, "namespace": "shop", "uid": uid or name},
            "spec": {
                "targets": [{"name": "web"}],
                "objectives": [{"name": "success", "successPercent": 99.9}],
                "rules": [{"name": "Full", "expr": f"queue_length > {threshold}"}],
            },
        }
    )


def around(*, annotated: str = "99", retention: timedelta = timedelta(days=15)) -> Whereabouts:
    annotations: JsonObject = {f"{ANNOTATION_PREFIX}success-rate": annotated}
    ports: JsonObject = {"ports": [{"port": 8080, "name": "http"}], "clusterIP": "10.0.0.1"}
    service: JsonObject = {"metadata": {"name": "web", "namespace": "shop", "annotations": annotations}, "spec": ports}
    monitoring = Monitoring(ScrapeProfile(ScrapeKind.VIZ), retention=retention)
    return Whereabouts(MeshFacts.gathered([service_facts(service)]), monitoring, "linkerd-steward")


BEFORE = (policy("one"), policy("two"))


@pytest.mark.parametrize(
    ("policies", "now"),
    [
        pytest.param(BEFORE, around(), id="nothing"),
        pytest.param((policy("one"), policy("two", 5)), around(), id="another threshold"),
        pytest.param((policy("one"), policy("two", uid="again")), around(), id="made anew"),
        pytest.param((policy("two"),), around(), id="one is gone"),
        pytest.param((*BEFORE, policy("three")), around(), id="one came"),
        pytest.param(BEFORE, around(annotated="99.5"), id="another annotation"),
        pytest.param(BEFORE, around(retention=timedelta(hours=6)), id="another retention"),
    ],
)
def test_what_is_kept_and_what_is_rendered_anew_are_what_rendering_everything_gives(
    policies: tuple[AlertPolicy, ...], now: Whereabouts
) -> None:
    before = rule_units(BEFORE, around())
    assert rule_units(policies, now, before=before).all == rule_units(policies, now).all


def test_a_policy_whose_status_alone_changed_is_not_rendered_again() -> None:
    before = rule_units(BEFORE, around())
    told = BEFORE[0].model_copy(update={"status": AlertPolicyStatus(rules=5)})
    one, two, annotated = rule_units((told, BEFORE[1]), around(), before=before).all
    assert one.policy is told
    assert replace(one, policy=None) == replace(before.all[0], policy=None)
    assert one.content is before.all[0].content
    assert two.content is before.all[1].content
    assert annotated is before.all[2]

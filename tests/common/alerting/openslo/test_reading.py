"""Documents of other people: what is carried over, and that everything else is named."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steward.alerting.openslo.documents import read_shorthand, shorthand
from steward.alerting.openslo.reading import Policies, policies_from_openslo
from steward.alerting.openslo.writing import openslo_of
from steward.alerting.rules import Severity
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_policy import (
    AlertPolicySpec,
    Granularity,
    LatencyObjective,
    Objective,
    Side,
    TargetKind,
    TargetRef,
)
from steward.yamlvalue import parse_yaml
from tests.common.alerting.objectives.shop import FAST, SUCCESS, policy

SLI = """
apiVersion: openslo/v1
kind: SLI
metadata: {name: web-success}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Linkerd, spec: {kind: Service, name: web}}}
    total: {metricSource: {type: Linkerd, spec: {kind: Service, name: web}}}
"""
SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: web}
spec:
  service: shop-web
  indicatorRef: web-success
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: good, target: 0.999}]
"""
ALERTS = """
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: fast}
  spec:
    alertWhenBreaching: true
    conditions: [{conditionRef: fast}]
    notificationTargets: [{targetRef: on-call}]
- apiVersion: openslo/v1
  kind: AlertCondition
  metadata: {name: fast}
  spec:
    severity: page
    condition: {kind: burnrate, op: gte, threshold: 13.44, lookbackWindow: 1h, alertAfter: 5m}
- apiVersion: openslo/v1
  kind: AlertNotificationTarget
  metadata: {name: on-call}
  spec: {target: slack}
"""


def documents(*texts: str) -> list[JsonObject]:
    found: list[JsonObject] = []
    for text in texts:
        parsed = parse_yaml(text)
        found += [each for each in (parsed if isinstance(parsed, list) else [parsed]) if isinstance(each, dict)]
    return found


def read(*texts: str) -> Policies:
    return policies_from_openslo(documents(*texts), "shop")


def lost(found: Policies) -> list[tuple[str, str]]:
    return [(each.where, each.what) for each in found.lost]


def specs(found: Policies) -> list[AlertPolicySpec]:
    return [each.spec for each in found.policies]


def test_an_slo_of_a_linkerd_target_is_a_policy() -> None:
    found = read(SLO, SLI)
    assert found.lost == ()
    (made,) = found.policies
    assert (made.metadata.namespace, made.metadata.name) == ("shop", "shop-web")
    good = Objective(name="good", success_percent=99.9, window_seconds=28 * 86_400)
    assert made.spec == AlertPolicySpec(targets=(TargetRef(name="web"),), objectives=(good,))


def test_alerts_tell_severity_and_team() -> None:
    slo = SLO.replace("  objectives:", "  alertPolicies: [{alertPolicyRef: fast}]\n  objectives:")
    found = read(slo, SLI, ALERTS.replace("severity: page", "severity: warning"))
    (spec,) = specs(found)
    assert (spec.severity, spec.team) == (Severity.WARNING, "on-call")
    assert lost(found) == [("AlertNotificationTarget/on-call", "spec.target")]
    (spec,) = specs(read(slo, SLI, ALERTS))
    assert spec.severity is Severity.CRITICAL


def test_everything_may_stand_in_its_place() -> None:
    inline = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: web}
spec:
  service: web
  indicator:
    metadata: {name: inside}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Linkerd
            spec: {kind: HTTPRoute, name: list, side: Client, granularity: Route, withinMilliseconds: 500}
        total:
          metricSource:
            type: Linkerd
            spec: {kind: HTTPRoute, name: list, side: Client, granularity: Route}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: fast, targetPercent: 99}]
  alertPolicies:
  - kind: AlertPolicy
    metadata: {name: p}
    spec:
      conditions:
      - kind: AlertCondition
        metadata: {name: c}
        spec:
          severity: ticket
          condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 0m}
      notificationTargets:
      - kind: AlertNotificationTarget
        metadata: {name: payments}
        spec: {target: alertmanager}
"""
    found = read(inline.replace("0m", "5m"))
    assert found.lost == ()
    (spec,) = specs(found)
    assert spec == AlertPolicySpec(
        targets=(TargetRef(kind=TargetKind.HTTP_ROUTE, name="list"),),
        objectives=(Objective(name="fast", latency=LatencyObjective(within_milliseconds=500, percent=99)),),
        granularity=Granularity.ROUTE,
        side=Side.CLIENT,
        severity=Severity.WARNING,
        team="payments",
    )


@pytest.mark.parametrize(
    ("old", "new", "what", "why"),
    [
        ("duration: 4w", "duration: 1M", "spec.timeWindow[0].duration", "'1M' is no number of minutes, hours, days or"),
        (
            "isRolling: true",
            "isRolling: false, calendar: {startTime: 2020-01-21 12:30:00, timeZone: America/New_York}",
            "spec.timeWindow[0].calendar",
            "windows roll",
        ),
        ("Occurrences", "Timeslices", "spec.budgetingMethod", "Steward counts occurrences, and knows no Timeslices"),
        ("indicatorRef: web-success", "indicatorRef: gone", "spec.indicatorRef", "there is no SLI 'gone'"),
        ("target: 0.999", "target: 0.001", "spec.objectives[0]", "Steward has no such objective"),
        ("target: 0.999", "op: lte", "spec.objectives[0].target", "neither target nor targetPercent"),
    ],
)
def test_an_slo_that_cannot_be_carried_over_says_why(old: str, new: str, what: str, why: str) -> None:
    found = read(SLO.replace(old, new), SLI)
    assert found.policies == ()
    (said,) = [each for each in found.lost if each.what == what]
    assert said.where == "SLO/web"
    assert why in said.why


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "type: Linkerd, spec: {kind: Service, name: web}",
            "type: Prometheus, spec: {query: up}",
            "no targets of a mesh",
        ),
        ("kind: Service", "kind: Deployment", "it names no target that Steward can look at: kind"),
        ("name: web}", "name: ''}", "it names no target that Steward can look at: name"),
        ("name: web}", "name: web, side: Both}", "it names no target that Steward can look at: side"),
        ("name: web}", "name: web, withinMilliseconds: soon}", "withinMilliseconds is 'soon'"),
    ],
)
def test_an_indicator_that_steward_does_not_count_is_named(old: str, new: str, why: str) -> None:
    found = read(SLO, SLI.replace(old, new))
    assert found.policies == ()
    assert any(each.where == "SLI/web-success" and why in each.why for each in found.lost)
    assert ("SLO/web", "spec.objectives") in lost(found)


def test_good_and_total_of_different_targets_are_no_indicator() -> None:
    found = read(
        SLO,
        SLI.replace(
            "total: {metricSource: {type: Linkerd, spec: {kind: Service, name: web}}}",
            "total: {metricSource: {type: Linkerd, spec: {kind: Service, name: api}}}",
        ),
    )
    assert ("SLI/web-success", "spec.ratioMetric") in lost(found)


def test_what_has_another_type_than_the_specification_says_is_named() -> None:
    found = read(
        SLO.replace("target: 0.999", "target: 0.999, displayName: [a]").replace("displayName: good, ", ""), SLI
    )
    assert lost(found) == [("SLO/web", "spec.objectives[0].displayName")]
    assert read(SLO.replace("0.999", "'much'"), SLI).policies == ()
    odd = SLI.replace(
        "good: {metricSource: {type: Linkerd, spec: {", "good: {metricSource: {type: Linkerd, spec: {success: 7, "
    )
    assert lost(read(SLO, odd)) == [("SLI/web-success", "spec.ratioMetric.good.metricSource.spec.success")]


def test_a_threshold_is_no_indicator() -> None:
    threshold = """
apiVersion: openslo/v1
kind: SLI
metadata: {name: web-success}
spec: {thresholdMetric: {metricSource: {type: Linkerd, spec: {kind: Service, name: web}}}}
"""
    assert ("SLI/web-success", "spec") in lost(read(SLO, threshold))


def test_members_that_nobody_reads_are_named_without_their_values() -> None:
    source = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prometheus}
spec: {type: Prometheus, connectionDetails: {password: hunter2}}
"""
    slo = SLO.replace("  service:", "  description: Of the shop.\n  service:").replace(
        "target: 0.999", "target: 0.999, op: lte, value: 1"
    )
    service = (
        "{apiVersion: openslo/v1, kind: Service, metadata: {name: shop-web, displayName: Shop}, spec: {description: A}}"
    )
    found = read(slo, SLI, source, service)
    assert len(found.policies) == 1
    assert lost(found) == [
        ("SLO/web", "spec.description"),
        ("SLO/web", "spec.objectives[0].op"),
        ("SLO/web", "spec.objectives[0].value"),
        ("DataSource/prometheus", "spec.type"),
        ("DataSource/prometheus", "spec.connectionDetails.password"),
        ("Service/shop-web", "spec.description"),
    ]
    assert not any("hunter2" in repr(each) for each in found.lost)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("threshold: 13.44", "threshold: 2", "AlertCondition/fast", "spec.condition"),
        ("op: gte", "op: lte", "AlertCondition/fast", "spec.condition"),
        ("lookbackWindow: 1h", "lookbackWindow: 2h", "AlertCondition/fast", "spec.condition"),
        ("alertAfter: 5m", "alertAfter: 30m", "AlertCondition/fast", "spec.condition.alertAfter"),
        ("severity: page", "severity: sev1", "AlertCondition/fast", "spec.severity"),
        ("conditionRef: fast", "conditionRef: gone", "AlertPolicy/fast", "spec.conditions[0].conditionRef"),
        ("targetRef: on-call", "targetRef: gone", "AlertPolicy/fast", "spec.notificationTargets[0].targetRef"),
        ("alertWhenBreaching: true", "alertWhenNoData: true", "AlertPolicy/fast", "spec.alertWhenNoData"),
        ("alertWhenBreaching: true", "alertWhenResolved: true", "AlertPolicy/fast", "spec.alertWhenResolved"),
        ("alertWhenBreaching: true", "alertWhenBreaching: false", "AlertPolicy/fast", "spec.alertWhenBreaching"),
        (
            "metadata: {name: on-call}",
            f"metadata: {{name: {'x' * 64}}}",
            "AlertPolicy/fast",
            "spec.notificationTargets[0].targetRef",
        ),
    ],
)
def test_alerts_that_steward_has_not_got_are_named(old: str, new: str, where: str, what: str) -> None:
    slo = SLO.replace("  objectives:", "  alertPolicies: [{alertPolicyRef: fast}]\n  objectives:")
    found = read(slo, SLI, ALERTS.replace(old, new))
    assert len(found.policies) == 1
    assert (where, what) in lost(found)


def test_a_policy_has_one_severity_and_one_team() -> None:
    slower = """
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: slower}
  spec: {conditions: [{conditionRef: slower}], notificationTargets: [{targetRef: others}]}
- apiVersion: openslo/v1
  kind: AlertCondition
  metadata: {name: slower}
  spec: {severity: info, condition: {kind: burnrate, op: gte, threshold: 5.6, lookbackWindow: 6h, alertAfter: 30m}}
- apiVersion: openslo/v1
  kind: AlertNotificationTarget
  metadata: {name: others}
  spec: {target: alertmanager}
"""
    both = "  alertPolicies: [{alertPolicyRef: fast}, {alertPolicyRef: slower}]\n  objectives:"
    found = read(SLO.replace("  objectives:", both), SLI, ALERTS, slower)
    (spec,) = specs(found)
    assert (spec.severity, spec.team) == (Severity.CRITICAL, "on-call")
    assert ("AlertCondition/slower", "spec.severity") in lost(found)
    assert ("AlertNotificationTarget/others", "metadata.name") in lost(found)


def test_labels_that_alerts_cannot_have_are_named() -> None:
    labels = "metadata: {name: web, labels: {tier: one, 'cost-centre': x, tags: [a, b]}, annotations: {x/y: z}}"
    found = read(SLO.replace("metadata: {name: web}", labels), SLI)
    (spec,) = specs(found)
    assert spec.labels == {"tier": "one"}
    assert {what for _, what in lost(found)} == {
        "metadata.labels.cost-centre",
        "metadata.labels.tags",
        "metadata.annotations.x/y",
    }


def test_slos_without_a_window_or_a_good_name_are_mended_and_said() -> None:
    slo = SLO.replace("  timeWindow: [{duration: 4w, isRolling: true}]\n", "").replace(
        "displayName: good", "displayName: Very Good"
    )
    found = read(slo, SLI)
    (spec,) = specs(found)
    (objective,) = spec.objectives
    assert (objective.name, objective.window_seconds) == ("objective-1", 30 * 86_400)
    assert {what for _, what in lost(found)} == {"spec.timeWindow", "spec.objectives[0].displayName"}


def test_what_is_not_alike_becomes_another_policy() -> None:
    other = SLI.replace("web-success", "api-success").replace("name: web}", "name: api, side: Server}")
    slo = SLO.replace("web-success", "api-success").replace("metadata: {name: web}", "metadata: {name: api}")
    found = read(SLO, SLI, slo, other)
    assert [each.metadata.name for each in found.policies] == ["shop-web", "shop-web-2"]
    assert [each.spec.side for each in found.policies] == [Side.CLIENT, Side.SERVER]


def test_objectives_of_one_name_stay_two() -> None:
    twice = SLO.replace("metadata: {name: web}", "metadata: {name: web-2}").replace("0.999", "0.99")
    (spec,) = specs(read(SLO, twice, SLI))
    assert [(each.name, each.success_percent) for each in spec.objectives] == [("good", 99.9), ("good-2", 99.0)]


def test_too_much_for_one_policy_becomes_several() -> None:
    many = [
        SLO.replace("displayName: good", f"displayName: good-{number}").replace(
            "metadata: {name: web}", f"metadata: {{name: web-{number}}}"
        )
        for number in range(20)
    ]
    assert [len(spec.objectives) for spec in specs(read(*many, SLI))] == [16, 4]


@pytest.mark.parametrize(
    "odd",
    [
        "{apiVersion: openslo/v2alpha, kind: SLO, metadata: {name: web}}",
        "{apiVersion: openslo/v1, kind: Dashboard, metadata: {name: web}}",
        "{apiVersion: v1, kind: Service, metadata: {name: web}}",
        "{}",
    ],
)
def test_documents_that_are_none_of_the_specification_are_named(odd: str) -> None:
    found = read(odd)
    assert found.policies == ()
    assert [each.what for each in found.lost] == ["all of it"]


def test_a_second_document_of_a_name_does_not_count() -> None:
    found = read(SLO, SLI, SLO.replace("0.999", "0.5"))
    (spec,) = specs(found)
    assert spec.objectives[0].success_percent == 99.9
    assert lost(found) == [("SLO/web", "all of it")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _replaced(value: Json, path: Sequence[int], new: Json) -> Json:
    """The value with the member that `path` leads to, by number at each step, replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    if isinstance(value, dict):
        chosen = list(value)[path[0] % len(value)]
        return {key: _replaced(member, path[1:], new) if key == chosen else member for key, member in value.items()}
    number = path[0] % len(value)
    return [_replaced(member, path[1:], new) if at == number else member for at, member in enumerate(value)]


WRITTEN = openslo_of(policy(SUCCESS, FAST, team="payments", labels={"tier": "1"})).documents


@settings(max_examples=300)
@given(which=st.integers(0, len(WRITTEN) - 1), path=st.lists(st.integers(0, 9), max_size=7), new=JSON)
def test_any_change_of_a_document_is_read_or_named(which: int, path: list[int], new: Json) -> None:
    # What says nothing takes something away, and what is left may say the same.
    assume(_bare(new) not in (None, "", {}, []))
    changed = _replaced(WRITTEN[which], path, new)
    if not isinstance(changed, dict):
        changed = {"kind": changed}
    found = policies_from_openslo([*WRITTEN[:which], changed, *WRITTEN[which + 1 :]], "shop")
    before = policies_from_openslo(WRITTEN, "shop")
    assert found.lost or found.policies != before.policies or _same(changed, WRITTEN[which])


def _same(one: JsonObject, other: JsonObject) -> bool:
    """Whether `one` says nothing that `other` does not: what it says less, nobody can lose.

    What is empty says nothing, and names within a document only lead to it.
    """
    return _within(_bare(one), _bare(other))


def _within(one: Json, other: Json) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(key in other and _within(member, other[key]) for key, member in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) <= len(other) and all(map(_within, one, other))
    return one == other


_ONLY_NAMES = frozenset({"name", "displayName", "service", "counter"})


def _bare(value: Json) -> Json:
    if isinstance(value, dict):
        kept = {key: _bare(member) for key, member in value.items() if key not in _ONLY_NAMES}
        return {key: member for key, member in sorted(kept.items()) if member not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_bare(member) for member in value if _bare(member) not in (None, "", {}, [])]
    return value


@pytest.mark.parametrize("text", ["5m", "2h", "30d", "4w"])
def test_durations_of_a_fixed_length_are_read(text: str) -> None:
    span = read_shorthand(text)
    assert span is not None
    assert read_shorthand(shorthand(span) or "") == span


@pytest.mark.parametrize("text", ["1M", "1Q", "1Y", "0d", "5", "m", "5 m", "-1d", "5D", ""])
def test_other_durations_are_not(text: str) -> None:
    assert read_shorthand(text) is None

"""A policy, and what is annotated, as groups of rules and as statuses of their targets."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from steward.alerting.objectives.facts import ANNOTATION_PREFIX, MeshFacts, service_facts
from steward.alerting.objectives.rendering import RenderedPolicy, rendered_annotations, rendered_policy
from steward.alerting.objectives.slo_rules import LARGEST_GROUP
from steward.alerting.rules import Alerting, Recording, Severity, rule_document
from steward.resources.alert_policy import (
    AlertPolicy,
    CustomRule,
    Granularity,
    LatencyObjective,
    Objective,
    Side,
    TargetKind,
    TargetRef,
)
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from tests.common.alerting.objectives.shop import FAST, SUCCESS, WEB, mesh, monitoring, policy, profile, route, service

OWN = CustomRule(name="CheckoutTooSlow", expr="vector(1) > 0", for_seconds=120, summary="Checkout {{ $value }} is slow")


def alerts(rendered: RenderedPolicy) -> Iterator[Alerting]:
    return (rule for group in rendered.groups for rule in group.rules if isinstance(rule, Alerting))


def recordings(rendered: RenderedPolicy) -> Iterator[Recording]:
    return (rule for group in rendered.groups for rule in group.rules if isinstance(rule, Recording))


def reasons(rendered: RenderedPolicy) -> dict[str, str]:
    return {status.target: status.reason for status in rendered.targets}


def test_alerts_carry_what_routes_need() -> None:
    rendered = rendered_policy(policy(SUCCESS, FAST, team="payments", labels={"tier": "1"}), mesh(), monitoring())
    assert [
        (alert.alert, alert.severity, alert.labels["burn"], alert.labels["objective"]) for alert in alerts(rendered)
    ] == [
        ("LinkerdErrorBudgetBurn", Severity.CRITICAL, "fast", "success"),
        ("LinkerdLatencyBudgetBurn", Severity.CRITICAL, "fast", "fast"),
        ("LinkerdErrorBudgetBurn", Severity.WARNING, "slow", "success"),
        ("LinkerdLatencyBudgetBurn", Severity.WARNING, "slow", "fast"),
    ]
    for alert in alerts(rendered):
        given = {name: alert.labels[name] for name in ("namespace", "policy", "team", "tier")}
        assert given == {"namespace": "shop", "policy": "slo", "team": "payments", "tier": "1"}
        assert set(alert.annotations) == {"summary", "description", "runbook"}


def test_what_is_recorded_says_what_it_is_about() -> None:
    rendered = rendered_policy(policy(SUCCESS, FAST), mesh(), monitoring())
    about = {"namespace": "shop", "service": "web", "side": "client", "policy": "slo", "target": "Service/web"}
    assert [rule.labels for rule in recordings(rendered) if rule.record == "steward:slo_requests:rate5m"] == [
        {**about, "objective": "success"},
        {**about, "objective": "fast", "within": "500ms"},
    ]


def test_labels_of_ones_own_do_not_displace_ours() -> None:
    labels = {
        "severity": "info",
        "namespace": "kube-system",
        "alertname": "Nothing",
        "__name__": "x",
        "a-b": "x",
        "steward": "control-plane",
        "steward_test": "linkerd-steward/pager",
        "tier": "1",
    }
    rendered = rendered_policy(policy(labels=labels, rules=(OWN,)), mesh(), monitoring())
    assert [notice.about for notice in rendered.warnings] == [
        "Label/__name__",
        "Label/a-b",
        "Label/alertname",
        "Label/namespace",
        "Label/severity",
        "Label/steward",
        "Label/steward_test",
    ]
    assert all("is left out" in notice.message for notice in rendered.warnings)
    assert {notice.about for notice in rendered.warnings} <= {each.target for each in rendered.targets}
    for alert in alerts(rendered):
        assert alert.labels["namespace"] == "shop"
        assert alert.labels["tier"] == "1"
        assert not {"alertname", "severity", "__name__", "a-b"} & set(alert.labels)
        assert not alert.labels.get("steward")
        assert not alert.labels.get("steward_test")


def test_a_rule_of_ones_own_has_no_name_of_stewards_alerts() -> None:
    names = ("Watchdog", "LinkerdUpgradeInProgress", "LinkerdFeatureFailing", "CheckoutTooSlow")
    rules = tuple(OWN.model_copy(update={"name": name}) for name in names)
    rendered = rendered_policy(policy(targets=(), rules=rules), mesh(), monitoring())
    assert [alert.alert for alert in alerts(rendered)] == ["CheckoutTooSlow"]
    assert reasons(rendered) == {
        "Rule/Watchdog": "NameTaken",
        "Rule/LinkerdUpgradeInProgress": "NameTaken",
        "Rule/LinkerdFeatureFailing": "NameTaken",
        "Rule/CheckoutTooSlow": "Rendered",
    }


def test_two_rules_for_each_target_and_the_rest_once() -> None:
    def rules(count: int) -> int:
        names = [f"web-{number}" for number in range(count)]
        targets = tuple(TargetRef(name=name) for name in names)
        return rendered_policy(policy(targets=targets), mesh(*map(service, names)), monitoring()).rules

    assert rules(60) - rules(20) == 2 * 40
    assert rules(1) == 2 + 13 + 2


def test_each_target_and_each_rule_has_a_status() -> None:
    targets = (WEB, TargetRef(name="gone"), TargetRef(kind=TargetKind.HTTP_ROUTE, name="list"), WEB)
    odd = Objective(name="odd", latency=LatencyObjective(within_milliseconds=300))
    rendered = rendered_policy(
        policy(SUCCESS, odd, targets=targets, rules=(OWN,)), mesh(http=(route(rules=2),)), monitoring()
    )
    web, gone, listed, own = rendered.targets
    assert (web.target, web.metrics, web.alerts, web.reason) == ("Service/web", "Routes", 2, "NotABucketBound")
    assert web.message == (
        "objective 'odd': 300 ms is no bound of outbound_http_route_request_duration_seconds, so nobody can tell how "
        "many answers came within it: choose one of 25 ms, 50 ms, 100 ms, 250 ms, 500 ms, 1000 ms, 10000 ms"
    )
    assert (gone.metrics, gone.alerts, gone.reason) == ("", 0, "NoSuchTarget")
    assert gone.message == "there is no Service 'gone' in namespace 'shop'"
    assert (listed.metrics, listed.alerts) == ("Routes", 2)
    assert "the 2 rules of HTTPRoute 'list' are counted together" in listed.message
    assert (own.target, own.alerts, own.reason) == ("Rule/CheckoutTooSlow", 1, "Rendered")


@pytest.mark.parametrize("milliseconds", [30, 300, 50_000])
def test_a_profile_has_bounds_that_routes_have_not(milliseconds: int) -> None:
    wanted = policy(Objective(name="fast", latency=LatencyObjective(within_milliseconds=milliseconds)))
    profiled = rendered_policy(wanted, mesh(profiles=(profile(),)), monitoring())
    (status,) = profiled.targets
    assert status.reason == "Rendered"
    assert [notice.reason for notice in profiled.warnings] == ["PartUncounted"]
    (refused,) = rendered_policy(wanted, mesh(), monitoring()).targets
    assert refused.reason == "NotABucketBound"


def test_a_bound_of_attempts_is_told() -> None:
    wanted = policy(Objective(name="fast", latency=LatencyObjective(within_milliseconds=100)))
    rendered = rendered_policy(wanted, mesh(), monitoring())
    (notice,) = rendered.warnings
    assert notice.reason == "PerAttempt"
    assert "each attempt counts by itself" in rendered.targets[0].message


def test_the_latency_of_grpc_without_a_grpc_route_can_be_told_and_its_success_cannot() -> None:
    facts = mesh(service(ports=({"port": 50051, "name": "grpc"},)))
    (status,) = rendered_policy(policy(SUCCESS, FAST), facts, monitoring()).targets
    assert (status.reason, status.alerts) == ("GrpcWithoutRoute", 2)
    assert "make a GRPCRoute for it" in status.message


def test_a_version_that_has_no_such_metric_is_refused_with_the_first_that_has_it() -> None:
    (status,) = rendered_policy(policy(), mesh(), monitoring(linkerd="edge-24.2.4")).targets
    assert (status.reason, status.alerts) == ("NotYet", 0)
    assert "outbound_http_route_request_statuses_total exists since" in status.message
    (profiled,) = rendered_policy(policy(), mesh(profiles=(profile(),)), monitoring(linkerd="edge-24.2.4")).targets
    assert profiled.reason == "Rendered"


def test_a_target_that_cannot_be_alerted_on_is_refused_with_every_reason() -> None:
    low = Objective(name="low", success_percent=1)
    short = Objective(name="short", success_percent=99, window_seconds=86_400)
    rendered = rendered_policy(policy(low, short), mesh(), monitoring(retention=timedelta(hours=12)))
    (status,) = rendered.targets
    assert status.alerts == 0
    assert rendered.groups == ()
    assert "objective 'low': a budget of 99 % cannot burn 14.4 times too fast within 1h" in status.message
    assert "objective 'short': 2% of a budget for 1d within 1h is no more than it allows" in status.message


def test_rows_that_are_left_out_are_told_once_a_policy() -> None:
    targets = (WEB, TargetRef(name="api"))
    facts = mesh(service(), service("api"))
    rendered = rendered_policy(policy(targets=targets), facts, monitoring(retention=timedelta(hours=6)))
    assert [(notice.about, notice.reason) for notice in rendered.warnings] == [
        ("Objective/success", "RetentionTooShort"),
        ("Objective/success", "RetentionTooShort"),
    ]
    assert [alert.severity for alert in alerts(rendered)] == [Severity.CRITICAL]


def test_an_objective_that_is_not_about_one_thing_is_refused_by_name() -> None:
    latency = LatencyObjective(within_milliseconds=500)
    both, neither = Objective(name="both", success_percent=99, latency=latency), Objective(name="neither")
    rendered = rendered_policy(policy(SUCCESS, both, neither), mesh(), monitoring())
    assert reasons(rendered) == {
        "Service/web": "Rendered",
        "Objective/both": "ObjectiveUnclear",
        "Objective/neither": "ObjectiveUnclear",
    }


def test_rules_of_ones_own_are_alerts_of_the_policys_namespace() -> None:
    rendered = rendered_policy(policy(targets=(), rules=(OWN,), team="payments"), mesh(), monitoring())
    (group,) = rendered.groups
    assert group.name == "shop/slo/rules"
    (alert,) = alerts(rendered)
    assert (alert.alert, alert.expr, alert.lasting) == ("CheckoutTooSlow", OWN.expr, timedelta(seconds=120))
    given = {name: value for name, value in alert.labels.items() if value}
    assert given == {"namespace": "shop", "policy": "slo", "team": "payments"}
    assert alert.annotations["summary"] == "Checkout {{ `{{` }} $value }} is slow"
    assert alert.annotations["runbook"] == "CheckoutTooSlow"


def test_the_metrics_that_alerts_stand_on_are_told() -> None:
    rendered = rendered_policy(policy(SUCCESS, FAST), mesh(profiles=(profile(),)), monitoring())
    assert rendered.watched == (
        ("LinkerdErrorBudgetBurn", frozenset({"route_response_total"})),
        (
            "LinkerdLatencyBudgetBurn",
            frozenset({"route_response_latency_ms_count", "route_response_latency_ms_bucket"}),
        ),
    )


def annotated(**said: str) -> dict[str, str]:
    return {ANNOTATION_PREFIX + key.replace("_", "-"): value for key, value in said.items()}


def test_annotated_objects_of_a_namespace_are_rendered_together() -> None:
    facts = mesh(
        service(annotations=annotated(success_rate="99.9")),
        service("api", annotations=annotated(success_rate="99.9", latency="1s@99")),
        service("odd", annotations=annotated(success_rate="all")),
        service("plain"),
        service("away", "back", annotations=annotated(success_rate="99", severity="warning")),
        profiles=(profile("api.shop.svc.cluster.local", annotations=annotated(success_rate="99.9")),),
        http=(route(annotations=annotated(latency="500ms@99")),),
        grpc=(route("vote"),),
    )
    (back, at_back), (shop, at_shop) = rendered_annotations(facts, monitoring())
    assert (back, shop) == ("back", "shop")
    assert reasons(at_back) == {"Service/away": "Rendered"}
    assert reasons(at_shop) == {
        "Service/web": "Rendered",
        "Service/api": "Rendered",
        "Service/odd": "AnnotationUnreadable",
        "ServiceProfile/api.shop.svc.cluster.local": "Rendered",
        "HTTPRoute/list": "GrpcRouteWins",
    }
    assert {alert.labels["objective"] for alert in alerts(at_shop)} == {"success-99.9", "latency-1000ms-99"}
    assert {group.name.split("/")[1] for group in at_shop.groups} == {"requests", "burn", "slow-burn"}
    assert all("policy" not in rule.labels for rule in recordings(at_shop))


def test_annotations_of_both_groups_of_a_route_are_taken_together() -> None:
    ours, theirs = (route(annotations=annotated(success_rate="99.9")), route(annotations=annotated(team="payments")))
    ((_, rendered),) = rendered_annotations(mesh(http=(ours,), own=(theirs,)), monitoring())
    assert {alert.labels["team"] for alert in alerts(rendered)} == {"payments"}


def test_nothing_annotated_is_nothing_rendered() -> None:
    assert rendered_annotations(mesh(), monitoring()) == ()


def test_groups_stay_small_and_names_are_told_apart() -> None:
    services = [
        service_facts(service(f"web-{number}", annotations=annotated(success_rate="99.9", latency="500ms@99")))
        for number in range(120)
    ]
    ((_, rendered),) = rendered_annotations(MeshFacts.gathered(services), monitoring())
    names = [group.name for group in rendered.groups]
    assert names == ["shop/requests", "shop/requests-2", "shop/requests-3", "shop/burn", "shop/slow-burn"]
    assert all(len(group.rules) <= LARGEST_GROUP for group in rendered.groups)
    assert rendered.rules == 120 * 4 + 13 + 4


def named(name: str, namespace: str) -> AlertPolicy:
    made = policy()
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": name, "namespace": namespace})})


def test_no_two_owners_share_a_group() -> None:
    facts = mesh(service(annotations=annotated(success_rate="99.9")))
    renderings = [
        rendered_policy(policy(), facts, monitoring()),
        rendered_policy(named("requests", "shop"), facts, monitoring()),
        *(rendered for _, rendered in rendered_annotations(facts, monitoring())),
    ]
    names = [group.name for rendered in renderings for group in rendered.groups]
    assert len(names) == len(set(names))


@pytest.mark.monitoring
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("granularity", Granularity)
async def test_everything_together_passes_promtool(
    each_monitoring_tools: MonitoringTools, side: Side, granularity: Granularity
) -> None:
    targets = (
        WEB,
        TargetRef(name="api"),
        TargetRef(kind=TargetKind.SERVICE_PROFILE, name="api.shop.svc.cluster.local"),
        TargetRef(kind=TargetKind.HTTP_ROUTE, name="list"),
    )
    facts = mesh(
        service(annotations=annotated(success_rate="99.9", latency="500ms@99")),
        service("api"),
        profiles=(profile("api.shop.svc.cluster.local"),),
        http=(route(),),
    )
    wanted = policy(SUCCESS, FAST, targets=targets, rules=(OWN,), side=side, granularity=granularity)
    renderings = [
        rendered_policy(wanted, facts, monitoring()),
        *(each for _, each in rendered_annotations(facts, monitoring())),
    ]
    groups = [group for rendered in renderings for group in rendered.groups]
    verdict = await Promtool(each_monitoring_tools).check_rules(json.dumps(rule_document(groups)), lint=True)
    assert verdict.ok, verdict.output
    assert f"{sum(rendered.rules for rendered in renderings)} rules found" in verdict.output


@pytest.mark.parametrize(("evaluation", "pace"), [(1, 1), (30, 30), (60, 60), (300, 60)])
def test_recordings_are_made_more_often_than_queries_forget_them(evaluation: int, pace: int) -> None:
    rendered = rendered_policy(policy(), mesh(), monitoring(evaluation=timedelta(seconds=evaluation)))
    assert [group.interval / timedelta(seconds=1) for group in rendered.groups] == [pace, pace, 120]
    (share,) = {
        rule.expr.rpartition("* ")[2] for rule in recordings(rendered) if rule.record == "steward:slo_requests:rate1h"
    }
    assert float(share) == pytest.approx(pace / 3600)

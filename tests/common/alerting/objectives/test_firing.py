"""What fires and what does not, as promtool tells for series that a mesh of that sort would have."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.alerting.objectives.rendering import rendered_policy
from steward.alerting.rules import Severity, rule_document
from steward.jsonvalue import Json, JsonObject
from steward.resources.alert_policy import Granularity, LatencyObjective, Objective, Side, TargetKind, TargetRef
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.objectives.shop import ADDRESS, FAST, mesh, monitoring, policy, profile, route, service
from tests.common.alerting.objectives.trials import CLIENT, DEFAULT_ROUTE, PARENT, Series, answers, fires

pytestmark = pytest.mark.monitoring

LIST = {
    "route_group": "gateway.networking.k8s.io",
    "route_kind": "HTTPRoute",
    "route_namespace": "shop",
    "route_name": "list",
}
VOTE = {**LIST, "route_kind": "GRPCRoute", "route_name": "vote"}
SIX_HOURS = monitoring(retention=timedelta(hours=6))


@pytest.fixture
def promtool(each_monitoring_tools: MonitoringTools) -> Promtool:
    """Of each generation."""
    return Promtool(each_monitoring_tools)


def burns(kind: str = "Error", severity: str = "critical", burn: str = "fast", route: str = "") -> Mapping[str, str]:
    return {"alertname": f"Linkerd{kind}BudgetBurn", "severity": severity, "burn": burn, "route": route}


def profiled(classification: str, a_minute: float, name: str = "GET /list", **more: int) -> Series:
    """Answers to clients of `web` by its ServiceProfile."""
    labels = {**CLIENT, "direction": "outbound", "dst": f"{ADDRESS}:8080", "classification": classification}
    return Series("route_response_total", {**labels, "rt_route": name} if name else labels, a_minute, **more)


async def test_a_route_that_fails_burns_its_budget(promtool: Promtool) -> None:
    rendered = rendered_policy(
        policy(targets=(TargetRef(kind=TargetKind.HTTP_ROUTE, name="list"),)), mesh(http=(route(),)), SIX_HOURS
    )
    good, bad = answers("200", 55, route=LIST), answers("503", 5, route=LIST)
    await fires(promtool, rendered, [good, bad], burns(route="HTTPRoute/shop/list"))
    await fires(promtool, rendered, [good, replace(bad, a_minute=0.02)])


async def test_an_error_of_a_proxy_is_a_failure_and_a_status_of_the_clients_own_making_is_none(
    promtool: Promtool,
) -> None:
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    good = answers("200", 55)
    await fires(promtool, rendered, [good, answers("", 5, error="REQUEST_TIMEOUT")], burns())
    await fires(promtool, rendered, [good, answers("404", 5), answers("301", 5)])


async def test_a_service_that_answered_nobody_well_ever_burns_its_budget(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    await fires(promtool, rendered, [answers("", 60, error="FAIL_FAST")], burns())


async def test_no_traffic_and_no_series_are_no_alert(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    await fires(promtool, rendered, [answers("200", 0), answers("503", 0)])
    await fires(promtool, rendered, [])


async def test_with_little_traffic_a_failure_says_nothing_unless_the_policy_wants_it(promtool: Promtool) -> None:
    series = [answers("200", 2), answers("503", 1)]
    await fires(promtool, rendered_policy(policy(), mesh(), SIX_HOURS), series)
    wanted = policy(minimum_requests_per_second=0.04)
    await fires(promtool, rendered_policy(wanted, mesh(), SIX_HOURS), series, burns())
    always = policy(minimum_requests_per_second=0)
    await fires(promtool, rendered_policy(always, mesh(), SIX_HOURS), series, burns())


async def test_a_short_burst_a_day_is_little_traffic(promtool: Promtool) -> None:
    """Ten requests a second for a minute are not ten a second for an hour."""
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    burst = [answers("200", 100, minutes=119, begins=116), answers("503", 20, minutes=119, begins=116)]
    await fires(promtool, rendered, burst)


async def test_a_failure_that_is_over_is_not_told_again(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    over = Series("outbound_http_route_request_statuses_total", answers("503", 0).labels, 5, minutes=80)
    steady = replace(over, a_minute=5, minutes=120)
    await fires(promtool, rendered, [answers("200", 55), steady], burns())
    await fires(promtool, rendered, [answers("200", 55), over], burns(), at=80)
    # The five minutes that must fail still are over, the thirty of the slower row not yet.
    slow_row_out = rendered_policy(policy(), mesh(), monitoring(retention=timedelta(hours=1)))
    await fires(promtool, slow_row_out, [answers("200", 55), over], at=90)


async def test_a_counter_that_appears_with_a_failure_counts_from_the_second_one_on(promtool: Promtool) -> None:
    """Prometheus cannot tell a first failure from a counter that it had not looked at: observability.md §1.5."""
    rendered = rendered_policy(policy(), mesh(), SIX_HOURS)
    good = answers("200", 55)
    await fires(promtool, rendered, [good, answers("503", 5, begins=90)], burns())
    once = Series("outbound_http_route_request_statuses_total", answers("503", 0).labels, 0, begins=90)
    await fires(promtool, rendered, [good, once])
    both = [answers("200", 55, begins=90), answers("404", 5, begins=90)]
    await fires(promtool, rendered, both)


async def test_answers_that_are_too_slow_burn_the_budget_of_latency(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(FAST), mesh(), SIX_HOURS)
    labels = {**CLIENT, **PARENT, **DEFAULT_ROUTE}
    count = Series("outbound_http_route_request_duration_seconds_count", labels, 60)
    bucket = replace(count, metric="outbound_http_route_request_duration_seconds_bucket")
    slow, quick = (replace(bucket, labels={**labels, "le": "0.5"}, a_minute=rate) for rate in (30, 59.9))
    await fires(promtool, rendered, [count, slow], burns("Latency"))
    await fires(promtool, rendered, [count, quick])
    await fires(
        promtool, rendered, [count, replace(bucket, labels={**labels, "le": "1.0"}, a_minute=60)], burns("Latency")
    )


async def test_a_bound_that_only_answers_of_backends_have_is_looked_at_there(promtool: Promtool) -> None:
    objective = Objective(name="fast", latency=LatencyObjective(within_milliseconds=100, percent=99))
    rendered = rendered_policy(policy(objective), mesh(), SIX_HOURS)
    labels = {**CLIENT, **PARENT, **DEFAULT_ROUTE, "backend_kind": "Service", "backend_name": "web"}
    count = Series("outbound_http_route_backend_response_duration_seconds_count", labels, 60)
    bucket = Series("outbound_http_route_backend_response_duration_seconds_bucket", {**labels, "le": "0.1"}, 30)
    await fires(promtool, rendered, [count, bucket], burns("Latency"))
    await fires(promtool, rendered, [count, replace(bucket, a_minute=60)])


async def test_a_grpc_route_fails_by_the_codes_that_the_proxy_calls_failures(promtool: Promtool) -> None:
    target = TargetRef(kind=TargetKind.GRPC_ROUTE, name="vote")
    rendered = rendered_policy(policy(targets=(target,)), mesh(grpc=(route("vote"),)), SIX_HOURS)
    labels = {**CLIENT, **PARENT, **VOTE, "error": ""}
    good = Series("outbound_grpc_route_request_statuses_total", {**labels, "grpc_status": "OK"}, 55)
    for code in ("UNAVAILABLE", "UNKNOWN", "PERMISSION_DENIED"):
        bad = replace(good, labels={**labels, "grpc_status": code}, a_minute=5)
        await fires(promtool, rendered, [good, bad], burns(route="GRPCRoute/shop/vote"))
    await fires(promtool, rendered, [good, replace(good, labels={**labels, "grpc_status": "NOT_FOUND"})])


async def test_grpc_and_http_of_one_service_are_counted_together(promtool: Promtool) -> None:
    ports: tuple[JsonObject, ...] = ({"port": 8080, "name": "http"}, {"port": 50051, "name": "grpc"})
    at_port: JsonObject = {"group": "core", "kind": "Service", "name": "web", "port": 50051}
    facts = mesh(service(ports=ports), grpc=(route("vote", parents=(at_port,)),))
    rendered = rendered_policy(policy(), facts, SIX_HOURS)
    labels = {**CLIENT, **PARENT, **VOTE, "error": "", "grpc_status": "UNAVAILABLE"}
    grpc = Series("outbound_grpc_route_request_statuses_total", labels, 5)
    await fires(promtool, rendered, [answers("200", 55), grpc], burns())
    await fires(promtool, rendered, [answers("200", 5_500), grpc])
    await fires(promtool, rendered, [replace(grpc, a_minute=60)], burns())


async def test_a_service_profile_tells_success_by_its_own_classes(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(), mesh(profiles=(profile(),)), SIX_HOURS)
    await fires(promtool, rendered, [profiled("success", 55), profiled("failure", 5)], burns())
    await fires(promtool, rendered, [profiled("success", 55), profiled("failure", 0.02)])


async def test_clients_that_go_on_as_before_the_profile_was_there_are_counted_too(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(), mesh(profiles=(profile(),)), SIX_HOURS)
    await fires(promtool, rendered, [profiled("success", 55), answers("503", 5)], burns())
    await fires(promtool, rendered, [profiled("failure", 5), answers("200", 5_500)])


async def test_a_latency_of_a_service_profile_is_in_milliseconds_of_any_prometheus(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(FAST), mesh(profiles=(profile(),)), SIX_HOURS)
    labels = {**CLIENT, "direction": "outbound", "dst": f"{ADDRESS}:8080", "rt_route": "GET /list"}
    count = Series("route_response_latency_ms_count", labels, 60)
    for bound in ("500", "500.0"):
        bucket = Series("route_response_latency_ms_bucket", {**labels, "le": bound}, 30)
        await fires(promtool, rendered, [count, bucket], burns("Latency"))
        await fires(promtool, rendered, [count, replace(bucket, a_minute=60)])


async def test_each_route_of_a_profile_has_a_budget_of_its_own(promtool: Promtool) -> None:
    wanted = policy(granularity=Granularity.ROUTE)
    rendered = rendered_policy(wanted, mesh(profiles=(profile(),)), SIX_HOURS)
    series = [
        profiled("success", 600),
        profiled("success", 50, "POST /{id}"),
        profiled("failure", 10, "POST /{id}"),
        profiled("success", 60, ""),
    ]
    await fires(promtool, rendered, series, burns(route="POST /{id}"))
    await fires(
        promtool, rendered, [*series, profiled("failure", 60, "")], burns(route="POST /{id}"), burns(route="[DEFAULT]")
    )
    only_failures = profiled("failure", 60, "GET /dead")
    await fires(promtool, rendered, [profiled("success", 600), only_failures], burns(route="GET /dead"))


async def test_each_http_route_of_a_service_has_a_budget_of_its_own(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(granularity=Granularity.ROUTE), mesh(http=(route(), route("get"))), SIX_HOURS)
    fine = answers("200", 600, route={**LIST, "route_name": "get"})
    bad = [answers("200", 50, route=LIST), answers("500", 10, route=LIST)]
    await fires(promtool, rendered, [fine, *bad], burns(route="HTTPRoute/shop/list"))
    await fires(promtool, rendered, [fine, bad[0]])


def inbound(classification: str, a_minute: float, **labels: str) -> Series:
    """What reaches pods of `web`."""
    pod = {"job": "linkerd/linkerd-proxy", "namespace": "shop", "pod": "web-1", "app": "web", "direction": "inbound"}
    request = {"target_port": "8080", "route_name": "default", "classification": classification, **labels}
    return Series("response_total", {**pod, **request}, a_minute)


async def test_the_side_of_the_server_leaves_probes_and_scrapes_out(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(side=Side.SERVER), mesh(), SIX_HOURS)
    bad = inbound("failure", 5)
    await fires(promtool, rendered, [inbound("success", 55), bad], burns())
    beside = [
        inbound("failure", 60, target_port="4191"),
        inbound("failure", 60, route_name="probe"),
        inbound("failure", 60, target_port="9999"),
        inbound("failure", 60, app="other"),
        inbound("failure", 60, namespace="elsewhere"),
        inbound("failure", 60, direction="outbound"),
    ]
    await fires(promtool, rendered, [inbound("success", 55), *beside])
    scrapes = inbound("success", 6_000, target_port="4191")
    await fires(promtool, rendered, [inbound("success", 55), bad, scrapes], burns())


async def test_slow_answers_of_the_servers_side_burn_too(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(FAST, side=Side.SERVER), mesh(), SIX_HOURS)
    count = replace(inbound("", 60), metric="response_latency_ms_count")
    labels = {**count.labels, "le": "500"}
    bucket = replace(count, metric="response_latency_ms_bucket", labels=labels, a_minute=30)
    await fires(promtool, rendered, [count, bucket], burns("Latency"))
    await fires(promtool, rendered, [count, replace(bucket, a_minute=60)])


async def test_what_burns_slowly_warns_where_the_retention_allows_it(promtool: Promtool) -> None:
    """1.3 times too fast for a day and a half: 0.13 % of the requests."""
    minutes = 2_160

    async def looked_at(failing: float, retention: timedelta | None, *expected: Mapping[str, str]) -> None:
        remembers = monitoring(retention=retention, evaluation=timedelta(minutes=5))
        bad = answers("503", failing, minutes=minutes)
        series = [answers("200", 10_000 - failing, minutes=minutes), bad]
        await fires(promtool, rendered_policy(policy(), mesh(), remembers), series, *expected, at=minutes, every=5)

    slowly = burns(severity="warning", burn="slow")
    await looked_at(13, timedelta(days=3), slowly)
    await looked_at(13, timedelta(hours=6))
    await looked_at(13, None)
    await looked_at(31, timedelta(days=1), slowly)
    await looked_at(31, timedelta(hours=6))


async def test_a_policy_that_only_warns_warns_of_both(promtool: Promtool) -> None:
    rendered = rendered_policy(policy(severity=Severity.WARNING), mesh(), monitoring())
    series = [answers("200", 550), answers("503", 50)]
    await fires(promtool, rendered, series, burns(severity="warning"), burns(severity="warning", burn="slow"))


async def test_an_alert_says_who_fails_how_much_and_against_which_objective(promtool: Promtool) -> None:
    wanted = policy(granularity=Granularity.ROUTE, team="payments", labels={"tier": "{{ $value }}"})
    rendered = rendered_policy(wanted, mesh(profiles=(profile(),)), SIX_HOURS)
    nasty = 'GET /{{ $labels.namespace }} "\\'
    labels: JsonObject = {
        **burns(route=nasty),
        "namespace": "shop",
        "service": "web",
        "objective": "success",
        "side": "client",
        "policy": "slo",
        "target": "Service/web",
        "team": "payments",
        "tier": "{{ $value }}",
    }
    annotations: JsonObject = {
        "summary": f"web, route {nasty}, spends its error budget too fast",
        "description": f"8.333% of the requests to web, route {nasty}, fail, seen from the client. The objective is "
        "99.9 % success over 30d; it burns faster than its budget allows, by 14.4 times over 1h or 6 times over 6h, "
        "and still does.",
        "runbook": "LinkerdErrorBudgetBurn",
    }
    expected: JsonObject = {"exp_labels": labels, "exp_annotations": annotations}
    alert: JsonObject = {"eval_time": "2h", "alertname": "LinkerdErrorBudgetBurn", "exp_alerts": [expected]}
    series: list[Json] = [profiled(how, rate, nasty).render() for how, rate in (("success", 55), ("failure", 5))]
    test: JsonObject = {"interval": "1m", "input_series": series, "alert_rule_test": [alert]}
    document: JsonObject = {"evaluation_interval": "1m", "tests": [test]}
    verdict = await promtool.test_rules(document, render_yaml(rule_document(rendered.groups)))
    assert verdict.ok, verdict.output

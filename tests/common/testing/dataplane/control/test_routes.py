from datetime import timedelta

import pytest

from steward.jsonvalue import JsonObject, rows, text
from steward.testing.dataplane.config import ConsecutiveAccrual, Meta, Protocol, RateAccrual, Retry
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.annotations import accrual_of, penalizes, retry_of, timeouts_of
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import EGRESS_NETWORKS, HTTP_ROUTES
from tests.common.testing.dataplane.control.objects import egress, route, rule, thing
from tests.common.testing.dataplane.control.world_of import Cluster, cluster

WEB, NEXT = "10.96.0.10", "10.96.0.11"


def services(world: Cluster) -> None:
    world.mesh.namespace("shop")
    world.mesh.namespace("yard")
    world.service("web", WEB)
    world.service("next", NEXT)


def conditions(world: Cluster, name: str) -> dict[str, str]:
    found = world.mesh.cluster.get(HTTP_ROUTES, name, "shop")
    (parent,) = rows(found, "status", "parents")
    return {text(one, "type"): text(one, "reason") for one in rows(parent, "conditions")}


async def test_weights_and_backends_of_an_http_route_are_told() -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("split", rule("web:80", "next:20", path="/a")))
        await world.settled()
        (found,) = world.target(WEB).http_routes
        assert found.meta == Meta("gateway.networking.k8s.io", "HTTPRoute", "split", "shop")
        assert [(one.meta.name, one.weight) for one in found.rules[0].backends] == [("web", 80), ("next", 20)]
        assert found.rules[0].matches[0].path_prefix == "/a"
        assert conditions(world, "split") == {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}
        world.faults.switch_on(faults.WEIGHTS_IGNORED)
        assert {one.weight for one in world.target(WEB).http_routes[0].rules[0].backends} == {1}
        world.faults.switch_on(faults.ROUTES_IGNORED)
        assert world.target(WEB).http_routes[0].meta.name == "http"


async def test_a_backend_that_does_not_exist_fails_its_share_and_shows_in_the_status() -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("broken", rule("web", "nowhere")))
        await world.settled()
        backends = world.target(WEB).http_routes[0].rules[0].backends
        assert [one.missing for one in backends] == ["", "Service not found nowhere"]
        assert conditions(world, "broken")["ResolvedRefs"] == "BackendNotFound"


async def test_a_route_of_an_unknown_parent_is_not_accepted() -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("lost", rule("web"), to="nobody"))
        await world.settled()
        assert conditions(world, "lost")["Accepted"] == "NoMatchingParent"


async def test_statuses_may_be_absent_or_wrong() -> None:
    async with cluster() as world:
        services(world)
        world.faults.switch_on(faults.ROUTE_STATUS_ABSENT)
        world.apply(route("quiet", rule("web")))
        await world.settled()
        assert "status" not in world.mesh.cluster.get(HTTP_ROUTES, "quiet", "shop")
        world.faults.clear()
        world.faults.switch_on(faults.ROUTE_STATUS_WRONG)
        await world.settled()
        assert conditions(world, "quiet")["Accepted"] == "NoMatchingParent"


async def test_a_route_in_the_clients_namespace_is_for_its_clients_alone() -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("mine", rule("next"), namespace="yard"))
        assert world.target(WEB, client=Client("cm-1", "shop")).http_routes[0].meta.name == "http"
        assert world.target(WEB, client=Client("cm-1", "yard")).http_routes[0].meta.name == "mine"
        world.faults.switch_on(faults.CONSUMER_ROUTES_FOR_ALL)
        assert world.target(WEB, client=Client("cm-1", "shop")).http_routes[0].meta.name == "mine"


async def test_grpc_routes_are_stronger_than_http_routes() -> None:
    match: JsonObject = {"method": {"service": "steward.Echo", "method": "Say"}}
    async with cluster() as world:
        services(world)
        world.apply(
            route("http", rule("web")),
            route("grpc", {"matches": [match], "backendRefs": [{"name": "next", "port": 80}]}, kind="GRPCRoute"),
        )
        await world.settled()
        target = world.target(WEB)
        assert target.protocol is Protocol.GRPC
        assert target.grpc_routes[0].rules[0].matches[0].path_exact == "/steward.Echo/Say"
        assert conditions(world, "http")["Accepted"] == "RouteReasonConflicted"


async def test_tls_and_tcp_routes_carry_bytes() -> None:
    async with cluster() as world:
        services(world)
        backend: JsonObject = {"backendRefs": [{"name": "next", "port": 80}]}
        world.apply(route("bytes", backend, kind="TCPRoute"))
        assert world.target(WEB).protocol is Protocol.OPAQUE
        world.apply(route("sni", backend, kind="TLSRoute", hostnames=["web.example"]))
        target = world.target(WEB)
        assert target.protocol is Protocol.TLS
        assert target.opaque_routes[0].hosts == ("web.example",)


async def test_filters_and_timeouts_of_a_rule_are_told() -> None:
    filters: list[JsonObject] = [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "X-A", "value": "1"}], "remove": ["x-b"]},
        },
        {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.example", "statusCode": 301}},
    ]
    async with cluster() as world:
        services(world)
        world.apply(route("odd", rule("web", filters=list(filters), timeouts={"request": "300ms"})))
        found = world.target(WEB).http_routes[0].rules[0]
        assert found.requests is not None
        assert found.requests.set == (("x-a", "1"),)
        assert found.requests.remove == ("x-b",)
        assert found.redirect is not None
        assert (found.redirect.hostname, found.redirect.status) == ("other.example", 301)
        assert found.timeouts.request == timedelta(milliseconds=300)


async def test_a_filter_that_is_not_supported_keeps_the_route_out_of_force() -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("rewrite", rule("web", filters=[{"type": "URLRewrite", "urlRewrite": {}}])))
        assert world.target(WEB).http_routes[0].meta.name == "http"


async def test_retries_are_asked_by_annotation_and_a_route_is_stronger_than_its_service() -> None:
    async with cluster() as world:
        services(world)
        world.annotate("web", {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "2"})
        assert world.target(WEB).http_routes[0].rules[0].retry == Retry(((500, 599),), (), 2)
        own = route("own", rule("web"))
        own["metadata"]["annotations"] = {"retry.linkerd.io/http": "503"}  # type: ignore[index,call-overload]
        world.apply(own)
        assert world.target(WEB).http_routes[0].rules[0].retry == Retry(((503, 503),), (), 1)
        world.faults.switch_on(faults.ANNOTATIONS_IGNORED)
        assert world.target(WEB).http_routes[0].rules[0].retry is None


def test_annotations_are_read_as_linkerd_does() -> None:
    assert retry_of({"retry.linkerd.io/http": "gateway-error, 418"}) == Retry(((502, 504), (418, 418)))
    assert retry_of({"retry.linkerd.io/grpc": "unavailable,internal"}) == Retry((), (14, 13))
    assert retry_of({}) is None
    assert timeouts_of({"timeout.linkerd.io/idle": "2s"}).idle == timedelta(seconds=2)
    breaker = {
        "balancer.linkerd.io/failure-accrual": "consecutive",
        "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "5",
        "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "5s",
    }
    assert accrual_of(breaker) == ConsecutiveAccrual(5, timedelta(seconds=5))
    unified = {
        "balancer.linkerd.io/failure-accrual": "unified",
        "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold": "0.9",
        "balancer.alpha.linkerd.io/failure-accrual-success-rate-window": "5s",
        "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests": "10",
    }
    assert accrual_of(unified) == RateAccrual(0.9, timedelta(seconds=5), 10, count_429=True)
    assert penalizes({"balancer.alpha.linkerd.io/penalize-failures": "true"})


async def test_a_service_profile_is_told_beside_the_routes() -> None:
    spec: JsonObject = {
        "retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 3, "ttl": "10s"},
        "routes": [
            {
                "name": "GET /a",
                "condition": {"method": "GET", "pathRegex": "/a"},
                "isRetryable": True,
                "timeout": "300ms",
                "responseClasses": [{"condition": {"status": {"min": 418, "max": 418}}, "isFailure": True}],
            }
        ],
    }
    async with cluster() as world:
        services(world)
        world.apply(thing("linkerd.io/v1alpha2", "ServiceProfile", "web.shop.svc.cluster.local", spec))
        profile = world.target(WEB).profile
        assert profile is not None
        assert (profile.retry_ratio, profile.min_retries_per_second) == (0.5, 3)
        (found,) = profile.routes
        assert (found.method, found.path_regex, found.retryable) == ("GET", "/a", True)
        assert found.failures == ((418, 418, True),)
        world.faults.switch_on(faults.PROFILES_IGNORED)
        assert world.target(WEB).profile is None


class TestEgress:
    async def test_without_an_egress_network_the_way_out_is_open(self) -> None:
        async with cluster() as world:
            target = world.target("192.0.2.10")
            assert target.parent == Meta("", "default", "egress-fallback")
            assert not target.egress_denied

    async def test_a_denying_network_lets_out_only_what_a_route_allows(self) -> None:
        parent: JsonObject = {"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": "out", "port": 80}
        async with cluster() as world:
            services(world)
            world.apply(egress("Deny"))
            target = world.target("192.0.2.10")
            assert target.egress_denied
            assert target.parent == Meta("policy.linkerd.io", "EgressNetwork", "out", "shop", 80)
            assert [one.meta.name for one in target.http_routes] == ["http-egress-deny"]
            assert target.http_routes[0].rules[0].backends[0].forbidden == "traffic not allowed"
            world.apply(route("allowed", rule(), parent=parent, hostnames=["allowed.example"]))
            await world.settled()
            routes = world.target("192.0.2.10").http_routes
            assert [one.meta.name for one in routes] == ["allowed", "http-egress-deny"]
            assert routes[0].rules[0].backends[0].endpoints[0].ip == "192.0.2.10"
            (accepted,) = rows(world.mesh.cluster.get(EGRESS_NETWORKS, "out", "shop"), "status", "conditions")
            assert text(accepted, "status") == "True"
            world.faults.switch_on(faults.EGRESS_IGNORED)
            assert not world.target("192.0.2.10").egress_denied

    async def test_explicit_networks_may_lie_within_the_cluster_and_hide_the_global_ones(self) -> None:
        async with cluster() as world:
            services(world)
            world.mesh.namespace("linkerd-egress")
            world.mesh.workload("Deployment", "shop", "web", 1)
            await world.settled()
            ip = text(world.pods("web")[0], "status", "podIP")
            world.apply(egress("Deny", namespace="linkerd-egress"))
            assert world.target("192.0.2.10").egress_denied
            world.apply(egress("Allow", f"{ip}/32"))
            assert world.target(ip, 8080).parent.kind == "EgressNetwork"
            assert not world.target("192.0.2.10").egress_denied


@pytest.mark.parametrize("kind", ["TLSRoute", "TCPRoute"])
async def test_opaque_routes_get_a_status_too(kind: str) -> None:
    async with cluster() as world:
        services(world)
        world.apply(route("bytes", {"backendRefs": [{"name": "next", "port": 80}]}, kind=kind))
        await world.settled()
        served = world.mesh.cluster.kinds.named("gateway.networking.k8s.io/v1alpha2", kind)
        assert served is not None
        found = world.mesh.cluster.get(served.resource, "bytes", "shop")
        assert text(rows(found, "status", "parents")[0], "controllerName") == "linkerd.io/policy-controller"

"""What the gRPC services say, on the wire and beside what a real control plane was recorded to say."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.proxy_api.answers import ProxyApiError
from steward.proxy_api.client import ProxyApi, context_token
from steward.testing.dataplane.control import faults
from steward.testing.dataplane.control.api import ControllerPod
from steward.testing.dataplane.control.kinds import EXTERNAL_WORKLOADS
from tests.common.testing.dataplane.control.objects import (
    authorization,
    egress,
    mesh_tls,
    rate_limit,
    ref,
    route,
    rule,
    server,
    thing,
)
from tests.common.testing.dataplane.control.world_of import Cluster, cluster
from tests.common.testing_linkerd.recorded import path

WEB, IP = "web.shop.svc.cluster.local", "10.96.0.10"
AMPLE, SHORT = timedelta(seconds=20), timedelta(milliseconds=300)
"""For answers that come, and for those that must not."""


class Asking:
    def __init__(self, world: Cluster, destination: ProxyApi, policy: ProxyApi) -> None:
        self.world = world
        self.destination = destination
        self.policy = policy

    async def silence(self, authority: str) -> str:
        """The code of a question that nobody answers."""
        async with ProxyApi(self.destination.target, timeout=SHORT) as impatient:
            with pytest.raises(ProxyApiError) as refused:
                await impatient.endpoints(authority)
        return refused.value.code

    async def outbound(self, ip: str = IP, port: int = 80) -> JsonObject:
        return await self.policy.outbound_policy("shop:cm-1", ip, port)


@asynccontextmanager
async def asking() -> AsyncIterator[Asking]:
    """A controller's pod over a cluster with two replicas of `web`."""
    async with cluster() as world, AsyncExitStack() as stack:
        world.mesh.workload("Deployment", "shop", "web", 2)
        world.service("web", IP)
        await world.settled()
        pod = ControllerPod(world.control, "linkerd-destination-1")
        await pod.start("127.0.0.1", destination=0, policy=0)
        stack.push_async_callback(pod.stop)
        apis = [await stack.enter_async_context(ProxyApi(f"127.0.0.1:{port}", timeout=AMPLE)) for port in pod.ports]
        yield Asking(world, *apis)


def shape(value: Json) -> Json:
    """The names of fields, without what they hold; of lists the first member alone."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in sorted(value.items())}
    return [shape(value[0])] if isinstance(value, list) and value else None


async def test_endpoints_have_the_fields_of_a_recorded_answer() -> None:
    said = recorded_answer("Destination.Get plain, unmeshed client")
    wanted = rows(said, "add", "addrs")[0]
    async with asking() as it:
        found = await it.destination.endpoints(f"{WEB}:80")
    ours = rows(found.answer, "add", "addrs")[0]
    assert set(ours) == set(wanted) - {"http2"}
    assert set(table(ours, "metricLabels")) == set(table(wanted, "metricLabels"))
    assert shape(ours["tlsIdentity"]) == shape(wanted["tlsIdentity"])
    assert shape(ours["protocolHint"]) == shape(wanted["protocolHint"])
    assert set(found.labels) == set(table(said, "add", "metricLabels"))


async def test_a_profile_has_the_fields_of_a_recorded_answer() -> None:
    said = recorded_answer("Destination.GetProfile plain, unmeshed client")
    async with asking() as it:
        found = await it.destination.profile(f"{IP}:80")
    assert shape(found) == shape(said)
    assert found["fullyQualifiedName"] == WEB


async def test_an_inbound_policy_has_the_fields_of_a_recorded_answer() -> None:
    said = recorded_answer("InboundServerPolicies.GetPort plain")
    async with asking() as it:
        found = await it.policy.inbound_policy(f"shop:{text(it.world.pods('web')[0], 'metadata', 'name')}", 8080)
    assert shape(found["protocol"]) == shape(said["protocol"])
    assert set(rows(found, "authorizations")[0]) == set(rows(said, "authorizations")[0])
    assert set(table(found, "labels")) == set(table(said, "labels"))


async def test_an_outbound_policy_has_the_fields_of_a_recorded_answer() -> None:
    said = recorded_answer("OutboundPolicies.Get plain")
    async with asking() as it:
        it.world.apply(route("retry", rule("web", path="/retry")))
        it.world.annotate("web", {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/timeout": "400ms"})
        found = await it.outbound()
    assert set(table(found, "protocol", "detect")) == set(table(said, "protocol", "detect"))
    ours, theirs = (dig(one, "protocol", "detect", "http1", "routes", 0) for one in (found, said))
    assert set(table(ours, "rules", 0)) == set(table(theirs, "rules", 0))
    assert table(ours, "metadata", "resource")["kind"] == "HTTPRoute"
    retry, recorded_retry = (table(one, "rules", 0, "retry") for one in (ours, theirs))
    assert set(retry) == set(recorded_retry) - {"backoff"}


async def test_an_external_workload_is_told_with_a_uri_the_name_to_ask_for_and_a_hint() -> None:
    ports: list[Json] = [{"name": "http", "port": 8080}, {"name": "raw", "port": 9000}]
    outside: JsonObject = {
        "apiVersion": "workload.linkerd.io/v1beta1",
        "kind": "ExternalWorkload",
        "metadata": {
            "name": "vm",
            "namespace": "shop",
            "labels": {"app": "outside"},
            "annotations": {"config.linkerd.io/opaque-ports": "9000"},
        },
        "spec": {
            "meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm.example"},
            "workloadIPs": [{"ip": "192.0.2.7"}],
            "ports": ports,
        },
    }
    async with asking() as it:
        both: list[Json] = [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "raw", "port": 9000, "targetPort": 9000},
        ]
        it.world.service("outside", "10.96.0.20", ports=both)
        it.world.apply(outside)
        ready: JsonObject = {"conditions": [{"type": "Ready", "status": "True"}]}
        it.world.mesh.cluster.set_status(EXTERNAL_WORKLOADS, "vm", ready, "shop")
        await it.world.settled()
        answers = [await it.destination.endpoints(f"outside.shop.svc.cluster.local:{port}") for port in (80, 9000)]
    told = [rows(one.answer, "add", "addrs")[0] for one in answers]
    identity: JsonObject = {"uriLikeIdentity": {"uri": "spiffe://root/vm"}, "serverName": {"name": "vm.example"}}
    assert [one["tlsIdentity"] for one in told] == [identity, identity]
    assert [(one.addresses[0].h2, one.addresses[0].opaque) for one in answers] == [(True, False), (False, True)]


async def test_a_subscriber_hears_of_every_change() -> None:
    async with asking() as it:
        world = it.world
        world.mesh.change("Deployment", "shop", "web", {"spec": {"replicas": 3}})
        await world.settled()
        assert len((await it.destination.endpoints(f"{WEB}:80")).addresses) == 3


async def test_the_name_of_one_pod_has_one_endpoint() -> None:
    async with asking() as it:
        pod = text(it.world.pods("web")[0], "metadata", "name")
        found = await it.destination.endpoints(f"{pod}.{WEB}:80", context=context_token("shop", "node-0"))
        assert [one.labels["pod"] for one in found.addresses] == [pod]


async def test_odd_questions_are_answered_as_recorded() -> None:
    async with asking() as it:
        it.world.service("empty", "10.96.0.12")
        await it.world.settled()
        codes = {}
        for authority in ("nosuch.shop.svc.cluster.local:80", "example.com:80"):
            with pytest.raises(ProxyApiError) as refused:
                await it.destination.endpoints(authority)
            codes[authority.partition(".")[0]] = refused.value.code
        assert codes == {"nosuch": "NotFound", "example": "InvalidArgument"}
        assert await it.silence("empty.shop.svc.cluster.local:80") == "DeadlineExceeded"
        with pytest.raises(ProxyApiError, match="NotFound"):
            await it.policy.inbound_policy("shop:nobody", 80)
        with pytest.raises(ProxyApiError, match="InvalidArgument"):
            await it.policy.inbound_policy("shop:nobody", 0)


async def test_a_controller_that_is_down_says_nothing() -> None:
    async with asking() as it:
        it.world.faults.switch_on(faults.DESTINATION_DOWN)
        assert await it.silence(f"{WEB}:80") == "DeadlineExceeded"


async def test_everything_that_an_outbound_policy_may_hold_survives_the_wire() -> None:
    filters: list[JsonObject] = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x-a", "value": "1"}]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x-b"]}},
        {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "path": {"replaceFullPath": "/b"}}},
    ]
    async with asking() as it:
        world = it.world
        world.apply(
            route("odd", rule("web:1", "nowhere:3", filters=list(filters)), hostnames=["a.example", "*.b.example"])
        )
        world.annotate("web", {"balancer.linkerd.io/failure-accrual": "unified", "timeout.linkerd.io/request": "2s"})
        found = table(await it.outbound(), "protocol", "detect", "http1")
        (one,) = rows(found, "routes")
        (only,) = rows(one, "rules")
        assert one["hosts"] == [{"exact": "a.example"}, {"suffix": {"reverseLabels": ["example", "b"]}}]
        assert [next(iter(each)) for each in rows(only, "filters")] == [
            "requestHeaderModifier",
            "responseHeaderModifier",
            "redirect",
        ]
        assert only["timeouts"] == {"request": "2s"}
        missing = rows(only, "backends", "randomAvailable", "backends")[1]
        assert text(missing, "backend", "filters", 0, "failureInjector", "message") == "Service not found nowhere"
        assert text(found, "failureAccrual", "unified", "decay") == "10s"
        world.annotate("web", {"balancer.linkerd.io/failure-accrual": "consecutive"})
        accrual = table(await it.outbound(), "protocol", "detect", "http1", "failureAccrual")
        assert dig(accrual, "consecutiveFailures", "maxFailures") == 7


async def test_grpc_routes_and_egress_networks_are_told() -> None:
    match: JsonObject = {"method": {"service": "steward.Echo", "method": "Say"}}
    async with asking() as it:
        it.world.apply(route("rpc", {"matches": [match]}, kind="GRPCRoute"), egress("Deny"))
        it.world.annotate("web", {"retry.linkerd.io/grpc": "unavailable"})
        grpc = table(await it.outbound(), "protocol", "grpc", "routes", 0, "rules", 0)
        assert dig(grpc, "matches", 0, "rpc") == {"service": "steward.Echo", "method": "Say"}
        assert table(grpc, "retry", "conditions") == {"unavailable": True}
        outside = await it.outbound("192.0.2.10")
        assert text(outside, "metadata", "resource", "kind") == "EgressNetwork"
        assert "forbidden" in json.dumps(outside)


async def test_servers_with_rate_limits_and_identities_are_told() -> None:
    override: JsonObject = {"requestsPerSecond": 20, "clientRefs": [{"kind": "ServiceAccount", "name": "cm"}]}
    async with asking() as it:
        it.world.apply(
            server("web"),
            mesh_tls("friends", "*", "cm.shop.serviceaccount.identity.linkerd.cluster.local"),
            authorization("a", "Server", "web", ref("MeshTLSAuthentication", "friends")),
            rate_limit("limit", "web", total={"requestsPerSecond": 40}, overrides=[override]),
        )
        found = await it.policy.inbound_policy(f"shop:{text(it.world.pods('web')[0], 'metadata', 'name')}", 8080)
        limit = table(found, "protocol", "detect", "httpLocalRateLimit")
        assert dig(limit, "total", "requestsPerSecond") == 40
        assert dig(limit, "overrides", 0, "limit", "requestsPerSecond") == 20
        clients = table(found, "authorizations", 0, "authentication", "meshTLS", "identities")
        assert rows(clients, "suffixes") == [{}]
        assert len(rows(clients, "identities")) == 1


async def test_a_service_profile_is_in_the_profile() -> None:
    spec: JsonObject = {
        "routes": [
            {
                "name": "GET /a",
                "condition": {"all": [{"method": "GET"}, {"pathRegex": "/a"}]},
                "isRetryable": True,
                "responseClasses": [{"condition": {"status": {"min": 418, "max": 418}}, "isFailure": True}],
            }
        ]
    }
    async with asking() as it:
        it.world.apply(thing("linkerd.io/v1alpha2", "ServiceProfile", WEB, spec))
        (found,) = rows(await it.destination.profile(f"{IP}:80"), "routes")
        assert table(found, "metricsLabels") == {"route": "GET /a"}
        assert found["isRetryable"] is True
        pod = text(it.world.pods("web")[0], "status", "podIP")
        assert text(await it.destination.profile(f"{pod}:8080"), "endpoint", "addr", "ip") == pod


def recorded_answer(name: str) -> JsonObject:
    """The first message of a recorded call."""
    said: dict[str, str] = json.loads(
        path("recordings", "dataplane", "cli", "plain-grpc-from-unmeshed.json").read_text()
    )
    found = said[name]
    first: JsonObject = json.loads(found[found.index("{") :].splitlines()[0])
    return first

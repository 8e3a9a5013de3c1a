"""Policies, routes and rate limits at the inbound proxy: what is answered and counted, and each way to be wrong."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import (
    Authorization,
    HeaderChange,
    InboundRoute,
    InboundServer,
    Match,
    Meta,
    Network,
    Protocol,
    RateLimit,
    Redirect,
)
from steward.testing.dataplane.faults import Fault, Scope
from steward.testing.dataplane.proxy import inbound_faults as broken
from steward.testing.dataplane.proxy.exchange import Request, Version, header
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.lone_proxy import ANN, BOB, LoneProxy, echo, lone_proxy

SERVER = Meta("policy.linkerd.io", "server", "echo-http")
ONLY_ANN = Authorization(Meta("policy.linkerd.io", "authorizationpolicy", "only-ann"), identities=(ANN,))
GET = Request("GET", "/", "echo.shop:8080")
ROUTE = Meta("policy.linkerd.io", "HTTPRoute", "a")


@pytest.fixture
async def lone() -> AsyncIterator[LoneProxy]:
    """A proxy with an application that echoes on 8080."""
    async with lone_proxy() as proxy:
        await proxy.application(8080, echo)
        yield proxy


async def asked(lone: LoneProxy, who: str, path: str = "/") -> int:
    """The status that somebody gets; nobody is outside of the mesh."""
    client = await (lone.meshed_http(8080, who) if who else lone.plain_http(8080))
    response = await client.send(replace(GET, path=path))
    await response.body.read()
    if response.status in (403, 404, 429):
        assert header(response.headers, "content-length") == "0"
        assert {name for name, _ in response.headers} == {"content-length", "date"}
    return response.status


async def test_only_who_is_authorized_gets_through(lone: LoneProxy) -> None:
    lone.policies[8080] = InboundServer(SERVER, authorizations=(ONLY_ANN,))

    assert [await asked(lone, who) for who in (ANN, BOB, "")] == [200, 403, 403]

    named = {"srv_group": "policy.linkerd.io", "srv_kind": "server", "srv_name": "echo-http", "srv_port": "8080"}
    allowed = {"authz_group": "policy.linkerd.io", "authz_kind": "authorizationpolicy", "authz_name": "only-ann"}
    assert lone.page("inbound_http_authz_allow_total", **named, **allowed, client_id=ANN) == 1
    assert lone.page("inbound_http_authz_deny_total", **named, client_id=BOB, tls="true") == 1
    assert lone.page("inbound_http_authz_deny_total", **named, no_tls_reason="no_tls_from_remote") == 1
    assert lone.page("request_total", **named) == 1
    assert lone.page("inbound_http_errors_total") == 0


async def test_a_policy_takes_effect_on_connections_that_are_open(lone: LoneProxy) -> None:
    client = await lone.meshed_http(8080)
    before = (await client.send(GET)).status
    lone.policies[8080] = InboundServer(SERVER)

    assert (before, (await client.send(GET)).status) == (200, 403)


async def test_routes_have_policies_of_their_own_and_what_no_route_takes_is_not_found(lone: LoneProxy) -> None:
    routes = (
        InboundRoute(ROUTE, (Match(path_prefix="/a"),), (ONLY_ANN,)),
        InboundRoute(replace(ROUTE, name="b"), (Match(path_prefix="/b"),)),
    )
    lone.policies[8080] = InboundServer(SERVER, routes=routes)

    assert [await asked(lone, who, "/a") for who in (ANN, BOB)] == [200, 403]
    assert await asked(lone, ANN, "/b") == 403
    assert await asked(lone, ANN, "/c") == 404

    assert lone.page("inbound_http_route_not_found_total", srv_name="echo-http", client_id=ANN) == 1
    assert lone.page("inbound_http_authz_allow_total", route_kind="HTTPRoute", route_name="a") == 1
    assert lone.page("inbound_http_requests_total", route_name="a") == 1


async def test_a_route_changes_headers_and_redirects(lone: LoneProxy) -> None:
    changes = HeaderChange(set=(("X-Set", "1"),), add=(("x-added", "2"),), remove=("x-gone",))
    routes = (
        InboundRoute(ROUTE, (Match(path_prefix="/a"),), (ONLY_ANN,), requests=changes),
        InboundRoute(ROUTE, (Match(path_prefix="/r"),), (ONLY_ANN,), redirect=Redirect(hostname="other", port=81)),
    )
    lone.policies[8080] = InboundServer(SERVER, routes=routes)
    client = await lone.meshed_http(8080)

    said = await (await client.send(replace(GET, path="/a", headers=(("x-gone", "3"),)))).body.read()
    moved = await client.send(replace(GET, path="/r?x=1"))

    assert b"x-set: 1" in said
    assert b"x-added: 2" in said
    assert b"x-gone" not in said
    assert (moved.status, header(moved.headers, "location")) == (302, "http://other:81/r?x=1")


async def test_audit_lets_pass_and_writes_a_line(lone: LoneProxy) -> None:
    lone.policies[8080] = InboundServer(SERVER, authorizations=(ONLY_ANN,), audit=True)

    assert await asked(lone, BOB) == 200
    assert lone.page("inbound_http_authz_allow_total", authz_kind="default", authz_name="audit", client_id=BOB) == 1
    assert any("Request allowed" in line and "srv.name=echo-http" in line for line in lone.log)


async def test_a_denied_connection_is_closed_in_order(lone: LoneProxy) -> None:
    lone.policies[3306] = InboundServer(SERVER, Protocol.OPAQUE, authorizations=(ONLY_ANN,))
    for stream in (await lone.mesh(3306, "", BOB), await lone.plain(3306)):
        await stream.send(b"ping")
        assert await stream.read() == b""

    assert lone.page("inbound_tcp_authz_deny_total", srv_name="echo-http", client_id=BOB, tls="true") == 1
    assert lone.page("inbound_tcp_authz_deny_total", no_tls_reason="port_skipped") == 1
    assert lone.page("tcp_open_total", target_port="3306") == 0


async def echoing(stream: Stream) -> None:
    """An application that gives bytes back."""
    while chunk := await stream.read():
        await stream.send(chunk)


async def test_revoking_a_policy_ends_the_connections_it_allowed(lone: LoneProxy) -> None:
    await lone.bytes_application(3306, echoing)
    lone.policies[3306] = InboundServer(SERVER, Protocol.OPAQUE, authorizations=(ONLY_ANN,))
    stream = await lone.mesh(3306)
    await stream.send(b"ping")
    assert await stream.read() == b"ping"

    lone.policies[3306] = InboundServer(SERVER, Protocol.OPAQUE)
    lone.faults.switch_on(broken.REVOKED_KEPT)
    lone.proxy.policy_changed()
    await stream.send(b"still")
    assert await stream.read() == b"still"

    lone.faults.clear()
    lone.proxy.policy_changed()
    assert await stream.read() == b""
    assert lone.page("inbound_tcp_authz_terminate_total", target_port="3306", client_id=ANN) == 1


async def test_a_rate_limit_answers_429_and_counts_the_scope() -> None:
    clock = ManualClock()
    async with lone_proxy(clock=clock) as lone:
        await lone.application(8080, echo)
        limit = RateLimit(Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow"), total=4, identity=2)
        lone.policies[8080] = InboundServer(SERVER, authorizations=(ONLY_ANN,), rate_limit=limit)
        client = await lone.meshed_http(8080)

        statuses = [(await client.send(GET)).status for _ in range(5)]
        await clock.advance(timedelta(seconds=1))
        later = [(await client.send(GET)).status for _ in range(3)]

        assert statuses == [200, 200, 429, 429, 429]
        assert later == [200, 200, 429]
        named = {"ratelimit_kind": "HTTPLocalRateLimitPolicy", "ratelimit_name": "slow", "client_id": ANN}
        assert lone.page("inbound_http_local_ratelimit_total", ratelimit_scope="identity", **named) == 3
        assert lone.page("inbound_http_local_ratelimit_total", ratelimit_scope="total", **named) == 1
        assert lone.page("inbound_http_authz_allow_total", authz_name="only-ann") == 8
        assert lone.page("inbound_http_errors_total", error="unexpected", target_port="4143") == 4
        assert lone.page("request_total") == 4


async def test_too_many_calls_of_grpc_are_told_why() -> None:
    async with lone_proxy(clock=ManualClock()) as lone:
        limit = RateLimit(Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow"), identity=1)
        lone.policies[50051] = InboundServer(SERVER, authorizations=(ONLY_ANN,), rate_limit=limit)
        client = await lone.meshed_http(50051)
        call = Request("POST", "/x/Y", headers=(("content-type", "application/grpc"),), version=Version.HTTP2)
        await client.send(call)

        refused = await client.send(call)

        assert header(refused.headers, "grpc-status") == "8"
        assert header(refused.headers, "grpc-message").endswith("per-identity rate limit exceeded: 1rps")


GUARDED = InboundServer(SERVER, authorizations=(ONLY_ANN,))
FAR = InboundServer(SERVER, authorizations=(replace(ONLY_ANN, networks=(Network("10.0.0.0/8"),)),))
ROUTED = InboundServer(SERVER, routes=(InboundRoute(ROUTE, (Match(path_prefix="/a"),), (ONLY_ANN,)),))


@pytest.mark.parametrize(
    ("fault", "server", "who", "path", "sound", "wrong"),
    [
        pytest.param(broken.AUTHORIZATION_IGNORED, GUARDED, BOB, "/", 403, 200, id="fails open"),
        pytest.param(broken.AUTHORIZATION_DENIES_ALL, GUARDED, ANN, "/", 200, 403, id="denies all"),
        pytest.param(broken.ROUTE_AUTHORIZATION_IGNORED, ROUTED, BOB, "/a", 403, 200, id="ignores policies of routes"),
        pytest.param(broken.UNKNOWN_ROUTE_ALLOWED, ROUTED, ANN, "/x", 404, 200, id="allows unknown routes"),
        pytest.param(broken.IDENTITIES_IGNORED, GUARDED, BOB, "/", 403, 200, id="ignores identities"),
        pytest.param(broken.IDENTITIES_IGNORED, FAR, ANN, "/", 403, 403, id="ignores identities, not networks"),
        pytest.param(broken.NETWORKS_IGNORED, FAR, ANN, "/", 403, 200, id="ignores networks"),
        pytest.param(broken.NETWORKS_IGNORED, FAR, BOB, "/", 403, 403, id="ignores networks, not identities"),
        pytest.param(broken.AUDIT_DENIES, replace(GUARDED, audit=True), BOB, "/", 200, 403, id="denies in audit"),
    ],
)
async def test_authorization_can_be_broken(
    lone: LoneProxy, fault: Fault, server: InboundServer, who: str, path: str, sound: int, wrong: int
) -> None:
    lone.policies[8080] = server
    before = await asked(lone, who, path)
    lone.faults.switch_on(fault, Scope(pod="echo-1"))

    assert (before, await asked(lone, who, path)) == (sound, wrong)


@pytest.mark.parametrize("fault", [broken.ROUTE_AUTHORIZATION_IGNORED, broken.UNKNOWN_ROUTE_ALLOWED])
async def test_faults_of_routes_leave_servers_without_routes_alone(lone: LoneProxy, fault: Fault) -> None:
    everything = InboundRoute(Meta("", "default", "default"), (Match(path_prefix="/"),))
    lone.policies[8080] = replace(GUARDED, routes=(everything,))
    lone.faults.switch_on(fault)

    assert [await asked(lone, who) for who in (ANN, BOB)] == [200, 403]


async def test_denial_of_connections_can_be_ignored(lone: LoneProxy) -> None:
    await lone.bytes_application(3306, echoing)
    lone.policies[3306] = InboundServer(SERVER, Protocol.OPAQUE)
    lone.faults.switch_on(broken.TCP_DENIAL_IGNORED)
    stream = await lone.plain(3306)

    await stream.send(b"ping")
    assert await stream.read() == b"ping"


@pytest.mark.parametrize(
    ("fault", "passed"),
    [
        pytest.param(None, {ANN: 10, BOB: 20}, id="sound"),
        pytest.param(broken.RATE_LIMIT_IGNORED, {ANN: 30, BOB: 30}, id="ignored"),
        pytest.param(broken.RATE_LIMIT_STRICT, {ANN: 1, BOB: 2}, id="too strict"),
        pytest.param(broken.RATE_LIMIT_OVERRIDES_IGNORED, {ANN: 10, BOB: 10}, id="without overrides"),
        pytest.param(broken.RATE_LIMIT_SHARED, {ANN: 10, BOB: 0}, id="shared"),
    ],
)
async def test_rate_limits_can_be_broken(fault: Fault | None, passed: dict[str, int]) -> None:
    async with lone_proxy(clock=ManualClock()) as lone:
        await lone.application(8080, echo)
        limit = RateLimit(Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow"), 0, 10, ((BOB, 20),))
        everybody = Authorization(Meta("", "default", "all"))
        lone.policies[8080] = InboundServer(SERVER, authorizations=(everybody,), rate_limit=limit)
        if fault is not None:
            lone.faults.switch_on(fault)
        for who, expected in passed.items():
            client = await lone.meshed_http(8080, who)
            statuses = [(await client.send(GET)).status for _ in range(30)]
            assert statuses.count(200) == expected


async def test_calls_of_grpc_can_be_refused_as_if_they_were_http(lone: LoneProxy) -> None:
    lone.policies[8080] = InboundServer(SERVER)
    lone.faults.switch_on(broken.GRPC_REFUSED_AS_HTTP)
    client = await lone.meshed_http(8080)
    call = Request("POST", "/x/Y", headers=(("content-type", "application/grpc"),), version=Version.HTTP2)

    assert (await client.send(call)).status == 403


async def test_filters_of_routes_can_be_ignored(lone: LoneProxy) -> None:
    route = InboundRoute(ROUTE, (Match(path_prefix="/r"),), (ONLY_ANN,), redirect=Redirect(hostname="other"))
    lone.policies[8080] = InboundServer(SERVER, routes=(route,))
    lone.faults.switch_on(broken.FILTERS_IGNORED)

    assert await asked(lone, ANN, "/r") == 200

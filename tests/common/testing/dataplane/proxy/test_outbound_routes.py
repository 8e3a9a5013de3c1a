"""Routes in an outbound proxy: rules, shares, filters, redirects, retries, timeouts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.testing.dataplane.config import (
    Backend,
    HeaderChange,
    HeaderMatch,
    Match,
    Meta,
    Protocol,
    Redirect,
    Retry,
    Route,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response, Version, header
from steward.testing.dataplane.proxy.failures import StreamReset
from tests.common.testing.dataplane.proxy.outbound_side import (
    ANYTHING,
    IP,
    PORT,
    SERVICE,
    OutboundSide,
    answering,
    backend,
    outbound_side,
    service,
)

LOGICAL = f"logical service {IP}:{PORT}"
ROUTE = f"{LOGICAL}: route HTTPRoute.lab.split"
GRPC: Headers = (("content-type", "application/grpc"),)
FIVES = Retry(((500, 599),), limit=2)


@pytest.fixture
async def side() -> AsyncIterator[OutboundSide]:
    async with outbound_side() as side:
        yield side


def failing(times: int, status: int = 503) -> tuple[Handler, list[bytes]]:
    """An application that fails so often before it succeeds, and the bodies that it saw."""
    bodies: list[bytes] = []

    async def handle(request: Request) -> Response:
        bodies.append(await request.body.read())
        failed = len(bodies) <= times
        return Response(status if failed else 200, (("x-attempt", str(len(bodies))),), Body.of(b"answer"))

    return handle, bodies


async def test_shares_follow_weights(side: OutboundSide) -> None:
    v1, v2 = await side.plain(answering("v1")), await side.plain(answering("v2"))
    backends = (backend(v1, name="v1", weight=80), backend(v2, name="v2", weight=20))
    side.tell(service(rule=Rule(ANYTHING, backends)))
    served = Counter([header((await side.ask()).headers, "x-served-by") for _ in range(20)])
    assert served == {"v1": 16, "v2": 4}
    assert side.counted("outbound_http_route_backend_requests_total", backend_name="v1", route_name="split") == 16


async def test_the_most_specific_rule_takes_a_request(side: OutboundSide) -> None:
    names = ("exact", "header", "prefix")
    backends = {name: backend(await side.plain(answering(name)), name=name) for name in names}
    rules = (
        Rule((Match(path_prefix="/a"),), (backends["prefix"],)),
        Rule((Match(path_prefix="/a", headers=(HeaderMatch("x-canary", "yes"),)),), (backends["header"],)),
        Rule((Match(path_exact="/a/b"),), (backends["exact"],)),
    )
    target = replace(service(), http_routes=(Route(Meta("g", "HTTPRoute", "split", "lab"), rules),))
    side.tell(target)
    asked: tuple[tuple[str, Headers, str], ...] = (
        ("/a/x", (), "prefix"),
        ("/a/x", (("x-canary", "yes"),), "header"),
        ("/a/b", (("x-canary", "yes"),), "exact"),
    )
    for path, headers, name in asked:
        assert header((await side.ask(path, headers)).headers, "x-served-by") == name
    nowhere = await side.ask("/b")
    assert nowhere.status == 404
    assert header(nowhere.headers, "l5d-proxy-error") == f"{LOGICAL}: no route"
    assert header(nowhere.headers, "l5d-proxy-connection") == ""


async def test_filters_change_headers_both_ways(side: OutboundSide) -> None:
    rule = Rule(
        ANYTHING,
        (backend(await side.plain(answering("echo"))),),
        requests=HeaderChange(set=(("X-Lab", "set"),), remove=("x-secret",)),
        responses=HeaderChange(add=(("X-Route", "split"),)),
    )
    side.tell(service(rule=rule))
    response = await side.ask("/", (("x-secret", "1"),))
    seen = header(response.headers, "x-seen")
    assert ("x-lab: set" in seen, "x-secret" in seen) == (True, False)
    assert header(response.headers, "x-route") == "split"


async def test_a_redirect_is_answered_by_the_proxy(side: OutboundSide) -> None:
    side.tell(service(rule=Rule(ANYTHING, (), redirect=Redirect(hostname="other.example", status=301))))
    response = await side.ask("/redirect")
    assert response.status == 301
    assert header(response.headers, "location") == "http://other.example:8080/redirect"
    assert header(response.headers, "l5d-proxy-error") == "redirected"
    assert side.counted("outbound_http_route_request_statuses_total", http_status="301") == 1


async def test_a_backend_that_does_not_exist_is_an_error_of_its_share_only(side: OutboundSide) -> None:
    missing = Backend(Meta("", "default", "fail"), missing="Service not found gone")
    side.tell(service(rule=Rule(ANYTHING, (missing, backend(await side.plain(answering("echo")))))))
    responses = [await side.ask() for _ in range(2)]
    assert sorted(response.status for response in responses) == [200, 500]
    assert {header(response.headers, "l5d-proxy-error") for response in responses} == {"", "Service not found gone"}
    assert side.counted("outbound_http_route_backend_response_statuses_total", backend_name="fail") == 1


async def test_changed_routes_are_in_force_for_the_next_request(side: OutboundSide) -> None:
    v1, v2 = [backend(await side.plain(answering(name)), name=name) for name in ("v1", "v2")]
    side.tell(service(rule=Rule(ANYTHING, (v1,))))
    connection = await side.http()
    for each, name in ((v1, "v1"), (v2, "v2")):
        side.tell(service(rule=Rule(ANYTHING, (each,))))
        response = await connection.send(Request("GET", "/", "echo"))
        await response.body.read()
        assert header(response.headers, "x-served-by") == name


@pytest.mark.parametrize(
    ("fails", "status", "attempts", "counter"),
    [
        pytest.param(0, 200, 1, None, id="none"),
        pytest.param(2, 200, 3, "successes", id="enough"),
        pytest.param(5, 503, 3, "limit_exceeded", id="exhausted"),
    ],
)
async def test_failures_are_tried_again_within_the_limit(
    side: OutboundSide, fails: int, status: int, attempts: int, counter: str | None
) -> None:
    app, bodies = failing(fails)
    side.tell(service(rule=Rule(ANYTHING, (backend(await side.meshed(app)),), retry=FIVES)))
    response = await side.ask("/", body=Body.of(b"a body"))
    assert (response.status, await response.body.read()) == (status, b"answer")
    assert bodies == [b"a body"] * attempts
    assert side.counted("outbound_http_route_retry_requests_total") == attempts - 1
    for each in ("successes", "limit_exceeded"):
        assert side.counted(f"outbound_http_route_retry_{each}_total") == (1 if each == counter else 0)
    retried = side.counted("outbound_http_route_backend_response_statuses_total", http_status="503", error="UNKNOWN")
    assert retried == min(fails, 2)


async def test_a_body_too_large_to_be_kept_is_sent_once(side: OutboundSide) -> None:
    app, bodies = failing(1)
    side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(app)),), retry=FIVES)))
    content = b"x" * 100_000
    response = await side.ask("/", body=Body.of(content))
    assert (response.status, bodies) == (503, [content])
    assert side.counted("outbound_http_route_retry_overflow_total") == 1


async def test_codes_of_grpc_are_tried_again(side: OutboundSide) -> None:
    calls: list[int] = []

    async def unavailable(request: Request) -> Response:
        await request.body.read()
        calls.append(1)
        if len(calls) == 1:
            return Response(200, GRPC, Body.of(b"", (("grpc-status", "14"),)))
        return Response(200, GRPC, Body.of(b"reply", (("grpc-status", "0"),)))

    rule = Rule(ANYTHING, (backend(await side.meshed(unavailable, Version.HTTP2)),), retry=Retry(codes=(14,), limit=1))
    route = Route(Meta("gateway.networking.k8s.io", "GRPCRoute", "calls", "lab"), (rule,))
    side.tell(replace(service(), protocol=Protocol.GRPC, grpc_routes=(route,)))
    response = await side.ask("/s/m", GRPC, Version.HTTP2, Body.of(b"question"))
    assert await response.body.read() == b"reply"
    assert response.body.trailers == (("grpc-status", "0"),)
    assert len(calls) == 2
    assert side.counted("outbound_grpc_route_backend_response_statuses_total", grpc_status="UNAVAILABLE") == 1
    assert side.counted("outbound_grpc_route_request_statuses_total", grpc_status="OK") == 1
    assert side.counted("response_total", grpc_status="14", classification="failure") == 1


def sleepy(side: OutboundSide, *delays: float) -> Handler:
    """An application that takes its time, each time another."""
    left = list(delays)

    async def handle(_: Request) -> Response:
        await side.clock.sleep(timedelta(seconds=left.pop(0)))
        return Response(200, (), Body.of(b"at last"))

    return handle


async def test_an_attempt_that_takes_too_long_is_given_up_unless_it_is_the_last(side: OutboundSide) -> None:
    app = sleepy(side, 0, 10, 0.3)
    # Long enough for a busy machine to send the request: only what was sent is counted at the endpoint.
    retry = Retry(((500, 599),), limit=1, timeout=timedelta(milliseconds=200))
    endpoint = await side.meshed(app)
    side.tell(service(endpoint))
    await side.ask()
    side.tell(service(rule=Rule(ANYTHING, (backend(endpoint),), retry=retry)))
    response = await side.ask()
    assert (response.status, await response.body.read()) == (200, b"at last")
    statuses = "outbound_http_route_backend_response_statuses_total"
    assert side.counted(statuses, error="RESPONSE_HEADERS_TIMEOUT") == 1
    assert side.counted("response_total", error="unclassified") == 1


@pytest.mark.parametrize(
    ("timeouts", "error", "said"),
    [
        pytest.param(Timeouts(request=timedelta(milliseconds=30)), "REQUEST_TIMEOUT", "request timeout", id="request"),
        pytest.param(
            Timeouts(response=timedelta(milliseconds=30)),
            "RESPONSE_STREAM_TIMEOUT",
            "response stream timeout",
            id="response",
        ),
    ],
)
async def test_a_response_that_comes_too_late_is_answered_for(
    side: OutboundSide, timeouts: Timeouts, error: str, said: str
) -> None:
    endpoint = await side.meshed(sleepy(side, 10))
    side.tell(service(rule=Rule(ANYTHING, (backend(endpoint),), timeouts=timeouts)))
    response = await side.ask()
    place = f"{ROUTE}: backend Service.lab.echo:8080: Service.lab.echo:8080"
    assert response.status == 504
    message = f"{place}: timed out waiting for response headers: {said}: 30ms"
    assert header(response.headers, "l5d-proxy-error") == message
    assert side.counted("outbound_http_route_request_statuses_total", error=error) == 1
    assert side.counted("outbound_http_errors_total", error="unexpected") == 1


async def test_a_stream_that_pauses_too_long_is_cut_but_not_the_wait_for_its_head(side: OutboundSide) -> None:
    async def pausing(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.Event().wait()

        await side.clock.sleep(timedelta(milliseconds=600))
        return Response(200, (), Body(chunks()))

    endpoint = await side.meshed(pausing, Version.HTTP2)
    limits = Timeouts(idle=timedelta(milliseconds=500))
    side.tell(service(rule=Rule(ANYTHING, (backend(endpoint),), timeouts=limits)))
    response = await side.ask(version=Version.HTTP2)
    assert await anext(response.body) == b"first"
    with pytest.raises(StreamReset):
        await response.body.read()


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "not-allowed"])
async def test_a_client_may_ask_for_retries_where_the_route_allows_it(side: OutboundSide, allowed: bool) -> None:
    app, bodies = failing(1)
    side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(app)),), allow_headers=allowed)))
    response = await side.ask("/", (("l5d-retry-http", "5xx"), ("l5d-retry-limit", "2")))
    assert (response.status, len(bodies)) == ((200, 2) if allowed else (503, 1))


async def test_hosts_tell_routes_apart_and_what_none_allows_is_denied(side: OutboundSide) -> None:
    outside = backend(await side.plain(answering("outside")))
    denied = replace(outside, endpoints=(), forbidden="traffic not allowed")
    parent = Meta("policy.linkerd.io", "EgressNetwork", "all", "lab", 8080)
    routes = (
        Route(Meta("g", "HTTPRoute", "allow-out", "lab"), (Rule(ANYTHING, (outside,)),), ("*.lab.svc.cluster.local",)),
        Route(Meta("", "default", "http-egress-deny"), (Rule(ANYTHING, (denied,)),)),
    )
    side.tell(replace(service(), parent=parent, http_routes=routes, egress_denied=True, balance=False))
    assert (await side.ask()).status == 200
    connection = await side.http()
    response = await connection.send(Request("GET", "/", "elsewhere.example"))
    assert response.status == 403
    assert header(response.headers, "l5d-proxy-error") == "traffic not allowed"
    statuses = "outbound_http_route_request_statuses_total"
    assert side.counted(statuses, route_name="http-egress-deny", http_status="403") == 1
    assert side.counted("outbound_http_errors_total", error="unexpected") == 1


async def test_every_error_of_a_service_names_its_parent(side: OutboundSide) -> None:
    side.tell(service(rule=Rule(ANYTHING, (backend(),))))
    response = await side.ask()
    assert header(response.headers, "l5d-proxy-error").startswith(f"{ROUTE}: backend Service.lab.echo:8080")
    assert side.counted("outbound_http_route_request_statuses_total", parent_name=SERVICE.name) == 1

"""Every fault of the outbound proxy breaks what it says: one observation in health, another one with the fault."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.testing.dataplane.config import (
    Backend,
    ConsecutiveAccrual,
    HeaderChange,
    HeaderMatch,
    Match,
    Meta,
    Profile,
    ProfileRoute,
    Protocol,
    Redirect,
    Retry,
    Route,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.faults import Fault
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.detect import Spoken, detect
from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response, Version, header
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.outbound_side import (
    ANYTHING,
    SERVER_ID,
    TRUST,
    OutboundSide,
    answering,
    backend,
    outbound_side,
    service,
)

Scenario = Callable[[OutboundSide], Awaitable[object]]
Case = tuple[Scenario, object, object]
NETWORK = Meta("policy.linkerd.io", "EgressNetwork", "all", "lab", 8080)
GRPC: Headers = (("content-type", "application/grpc"),)
A_WHILE = timedelta(milliseconds=300)


async def served(side: OutboundSide, path: str = "/", headers: Headers = ()) -> str:
    response = await side.ask(path, headers)
    return header(response.headers, "x-served-by") or str(response.status)


async def within(work: Awaitable[object], limit: timedelta = A_WHILE) -> object:
    """What it gives, or `hangs`; ends at once where it does not."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await work
    except TimeoutError:
        return "hangs"
    except ConnectionError:
        return "reset"


async def two(side: OutboundSide, *matches: Match, **of_route: tuple[str, ...]) -> None:
    """A rule to v1 for these matches; everything else is not found."""
    v1 = backend(await side.plain(answering("v1")), name="v1")
    route = Route(Meta("g", "HTTPRoute", "split", "lab"), (Rule(matches, (v1,)),), **of_route)
    default = backend(await side.plain(answering("echo")))
    side.tell(replace(service(), http_routes=(route,), default=default))


def only(match: Match, path: str = "/other", headers: Headers = ()) -> Scenario:
    """A request that must not match."""

    async def scenario(side: OutboundSide) -> object:
        await two(side, match)
        return await served(side, path, headers)

    return scenario


async def other_host(side: OutboundSide) -> object:
    await two(side, *ANYTHING, hosts=("elsewhere.example",))
    return await served(side)


async def matching(side: OutboundSide) -> object:
    await two(side, *ANYTHING)
    return await served(side)


async def routed(side: OutboundSide, **of_rule: object) -> None:
    side.tell(service(rule=replace(Rule(ANYTHING, (backend(await side.plain(answering("v1"))),)), **of_rule)))  # type: ignore[arg-type]


async def shares(side: OutboundSide) -> object:
    backends = [backend(await side.plain(answering(name)), name=name, weight=n) for name, n in (("v1", 3), ("v2", 1))]
    side.tell(service(rule=Rule(ANYTHING, tuple(backends))))
    return [await served(side) for _ in range(8)].count("v1")


async def changed_route(side: OutboundSide) -> object:
    v1, v2 = [backend(await side.plain(answering(name)), name=name) for name in ("v1", "v2")]
    connection = await side.http()
    names = []
    for each in (v1, v2):
        side.tell(service(rule=Rule(ANYTHING, (each,))))
        response = await connection.send(Request("GET", "/", "echo"))
        await response.body.read()
        names.append(header(response.headers, "x-served-by"))
    return names


async def filtered(side: OutboundSide) -> object:
    await routed(side, requests=HeaderChange(set=(("x-lab", "1"),)), responses=HeaderChange(set=(("x-back", "1"),)))
    response = await side.ask()
    return "x-lab: 1" in header(response.headers, "x-seen"), header(response.headers, "x-back")


async def redirected(side: OutboundSide) -> object:
    await routed(side, redirect=Redirect(path="/new"))
    return await served(side)


async def missing(side: OutboundSide) -> object:
    side.tell(service(rule=Rule(ANYTHING, (Backend(Meta("", "default", "fail"), missing="Service not found x"),))))
    return await within(served(side))


async def egress(side: OutboundSide, *, denied: bool) -> object:
    allowed = backend(await side.plain(answering("outside")))
    chosen = replace(allowed, forbidden="traffic not allowed") if denied else allowed
    target = service(rule=Rule(ANYTHING, (chosen,)))
    side.tell(replace(target, parent=NETWORK, default=chosen, balance=False))
    return await served(side)


async def egress_denied(side: OutboundSide) -> object:
    return await egress(side, denied=True)


async def egress_allowed(side: OutboundSide) -> object:
    return await egress(side, denied=False)


async def profiled(side: OutboundSide, route: ProfileRoute, app: Handler, **more: float) -> str:
    endpoint = await side.plain(app)
    profile = replace(Profile("echo:8080", (route,)), **more)  # type: ignore[arg-type]
    side.tell(replace(service(endpoint), profile=profile))
    response = await side.ask()
    await response.body.read()
    return str(response.status)


async def retried_by_profile(side: OutboundSide) -> object:
    calls: list[int] = []

    async def failing(_: Request) -> Response:
        calls.append(1)
        return Response(503 if len(calls) < 4 else 200)

    return await profiled(side, ProfileRoute("all", retryable=True), failing, retry_ratio=1.0, min_retries_per_second=0)


async def used_profile(side: OutboundSide) -> object:
    await profiled(side, ProfileRoute("all"), answering("echo"))
    return side.counted("route_request_total")


async def asked_anew(side: OutboundSide) -> object:
    told = side.tell(service(await side.plain(answering("echo"))))
    connection = await side.http()
    await (await connection.send(Request("GET", "/", "echo"))).body.read()
    connection.close()
    return await within(told.closed.wait())


def retry(times: int, *, body: bool = False) -> Scenario:
    """The status after an application failed so often, with two retries allowed."""

    async def scenario(side: OutboundSide) -> object:
        calls: list[int] = []

        async def failing(request: Request) -> Response:
            await request.body.read()
            calls.append(1)
            return Response(503 if len(calls) <= times else 200)

        rule = Rule(ANYTHING, (backend(await side.plain(failing)),), retry=Retry(((500, 599),), limit=2))
        side.tell(service(rule=rule))
        return (await side.ask("/", body=Body.of(b"x") if body else None)).status

    return scenario


def timed(limit: int) -> Scenario:
    """The status of a response that takes 60 ms."""

    async def scenario(side: OutboundSide) -> object:
        async def slow(_: Request) -> Response:
            await side.clock.sleep(timedelta(milliseconds=60))
            return Response(200)

        limits = Timeouts(request=timedelta(milliseconds=limit))
        side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(slow)),), timeouts=limits)))
        return (await side.ask()).status

    return scenario


async def overridden(side: OutboundSide) -> object:
    calls: list[int] = []

    async def failing(_: Request) -> Response:
        calls.append(1)
        return Response(503)

    side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(failing)),))))
    await side.ask("/", (("l5d-retry-http", "5xx"),))
    return len(calls)


async def spread(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("a")), await side.plain(answering("b"))))
    return len({await served(side) for _ in range(30)})


async def avoided(side: OutboundSide) -> object:
    async def slow(request: Request) -> Response:
        await side.clock.sleep(timedelta(milliseconds=20))
        return await answering("slow")(request)

    side.tell(service(await side.plain(answering("quick")), await side.plain(slow)))
    return [await served(side) for _ in range(24)].count("slow") > 6


async def penalised(side: OutboundSide) -> object:
    endpoints = [await side.plain(answering("ill", 429)), await side.plain(answering("well"))]
    side.tell(service(*endpoints, penalize_failures=True))
    return [await served(side) for _ in range(24)].count("ill") > 2


def statuses(accrual: ConsecutiveAccrual, asked: int) -> Scenario:
    """Of an application that always fails."""

    async def scenario(side: OutboundSide) -> object:
        side.tell(service(await side.plain(answering("ill", 500)), accrual=accrual))
        return [(await side.ask()).status for _ in range(asked)]

    return scenario


async def closing_breaker(side: OutboundSide) -> object:
    short = ConsecutiveAccrual(1, timedelta(milliseconds=20), timedelta(milliseconds=20))
    side.tell(service(await side.plain(answering("ill", 500)), accrual=short))
    await side.ask()
    return await within(side.until("outbound_http_balancer_endpoints", 1, endpoint_state="ready"))


async def without_endpoints(side: OutboundSide) -> object:
    side.tell(service())
    response = await within(side.ask(), timedelta(milliseconds=500))
    return response.status if isinstance(response, Response) else response


async def endpoints_back(side: OutboundSide) -> object:
    side.tell(service())
    await side.ask()
    side.tell(service(await side.plain(answering("back"))))
    await side.until("outbound_http_balancer_endpoints", 1, endpoint_state="ready")
    return await served(side)


async def own_error(side: OutboundSide) -> object:
    side.tell(replace(service(), http_routes=(Route(Meta("g", "HTTPRoute", "none", "lab"), ()),)))
    response = await side.ask()
    return response.status, bool(header(response.headers, "l5d-proxy-error"))


async def grpc_end(side: OutboundSide) -> object:
    async def app(_: Request) -> Response:
        return Response(200, GRPC, Body.of(b"reply", (("grpc-status", "0"),)))

    side.tell(service(await side.plain(app, Version.HTTP2)))
    response = await side.ask("/s/m", GRPC, Version.HTTP2)
    await response.body.read()
    return len(response.body.trailers)


async def spoken_at_server(side: OutboundSide) -> object:
    async def either(stream: Stream) -> None:
        found = await detect(stream, timedelta(seconds=5))
        version = Version.HTTP2 if found.spoken is Spoken.HTTP2 else Version.HTTP1
        await serve_http(stream, answering("echo"), version)

    side.tell(service(await side.meshed_bytes(either, opaque=False)))
    return header((await side.ask(version=Version.HTTP2)).headers, "x-proto")


async def upgraded(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    response = await side.ask("/", (("connection", "upgrade"), ("upgrade", "websocket")))
    return "upgrade: websocket" in header(response.headers, "x-seen")


async def first_chunk(side: OutboundSide) -> object:
    async def ticking(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"tick"
            await asyncio.Event().wait()

        return Response(200, (("content-type", "text/event-stream"),), Body(chunks()))

    side.tell(service(await side.plain(ticking)))
    response = await side.ask()
    return await within(anext(response.body))


async def large_body(side: OutboundSide) -> object:
    content = b"x" * 100_000
    side.tell(service(await side.plain(answering("echo"))))
    response = await side.ask("/", body=Body.of(content))
    return await response.body.read() == content


async def quick(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    return await within(served(side), timedelta(milliseconds=200))


async def secured(side: OutboundSide) -> object:
    endpoint = await side.meshed(answering("meshed"))
    await side.listen(endpoint.ip, endpoint.port, _bare)
    side.tell(service(endpoint))
    return await served(side)


async def _bare(stream: Stream) -> None:
    await serve_http(stream, answering("bare"), Version.HTTP1)


async def impostor(side: OutboundSide) -> object:
    endpoint = await side.meshed(answering("impostor"), identity=TRUST.identity("impostor.lab"))
    side.tell(service(replace(endpoint, identity=SERVER_ID)))
    return await served(side)


def required(identity: str) -> Scenario:
    """The status when the client insists."""

    async def scenario(side: OutboundSide) -> object:
        side.tell(service(await side.meshed(answering("echo"))))
        return (await side.ask("/", (("l5d-require-id", identity),))).status

    return scenario


async def tls_counted(side: OutboundSide) -> object:
    side.tell(service(await side.meshed(answering("echo"))))
    await side.ask()
    return side.counted("request_total", tls="true")


async def route_counted(side: OutboundSide) -> object:
    await routed(side)
    response = await side.ask()
    await response.body.read()
    await side.until("outbound_http_route_request_statuses_total", 1)
    return side.counted("outbound_http_route_request_statuses_total", route_name="split")


async def shouting(stream: Stream) -> None:
    while word := await stream.read():
        await stream.send(word.upper())
    await stream.send(b"!")
    await stream.finish()


async def bytes_target(side: OutboundSide, protocol: Protocol = Protocol.OPAQUE) -> Stream:
    side.tell(service(await side.plain_bytes(shouting), protocol=protocol))
    return await side.dial()


async def opaque(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.send(b"hello\n")
    await stream.read()
    return side.counted("outbound_tcp_protocol_connections_total", protocol="opaq")


async def http_target(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    await side.ask()
    return side.counted("outbound_http_route_backend_requests_total")


async def half_closed(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.finish()
    return await within(stream.read())


async def silent_client(side: OutboundSide) -> object:
    async def greeting(stream: Stream) -> None:
        await stream.send(b"hello")
        await stream.peek()

    side.tell(service(await side.plain_bytes(greeting)))
    return await within((await side.dial()).read(), timedelta(milliseconds=220))


async def large_bytes(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    content = b"A" * 100_000
    sending = asyncio.ensure_future(stream.send(content))
    came = await stream.read_exactly(len(content))
    await sending
    return came == content


async def across_a_change(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.send(b"a")
    await stream.read()
    side.tell(service(await side.plain_bytes(shouting), protocol=Protocol.OPAQUE))
    await side.until("outbound_tcp_balancer_p2c_updates_total", 1, op="Add")
    return await within(_said(stream))


async def _said(stream: Stream) -> bytes:
    await stream.send(b"b")
    return await stream.read()


async def undefined(side: OutboundSide) -> object:
    side.tell(service(undefined_port=True))
    return await within((await side.dial()).read())


LONG = ConsecutiveAccrual(3, timedelta(minutes=1), timedelta(minutes=1))
CASES: dict[Fault, Case] = {
    broken.DETECT_TOO_LONG: (silent_client, b"hello", "hangs"),
    broken.OPAQUE_AS_HTTP: (opaque, 1, 0),
    broken.HTTP_AS_OPAQUE: (http_target, 1, 0),
    broken.SERVER_FIRST_BROKEN: (silent_client, b"hello", "reset"),
    broken.HALF_CLOSE_LOST: (half_closed, b"!", b""),
    broken.CONNECTIONS_CUT: (across_a_change, b"B", "reset"),
    broken.TCP_CORRUPTED: (large_bytes, True, False),
    broken.UNDEFINED_PORT_HANGS: (undefined, "reset", "hangs"),
    broken.PLAINTEXT_TO_MESHED: (secured, "meshed", "bare"),
    broken.FORGED_IDENTITY_PASSES: (impostor, "504", "impostor"),
    broken.REQUIRE_ID_IGNORED: (required("other"), 502, 200),
    broken.REQUIRE_ID_REFUSED: (required(SERVER_ID), 200, 502),
    broken.HANDSHAKES_FAIL: (required(""), 200, 504),
    broken.ROUTES_STALE: (changed_route, ["v1", "v2"], ["v1", "v1"]),
    broken.NO_ROUTE_IGNORED: (only(Match(path_prefix="/a")), "404", "echo"),
    broken.ROUTES_NOT_FOUND: (matching, "v1", "404"),
    broken.PATH_IGNORED: (only(Match(path_prefix="/a")), "404", "v1"),
    broken.METHOD_IGNORED: (only(Match(method="POST")), "404", "v1"),
    broken.HEADER_MATCHES_IGNORED: (only(Match(headers=(HeaderMatch("x", "1"),))), "404", "v1"),
    broken.QUERY_MATCHES_IGNORED: (only(Match(query=(HeaderMatch("x", "1"),))), "404", "v1"),
    broken.HOSTS_IGNORED: (other_host, "404", "v1"),
    broken.WEIGHTS_EVEN: (shares, 6, 4),
    broken.FIRST_BACKEND_ONLY: (shares, 6, 8),
    broken.FILTERS_IGNORED: (filtered, (True, "1"), (False, "1")),
    broken.RESPONSE_FILTERS_IGNORED: (filtered, (True, "1"), (True, "")),
    broken.REDIRECT_IGNORED: (redirected, "302", "v1"),
    broken.MISSING_BACKEND_HANGS: (missing, "500", "hangs"),
    broken.EGRESS_ALLOWED: (egress_denied, "403", "outside"),
    broken.EGRESS_DENIED: (egress_allowed, "outside", "403"),
    broken.PROFILE_IGNORED: (used_profile, 1, 0),
    broken.DISCOVERY_KEPT: (asked_anew, True, "hangs"),
    broken.NO_BALANCING: (spread, 2, 1),
    broken.NO_EWMA: (avoided, False, True),
    broken.NO_PENALTY: (penalised, False, True),
    broken.NO_ACCRUAL: (statuses(LONG, 5), [500, 500, 500, 504, 503], [500] * 5),
    broken.BREAKER_NEVER_CLOSES: (closing_breaker, None, "hangs"),
    broken.BREAKER_HASTY: (statuses(LONG, 3), [500, 500, 500], [500, 504, 503]),
    broken.NO_FAILFAST: (without_endpoints, 504, "hangs"),
    broken.FAILFAST_FOR_EVER: (endpoints_back, "back", "503"),
    broken.NO_RETRIES: (retry(1), 200, 503),
    broken.RETRIES_WITHOUT_BODY: (retry(1, body=True), 200, 503),
    broken.RETRY_LIMIT_IGNORED: (retry(4), 503, 200),
    broken.RETRY_BUDGET_IGNORED: (retried_by_profile, "503", "200"),
    broken.NO_TIMEOUTS: (timed(20), 504, 200),
    broken.TIMEOUTS_HALVED: (timed(110), 200, 504),
    broken.HEADER_OVERRIDES_HEEDED: (overridden, 1, 2),
    broken.H2_DOWNGRADED: (spoken_at_server, "HTTP/2", "HTTP/1.1"),
    broken.GRPC_TRAILERS_DROPPED: (grpc_end, 1, 0),
    broken.UPGRADE_LOST: (upgraded, True, False),
    broken.STREAMS_BUFFERED: (first_chunk, b"tick", "hangs"),
    broken.BODY_CORRUPTED: (large_body, True, False),
    broken.PROXY_ERROR_MISSING: (own_error, (404, True), (404, False)),
    broken.OWN_STATUS_WRONG: (own_error, (404, True), (500, True)),
    broken.SLOW: (quick, "echo", "hangs"),
    broken.TLS_LABEL_WRONG: (tls_counted, 1, 0),
    broken.ROUTE_LABELS_WRONG: (route_counted, 1, 0),
}


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.name)
async def test_it_breaks_what_it_says_and_nothing_without_it(fault: Fault) -> None:
    scenario, healthy, sick = CASES[fault]
    async with outbound_side() as side:
        assert await scenario(side) == healthy
    async with outbound_side() as side:
        side.faults.switch_on(fault)
        assert await scenario(side) == sick


def test_no_fault_is_left_out() -> None:
    assert set(CASES) == {value for value in vars(broken).values() if isinstance(value, Fault)}
    assert len({fault.name for fault in CASES}) == len(CASES)

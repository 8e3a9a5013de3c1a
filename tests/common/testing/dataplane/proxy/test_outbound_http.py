"""Requests through an outbound proxy: where they go, what they carry, what the proxy says itself."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import Endpoint, Protocol
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version, header
from steward.testing.dataplane.proxy.failures import ExchangeFailed, StreamReset
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from tests.common.testing.dataplane.proxy.loopback import Trust, listening
from tests.common.testing.dataplane.proxy.outbound_side import (
    CLIENT_ID,
    IP,
    PORT,
    SERVER_ID,
    TRUST,
    OutboundSide,
    Slow,
    answering,
    outbound_side,
    service,
)

BOTH = pytest.mark.parametrize("version", list(Version), ids=["http1", "http2"])
_URI = "spiffe://root.lab/vm"
LOGICAL = f"logical service {IP}:{PORT}: route default.http"
BACKEND = "backend Service.lab.echo:8080: Service.lab.echo:8080"


@pytest.fixture
async def side() -> AsyncIterator[OutboundSide]:
    async with outbound_side() as side:
        yield side


@BOTH
async def test_a_meshed_server_learns_who_asks(side: OutboundSide, version: Version) -> None:
    side.tell(service(await side.meshed(answering("echo-1"), version)))
    response = await side.ask("/a", version=version)
    assert response.status == 200
    assert await response.body.read() == b"echo-1"
    assert header(response.headers, "x-proto") == version
    assert f"l5d-client-id: {CLIENT_ID}" in header(response.headers, "x-seen")
    await side.until("response_total", 1, tls="true", server_id=SERVER_ID, classification="success", dst_pod="echo-1")
    assert side.counted("tcp_open_connections", peer="dst", tls="true") == 1


@BOTH
async def test_a_server_outside_of_the_mesh_gets_what_was_sent(side: OutboundSide, version: Version) -> None:
    side.tell(service(await side.plain(answering("plain"), version)))
    response = await side.ask("/", (("l5d-client-id", "forged"),), version)
    assert "l5d-client-id: forged" in header(response.headers, "x-seen")
    assert side.counted("request_total", no_tls_reason="not_provided_by_service_discovery") == 1


async def test_a_workload_outside_of_the_cluster_proves_its_uri(side: OutboundSide) -> None:
    endpoint = await side.meshed(answering("vm"), identity=TRUST.workload(_URI, "vm.example"))
    side.tell(service(replace(endpoint, server_name="vm.example")))
    assert (await side.ask("/")).status == 200
    await side.until("response_total", 1, tls="true", server_id=_URI)


async def test_whoever_has_another_identity_does_not_answer_for_such_a_workload(side: OutboundSide) -> None:
    endpoint = await side.meshed(answering("somebody"))
    side.tell(service(replace(endpoint, identity=_URI, server_name=SERVER_ID)))
    assert (await side.ask("/")).status == 504


async def test_an_identity_that_should_be_a_uri_and_is_none_is_passed_over(side: OutboundSide) -> None:
    endpoint = await side.plain(answering("vm"))
    side.tell(service(replace(endpoint, identity="vm.lab", server_name="vm.example")))
    assert (await side.ask("/")).status == 200
    assert side.counted("request_total", no_tls_reason="not_provided_by_service_discovery") == 1


async def test_a_body_survives_both_proxies(side: OutboundSide) -> None:
    side.tell(service(await side.meshed(answering("echo"))))
    content = bytes(range(256)) * 4096
    response = await side.ask("/", body=Body.of(content))
    assert await response.body.read() == content


async def test_grpc_streams_both_ways_and_keeps_its_trailers(side: OutboundSide) -> None:
    async def talking(request: Request) -> Response:
        async def words() -> AsyncIterator[bytes]:
            async for word in request.body:
                yield word.upper()

        return Response(200, (("content-type", "application/grpc"),), Body(words(), lambda: (("grpc-status", "5"),)))

    said: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk() -> AsyncIterator[bytes]:
        while word := await said.get():
            yield word

    side.tell(service(await side.meshed(talking, Version.HTTP2)))
    response = await side.ask("/s/m", (("content-type", "application/grpc"),), Version.HTTP2, Body(talk()))
    for word in (b"one", b"two"):
        said.put_nowait(word)
        assert await anext(response.body) == word.upper()
    said.put_nowait(b"")
    assert await response.body.read() == b""
    assert response.body.trailers == (("grpc-status", "5"),)
    await side.until("response_total", 1, grpc_status="5", classification="success")
    assert side.counted("outbound_http_route_request_statuses_total", http_status="200") == 1


@pytest.mark.parametrize("meshed", [True, False], ids=["meshed", "unmeshed"])
async def test_an_upgraded_connection_carries_bytes(side: OutboundSide, meshed: bool) -> None:
    async def shouting(request: Request) -> Response:
        assert header(request.headers, "upgrade") == "loud"
        stream = await open_stream("127.0.0.1", shouter)
        return Response(101, (("connection", "upgrade"), ("upgrade", "loud")), upgrade=stream)

    async def loud(stream: Stream) -> None:
        while word := await stream.read():
            await stream.send(word.upper())

    async with listening(loud) as shouter:
        endpoint = await side.meshed(shouting) if meshed else await side.plain(shouting)
        side.tell(service(endpoint))
        response = await side.ask("/", (("connection", "upgrade"), ("upgrade", "loud")))
        assert response.upgrade is not None
        await response.upgrade.send(b"hear me")
        assert await response.upgrade.read() == b"HEAR ME"
        response.upgrade.close()


async def test_without_endpoints_the_first_request_waits_and_the_next_ones_do_not(side: OutboundSide) -> None:
    side.tell(service())
    first, second = await side.ask(), await side.ask()
    assert (first.status, second.status) == (504, 503)
    assert header(first.headers, "l5d-proxy-error") == f"{LOGICAL}: {BACKEND}: service in fail-fast"
    assert header(second.headers, "l5d-proxy-error") == f"{LOGICAL}: service unavailable"
    assert header(second.headers, "l5d-proxy-connection") == "close"
    for error, label in (("FAIL_FAST", "failfast"), ("LOAD_SHED", "loadshed")):
        assert side.counted("outbound_http_route_request_statuses_total", error=error) == 1
        assert side.counted("outbound_http_errors_total", error=label) == 1
    assert side.counted("outbound_http_balancer_queue_gate_shut_total") == 1
    assert side.counted("outbound_http_route_backend_requests_total") == 1


async def test_failing_fast_ends_when_an_endpoint_appears(side: OutboundSide) -> None:
    side.tell(service())
    assert (await side.ask()).status == 504
    side.tell(service(await side.plain(answering("late"))))
    await side.until("outbound_http_balancer_endpoints", 1, endpoint_state="ready")
    assert (await side.ask()).status == 200


async def test_grpc_without_endpoints_is_told_by_its_code(side: OutboundSide) -> None:
    side.tell(service())
    response = await side.ask("/s/m", (("content-type", "application/grpc"),), Version.HTTP2)
    told = dict(response.headers)
    assert (response.status, told["grpc-status"]) == (200, "4")
    assert told["grpc-message"] == told["l5d-proxy-error"]


@pytest.mark.parametrize(
    ("wanted", "meshed", "status", "found"),
    [
        pytest.param(SERVER_ID, True, 200, "", id="right"),
        pytest.param("other", True, 502, f'Some(ServerId(Dns(Name("{SERVER_ID}"))))', id="wrong"),
        pytest.param(SERVER_ID, False, 502, "None", id="unmeshed"),
    ],
)
async def test_a_client_may_require_an_identity(
    side: OutboundSide, wanted: str, meshed: bool, status: int, found: str
) -> None:
    app = answering("echo")
    side.tell(service(await side.meshed(app) if meshed else await side.plain(app)))
    response = await side.ask("/", (("l5d-require-id", wanted),))
    assert response.status == status
    message = header(response.headers, "l5d-proxy-error")
    if status == 200:
        assert "l5d-require-id" not in header(response.headers, "x-seen")
    else:
        assert message == f'{LOGICAL}: {BACKEND}: required id ServerId(Dns(Name("{wanted}"))); found {found}'
        assert side.counted("outbound_http_errors_total", error="identity required") == 1


async def test_a_server_of_another_anchor_stays_pending(side: OutboundSide) -> None:
    stranger = Trust("other").identity(SERVER_ID)
    side.tell(service(await side.meshed(answering("echo"), identity=stranger)))
    assert [(await side.ask()).status for _ in range(2)] == [504, 503]
    assert side.counted("outbound_http_balancer_endpoints", endpoint_state="pending") == 1


async def test_a_server_that_refuses_us_breaks_the_connection(side: OutboundSide) -> None:
    own = TRUST.identity(CLIENT_ID, expired=True)
    side.identity = own
    endpoint = await side.meshed(answering("echo"))
    side.tell(service(endpoint))
    response = await side.ask()
    assert response.status == 502
    assert header(response.headers, "l5d-proxy-error") == f"endpoint {endpoint.ip}:8080: connection error"
    assert side.counted("response_total", classification="failure", error="unclassified") == 1
    assert side.counted("outbound_http_route_request_statuses_total", http_status="502", error="") == 1


async def test_a_warm_connection_outlives_the_certificate(side: OutboundSide) -> None:
    side.tell(service(await side.meshed(answering("echo"))))
    assert (await side.ask()).status == 200
    side.identity = TRUST.identity(CLIENT_ID, expired=True)
    assert [(await side.ask()).status for _ in range(3)] == [200] * 3


async def test_the_word_of_a_servers_proxy_is_not_passed_on(side: OutboundSide) -> None:
    async def forging(_: Request) -> Response:
        return Response(503, (("l5d-proxy-error", "server side"), ("x-app", "yes")))

    side.tell(service(await side.meshed(forging)))
    response = await side.ask()
    assert (response.status, header(response.headers, "l5d-proxy-error")) == (503, "")


async def test_a_target_never_used_before_hangs_until_the_control_plane_answers(side: OutboundSide) -> None:
    asking = asyncio.ensure_future(side.ask())
    await side.until_asked()
    assert not asking.done()
    side.tell(service(await side.plain(answering("echo"))))
    assert (await asking).status == 200


async def test_what_is_known_is_forgotten_after_a_while_without_use(side: OutboundSide) -> None:
    told = side.tell(service(await side.plain(answering("echo"))))
    connection = await side.http()
    response = await connection.send(Request("GET", "/", "echo"))
    await response.body.read()
    assert not told.closed.is_set()
    connection.close()
    await told.closed.wait()
    assert (await side.ask()).status == 200
    assert len(side.asked) == 2


async def test_an_address_nobody_knows_is_connected_to_as_it_is(side: OutboundSide) -> None:
    endpoint = await side.plain(answering("outside"))
    side.told[endpoint.ip, endpoint.port] = None
    connection = await side.http(ip=endpoint.ip, port=endpoint.port)
    response = await connection.send(Request("GET", "/", "outside"))
    assert await response.body.read() == b"outside"
    assert side.counted("outbound_http_route_request_statuses_total", route_name="http", parent_name="endpoint") == 1


@pytest.mark.parametrize("protocol", [Protocol.HTTP1, Protocol.DETECT])
async def test_the_protocol_is_counted_as_declared_or_detected(side: OutboundSide, protocol: Protocol) -> None:
    side.tell(service(await side.plain(answering("echo")), protocol=protocol))
    assert (await side.ask()).status == 200
    assert side.counted("outbound_tcp_protocol_connections_total", protocol=protocol) == 1
    detected = 1 if protocol is Protocol.DETECT else 0
    assert side.counted("outbound_tcp_detect_http_results_total", result="http/1") == detected


async def test_a_reset_of_the_server_reaches_an_http2_client(side: OutboundSide) -> None:
    async def refusing(_: Request) -> Response:
        raise StreamReset("come later", 7)

    side.tell(service(await side.plain(refusing, Version.HTTP2)))
    with pytest.raises(ExchangeFailed):
        await side.ask(version=Version.HTTP2)


async def test_requests_avoid_an_endpoint_that_was_slow_a_moment_ago() -> None:
    async with outbound_side(ManualClock()) as side:
        slow = Slow(side.clock)
        side.tell(service(await side.plain(answering("quick")), await side.plain(slow)))
        while slow.calls < 1:
            await side.ask()
        assert {header((await side.ask()).headers, "x-served-by") for _ in range(20)} == {"quick"}


async def test_removed_endpoints_finish_what_they_are_at(side: OutboundSide) -> None:
    going_on, begun = asyncio.Event(), asyncio.Event()

    async def lasting(_: Request) -> Response:
        begun.set()
        await going_on.wait()
        return Response(200, (), Body.of(b"done"))

    old, new = await side.meshed(lasting), await side.meshed(answering("new"))
    side.tell(service(old))
    asking = asyncio.ensure_future(side.ask())
    await begun.wait()
    side.tell(service(new))
    assert header((await side.ask()).headers, "x-served-by") == "new"
    going_on.set()
    assert await (await asking).body.read() == b"done"


async def test_a_dead_endpoint_is_passed_over(side: OutboundSide) -> None:
    alive = await side.plain(answering("alive"))
    dead = replace(Endpoint("10.1.9.9", 8080), labels=alive.labels)
    side.tell(service(alive, dead))
    assert [(await side.ask()).status for _ in range(6)] == [200] * 6
    assert side.counted("outbound_http_balancer_endpoints", endpoint_state="pending") == 1

"""The inbound half of a proxy: who the application hears of, and what is counted."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from steward.testing.dataplane.config import InboundServer, Meta, Protocol, ProxySettings
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, Version, header
from steward.testing.dataplane.proxy.failures import ConnectionClosed, HandshakeFailed
from steward.testing.dataplane.proxy.http_client import connect_http
from steward.testing.dataplane.proxy.inbound_faults import (
    BLOCKED,
    CLIENT_ID_MISSING,
    DETECTION_BROKEN,
    ERROR_STATUS_WRONG,
    FORGED_CLIENT_ID_KEPT,
    OPEN_RELAY,
    PROTOCOL_NOT_RESTORED,
    SHUTDOWN_ABORTS,
    TLS_LABELS_WRONG,
    TLS_NOT_PASSED,
)
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from steward.testing.dataplane.proxy.tls import Identity, answer, dial
from tests.common.testing.dataplane.proxy.lone_proxy import (
    ANN,
    ECHO,
    IDENTITIES,
    OPEN,
    POD,
    SETTINGS,
    TRUST,
    LoneProxy,
    echo,
    lone_proxy,
)
from tests.common.testing.dataplane.proxy.loopback import Trust, listening

GET = Request("GET", "/", "echo.shop:8080")
FORGED = Request("GET", "/", "echo.shop:8080", (("l5d-client-id", "root"), ("l5d-remote-ip", "9.9.9.9")))
CALL = Request(
    "POST", "/lab.Echo/Call", "echo.shop:8080", (("content-type", "application/grpc"),), version=Version.HTTP2
)


@pytest.fixture
async def lone() -> AsyncIterator[LoneProxy]:
    """A proxy with an application that echoes on 8080."""
    async with lone_proxy() as proxy:
        await proxy.application(8080, echo)
        yield proxy


async def heard(response: Response) -> str:
    """What the application saw."""
    return (await response.body.read()).decode()


async def spoken_to(lone: LoneProxy, stranger: Identity) -> None:
    """Come as a stranger. With TLS 1.3 a client learns only when it reads that it was refused."""
    stream = await lone.mesh(8080, Version.HTTP2, stranger)
    if not await stream.read():
        raise ConnectionClosed("it was closed")


async def echoing(stream: Stream) -> None:
    """An application that gives bytes back."""
    while chunk := await stream.read():
        await stream.send(chunk)


async def test_the_application_learns_who_asks_through_the_mesh(lone: LoneProxy) -> None:
    client = await lone.meshed_http(8080)

    response = await client.send(FORGED)

    said = await heard(response)
    assert f"l5d-client-id: {ANN}" in said
    assert "root" not in said
    assert "l5d-remote-ip: 9.9.9.9" in said
    assert header(response.headers, "x-served-by") == "echo-1"


async def test_a_forged_identity_from_outside_of_the_mesh_is_taken_away(lone: LoneProxy) -> None:
    client = await lone.plain_http(8080)

    assert "l5d-client-id" not in await heard(await client.send(FORGED))


async def test_requests_are_given_to_the_application_as_they_were_before_the_mesh(lone: LoneProxy) -> None:
    client = await lone.meshed_http(8080)

    said = await heard(await client.send(GET))

    assert "HTTP/1.1" in said
    assert "l5d-orig-proto" not in said


async def test_a_request_through_the_mesh_is_counted_with_the_identity_of_the_client(lone: LoneProxy) -> None:
    client = await lone.meshed_http(8080)
    for path in ("/", "/404", "/500"):
        await heard(await client.send(Request("GET", path, "echo.shop:8080")))

    who = {"direction": "inbound", "tls": "true", "client_id": ANN, "target_port": "8080", "target_ip": POD}
    assert lone.page("request_total", **who, srv_name="all-unauthenticated", route_name="default") == 3
    assert lone.page("response_total", **who, classification="success") == 2
    assert lone.page("response_total", **who, classification="failure", status_code="500") == 1
    assert lone.page("response_latency_ms_count", **who) == 3
    assert lone.page("inbound_http_authz_allow_total", tls="true", client_id=ANN, authz_kind="default") == 3
    assert lone.page("inbound_http_requests_total", parent_name="all-unauthenticated", parent_port="8080") == 3
    assert lone.page("inbound_http_statuses_total", status="404") == 1
    assert lone.page("tcp_open_total", **who, peer="src") == 1
    assert lone.page("tcp_open_connections", **who, peer="src") == 1
    assert lone.page("inbound_tcp_transport_header_connections_total", session_protocol="http/2", client_id=ANN) == 1


async def test_a_request_from_outside_is_counted_as_one_without_identity(lone: LoneProxy) -> None:
    client = await lone.plain_http(8080)
    await heard(await client.send(GET))

    reason = {"tls": "no_identity", "no_tls_reason": "no_tls_from_remote", "target_addr": f"{POD}:8080"}
    assert lone.page("request_total", direction="inbound", **reason) == 1
    assert lone.page("inbound_tcp_detect_http_results_total", result="http/1", srv_port="8080") == 1
    assert lone.page("inbound_tcp_detect_http_results_total", result="not_http", srv_port="8080") == 0
    assert lone.page("tcp_open_connections", direction="inbound", peer="dst", no_tls_reason="loopback") == 1


@pytest.mark.parametrize("meshed", [True, False], ids=["meshed", "unmeshed"])
async def test_a_closed_port_of_the_application_is_a_502_without_a_word(lone: LoneProxy, meshed: bool) -> None:
    client = await (lone.meshed_http(7777) if meshed else lone.plain_http(7777))

    response = await client.send(GET)

    assert response.status == 502
    assert header(response.headers, "content-length") == "0"
    assert not header(response.headers, "l5d-proxy-error")
    assert lone.page("response_total", target_port="7777", status_code="502", classification="failure", error="") == 1
    assert lone.page("inbound_http_statuses_total", parent_port="7777", status="502") == 1


async def test_an_application_that_hangs_up_is_a_500_that_counts_as_an_error(lone: LoneProxy) -> None:
    async def rude(stream: Stream) -> None:
        await stream.read()
        stream.close()

    await lone.bytes_application(8081, rude)
    client = await lone.meshed_http(8081)

    response = await client.send(GET)

    assert response.status == 500
    failure = {"target_port": "8081", "classification": "failure", "error": "unclassified"}
    assert lone.page("response_total", **failure) == 1
    assert lone.page("inbound_http_errors_total", error="unexpected", target_port="4143", srv_port="8081") == 1
    assert lone.page("inbound_http_statuses_total", parent_port="8081", status="") == 1


async def test_an_application_that_does_not_accept_puts_the_proxy_into_failfast(lone: LoneProxy) -> None:
    lone.hangs = True
    client = await lone.plain_http(8080)

    assert [(await client.send(GET)).status for _ in range(2)] == [504, 503]
    assert lone.page("inbound_http_errors_total", error="failfast", target_port="8080") == 1
    assert lone.page("inbound_http_errors_total", error="loadshed", target_port="8080") == 1
    lone.hangs = False
    while (await client.send(GET)).status != 200:
        assert lone.page("inbound_http_errors_total", error="failfast") == 1


async def test_the_codes_of_grpc_are_classified_as_measured(lone: LoneProxy) -> None:
    async def failing(request: Request) -> Response:
        code = header(request.headers, "x-code")
        return Response(200, (("content-type", "application/grpc"),), Body.of(b"..", (("grpc-status", code),)))

    await lone.application(50051, failing, Version.HTTP2)
    client = await lone.meshed_http(50051)
    for code in range(17):
        headers = (*CALL.headers, ("x-code", str(code)))
        await (await client.send(Request("POST", CALL.path, headers=headers, version=Version.HTTP2))).body.read()

    failed = {
        named["grpc_status"]
        for name, named, _ in lone.samples()
        if name == "response_total" and named["classification"] == "failure"
    }
    assert failed == {"2", "4", "7", "13", "14", "15"}
    assert lone.page("response_total", target_port="50051") == 17
    assert lone.page("inbound_http_statuses_total", parent_port="50051", status="200") == 17


async def test_refusals_speak_grpc_and_only_to_clients_of_the_mesh(lone: LoneProxy) -> None:
    lone.policies[50051] = InboundServer(Meta("policy.linkerd.io", "server", "calls"))
    meshed, plain = await lone.meshed_http(50051), await lone.plain_http(50051, Version.HTTP2)

    inside, outside = await meshed.send(CALL), await plain.send(CALL)

    for response in (inside, outside):
        assert response.status == 200
        assert header(response.headers, "grpc-status") == "7"
    assert header(inside.headers, "grpc-message").startswith("client 127.0.0.9:")
    assert header(inside.headers, "grpc-message").endswith(f"server: {POD}:4143: unauthorized request on route")
    assert not header(outside.headers, "grpc-message")


async def test_opaque_bytes_pass_through_the_mesh(lone: LoneProxy) -> None:
    await lone.bytes_application(3306, echoing)
    stream = await lone.mesh(3306)

    await stream.send(b"\x00\x01ping")

    assert await stream.read() == b"\x00\x01ping"
    assert lone.page("inbound_tcp_authz_allow_total", target_port="3306", tls="true", client_id=ANN) == 1
    header_of = {"session_protocol": "", "target_port": "3306"}
    assert lone.page("inbound_tcp_transport_header_connections_total", **header_of) == 1


async def test_an_opaque_port_is_not_looked_into(lone: LoneProxy) -> None:
    await lone.bytes_application(3306, echoing)
    lone.policies[3306] = InboundServer(
        Meta("", "default", "open"), Protocol.OPAQUE, authorizations=OPEN.authorizations
    )
    stream = await lone.plain(3306)

    await stream.send(b"GET ")

    assert await stream.read() == b"GET "
    assert lone.page("inbound_tcp_authz_allow_total", no_tls_reason="port_skipped") == 1
    assert lone.page("inbound_tcp_detect_http_results_total", srv_port="3306") == 0


async def test_bytes_that_are_not_http_pass_from_outside(lone: LoneProxy) -> None:
    await lone.bytes_application(9090, echoing)
    stream = await lone.plain(9090)

    await stream.send(b"ping\n")

    assert await stream.read() == b"ping\n"
    assert lone.page("inbound_tcp_detect_http_results_total", result="not_http", srv_port="9090") == 1


async def test_an_unmeshed_client_that_waits_for_the_server_to_begin_is_closed(lone: LoneProxy) -> None:
    async def greeting(stream: Stream) -> None:
        await stream.send(b"hello")
        await stream.read()

    await lone.bytes_application(9091, greeting)
    stream = await lone.plain(9091)

    assert await stream.read() == b""
    assert lone.page("inbound_tcp_errors_total", error="tls detection timeout", target_port="9091") == 1


async def test_tls_of_the_application_passes_with_its_name_noted(lone: LoneProxy) -> None:
    foreign = Trust("somebody")
    said: asyncio.Queue[str] = asyncio.Queue()

    async def accept(stream: Stream) -> None:
        secured = await answer(stream, foreign.identity("shop.example"))
        said.put_nowait(secured.remote)
        await secured.read()

    await lone.bytes_application(8443, accept)
    await dial(await lone.plain(8443), foreign.identity("customer"), "shop.example")

    assert await said.get() == "customer"
    assert lone.page("inbound_tcp_authz_allow_total", tls="opaque", sni="shop.example", target_port="8443") == 1


async def test_mutual_tls_straight_to_the_port_is_ours_too(lone: LoneProxy) -> None:
    secured = await dial(await lone.plain(8080), IDENTITIES[ANN], ECHO)

    assert f"l5d-client-id: {ANN}" in await heard(await connect_http(secured, Version.HTTP1).send(GET))


async def test_a_peer_with_an_expired_certificate_or_of_another_anchor_is_refused(lone: LoneProxy) -> None:
    for stranger in (TRUST.identity(ANN, expired=True), Trust("other").identity(ANN)):
        with pytest.raises((HandshakeFailed, ConnectionClosed)):
            await spoken_to(lone, stranger)
    await lone.until("inbound_tcp_errors_total", 2, error="i/o", target_port="4143")


async def test_without_a_certificate_nobody_of_the_mesh_is_served(lone: LoneProxy) -> None:
    lone.identity = None

    with pytest.raises((HandshakeFailed, ConnectionClosed)):
        await lone.mesh(8080)


@pytest.mark.parametrize("port", [4140, 4143])
async def test_the_proxy_is_no_open_relay(lone: LoneProxy, port: int) -> None:
    override = Request("GET", "/", headers=(("l5d-dst-override", "echo:8080"),))
    with pytest.raises(ConnectionError):
        await (await lone.plain_http(port)).send(override)
    with pytest.raises(ConnectionError):
        await (await lone.meshed_http(port)).send(override)

    lone.faults.switch_on(OPEN_RELAY)
    assert (await (await lone.plain_http(port)).send(override)).status == 200
    assert (await (await lone.meshed_http(port)).send(override)).status == 200


async def test_what_is_under_way_ends_before_the_proxy_does() -> None:
    released = asyncio.Event()
    begun = asyncio.Event()

    async def slow(_request: Request) -> Response:
        begun.set()
        await released.wait()
        return Response(200, (), Body.of(b"done"))

    async with lone_proxy() as lone:
        await lone.application(8080, slow)
        client = await lone.meshed_http(8080)
        asking = asyncio.ensure_future(client.send(GET))
        await begun.wait()
        ending = asyncio.ensure_future(lone.proxy.shutdown())
        released.set()
        assert await (await asking).body.read() == b"done"
        await ending


async def test_a_stream_without_end_does_not_keep_the_proxy() -> None:
    async def ticking() -> AsyncIterator[bytes]:
        yield b"tick"
        await asyncio.Event().wait()

    async def endless(_request: Request) -> Response:
        return Response(200, (), Body(ticking()))

    async with lone_proxy() as lone:
        await lone.application(8080, endless)
        response = await (await lone.meshed_http(8080)).send(GET)
        chunks = aiter(response.body)
        assert await anext(chunks) == b"tick"
        await lone.proxy.shutdown()
        with pytest.raises(ConnectionError):
            await anext(chunks)


async def test_faults_of_identity_and_labels_show(lone: LoneProxy) -> None:
    client = await lone.meshed_http(8080)

    lone.faults.switch_on(CLIENT_ID_MISSING)
    assert "l5d-client-id" not in await heard(await client.send(GET))
    lone.faults.clear()
    lone.faults.switch_on(FORGED_CLIENT_ID_KEPT)
    assert "l5d-client-id: root" in await heard(await client.send(FORGED))
    lone.faults.clear()
    lone.faults.switch_on(TLS_LABELS_WRONG)
    await heard(await client.send(GET))
    assert lone.page("request_total", tls="no_identity") == 1


async def test_faults_of_ports_and_detection_show(lone: LoneProxy) -> None:
    lone.faults.switch_on(ERROR_STATUS_WRONG)
    assert (await (await lone.plain_http(7777)).send(GET)).status == 503
    lone.faults.switch_on(DETECTION_BROKEN)
    assert "l5d-client-id: root" in await heard(await (await lone.plain_http(8080)).send(FORGED))
    assert lone.page("inbound_tcp_detect_http_results_total", result="not_http", srv_port="8080") == 1


async def test_faults_of_protocols_show(lone: LoneProxy) -> None:
    await lone.application(8082, echo, Version.HTTP2)
    lone.faults.switch_on(PROTOCOL_NOT_RESTORED)
    assert (await (await lone.meshed_http(8082)).send(GET)).status == 200  # the application speaks HTTP/2 only

    lone.faults.switch_on(TLS_NOT_PASSED)
    with pytest.raises(HandshakeFailed):
        await dial(await lone.plain(8443), Trust("somebody").identity("customer"), "shop.example")


async def test_a_blocked_port_never_answers(lone: LoneProxy) -> None:
    lone.faults.switch_on(BLOCKED)
    async with listening(lone.proxy.accept_mesh, POD) as port:
        below = await open_stream(POD, port)
        dialling = asyncio.ensure_future(dial(below, IDENTITIES[ANN], ECHO))
        done, _ = await asyncio.wait([dialling], timeout=0.1)
        assert not done
        below.abort()
        with pytest.raises(ConnectionError):
            await dialling


async def test_a_proxy_that_does_not_wait_cuts_requests_off() -> None:
    begun = asyncio.Event()

    async def endless(_request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with lone_proxy() as lone:
        lone.faults.switch_on(SHUTDOWN_ABORTS)
        await lone.application(8080, endless)
        asking = asyncio.ensure_future((await lone.meshed_http(8080)).send(GET))
        await begun.wait()
        await lone.proxy.shutdown()
        with pytest.raises(ConnectionError):
            await asking


async def test_older_proxies_have_no_newer_families() -> None:
    old = ProxySettings(SETTINGS.pod, SETTINGS.namespace, POD, "edge-25.4.4")
    async with lone_proxy(old) as lone:
        await lone.application(8080, echo)
        await heard(await (await lone.meshed_http(8080)).send(GET))

        assert lone.page("request_total", direction="inbound") == 1
        assert not [name for name, _, _ in lone.samples() if name.startswith(("inbound_http_requests", "rustls"))]

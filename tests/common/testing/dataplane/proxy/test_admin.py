"""The admin server: figures and readiness, and who may have them."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from steward.testing.dataplane.config import Authorization, InboundServer, Meta
from steward.testing.dataplane.faults import Fault
from steward.testing.dataplane.proxy import inbound_faults as broken
from steward.testing.dataplane.proxy.exchange import Request, Response, header
from tests.common.testing.dataplane.proxy.lone_proxy import (
    ANN,
    CLIENT,
    OPEN,
    POD,
    SETTINGS,
    LoneProxy,
    echo,
    lone_proxy,
)

ADMIN = 4191
AUTHENTICATED = InboundServer(
    Meta("", "default", "all-authenticated"),
    authorizations=(Authorization(Meta("", "default", "all-authenticated"), identities=("*",)),),
)
DENY = InboundServer(Meta("", "default", "deny"))
AUDIT = InboundServer(Meta("", "default", "audit"), audit=True)


@pytest.fixture
async def lone() -> AsyncIterator[LoneProxy]:
    """A proxy of a pod."""
    async with lone_proxy() as proxy:
        yield proxy


async def asked(
    lone: LoneProxy, path: str, *, meshed: bool = False, source: str = CLIENT, method: str = "GET"
) -> Response:
    """What the admin server answers."""
    client = await (lone.meshed_http(ADMIN) if meshed else lone.plain_http(ADMIN, source=source))
    return await client.send(Request(method, path, f"{POD}:{ADMIN}"))


async def test_the_page_is_text_with_the_end_marker(lone: LoneProxy) -> None:
    response = await asked(lone, "/metrics")

    page = (await response.body.read()).decode()
    assert response.status == 200
    assert header(response.headers, "content-type") == "text/plain"
    assert page.endswith("# EOF\n")
    assert "# TYPE control_dns_resolutions counter" in page or "process_start_time_seconds" in page


@pytest.mark.parametrize(
    ("server", "unmeshed", "meshed"),
    [
        pytest.param(OPEN, 200, 200, id="all-unauthenticated"),
        pytest.param(AUTHENTICATED, 403, 200, id="all-authenticated"),
        pytest.param(DENY, 403, 403, id="deny"),
        pytest.param(AUDIT, 200, 200, id="audit"),
    ],
)
async def test_scrapes_obey_the_default_policy_and_probes_always_pass(
    lone: LoneProxy, server: InboundServer, unmeshed: int, meshed: int
) -> None:
    lone.policies[ADMIN] = server

    figures = [(await asked(lone, "/metrics", meshed=inside)).status for inside in (False, True)]
    ready = [(await asked(lone, "/ready", meshed=inside)).status for inside in (False, True)]

    assert figures == [unmeshed, meshed]
    assert ready == [200, 200]


async def test_its_own_traffic_is_counted_as_that_of_an_application(lone: LoneProxy) -> None:
    for path in ("/ready", "/live", "/metrics"):
        await (await asked(lone, path)).body.read()

    port = {"direction": "inbound", "target_port": "4191", "target_addr": "0.0.0.0:4191"}
    assert lone.page("response_total", **port, route_name="probe", authz_name="probe") == 2
    assert lone.page("response_total", **port, route_name="default", authz_name="all-unauthenticated") == 1
    assert lone.page("inbound_tcp_detect_http_results_total", srv_port="4191", result="http/1") == 3


async def test_it_is_ready_once_it_has_a_certificate(lone: LoneProxy) -> None:
    lone.identity, kept = None, lone.identity
    before = (await asked(lone, "/ready")).status
    lone.identity = kept

    assert (before, (await asked(lone, "/ready")).status) == (503, 200)


@pytest.mark.parametrize("path", ["/shutdown", "/proxy-log-level", "/env.json"])
async def test_what_concerns_the_pod_alone_is_refused_to_others(lone: LoneProxy, path: str) -> None:
    assert (await asked(lone, path)).status == 403
    assert (await asked(lone, path, meshed=True)).status == 403


async def test_the_pod_itself_may_end_its_proxy_where_that_is_enabled() -> None:
    enabled = replace(SETTINGS, environment=(("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", "true"),))
    async with lone_proxy() as closed, lone_proxy(enabled) as lone:
        assert (await asked(closed, "/shutdown", source=POD, method="POST")).status == 404
        assert (await asked(lone, "/shutdown", source=POD)).status == 405
        assert not lone.proxy.stopping.is_set()
        assert (await asked(lone, "/shutdown", source=POD, method="POST")).status == 200
        assert lone.proxy.stopping.is_set()
        assert b"SHUTDOWN" in await (await asked(lone, "/env.json", source=POD)).body.read()
        assert (await asked(lone, "/proxy-log-level", source=POD)).status == 200
        assert (await asked(lone, "/nothing")).status == 404


@pytest.mark.parametrize(
    ("fault", "server", "path", "sound", "wrong"),
    [
        pytest.param(broken.ADMIN_REFUSES, OPEN, "/metrics", 200, 403, id="refuses although open"),
        pytest.param(broken.ADMIN_OPEN, DENY, "/metrics", 403, 200, id="open although strict"),
        pytest.param(broken.ADMIN_NOT_READY, OPEN, "/ready", 200, 503, id="not ready"),
    ],
)
async def test_the_admin_server_can_be_wrong(
    lone: LoneProxy, fault: Fault, server: InboundServer, path: str, sound: int, wrong: int
) -> None:
    lone.policies[ADMIN] = server
    before = (await asked(lone, path)).status
    lone.faults.switch_on(fault)

    assert (before, (await asked(lone, path)).status) == (sound, wrong)
    assert (await asked(lone, "/live")).status == 200


_WHEN = r"[0-9-]{10}T[0-9:.]+Z"
LINES = {
    "apache": rf'{CLIENT}:\d+ {ANN} - \[{_WHEN}\] "GET http://echo:8080/404 HTTP/2.0" 404',
    "json": rf'{{"client.addr":"{CLIENT}:\d+","client.id":"{ANN}","host":"echo:8080","method":"GET",.*"status":404,'
    rf'"timestamp":"{_WHEN}",.*"uri":"http://echo:8080/404",.*"version":"HTTP/2.0"}}',
}


@pytest.mark.parametrize(("wanted", "other"), [("apache", "json"), ("json", "apache")])
async def test_a_line_is_written_for_every_request_in_the_format_that_is_asked(wanted: str, other: str) -> None:
    async with lone_proxy(replace(SETTINGS, access_log=wanted)) as lone:
        await lone.application(8080, echo)
        client = await lone.meshed_http(8080)
        for fault in (broken.ACCESS_LOG_OTHER_FORMAT, broken.ACCESS_LOG_MISSING):
            await client.send(Request("GET", "/404", "echo:8080"))
            lone.faults.switch_on(fault)
        await client.send(Request("GET", "/404", "echo:8080"))

        sound, strange = (each for each in lone.log if "/404" in each)
        assert re.fullmatch(LINES[wanted], sound)
        assert re.fullmatch(LINES[other], strange)


async def test_no_line_is_written_where_nobody_asks() -> None:
    async with lone_proxy() as lone:
        await lone.application(8080, echo)
        await (await lone.meshed_http(8080)).send(Request("GET", "/404", "echo:8080"))
        assert list(lone.log) == []

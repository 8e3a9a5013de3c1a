"""ServiceProfiles in an outbound proxy: when they are in force, and what their routes do."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.testing.dataplane.config import Endpoint, OutboundTarget, Profile, ProfileRoute, Rule
from steward.testing.dataplane.proxy.exchange import Body, Request, Response, header
from tests.common.testing.dataplane.proxy.outbound_side import (
    ANYTHING,
    OutboundSide,
    answering,
    backend,
    outbound_side,
    service,
)

AUTHORITY = "echo.lab.svc.cluster.local:8080"
ROUTES = (
    ProfileRoute("GET /retry", "/retry", "GET", retryable=True),
    ProfileRoute("GET /slow", "/slow", "GET", timeout=timedelta(milliseconds=30)),
    ProfileRoute("GET /teapot", "/teapot", "GET", failures=((418, 418, True),)),
)
PROFILE = Profile(AUTHORITY, ROUTES)


@pytest.fixture
async def side() -> AsyncIterator[OutboundSide]:
    async with outbound_side() as side:
        yield side


def profiled(endpoint: Endpoint, profile: Profile = PROFILE) -> OutboundTarget:
    return replace(service(endpoint), profile=profile)


async def test_failures_of_a_retryable_route_are_tried_again(side: OutboundSide) -> None:
    calls: list[bytes] = []

    async def failing(request: Request) -> Response:
        calls.append(await request.body.read())
        return Response(503 if len(calls) < 3 else 200, (), Body.of(b"answer"))

    side.tell(profiled(await side.meshed(failing)))
    response = await side.ask("/retry?id=1")
    assert (response.status, len(calls)) == (200, 3)
    named = {"dst": AUTHORITY, "rt_route": "GET /retry"}
    await side.until("route_response_total", 1, classification="success", **named)
    assert side.counted("route_request_total", **named) == 1
    assert side.counted("route_actual_request_total", **named) == 3
    assert side.counted("route_actual_response_total", classification="failure", status_code="503", **named) == 2
    assert side.counted("route_retryable_total", **named) == 2
    assert side.counted("outbound_http_route_request_statuses_total") == 0


async def test_retries_end_with_their_budget(side: OutboundSide) -> None:
    async def failing(_: Request) -> Response:
        return Response(503)

    side.tell(profiled(await side.meshed(failing), replace(PROFILE, retry_ratio=1.0, min_retries_per_second=0)))
    assert (await side.ask("/retry")).status == 503
    assert side.counted("route_actual_request_total") == 2
    assert side.counted("route_retryable_total", skipped="no_budget") == 1


async def test_a_timeout_is_told_by_the_name_of_the_profile(side: OutboundSide) -> None:
    async def slow(_: Request) -> Response:
        await side.clock.sleep(timedelta(seconds=10))
        return Response(200)

    side.tell(profiled(await side.meshed(slow)))
    response = await side.ask("/slow")
    assert response.status == 504
    message = f"logical service {AUTHORITY}: HTTP response timeout after 30ms"
    assert header(response.headers, "l5d-proxy-error") == message
    assert side.counted("route_response_total", classification="failure", error="timeout") == 1
    assert side.counted("outbound_http_errors_total", error="response timeout") == 1


async def test_classes_of_responses_tell_failures(side: OutboundSide) -> None:
    side.tell(profiled(await side.meshed(answering("pot", 418))))
    response = await side.ask("/teapot")
    await response.body.read()
    for family in ("route_response_total", "route_actual_response_total", "response_total"):
        await side.until(family, 1, status_code="418", classification="failure")


async def test_a_profile_wins_over_routes_that_come_later(side: OutboundSide) -> None:
    v1, v2 = await side.plain(answering("v1")), await side.plain(answering("v2"))
    side.tell(profiled(v1))
    connection = await side.http()
    routed = replace(service(v1, rule=Rule(ANYTHING, (backend(v2, name="v2"),))), profile=PROFILE)
    for told in (profiled(v1), routed):
        side.tell(told)
        response = await connection.send(Request("GET", "/", "echo"))
        await response.body.read()
        assert header(response.headers, "x-served-by") == "v1"


async def test_a_profile_that_comes_later_waits_until_the_target_is_built_anew(side: OutboundSide) -> None:
    v1, v2 = await side.plain(answering("v1")), await side.plain(answering("v2"))
    routed = service(v1, rule=Rule(ANYTHING, (backend(v2, name="v2"),)))
    told = side.tell(routed)
    connection = await side.http()
    for now in (routed, replace(routed, profile=PROFILE)):
        side.tell(now)
        response = await connection.send(Request("GET", "/", "echo"))
        await response.body.read()
        assert header(response.headers, "x-served-by") == "v2"
    connection.close()
    await told.closed.wait()
    assert header((await side.ask()).headers, "x-served-by") == "v1"

"""Answers of the simulated inbound proxy beside those that real clients got in the same situation."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest

from steward.jsonvalue import JsonObject, dig, rows, table, text, whole
from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import Authorization, InboundRoute, InboundServer, Match, Meta, RateLimit
from steward.testing.dataplane.proxy.exchange import Request, Response, Version, header
from steward.testing.dataplane.proxy.http_client import HttpConnection
from tests.common.testing.dataplane.proxy.lone_proxy import ANN, BOB, OPEN, LoneProxy, echo, lone_proxy
from tests.common.testing_linkerd.recorded import path as recorded

SERVER = Meta("policy.linkerd.io", "server", "echo-http")
ONLY_ANN = Authorization(Meta("policy.linkerd.io", "authorizationpolicy", "only"), identities=(ANN,))
GUARDED = InboundServer(SERVER, authorizations=(ONLY_ANN,))
ROUTE = InboundRoute(Meta("policy.linkerd.io", "HTTPRoute", "a"), (Match(path_prefix="/a"),), (ONLY_ANN,))
ROUTED = InboundServer(SERVER, routes=(ROUTE,))
LIMIT = RateLimit(Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow"), total=1)
LIMITED = InboundServer(SERVER, authorizations=OPEN.authorizations, rate_limit=LIMIT)
GRPC = (("content-type", "application/grpc"),)
PERMISSION_DENIED = "7"


@dataclass(frozen=True)
class Situation:
    """What a real client met, and how to meet it here. `times`: the last answer counts."""

    file: str
    key: str
    server: InboundServer = OPEN
    who: str = ANN
    h2: bool = False
    port: int = 8080
    path: str = "/a"
    times: int = 1


SITUATIONS = (
    Situation("policy", "authz allowed client (Server+AuthorizationPolicy)", GUARDED),
    Situation("policy", "authz denied client2 meshed", GUARDED, BOB),
    Situation("policy", "authz denied client2 meshed h2", GUARDED, BOB, h2=True),
    Situation("policy", "authz denied unmeshed", GUARDED, ""),
    Situation("policy", "inbound route match", ROUTED),
    Situation("policy", "inbound route not found (404) meshed", ROUTED, path="/b"),
    Situation("policy", "inbound route not found (404) unmeshed", ROUTED, "", path="/b"),
    Situation("policy", "inbound route authz denied (403)", ROUTED, BOB),
    Situation("policy", "rate limited 429 meshed", LIMITED, times=2),
    Situation("policy", "rate limited 429 unmeshed", LIMITED, "", times=2),
    Situation("policy", "rate limited 429 h2", LIMITED, h2=True, times=2),
    Situation("basic", "pod ip with closed port 7777", port=7777),
    Situation("basic", "unmeshed to closed port of meshed pod", who="", port=7777),
    Situation("basic", "server closes connection", port=8081),
    Situation("basic", "app 500", path="/500"),
    Situation("basic", "app 404", path="/404"),
)


@pytest.fixture
async def lone() -> AsyncIterator[LoneProxy]:
    """A proxy with an application on 8080, and one on 8081 that hangs up."""
    async with lone_proxy(clock=ManualClock()) as proxy:
        await proxy.application(8080, echo)
        await proxy.application(8081, rude)
        yield proxy


async def rude(_request: Request) -> Response:
    """Hang up instead of answering."""
    raise ConnectionError


def told(file: str, key: str) -> JsonObject:
    """What the real client reported."""
    document = json.loads(recorded("recordings", "dataplane", "headers", f"{file}.json").read_text())
    found = rows(document, key)
    return found[0] if found else table(document, key)


async def client_of(lone: LoneProxy, situation: Situation) -> HttpConnection:
    """Within the mesh or outside of it."""
    if situation.who:
        return await lone.meshed_http(situation.port, situation.who)
    return await lone.plain_http(situation.port, Version.HTTP2 if situation.h2 else Version.HTTP1)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.key)
async def test_status_and_headers_are_those_that_a_real_client_got(lone: LoneProxy, situation: Situation) -> None:
    real = told(situation.file, situation.key)
    lone.policies[situation.port] = situation.server
    client = await client_of(lone, situation)
    version = Version.HTTP2 if situation.h2 else Version.HTTP1

    answer = await client.send(Request("GET", situation.path, "echo:8080", version=version))
    for _ in range(situation.times - 1):
        await answer.body.read()
        answer = await client.send(Request("GET", situation.path, "echo:8080", version=version))

    assert answer.status == whole(real, "status")
    assert not header(answer.headers, "l5d-proxy-error")
    if not text(real, "seen_by_server", "pod") and not situation.key.startswith("app"):
        headers = {name.lower() for name in table(real, "resp_headers")}
        assert {name for name, _ in answer.headers} == headers


@pytest.mark.parametrize(
    ("key", "who"), [("authz denied grpc meshed", ANN), ("authz denied grpc unmeshed", "")], ids=["meshed", "unmeshed"]
)
async def test_a_denied_call_of_grpc_reads_as_the_real_one(lone: LoneProxy, key: str, who: str) -> None:
    real = told("policy", key)
    lone.policies[50051] = InboundServer(SERVER)
    client = await client_of(lone, Situation("policy", key, who=who, port=50051, h2=True))

    answer = await client.send(Request("POST", "/lab.Echo/Call", headers=GRPC, version=Version.HTTP2))

    assert dig(real, "code") == "PermissionDenied"
    assert header(answer.headers, "grpc-status") == PERMISSION_DENIED
    assert without_addresses(header(answer.headers, "grpc-message")) == without_addresses(text(real, "message"))
    kept = {name for name, _ in answer.headers if not name.startswith("grpc-")}
    assert kept == set(table(real, "trailer"))


def without_addresses(message: str) -> str:
    """The words alone."""
    return re.sub(r"[0-9.]+:(4143|[0-9]+)", lambda found: "server" if found[1] == "4143" else "client", message)


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("pol-auth", InboundServer(Meta("", "default", "all-authenticated"), authorizations=(ONLY_ANN,))),
        ("pol-deny", InboundServer(Meta("", "default", "deny"))),
        ("pol-audit", InboundServer(Meta("", "default", "audit"), audit=True)),
    ],
)
async def test_default_policies_guard_application_and_admin_port_as_recorded(
    lone: LoneProxy, name: str, server: InboundServer
) -> None:
    document: Mapping[str, list[list[int]]] = json.loads(
        recorded("recordings", "dataplane", "headers", "defaults-injector.json").read_text()
    )
    lone.policies[8080] = lone.policies[4191] = server

    async def status(who: str, port: int, path: str) -> int:
        client = await client_of(lone, Situation("", "", who=who, port=port))
        return (await client.send(Request("GET", path, "echo"))).status

    admin = [[await status(who, 4191, path) for path in ("/metrics", "/ready")] for who in ("", ANN)]
    assert admin == document[f"{name}: (/metrics,/ready) on 4191 for unmeshed, meshed client"]
    for word, who in (("meshed", ANN), ("unmeshed", "")):
        real = told("defaults-injector", f"{name}: {word} client")
        assert await status(who, 8080, "/a") == whole(real, "status")

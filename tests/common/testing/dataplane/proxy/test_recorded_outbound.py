"""Answers and figures of the simulated outbound proxy beside those of real ones in the same situation."""

import gzip
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from steward.jsonvalue import JsonObject, rows, table, text, whole
from steward.testing.dataplane.config import (
    Backend,
    Match,
    Meta,
    OutboundTarget,
    Profile,
    ProfileRoute,
    Protocol,
    Redirect,
    Route,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.proxy.exchange import Body, Headers, Request, Response
from steward.testing.dataplane.proxy.failures import ConnectionClosed
from steward.testing.dataplane.proxy.families import FAMILIES
from tests.common.testing.dataplane.proxy.loopback import Trust
from tests.common.testing.dataplane.proxy.outbound_side import (
    ANYTHING,
    CLIENT_ID,
    SERVER_ID,
    OutboundSide,
    answering,
    backend,
    outbound_side,
    service,
)
from tests.common.testing_linkerd.recorded import path as recorded

NETWORK = Meta("policy.linkerd.io", "EgressNetwork", "all-egress", "lab", 80)
WRONG_ID = f"other.lab.{SERVER_ID.split('.', 2)[2]}"
SAMPLE = re.compile(r"^(\w+)\{(.*)\} ")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
OWN_HEADERS = frozenset({"l5d-proxy-error", "l5d-proxy-connection", "content-length", "location"})
FOLDED = (
    (re.compile(r"\d+\.\d+\.\d+\.\d+:\d+"), "ADDRESS"),
    (re.compile(r"Service\.\w+\.\w+:\d+"), "SERVICE"),
    (re.compile(r"HTTPRoute\.\w+\.\w+"), "ROUTE"),
    (re.compile(r"\w+\.lab\.serviceaccount[\w.]+"), "IDENTITY"),
    (re.compile(r"\w+\.lab\.svc\.cluster\.local:\d+"), "AUTHORITY"),
    (re.compile(r"\d+ms"), "LIMIT"),
)
Setting = Callable[[OutboundSide], Awaitable[OutboundTarget]]


@dataclass(frozen=True)
class Situation:
    """What a real client met (`at`: which of several answers), and how to meet it here."""

    file: str
    key: str
    target: Setting
    at: int = 0
    headers: Headers = ()


async def healthy(side: OutboundSide) -> OutboundTarget:
    return service(await side.meshed(answering("echo")))


async def unmeshed(side: OutboundSide) -> OutboundTarget:
    return service(await side.plain(answering("plain")))


async def empty(_: OutboundSide) -> OutboundTarget:
    return service()


async def empty_backend(_: OutboundSide) -> OutboundTarget:
    return service(rule=Rule(ANYTHING, (backend(name="empty"),)))


async def no_rule(_: OutboundSide) -> OutboundTarget:
    return service(rule=Rule((Match(path_exact="/elsewhere"),)))


async def missing(_: OutboundSide) -> OutboundTarget:
    gone = Backend(Meta("", "default", "fail"), missing="Service not found does-not-exist")
    return service(rule=Rule(ANYTHING, (gone,)))


async def redirecting(_: OutboundSide) -> OutboundTarget:
    return service(rule=Rule(ANYTHING, redirect=Redirect(hostname="other.example", status=301)))


async def slow(side: OutboundSide, timeouts: Timeouts, rule: Rule | None) -> OutboundTarget:
    async def late(_: object) -> Response:
        await side.clock.sleep(timedelta(seconds=10))
        return Response(200)

    endpoint = await side.meshed(late)
    limited = replace(rule or Rule(ANYTHING), backends=(backend(endpoint),), timeouts=timeouts)
    target = service(endpoint, rule=limited)
    if rule is not None:
        return target
    return replace(target, http_routes=(replace(target.http_routes[0], meta=Meta("", "default", "http")),))


async def slow_route(side: OutboundSide) -> OutboundTarget:
    return await slow(side, Timeouts(request=timedelta(milliseconds=30)), Rule(ANYTHING))


async def slow_request(side: OutboundSide) -> OutboundTarget:
    return await slow(side, Timeouts(request=timedelta(milliseconds=30)), None)


async def slow_response(side: OutboundSide) -> OutboundTarget:
    return await slow(side, Timeouts(response=timedelta(milliseconds=30)), None)


async def slow_profile(side: OutboundSide) -> OutboundTarget:
    route = ProfileRoute("GET /slow", timeout=timedelta(milliseconds=30))
    target = await slow(side, Timeouts(), None)
    return replace(target, profile=Profile("sp.lab.svc.cluster.local:8080", (route,)))


async def healthy_profile(side: OutboundSide) -> OutboundTarget:
    return replace(await healthy(side), profile=Profile("sp.lab.svc.cluster.local:8080"))


async def another_anchor(side: OutboundSide) -> OutboundTarget:
    return service(await side.meshed(answering("rn"), identity=Trust("other").identity(SERVER_ID)))


async def refused_by_server(side: OutboundSide) -> OutboundTarget:
    side.identity = replace(Trust("other").identity(CLIENT_ID), anchors=side.identity.anchors if side.identity else "")
    return await healthy(side)


async def denied(_: OutboundSide) -> OutboundTarget:
    nothing = Backend(Meta("", "default", "unknown"), forbidden="traffic not allowed")
    route = Route(Meta("", "default", "http-egress-deny"), (Rule(ANYTHING, (nothing,)),))
    return replace(service(), parent=NETWORK, http_routes=(route,), balance=False)


SITUATIONS = (
    Situation("basic", "l5d-require-id wrong via service", healthy, headers=(("l5d-require-id", WRONG_ID),)),
    Situation("basic", "l5d-require-id to unmeshed", unmeshed, headers=(("l5d-require-id", SERVER_ID),)),
    Situation("basic", "service without endpoints", empty),
    Situation("basic", "service without endpoints", empty, at=1),
    Situation("routes", "no matching rule (404)", no_rule),
    Situation("routes", "route timeout 300ms", slow_route),
    Situation("routes", "redirect", redirecting),
    Situation("routes", "backend does not exist", missing),
    Situation("routes", "backend without endpoints", empty_backend),
    Situation("routes", "backend without endpoints", empty_backend, at=1),
    Situation("more", "timeout.linkerd.io/request=250ms annotation", slow_request),
    Situation("more", "timeout.linkerd.io/response=250ms annotation", slow_response),
    Situation("serviceprofile", "A SP only: timeout", slow_profile),
    Situation("anchor-change", "phase 2: client(ca1 only) -> rn(leaf by ca2)", another_anchor),
    Situation("anchor-change", "phase 2: client(ca1 only) -> rn(leaf by ca2)", another_anchor, at=1),
    Situation("anchor-change", "phase 2: rc(leaf by ca2) -> v1(ca1 only)", refused_by_server),
    Situation("sp-breaker-egress", "EgressNetwork Deny with host", denied),
)


def folded(message: str) -> str:
    """Without the names that differ between the recording and the test."""
    for pattern, word in FOLDED:
        message = pattern.sub(word, message)
    return message


def of_recording(answer: JsonObject) -> dict[str, str]:
    """The headers that a proxy makes, and the status."""
    headers = table(answer, "resp_headers")
    own = {name.lower(): text(headers, name, 0) for name in headers if name.lower() in OWN_HEADERS}
    return {"status": str(whole(answer, "status")), **own}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: f"{each.file}: {each.key} {each.at}")
async def test_an_answer_is_that_of_a_real_proxy(situation: Situation) -> None:
    file = json.loads(recorded("recordings", "dataplane", "headers", f"{situation.file}.json").read_text())
    real = of_recording(rows(file, situation.key)[situation.at])
    async with outbound_side() as side:
        side.tell(await situation.target(side))
        for _ in range(situation.at):
            await side.ask("/redirect", situation.headers)
        answer = await side.ask("/redirect", situation.headers)
    own = {name: value for name, value in answer.headers if name in OWN_HEADERS}
    ours = {"status": str(answer.status), **own}
    assert {name: folded(value) for name, value in ours.items()} == {
        name: folded(value) for name, value in real.items()
    }


def label_names() -> dict[str, set[frozenset[str]]]:
    """By family, which labels came together in the series of real outbound proxies."""
    found: dict[str, set[frozenset[str]]] = {}
    for page in sorted(recorded("recordings", "dataplane", "metrics").glob("client-proxy.*.prom.gz")):
        for name, labels in _samples(gzip.decompress(page.read_bytes()).decode()):
            if labels.get("direction", "outbound") == "outbound":
                found.setdefault(_family(name), set()).add(_shape(labels))
    return found


def _samples(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    for line in page.splitlines():
        sample = SAMPLE.match(line)
        if sample is not None:
            yield sample[1], dict(LABEL.findall(sample[2]))


def _family(name: str) -> str:
    trimmed = re.sub("_(bucket|sum|count)$", "", name)
    return trimmed if trimmed in FAMILIES and FAMILIES[trimmed].buckets else name


def _shape(labels: dict[str, str]) -> frozenset[str]:
    """Whose pod it was makes no difference to the shape, and neither does the size of a bucket."""
    return frozenset(name for name in labels if name != "le" and not name.startswith("dst_"))


async def test_every_series_has_the_labels_that_real_series_have() -> None:
    real = label_names()
    async with outbound_side() as side:
        for setting in (
            healthy,
            healthy_profile,
            unmeshed,
            empty,
            missing,
            slow_route,
            slow_profile,
            refused_by_server,
            denied,
        ):
            side.tell(await setting(side), ("10.96.1.1", 8080))
            connection = await side.http(ip="10.96.1.1")
            response = await connection.send(_request())
            await response.body.read()
            connection.close()
            await side.forgotten("10.96.1.1", 8080)
        for target in (service(protocol=Protocol.OPAQUE), service(undefined_port=True)):
            side.tell(target, ("10.96.1.2", 3306))
            stream = await side.dial("10.96.1.2", 3306)
            with pytest.raises(ConnectionClosed):
                await stream.read()
            await side.forgotten("10.96.1.2", 3306)
        wrong: dict[str, set[frozenset[str]]] = {}
        for name in set(real) & set(FAMILIES):
            shapes = {_shape(dict(labels)) for labels, _ in side.metrics.of(FAMILIES[name])}
            if shapes - real[name]:
                wrong[name] = shapes - real[name]
        assert wrong == {}
        counted = {name for name in real if name in FAMILIES and list(side.metrics.of(FAMILIES[name]))}
    missing_families = {
        name
        for name in set(real) - counted
        if name.startswith(("outbound_", "request_", "response_", "route_", "tcp_"))
        and not name.startswith("outbound_grpc_")
    }
    assert missing_families == set()


def _request() -> Request:
    return Request("POST", "/", "echo.lab.svc.cluster.local:8080", body=Body.of(b"hello"))

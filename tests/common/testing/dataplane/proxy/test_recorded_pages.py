"""The pages of the simulated proxy beside those of real ones: no family, label or value that a real proxy has not."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from steward.testing.dataplane.config import (
    Authorization,
    InboundRoute,
    InboundServer,
    Match,
    Meta,
    Protocol,
    RateLimit,
)
from steward.testing.dataplane.proxy.control_figures import Client, ControlFigures
from steward.testing.dataplane.proxy.exchange import Request, Response, Version
from steward.testing.dataplane.proxy.families import FAMILIES
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.lone_proxy import ANN, BOB, LoneProxy, echo, lone_proxy
from tests.common.testing_linkerd.recorded import path as recorded

PROXIES = (
    *("client-", "server-", "cp-identity-proxy", "cp-destination-proxy", "cp-proxy-injector-proxy"),
    *("renewing-", "expired-", "identity-down-", "anchor-"),
)
PARTS = ("_bucket", "_sum", "_count")
NEVER_SEEN = re.compile("outbound_tls_|inbound_grpc_|inbound_tcp_authz_terminate_total")
"""What needs something that was not recorded: TLS routes, gRPC routes on a Server, a revocation."""
OTHER_WORKLOADS = frozenset({"statefulset", "daemonset", "replicaset", "replicationcontroller", "job", "cronjob"})
UNSEEN_LABELS = {f"dst_{each}" for each in OTHER_WORKLOADS} | {"dst_target_cluster", "dst_target_cluster_name"}
CLOSED_SETS = (
    *("direction", "peer", "tls", "no_tls_reason", "classification", "grpc_status", "error", "errno", "result"),
    *("srv_group", "srv_kind", "route_kind", "authz_group", "authz_kind", "ratelimit_group", "ratelimit_kind"),
    *("ratelimit_scope", "parent_group", "parent_kind", "session_protocol", "endpoint_state", "op", "record_type"),
    *("client", "ready", "protocol", "status", "status_code", "tls_fips", "tls_rand", "tls_suites", "tls_kx_groups"),
)


@dataclass(frozen=True)
class Recorded:
    """A family of a real proxy."""

    kind: str
    labels: frozenset[str]


def catalog() -> Mapping[str, Recorded]:
    """The families that real proxies exported."""
    found: dict[str, Recorded] = {}
    for name, entry in json.loads(recorded("recordings", "dataplane", "metrics-catalog.json").read_text()).items():
        if not any(page.startswith(PROXIES) for page in entry["pages"]):
            continue
        if entry["type"] == "histogram":
            name = next(name.removesuffix(part) for part in PARTS if name.endswith(part))
        known = found.get(name, Recorded(entry["type"], frozenset()))
        found[name] = replace(known, labels=known.labels | set(entry["labels"]) - {"le"})
    return found


def pages(folder: Path) -> Iterator[str]:
    """The pages of real proxies."""
    for path in sorted(folder.glob("*.prom.gz")):
        if path.name.startswith(PROXIES):
            yield gzip.decompress(path.read_bytes()).decode()


def test_every_recorded_family_is_in_the_table_with_its_kind_and_labels() -> None:
    real = catalog()

    assert not set(real) - set(FAMILIES)
    assert {name: each.kind for name, each in real.items()} == {name: FAMILIES[name].kind for name in real}
    assert {
        name: each.labels - FAMILIES[name].labels for name, each in real.items() if each.labels - FAMILIES[name].labels
    } == {}


def test_the_table_has_no_family_or_label_that_no_proxy_exports() -> None:
    real = catalog()

    assert {name for name in FAMILIES if name not in real and not NEVER_SEEN.match(name)} == set()
    more = {name: FAMILIES[name].labels - each.labels - UNSEEN_LABELS for name, each in real.items()}
    assert {name: labels for name, labels in more.items() if labels} == {"inbound_tcp_authz_deny_total": {"sni"}}


def test_buckets_are_those_of_real_pages() -> None:
    folder = recorded("recordings", "dataplane", "metrics")
    bounds: dict[str, set[float]] = {}
    for page in pages(folder):
        for name, bound in re.findall(r'^(\w+)_bucket\{.*?le="([^"]+)"', page, re.MULTILINE):
            bounds.setdefault(name, set()).add(float(bound))

    assert {name: sorted(each)[:-1] for name, each in bounds.items()} == {
        name: [float(bound) for bound in FAMILIES[name].buckets] for name in bounds
    }


async def test_a_page_after_a_busy_time_says_nothing_that_a_real_one_would_not() -> None:
    real = catalog()
    seen: dict[str, set[str]] = {}
    shapes: set[tuple[str, frozenset[str]]] = set()
    for page in pages(recorded("recordings", "dataplane", "metrics")):
        for label, value in re.findall(r'[{,](\w+)="([^"]*)"', page):
            seen.setdefault(label, set()).add(value)
        for name, labels in re.findall(r"^(\w+)(\{.*\})? ", page, re.MULTILINE):
            shapes.add((name, frozenset(re.findall(r'[{,](\w+)="', labels))))
    async with lone_proxy() as lone:
        await busy(lone)
        samples = [each for each in lone.samples() if not NEVER_SEEN.match(each[0])]

    for name, labels, _ in samples:
        # The reader of Prometheus calls every counter `…_total`, also the few that are not on a real page.
        family = next((each for each in (name, *map(name.removesuffix, (*PARTS, "_total"))) if each in real), name)
        assert family in real
        assert {(name, frozenset(labels)), (family, frozenset(labels))} & shapes, f"{name} {sorted(labels)}"
        assert set(labels) - {"le"} <= real[family].labels, name
        for label in set(labels) & set(CLOSED_SETS):
            assert labels[label] in seen[label], f"{name} {label}={labels[label]!r}"
    assert {"inbound_http_authz_deny_total", "inbound_http_local_ratelimit_total", "inbound_tcp_errors_total"} <= {
        name for name, _, _ in samples
    }


async def busy(lone: LoneProxy) -> None:
    """Everything that the recordings have on the inbound side, once."""
    await lone.application(8080, echo)
    await lone.application(8081, rude)
    await lone.application(50051, calls, Version.HTTP2)
    await lone.bytes_application(3306, quiet)
    await lone.bytes_application(9090, quiet)
    for path in ("/", "/404", "/500"):
        await asked(lone, 8080, path, ANN)
        await asked(lone, 8080, path, "")
    await asked(lone, 7777, "/", ANN)
    await asked(lone, 7777, "/", "")
    await asked(lone, 8081, "/", ANN)
    await (
        await (await lone.meshed_http(50051)).send(Request("POST", "/a/B", headers=GRPC, version=Version.HTTP2))
    ).body.read()
    for path in ("/ready", "/metrics"):
        await asked(lone, 4191, path, "")
        await asked(lone, 4191, path, ANN)
    await policies(lone)
    for stream in (await lone.mesh(3306), await lone.mesh(9090), await lone.plain(9090)):
        await stream.send(b"ping\n")
        assert await stream.read() == b"ping\n"
        stream.close()
    assert await (await lone.plain(9091)).read() == b""
    figures = ControlFigures(lone.metrics)
    for client in Client:
        figures.asked(client)
        figures.answered(client)
        figures.broke(client)


GRPC = (("content-type", "application/grpc"),)
SERVER = Meta("policy.linkerd.io", "server", "echo-http")
ONLY_ANN = Authorization(Meta("policy.linkerd.io", "authorizationpolicy", "only"), identities=(ANN,))


async def policies(lone: LoneProxy) -> None:
    """Denied, not found, limited; requests and connections."""
    limit = RateLimit(Meta("policy.linkerd.io", "HTTPLocalRateLimitPolicy", "slow"), 4, 2)
    route = InboundRoute(Meta("policy.linkerd.io", "HTTPRoute", "a"), (Match(path_prefix="/a"),), (ONLY_ANN,))
    for server in (
        InboundServer(SERVER, authorizations=(ONLY_ANN,), rate_limit=limit),
        InboundServer(SERVER, routes=(route,)),
    ):
        lone.policies[8080] = server
        for who in (ANN, ANN, ANN, ANN, ANN, BOB, ""):
            await asked(lone, 8080, "/", who)
    lone.policies[3307] = InboundServer(replace(SERVER, name="echo-opaque"), Protocol.OPAQUE)
    for stream in (await lone.mesh(3307), await lone.plain(3307)):
        await stream.send(b"ping")
        assert await stream.read() == b""
    lone.policies[3306] = InboundServer(Meta("", "default", "audit"), Protocol.OPAQUE, audit=True)


async def asked(lone: LoneProxy, port: int, path: str, who: str) -> None:
    """Ask, and take the whole answer."""
    client = await (lone.meshed_http(port, who) if who else lone.plain_http(port))
    await (await client.send(Request("GET", path, "echo:8080"))).body.read()


async def quiet(stream: Stream) -> None:
    """An application that gives bytes back."""
    while chunk := await stream.read():
        await stream.send(chunk)


async def rude(_request: Request) -> Response:
    """An application that hangs up instead of answering."""
    raise ConnectionError


async def calls(request: Request) -> Response:
    """An application of gRPC that is well."""
    await request.body.read()
    return Response(200, (*GRPC, ("grpc-status", "0")))


@pytest.mark.parametrize("name", ["server-proxy.1-after-basic", "client-proxy.5-after-routes"])
def test_recorded_pages_name_their_counters_as_ours_do(name: str) -> None:
    page = gzip.decompress(recorded("recordings", "dataplane", "metrics", f"{name}.prom.gz").read_bytes()).decode()
    told = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))

    assert page.endswith("# EOF\n")
    assert told["request_total"] == "counter"
    assert told["control_dns_resolutions"] == "counter"
    assert told["process_open_fds"] == "gauge"

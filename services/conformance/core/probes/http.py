"""`proto.http1`, `proto.http2`, `proto.large`: HTTP arrives as it was sent, whatever the proxies make of it between."""

from services.conformance.core.diagnosis import FROM_UNMESHED, OUTBOUND, Scene
from services.conformance.core.evidence import Evidence, Told
from services.conformance.core.fronts import front, known, reachable
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious, skipped_port
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Call, Protocol
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import (
    Series,
    all_are,
    all_ok,
    between,
    bytes_equal,
    counter_grew,
    good,
    growth,
    seen_by_server,
    series,
    server_saw_none,
    status_is,
    tally,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Pages, Step
from services.conformance.core.targets import CLIENT, UNMESHED, at_service, fresh, get, headers
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import dig

ORIGINAL_PROTOCOL = "l5d-orig-proto"
_HTTP1, _HTTP2 = "proto-http1", "proto-http2"
_KEPT, _FRESH, _STREAMS = 10, 5, 100
_NOT_READ = (400, 500, 502, 505)
_HEADER_BYTES = 32 * 1024
_BODY_BYTES = 16 * 1024 * 1024


def detected(service: str, result: str) -> Series:
    """How the client's proxy found the protocol of connections to a Service."""
    return series("outbound_tcp_detect_http_results_total", result=result, parent_name=service)


def treated(service: str, protocol: str) -> Series:
    """As what the client's proxy treated connections to a Service."""
    return series("outbound_tcp_protocol_connections_total", protocol=protocol, parent_name=service)


def treated_as_opaque(service: str) -> Cause:
    """The client's proxy does not look into connections to the Service."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        count = growth(between(evidence, "client-before", "client-after"), treated(service, "opaq"))
        return f"{count:g} connections to {service} were opaque" if count else None

    return Cause(
        code="TREATED_AS_OPAQUE",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The proxy forwards the bytes of this port unseen: no routes, retries, or balancing of requests.",
        expected='no outbound_tcp_protocol_connections_total{protocol="opaq"} for the Service',
        disproof="The counter names http/1, http/2 or detect.",
        remedy="Look for opaque-ports on the Service, its namespace and the chart, and for an unknown appProtocol.",
        command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
    )


def policy_says_opaque() -> Cause:
    """The policy controller tells proxies not to look into the port."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        told = evidence.told(OUTBOUND)
        if not isinstance(told, Told):
            return None
        opaque = sorted(replica for replica, answer in told.answers.items() if dig(answer, "protocol", "opaque"))
        return f"{', '.join(opaque)} tells proxies that the port is opaque" if opaque else None

    return Cause(
        code="POLICY_SAYS_OPAQUE",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message="The control plane declares the port opaque.",
        expected="protocol detect, http1 or http2",
        disproof="linkerd diagnostics policy shows another protocol.",
        remedy="Look for opaque-ports on the Service, its namespace and the chart, and for an unknown appProtocol.",
        command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
    )


def wrong_version(step: str) -> Cause:
    """The server cannot read what its proxy sends it."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        refused = [reply for reply in evidence.replies(step) if reply.echo is None and reply.status in _NOT_READ]
        direct = evidence.replies(FROM_UNMESHED)
        if not refused or not direct or not all(map(good, direct)):
            return None
        return f"{tally(refused)}; without a proxy in front {tally(direct)}"

    return Cause(
        code="WRONG_HTTP_VERSION",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The server is spoken to in another version of HTTP than it speaks.",
        expected="200",
        disproof="The same call by pod address is answered.",
        remedy="Set the port's appProtocol to kubernetes.io/h2c where the server speaks HTTP/2, else to http.",
        command="kubectl get service <service> -o jsonpath='{.spec.ports}'",
    )


def read_around(*steps: Step) -> tuple[Step, ...]:
    """The steps, between readings of the client's page."""
    return (Pages("client-before", CLIENT, UNMESHED), *steps, Pages("client-after", CLIENT, UNMESHED))


def _http1_steps(stage: Stage) -> tuple[Step, ...]:
    call = get(at_service(stage, _HTTP1))
    return (
        Applied("applied", (front(stage, _HTTP1),)),
        known(stage, _HTTP1),
        *read_around(
            Calls("kept", CLIENT, call.model_copy(update={"times": _KEPT})),
            Calls("fresh", CLIENT, fresh(call.model_copy(update={"times": _FRESH}))),
        ),
    )


def _http1_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    kept, each = evidence.replies("kept"), evidence.replies("fresh")
    pages = between(evidence, "client-before", "client-after")
    return (
        all_ok("requests on one connection are answered", kept),
        all_ok("requests on a connection each are answered", each),
        check("one connection was enough", expected=1, observed=len({reply.connection for reply in kept})),
        all_are(
            "the server sees HTTP/1.1",
            (*kept, *each),
            "HTTP/1.1 at the server",
            lambda reply: reply.echo is not None and reply.echo.protocol == "HTTP/1.1",
        ),
        server_saw_none("and nothing of what the proxies made of it", (*kept, *each), ORIGINAL_PROTOCOL),
        counter_grew("the proxy recognised HTTP/1", pages, detected(_HTTP1, "http/1"), len(each)),
    )


def sound(stage: Stage) -> tuple[Step, ...]:
    """Calls between a client and a server that have no proxies."""
    return (Calls("without-mesh", UNMESHED, get(at_service(stage, "su"), times=3)),)


def sound_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    """They are answered, or it is the probes themselves that do not work."""
    return (all_ok("without a mesh, client and server work", evidence.replies("without-mesh")),)


SOUND = Control("Client and server work where there is no mesh.", sound, sound_proof)


def _leaked(_stage: Stage, evidence: Evidence) -> str | None:
    replies = (*evidence.replies("kept"), *evidence.replies("fresh"))
    leaked = [value for reply in replies if (value := seen_by_server(reply, ORIGINAL_PROTOCOL)) is not None]
    odd = sorted({reply.echo.protocol for reply in replies if reply.echo is not None} - {"HTTP/1.1"})
    if leaked:
        return f"{ORIGINAL_PROTOCOL}: {leaked[0]} reached the application"
    return f"the application was spoken to in {', '.join(odd)}" if odd else None


HTTP1 = Probe(
    id="proto.http1",
    claim="HTTP/1.1 is carried, and arrives as HTTP/1.1.",
    tier=Tier.FOUNDATION,
    steps=_http1_steps,
    proof=_http1_proof,
    causes=(
        Cause(
            code="UPGRADE_LEAKS",
            rung=Rung.PROXY,
            seen=cautious(_leaked),
            message="The server's proxy does not turn the requests back into what the client sent.",
            expected=f"HTTP/1.1 without {ORIGINAL_PROTOCOL} at the application",
            disproof="The echo of a request shows HTTP/1.1.",
            remedy="Bring both proxies to the same release.",
            command="linkerd version --proxy",
        ),
        treated_as_opaque(_HTTP1),
        policy_says_opaque(),
        *COMMON,
        skipped_port(PORTS[Port.HTTP]),
        wrong_version("kept"),
        DATAPATH,
    ),
    control=SOUND,
    diagnosis=Scene(service=_HTTP1).steps,
)


def _http2_steps(stage: Stage) -> tuple[Step, ...]:
    target = at_service(stage, _HTTP2, Port.H2C)
    call = Call(target=target, protocol=Protocol.HTTP2, times=_STREAMS, concurrency=_STREAMS)
    return (
        Applied("applied", (front(stage, _HTTP2, {"app": "sm"}, service_port(Port.H2C)),)),
        reachable(stage, call),
        *read_around(Calls("streams", CLIENT, call)),
    )


def _http2_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("streams")
    pages = between(evidence, "client-before", "client-after")
    return (
        all_ok(f"{_STREAMS} streams at once are answered", replies),
        check("over one connection", expected=1, observed=len({reply.connection for reply in replies})),
        all_are(
            "the server sees HTTP/2",
            replies,
            "HTTP/2 at the server",
            lambda reply: reply.echo is not None and reply.echo.protocol.startswith("HTTP/2"),
        ),
        server_saw_none("and nothing of what the proxies made of it", replies, ORIGINAL_PROTOCOL),
        counter_grew("the proxy recognised HTTP/2", pages, detected(_HTTP2, "http/2")),
    )


def _downgraded(_stage: Stage, evidence: Evidence) -> str | None:
    spoken = {reply.echo.protocol for reply in evidence.replies("streams") if reply.echo is not None}
    old = sorted(protocol for protocol in spoken if not protocol.startswith("HTTP/2"))
    return f"the application was spoken to in {', '.join(old)}" if old else None


HTTP2 = Probe(
    id="proto.http2",
    claim="HTTP/2 without TLS is carried, a hundred streams over one connection.",
    tier=Tier.FOUNDATION,
    steps=_http2_steps,
    proof=_http2_proof,
    causes=(
        Cause(
            code="DOWNGRADED",
            rung=Rung.PROXY,
            seen=cautious(_downgraded),
            message="HTTP/2 of the client reaches the application as an older version.",
            expected="HTTP/2 at the application",
            disproof="The echo of a stream shows HTTP/2.",
            remedy="Bring both proxies to the same release; look for something between them that ends HTTP/2.",
            command="curl --http2-prior-knowledge http://<service>:8081/",
        ),
        treated_as_opaque(_HTTP2),
        policy_says_opaque(),
        *COMMON,
        skipped_port(PORTS[Port.H2C]),
        wrong_version("streams"),
        DATAPATH,
    ),
    diagnosis=Scene(service=_HTTP2, port=Port.H2C).steps,
)


def _large_steps(stage: Stage) -> tuple[Step, ...]:
    target = at_service(stage, "sm")
    long = headers(x_probe_long="x" * _HEADER_BYTES)
    upload = Call(target=target, method="POST", body_bytes=_BODY_BYTES, timeout_seconds=60)
    expecting = upload.model_copy(update={"body_bytes": 1024, "headers": headers(expect="100-continue")})
    return (
        Calls("headers", CLIENT, get(target, headers=long)),
        Calls("up", CLIENT, upload),
        Calls("down", CLIENT, get(target, Wishes(bytes=_BODY_BYTES).on(), timeout=60)),
        Calls("expect", CLIENT, expecting),
        Calls("head", CLIENT, Call(target=target, method="HEAD", times=2)),
        Calls("empty", CLIENT, get(target, Wishes(status=204).on(), times=2)),
        Calls("unmodified", CLIENT, get(target, Wishes(status=304).on(), times=2)),
    )


def _large_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    head = evidence.replies("head")
    return (
        all_ok(f"{_HEADER_BYTES >> 10} KiB of headers pass", evidence.replies("headers")),
        bytes_equal(f"{_BODY_BYTES >> 20} MiB arrive whole at the server", evidence.replies("up")),
        bytes_equal(f"{_BODY_BYTES >> 20} MiB come back whole", evidence.replies("down")),
        bytes_equal("a body that waits for 100 Continue arrives", evidence.replies("expect")),
        status_is("HEAD is answered", head, 200),
        check("without a body", expected=0, observed=sum(reply.received_bytes for reply in head)),
        status_is("204 stays 204", evidence.replies("empty"), 204),
        status_is("304 stays 304", evidence.replies("unmodified"), 304),
    )


def _cut_short(_stage: Stage, evidence: Evidence) -> str | None:
    broken = {name: evidence.reply(name) for name in ("up", "down") if evidence.reply(name).digest_ok is not True}
    told = [
        f"{name}: {reply.trouble or reply.status}, {reply.received_bytes} bytes received"
        for name, reply in broken.items()
    ]
    return "; ".join(told) or None


def _headers_refused(_stage: Stage, evidence: Evidence) -> str | None:
    reply = evidence.reply("headers")
    return f"{reply.status} for {_HEADER_BYTES} bytes of headers" if reply.status in (400, 431, 502) else None


LARGE = Probe(
    id="proto.large",
    claim="Large headers and bodies, and answers without a body, pass unchanged.",
    tier=Tier.DEPTH,
    steps=_large_steps,
    proof=_large_proof,
    causes=(
        *COMMON,
        Cause(
            code="HEADERS_TOO_LARGE",
            rung=Rung.PROXY,
            seen=cautious(_headers_refused),
            message="Large headers are refused on the way.",
            expected=f"{_HEADER_BYTES} bytes of headers are let through",
            disproof="The same request from an unmeshed client is refused too: then it is the application.",
            remedy="Keep cookies and tokens smaller, or find the limit of the application or of an ingress before it.",
            command="curl -H \"x-long: $(head -c 32768 /dev/zero | tr '\\0' x)\" http://<service>/",
        ),
        Cause(
            code="BODY_BROKEN",
            rung=Rung.TRAFFIC,
            seen=cautious(_cut_short),
            message="A large body does not arrive as it was sent.",
            expected="the digests of what was sent and of what arrived are equal",
            disproof="The same body arrives whole from an unmeshed client.",
            remedy="Look at the memory limits and restarts of both proxies, and at what stands between the nodes.",
            command="kubectl logs <pod> -c linkerd-proxy",
        ),
        DATAPATH,
    ),
    diagnosis=Scene().steps,
)

PROBES = (HTTP1, HTTP2, LARGE)

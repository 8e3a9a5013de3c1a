"""Ports on which the server speaks first: declared opaque, opaque by default, and forgotten."""

from datetime import timedelta

from services.conformance.core.diagnosis import OUTBOUND, Scene
from services.conformance.core.evidence import Evidence, Told
from services.conformance.core.fronts import front, reachable
from services.conformance.core.known_causes import COMMON, DATAPATH, DETECT_TIMEOUT, cautious, skipped_port
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Reply
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.http import read_around, treated
from services.conformance.core.probes.raw import http_counted, raw_call
from services.conformance.core.proofs import (
    all_ok,
    between,
    counter_grew,
    counter_stood_still,
    first_byte_took,
    growth,
    series,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Step
from services.conformance.core.targets import CLIENT, UNMESHED, prompt
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import dig

_DEFAULT = "proto-default-opaque"
_DEFAULT_OPAQUE = 3306
"""In the chart's opaquePorts: 25, 587, 3306, 4444, 5432, 6379, 9300, 11211."""


def _annotated_steps(stage: Stage) -> tuple[Step, ...]:
    return read_around(Calls("banner", CLIENT, raw_call(stage, "sm", Port.OPAQUE, times=3)))


def _annotated_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("banner")
    pages = between(evidence, "client-before", "client-after")
    number = str(PORTS[Port.OPAQUE])
    opened = series("tcp_open_total", direction="outbound", peer="dst", target_port=number, tls="true")
    counted = http_counted(evidence.pages("client-after"), PORTS[Port.OPAQUE])
    return (
        all_ok("the server's banner arrives", replies),
        first_byte_took("at once", replies, timedelta(), prompt(stage)),
        counter_grew("over connections with TLS", pages, opened),
        check("which nobody took for HTTP", expected=0.0, observed=counted),
    )


def _unmeshed(stage: Stage) -> tuple[Step, ...]:
    return (Calls("without-mesh", UNMESHED, raw_call(stage, "su", Port.OPAQUE)),)


def _unmeshed_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("without-mesh")
    return (first_byte_took("without a mesh the banner comes at once", replies, timedelta(), prompt(stage)),)


def _stalls(stage: Stage, replies: tuple[Reply, ...]) -> AssertionResult:
    patience = stage.timings.detect
    name = "without a declaration, the banner waits for detection to give up"
    return first_byte_took(name, replies, patience * 0.9, patience * 1.5 + prompt(stage))


def _stalled(stage: Stage, evidence: Evidence) -> str | None:
    late = [reply.first_byte_seconds for reply in evidence.replies("banner") if reply.first_byte_seconds is not None]
    if not late or max(late) < stage.timings.detect.total_seconds() * 0.9:
        return None
    return f"the banner came after {max(late):.1f} s"


def _policy_detects(_stage: Stage, evidence: Evidence) -> str | None:
    told = evidence.told(OUTBOUND)
    answers = told.answers if isinstance(told, Told) else {}
    looking = sorted(replica for replica, answer in answers.items() if dig(answer, "protocol", "detect") is not None)
    return f"{', '.join(looking)} tells proxies to detect the protocol of the port" if looking else None


OPAQUE_NOT_TOLD = Cause(
    code="OPAQUE_NOT_TOLD",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_policy_detects),
    message="The control plane does not tell proxies that the port is opaque.",
    expected="protocol opaque",
    disproof="linkerd diagnostics policy shows the port as opaque.",
    remedy="See that opaque-ports of the Service names the number, and what the namespace and the chart say.",
    command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
)
NOT_OPAQUE = Cause(
    code="NOT_OPAQUE",
    rung=Rung.PROXY,
    seen=cautious(_stalled),
    message="The proxy does not take the port for opaque, though the pod and its Service say so.",
    expected="the banner at once",
    disproof='outbound_tcp_protocol_connections_total{protocol="opaq"} grows with each connection.',
    remedy="opaque-ports must name the number on pod and Service; pods must be restarted after a change.",
    command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
)
OPAQUE = Probe(
    id="proto.opaque.annotation",
    claim="On a port declared opaque the server may speak first, without delay, and with TLS.",
    tier=Tier.FOUNDATION,
    steps=_annotated_steps,
    proof=_annotated_proof,
    control=Control("Without a mesh the server speaks first, at once.", _unmeshed, _unmeshed_proof),
    causes=(OPAQUE_NOT_TOLD, NOT_OPAQUE, *COMMON, skipped_port(PORTS[Port.OPAQUE]), DETECT_TIMEOUT, DATAPATH),
    diagnosis=Scene(port=Port.OPAQUE).steps,
)


def _default_steps(stage: Stage) -> tuple[Step, ...]:
    call = raw_call(stage, _DEFAULT, Port.TCP, times=3)
    call = call.model_copy(update={"target": call.target.model_copy(update={"port": _DEFAULT_OPAQUE})})
    port = service_port(_DEFAULT_OPAQUE, target=Port.TCP)
    return (
        Applied("applied", (front(stage, _DEFAULT, {"app": "sm"}, port),)),
        reachable(stage, call),
        *read_around(Calls("calls", CLIENT, call)),
    )


def _default_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    pages = between(evidence, "client-before", "client-after")
    looked = series("outbound_tcp_detect_http_results_total", parent_name=_DEFAULT)
    return (
        all_ok(f"port {_DEFAULT_OPAQUE} works", replies),
        first_byte_took("at once", replies, timedelta(), prompt(stage)),
        counter_grew("it is opaque without being declared", pages, treated(_DEFAULT, "opaq"), len(replies)),
        counter_stood_still("so that nobody looks for HTTP", pages, looked),
    )


def _not_default(_stage: Stage, evidence: Evidence) -> str | None:
    count = growth(between(evidence, "client-before", "client-after"), treated(_DEFAULT, "detect"))
    return f"{count:g} connections to port {_DEFAULT_OPAQUE} were looked into" if count else None


DEFAULT_OPAQUE = Probe(
    id="proto.opaque.default",
    claim="Ports of well-known server-first protocols are opaque without being declared.",
    tier=Tier.TRAFFIC,
    steps=_default_steps,
    proof=_default_proof,
    causes=(
        Cause(
            code="OPAQUE_DEFAULTS_CHANGED",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_not_default),
            message=f"Port {_DEFAULT_OPAQUE} is not in the list of ports that are opaque by default.",
            expected='outbound_tcp_protocol_connections_total{protocol="opaq"}',
            disproof="linkerd diagnostics policy shows the port as opaque.",
            remedy="Compare proxy.opaquePorts of the control plane's values with the chart's default.",
            command="kubectl get cm -n linkerd linkerd-config -o yaml | grep opaquePorts",
        ),
        *COMMON,
        DETECT_TIMEOUT,
        DATAPATH,
    ),
    diagnosis=Scene(service=_DEFAULT, port=_DEFAULT_OPAQUE).steps,
)


def _trap_steps(stage: Stage) -> tuple[Step, ...]:
    return (Calls("undeclared", CLIENT, raw_call(stage, "sm", Port.SERVER_FIRST, times=2, concurrency=2)),)


def _trap_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("undeclared")
    return (all_ok("the connection works in the end", replies), _stalls(stage, replies))


def _no_stall(stage: Stage, evidence: Evidence) -> str | None:
    soon = [
        reply.first_byte_seconds for reply in evidence.replies("undeclared") if reply.first_byte_seconds is not None
    ]
    if not soon or min(soon) >= stage.timings.detect.total_seconds() * 0.9:
        return None
    return f"the banner came after {min(soon):.2f} s"


SERVER_FIRST = Probe(
    id="proto.server-first.undeclared",
    claim="A server that speaks first on an undeclared port works, after detection gave up: the trap is as documented.",
    tier=Tier.DEPTH,
    steps=_trap_steps,
    proof=_trap_proof,
    causes=(
        Cause(
            code="DETECTION_PASSED_BY",
            rung=Rung.PROXY,
            seen=cautious(_no_stall),
            message="Nobody looks for HTTP on an undeclared port: the proxy is passed by, or its settings differ.",
            expected="the first byte after detection gave up",
            disproof="The banner of an undeclared port comes late through the mesh and at once without it.",
            remedy="Look for opaque-ports on namespace and chart, and see that client and server are injected.",
            command="linkerd diagnostics proxy-metrics po/<client> | grep detect_http_results",
        ),
        *COMMON,
        skipped_port(PORTS[Port.SERVER_FIRST]),
        DATAPATH,
    ),
    diagnosis=Scene(port=Port.SERVER_FIRST).steps,
)

PROBES = (OPAQUE, DEFAULT_OPAQUE, SERVER_FIRST)

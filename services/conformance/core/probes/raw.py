"""Connections that are not HTTP: who speaks first, what is declared opaque, TLS of the application's own."""

from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import front, reachable
from services.conformance.core.known_causes import COMMON, DATAPATH, DETECT_TIMEOUT, cautious, skipped_port
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Call, Reply
from services.conformance.core.pages import Page
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.http import detected, read_around, treated
from services.conformance.core.proofs import (
    all_are,
    all_ok,
    between,
    bytes_equal,
    counter_grew,
    counter_stood_still,
    first_byte_took,
    growth,
    series,
    took,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Step
from services.conformance.core.targets import CLIENT, UNMESHED, fresh, native, prompt, silently
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung

_FIRST, _SILENT, _DEFAULT, _SEALED = "proto-tcp", "proto-silent", "proto-default-opaque", "proto-tls"
_DEFAULT_OPAQUE = 3306
"""In the chart's opaquePorts: 25, 587, 3306, 4444, 5432, 6379, 9300, 11211."""
_BYTES = 64 * 1024


def _raw(stage: Stage, name: str, port: Port, **changes: object) -> Call:
    return fresh(native(stage, name, port)).model_copy(update={"timeout_seconds": 20, **changes})


def _first_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Applied("applied", (front(stage, _FIRST, {"app": "sm"}, service_port(Port.TCP)),)),
        reachable(stage, _raw(stage, _FIRST, Port.TCP)),
        *read_around(Calls("calls", CLIENT, _raw(stage, _FIRST, Port.TCP, times=5, body_bytes=_BYTES))),
    )


def _first_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    pages = between(evidence, "client-before", "client-after")
    return (
        all_ok("connections work", replies),
        bytes_equal("what was sent comes back", replies),
        first_byte_took("at once", replies, timedelta(), prompt(stage)),
        counter_grew("the proxy saw that it was not HTTP", pages, detected(_FIRST, "not_http"), len(replies)),
    )


def taken_for_http(service: str) -> Cause:
    """The client's proxy expects HTTP on the port."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        pages = between(evidence, "client-before", "client-after")
        counts = {each: growth(pages, treated(service, each)) for each in ("http/1", "http/2")}
        told = [f"{count:g} connections as {protocol}" for protocol, count in counts.items() if count]
        return f"the proxy treated {', '.join(told)}" if told else None

    return Cause(
        code="DECLARED_HTTP",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The port is declared as HTTP and speaks something else.",
        expected="protocol detect, or opaq",
        disproof="linkerd diagnostics policy shows detect or opaque for the port.",
        remedy="Take appProtocol http, or kubernetes.io/h2c, off the Service's port; or give it linkerd.io/opaque.",
        command="kubectl get service <service> -o jsonpath='{.spec.ports}'",
    )


CLIENT_FIRST = Probe(
    id="proto.tcp.client-first",
    claim="A raw protocol whose client speaks first is carried byte for byte, without delay.",
    tier=Tier.FOUNDATION,
    steps=_first_steps,
    proof=_first_proof,
    causes=(taken_for_http(_FIRST), *COMMON, skipped_port(PORTS[Port.TCP]), DETECT_TIMEOUT, DATAPATH),
    diagnosis=Scene(service=_FIRST, port=Port.TCP).steps,
)


def _silence(stage: Stage) -> timedelta:
    """Longer than detection waits, by enough to tell the two apart."""
    return stage.timings.detect * 1.2


def _silent_steps(stage: Stage) -> tuple[Step, ...]:
    call = silently(_raw(stage, _SILENT, Port.TCP), _silence(stage))
    return (
        Applied("applied", (front(stage, _SILENT, {"app": "sm"}, service_port(Port.TCP)),)),
        reachable(stage, _raw(stage, _SILENT, Port.TCP)),
        *read_around(Calls("silent", CLIENT, call)),
    )


def _silent_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("silent")
    pages = between(evidence, "client-before", "client-after")
    silence = _silence(stage)
    return (
        all_ok("a client may be silent for longer than detection waits", replies),
        counter_grew("detection gave up meanwhile", pages, detected(_SILENT, "read_timeout"), len(replies)),
        took("and the client waits for nothing else", replies, silence * 0.95, silence + prompt(stage)),
    )


def _other_patience(stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    late = growth(pages, detected(_SILENT, "not_http"))
    if not late:
        return None
    return f"after {_silence(stage).total_seconds():g} s of silence detection still waited"


def _cut_off(_stage: Stage, evidence: Evidence) -> str | None:
    broken = [reply for reply in evidence.replies("silent") if reply.trouble is not None]
    return f"{broken[0].trouble} after {broken[0].seconds:.1f} s" if broken else None


DETECTION = Probe(
    id="proto.detect-timeout",
    claim="Detection gives up after its time, and the connection then works.",
    tier=Tier.TRAFFIC,
    steps=_silent_steps,
    proof=_silent_proof,
    causes=(
        Cause(
            code="DETECT_PATIENCE",
            rung=Rung.PROXY,
            seen=cautious(_other_patience),
            message="The proxy waits longer for the client's first bytes than Linkerd does by default.",
            expected='outbound_tcp_detect_http_results_total{result="read_timeout"}',
            disproof="The counter grows when a client is silent for twelve seconds.",
            remedy="Look for config.linkerd.io/proxy-disable-outbound-protocol-detect-timeout on pod and namespace.",
            command="kubectl get pod <pod> -o yaml | grep protocol-detect",
        ),
        *COMMON,
        skipped_port(PORTS[Port.TCP]),
        Cause(
            code="SILENCE_CUT",
            rung=Rung.TRAFFIC,
            seen=cautious(_cut_off),
            message="A connection whose client is silent is cut off instead of forwarded.",
            expected="the connection works once the client speaks",
            disproof="The same silent client is answered from an unmeshed pod.",
            remedy="Mark the port opaque, so that nobody waits for its first bytes.",
            command="linkerd diagnostics proxy-metrics po/<client> | grep detect_http_results",
        ),
    ),
    diagnosis=Scene(service=_SILENT, port=Port.TCP).steps,
)


def _http_counted(pages: dict[str, Page], port: int) -> float:
    return sum(page.total("request_total", direction="outbound", target_port=str(port)) for page in pages.values())


def _annotated_steps(stage: Stage) -> tuple[Step, ...]:
    return read_around(Calls("banner", CLIENT, _raw(stage, "sm", Port.OPAQUE, times=3)))


def _annotated_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("banner")
    pages = between(evidence, "client-before", "client-after")
    number = str(PORTS[Port.OPAQUE])
    opened = series("tcp_open_total", direction="outbound", peer="dst", target_port=number, tls="true")
    counted = _http_counted(dict(evidence.pages("client-after")), PORTS[Port.OPAQUE])
    return (
        all_ok("the server's banner arrives", replies),
        first_byte_took("at once", replies, timedelta(), prompt(stage)),
        counter_grew("over connections with TLS", pages, opened),
        check("which nobody took for HTTP", expected=0.0, observed=counted),
    )


def _unmeshed(stage: Stage) -> tuple[Step, ...]:
    return (Calls("without-mesh", UNMESHED, _raw(stage, "su", Port.OPAQUE)),)


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
    causes=(NOT_OPAQUE, *COMMON, skipped_port(PORTS[Port.OPAQUE]), DETECT_TIMEOUT, DATAPATH),
    diagnosis=Scene(port=Port.OPAQUE).steps,
)


def _default_steps(stage: Stage) -> tuple[Step, ...]:
    call = _raw(stage, _DEFAULT, Port.TCP, times=3)
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
    return (Calls("undeclared", CLIENT, _raw(stage, "sm", Port.SERVER_FIRST, times=2, concurrency=2)),)


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


def _tls_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Applied("applied", (front(stage, _SEALED, {"app": "sm"}, service_port(Port.TLS)),)),
        reachable(stage, _raw(stage, _SEALED, Port.TLS)),
        *read_around(Calls("calls", CLIENT, _raw(stage, _SEALED, Port.TLS, times=3))),
    )


def _tls_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    pages = between(evidence, "client-before", "client-after")
    counted = _http_counted(dict(evidence.pages("client-after")), PORTS[Port.TLS])
    opened = series("tcp_open_total", direction="outbound", peer="dst", target_port=str(PORTS[Port.TLS]))
    return (
        all_ok("TLS of the application's own works", replies),
        all_are("the application's certificate reaches the client", replies, "its own certificate", _own_certificate),
        counter_grew("the proxy forwards the connection", pages, opened),
        check("and sees no HTTP in it", expected=0.0, observed=counted),
    )


def _own_certificate(reply: Reply) -> bool:
    return bool(reply.certificate) and ".serviceaccount.identity." not in reply.certificate


def _terminated(_stage: Stage, evidence: Evidence) -> str | None:
    shown = {reply.certificate for reply in evidence.replies("calls") if not _own_certificate(reply)}
    shown.discard("")
    return f"the client was shown {', '.join(sorted(shown))}" if shown else None


TLS = Probe(
    id="proto.tls-passthrough",
    claim="TLS between applications passes unopened.",
    tier=Tier.TRAFFIC,
    steps=_tls_steps,
    proof=_tls_proof,
    causes=(
        Cause(
            code="TLS_TERMINATED",
            rung=Rung.PROXY,
            seen=cautious(_terminated),
            message="Somebody between the applications ends their TLS.",
            expected="the certificate of the application",
            disproof="openssl s_client shows the application's certificate.",
            remedy="Find who listens on the address: a gateway, an ingress, a proxy that takes the SNI for its own.",
            command="openssl s_client -connect <service>:8443 -servername echo.invalid",
        ),
        taken_for_http(_SEALED),
        *COMMON,
        skipped_port(PORTS[Port.TLS]),
        DETECT_TIMEOUT,
        DATAPATH,
    ),
    diagnosis=Scene(service=_SEALED, port=Port.TLS).steps,
)

PROBES = (CLIENT_FIRST, DETECTION, OPAQUE, DEFAULT_OPAQUE, SERVER_FIRST, TLS)

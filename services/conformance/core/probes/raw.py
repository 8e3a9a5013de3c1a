"""Connections that are not HTTP: raw TCP, clients that are silent for long, TLS of the application's own."""

from collections.abc import Mapping
from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import front, reachable
from services.conformance.core.known_causes import COMMON, DATAPATH, DETECT_TIMEOUT, cautious, skipped_port
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Call, Reply
from services.conformance.core.pages import Page
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.http import detected, read_around, treated, treated_as_opaque
from services.conformance.core.proofs import (
    all_are,
    all_ok,
    between,
    bytes_equal,
    counter_grew,
    first_byte_took,
    growth,
    series,
    took,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Step
from services.conformance.core.targets import CLIENT, fresh, native, prompt, silently
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung

_FIRST, _SILENT, _SEALED = "proto-tcp", "proto-silent", "proto-tls"
_BYTES = 64 * 1024


def raw_call(stage: Stage, name: str, port: Port, **changes: object) -> Call:
    """A raw conversation on a connection of its own."""
    return fresh(native(stage, name, port)).model_copy(update={"timeout_seconds": 20, **changes})


def _first_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Applied("applied", (front(stage, _FIRST, {"app": "sm"}, service_port(Port.TCP)),)),
        reachable(stage, raw_call(stage, _FIRST, Port.TCP)),
        *read_around(Calls("calls", CLIENT, raw_call(stage, _FIRST, Port.TCP, times=5, body_bytes=_BYTES))),
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


def _changed(_stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("calls")
    spoilt = sum(1 for reply in replies if reply.trouble is None and reply.digest_ok is False)
    return f"{spoilt} of {len(replies)} conversations came back changed" if spoilt else None


CLIENT_FIRST = Probe(
    id="proto.tcp.client-first",
    claim="A raw protocol whose client speaks first is carried byte for byte, without delay.",
    tier=Tier.FOUNDATION,
    steps=_first_steps,
    proof=_first_proof,
    causes=(
        taken_for_http(_FIRST),
        treated_as_opaque(_FIRST),
        *COMMON,
        skipped_port(PORTS[Port.TCP]),
        DETECT_TIMEOUT,
        Cause(
            code="BYTES_CHANGED",
            rung=Rung.TRAFFIC,
            seen=cautious(_changed),
            message="Bytes are changed on the way.",
            expected="what was sent comes back",
            disproof="The same bytes come back unchanged from an unmeshed client.",
            remedy="Find what looks into the connection: a gateway, a filter, hardware; report the proxies' release.",
            command="kubectl logs <pod> -c linkerd-proxy",
        ),
        DATAPATH,
    ),
    diagnosis=Scene(service=_FIRST, port=Port.TCP).steps,
)


def _silence(stage: Stage) -> timedelta:
    """Longer than detection waits, by enough to tell the two apart."""
    return stage.timings.detect * 1.2


def _silent_steps(stage: Stage) -> tuple[Step, ...]:
    call = silently(raw_call(stage, _SILENT, Port.TCP), _silence(stage))
    return (
        Applied("applied", (front(stage, _SILENT, {"app": "sm"}, service_port(Port.TCP)),)),
        reachable(stage, raw_call(stage, _SILENT, Port.TCP)),
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


def http_counted(pages: Mapping[str, Page], port: int) -> float:
    """How many requests the proxies of clients ever saw to a port."""
    return sum(page.total("request_total", direction="outbound", target_port=str(port)) for page in pages.values())


def _tls_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Applied("applied", (front(stage, _SEALED, {"app": "sm"}, service_port(Port.TLS)),)),
        reachable(stage, raw_call(stage, _SEALED, Port.TLS)),
        *read_around(Calls("calls", CLIENT, raw_call(stage, _SEALED, Port.TLS, times=3, body_bytes=_BYTES))),
    )


def _tls_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    pages = between(evidence, "client-before", "client-after")
    counted = http_counted(evidence.pages("client-after"), PORTS[Port.TLS])
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


def _tls_cut(_stage: Stage, evidence: Evidence) -> str | None:
    cut = [reply for reply in evidence.replies("calls") if reply.trouble is not None]
    return f"{len(cut)} conversations: {cut[0].trouble} {cut[0].message}" if cut else None


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
        Cause(
            code="TLS_CUT",
            rung=Rung.TRAFFIC,
            seen=cautious(_tls_cut),
            message="The TLS of the applications is cut off or spoilt on the way.",
            expected="what was sent comes back",
            disproof="openssl s_client gets a certificate by the pod's address.",
            remedy="Mark the port opaque, or give it the appProtocol linkerd.io/tls where the release knows it.",
            command="openssl s_client -connect <service>:8443 -servername echo.invalid",
        ),
        DATAPATH,
    ),
    diagnosis=Scene(service=_SEALED, port=Port.TLS).steps,
)

PROBES = (CLIENT_FIRST, DETECTION, TLS)

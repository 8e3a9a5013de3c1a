"""What else mutual TLS must hold: raw TCP, plain text that is seen as such, no relay for strangers, nobody left out."""

from collections.abc import Mapping

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import COMMON, cautious, skipped_port
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.control_plane import NONE, listed
from services.conformance.core.probes.identity import HTTP, NO_ENDPOINT_IDENTITY, pages_of, surrounded
from services.conformance.core.proofs import (
    CLIENT_ID,
    Between,
    all_ok,
    answered,
    answered_by,
    between,
    counter_grew,
    good,
    growth,
    none_are,
    series,
    server_saw_none,
    together,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Calls, Looked, Pages, Step
from services.conformance.core.targets import (
    CLIENT,
    CLIENT_ACCOUNT,
    SERVER_ACCOUNT,
    UNMESHED,
    at_pod,
    at_service,
    fresh,
    get,
    headers,
    native,
    place_of,
)
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.kube.resources import NAMESPACES, PODS
from steward.linkerd.marks import ADMISSION_WEBHOOKS
from steward.linkerd.pods import PodFacts, trim
from steward.linkerd.workloads import NamespaceFacts, trim_namespace

_OUTBOUND_PORT = 4140
_RAW = (Port.TCP, Port.OPAQUE)


def _tcp_steps(stage: Stage) -> tuple[Step, ...]:
    return surrounded(
        Calls("tcp", CLIENT, fresh(native(stage, "sm", Port.TCP, times=3))),
        Calls("opaque", CLIENT, fresh(native(stage, "sm", Port.OPAQUE, times=3))),
    )


def _tcp_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    client, server = stage.identity(CLIENT_ACCOUNT), stage.identity(SERVER_ACCOUNT)
    sent = {"direction": "outbound", "peer": "dst", "tls": "true", "server_id": server}
    taken = {"direction": "inbound", "peer": "src", "tls": "true", "client_id": client}
    return together(
        lambda: tuple(all_ok(f"connections to port {port} work", evidence.replies(str(port))) for port in _RAW),
        lambda: _counted("the client's proxy knows whom it reached on", pages_of(evidence, "client"), sent),
        lambda: _counted("the server's proxy knows who came to", pages_of(evidence, "server"), taken),
    )


def _counted(name: str, pages: Between, labels: Mapping[str, str]) -> tuple[AssertionResult, ...]:
    opened = {port: series("tcp_open_total", target_port=str(PORTS[port]), **labels) for port in _RAW}
    return tuple(counter_grew(f"{name} {port}", pages, counter) for port, counter in opened.items())


def _tcp_plain(_stage: Stage, evidence: Evidence) -> str | None:
    sent = between(evidence, "client-before", "client-after")
    reasons = {}
    for reason in ("not_provided_by_service_discovery", "port_skipped", "no_tls_from_remote", "loopback"):
        for port in (Port.TCP, Port.OPAQUE):
            labels = {"direction": "outbound", "peer": "dst", "target_port": str(PORTS[port]), "no_tls_reason": reason}
            count = growth(sent, series("tcp_open_total", tls="no_identity", **labels))
            if count:
                reasons[f"{port} {reason}"] = count
    return ", ".join(f"{what}: {count:g}" for what, count in reasons.items()) or None


TCP = Probe(
    id="mtls.tcp",
    claim="Raw TCP is authenticated on both sides too.",
    tier=Tier.FOUNDATION,
    steps=_tcp_steps,
    proof=_tcp_proof,
    causes=(
        *COMMON,
        skipped_port(PORTS[Port.TCP]),
        skipped_port(PORTS[Port.OPAQUE]),
        NO_ENDPOINT_IDENTITY,
        Cause(
            code="TCP_PLAINTEXT",
            rung=Rung.PROXY,
            seen=cautious(_tcp_plain),
            message="The client's proxy forwards raw connections without TLS, and says for which reason.",
            expected='tcp_open_total{direction="outbound",peer="dst",tls="true"}',
            disproof='No tcp_open_total with tls="no_identity" grows for the port.',
            remedy="not_provided_by_service_discovery: the endpoint is not known as meshed. port_skipped: unskip it.",
            command="linkerd diagnostics proxy-metrics po/<client> | grep tcp_open_total",
        ),
    ),
    diagnosis=Scene(port=Port.TCP).steps,
    security=True,
)


def _plaintext_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Pages("client-before", CLIENT, UNMESHED),
        Calls("plain", CLIENT, get(at_service(stage, "su"), times=3)),
        Pages("client-after", CLIENT, UNMESHED),
    )


def _plaintext_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("plain")
    pages = between(evidence, "client-before", "client-after")
    reason = "not_provided_by_service_discovery"
    plain = series("request_total", direction="outbound", dst_service="su", tls="no_identity", no_tls_reason=reason)
    sealed = series("request_total", direction="outbound", dst_service="su", tls="true")
    return (
        all_ok("an unmeshed server is reached", replies),
        server_saw_none("it is told no identity", replies, CLIENT_ID),
        counter_grew("the proxy says that it was in plain text, and why", pages, plain, len(replies)),
        check("and never that it was TLS", expected=0.0, observed=growth(pages, sealed)),
    )


def _mislabelled(_stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    sealed = growth(pages, series("request_total", direction="outbound", dst_service="su", tls="true"))
    return f"{sealed:g} calls to a pod without proxy are counted as TLS" if sealed else None


def _uncounted_plain(_stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    counted = growth(pages, series("request_total", direction="outbound", dst_service="su"))
    answered = sum(1 for reply in evidence.replies("plain") if good(reply))
    return f"{answered} calls were answered and none was counted" if answered and not counted else None


PLAINTEXT = Probe(
    id="mtls.plaintext-visible",
    claim="Where traffic is not encrypted, the proxy's metrics say so, and why.",
    tier=Tier.TRAFFIC,
    steps=_plaintext_steps,
    proof=_plaintext_proof,
    causes=(
        Cause(
            code="MISLABELLED",
            rung=Rung.PROXY,
            seen=cautious(_mislabelled),
            message="Metrics call plain text TLS: what they say of encryption cannot be relied on.",
            expected='tls="no_identity" for a server without proxy',
            disproof='request_total{dst_service="su",tls="true"} does not exist.',
            remedy="Compare with the endpoints that destination tells; report the proxy's version.",
            command="linkerd diagnostics proxy-metrics po/<client> | grep request_total",
        ),
        Cause(
            code="UNCOUNTED",
            rung=Rung.TRAFFIC,
            seen=cautious(_uncounted_plain),
            message="Calls pass by the client's proxy.",
            expected="request_total grows with each call",
            disproof="The counter moves when a call is made.",
            remedy="See that the client is injected, and that linkerd-init or the CNI plugin ran on its node.",
            command="kubectl logs <pod> -c linkerd-init",
        ),
        *COMMON,
    ),
    diagnosis=Scene(service="su", server="su").steps,
)


def _relay_steps(stage: Stage) -> tuple[Step, ...]:
    target = at_pod(stage, "sm", _OUTBOUND_PORT)
    override = headers(l5d_dst_override=f"{stage.service('su')}:{HTTP}")
    call = fresh(get(target, headers=override, times=2, timeout=5))
    return (Calls("meshed", CLIENT, call), Calls("unmeshed", UNMESHED, call))


def _relay_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return (
        none_are("a meshed stranger is not relayed", evidence.replies("meshed"), "answered", good),
        none_are("nor is an unmeshed one", evidence.replies("unmeshed"), "answered", good),
    )


def _relay_control(stage: Stage) -> tuple[Step, ...]:
    return (
        Calls("direct", CLIENT, get(at_pod(stage, "sm"))),
        Calls("direct-unmeshed", UNMESHED, get(at_pod(stage, "sm"))),
    )


def _relay_control_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies, pod = answered(evidence, "direct", "direct-unmeshed"), place_of(stage, "sm").pod
    return (
        all_ok("the same pod answers on its own port", replies),
        answered_by("and no other one does", replies, (pod,)),
    )


def _relayed(_stage: Stage, evidence: Evidence) -> str | None:
    replies = (*evidence.replies("meshed"), *evidence.replies("unmeshed"))
    pods = sorted({reply.echo.pod for reply in replies if reply.echo is not None and good(reply)})
    return f"by way of port {_OUTBOUND_PORT} of another pod, {', '.join(pods)} answered" if pods else None


OPEN_RELAY = Probe(
    id="mtls.open-relay",
    claim="Nobody can send through the proxy of another pod, and so with its identity.",
    tier=Tier.TRAFFIC,
    steps=_relay_steps,
    proof=_relay_proof,
    control=Control("The pod is reachable on its own port.", _relay_control, _relay_control_proof),
    causes=(
        Cause(
            code="OPEN_RELAY",
            rung=Rung.PROXY,
            seen=cautious(_relayed),
            message="The outbound listener of a proxy takes connections from other pods.",
            expected=f"port {_OUTBOUND_PORT} listens on loopback only",
            disproof="A connection from another pod is refused.",
            remedy="See LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS of the pod; it must name loopback addresses only.",
            command=f"curl -H 'l5d-dst-override: <service>' http://<pod address>:{_OUTBOUND_PORT}/",
        ),
    ),
    security=True,
)


def _coverage_steps(_stage: Stage) -> tuple[Step, ...]:
    return (Looked("pods", PODS), Looked("namespaces", NAMESPACES))


def _asks(pod: PodFacts, home: NamespaceFacts | None, linkerd: str) -> bool:
    """Whether the injector should have given the pod a proxy, by the injector's own rules."""
    if pod.finished or pod.deleting or pod.host_network or pod.foreign_sidecar or pod.component:
        return False
    if pod.namespace == linkerd or (home is not None and home.labels.get(ADMISSION_WEBHOOKS) == "disabled"):
        return False
    wish = pod.inject if pod.inject is not None else (home.inject if home is not None else None)
    return wish is not None and wish.wanted


def _asking(stage: Stage, evidence: Evidence) -> list[PodFacts]:
    homes = {facts.name: facts for facts in map(trim_namespace, evidence.objects("namespaces"))}
    pods = map(trim, evidence.objects("pods"))
    return [pod for pod in pods if _asks(pod, homes.get(pod.namespace), stage.linkerd_namespace)]


def _left_out(stage: Stage, evidence: Evidence) -> list[str]:
    return sorted(pod.key for pod in _asking(stage, evidence) if pod.proxy is None)


def _coverage_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    asking = _asking(stage, evidence)
    return (
        check("pods that ask for a proxy were read", expected="some", observed=f"{len(asking)} pods", ok=bool(asking)),
        check("each has one", expected=NONE, observed=listed(_left_out(stage, evidence))),
    )


def _coverage_seen(stage: Stage, evidence: Evidence) -> str | None:
    missing = _left_out(stage, evidence)
    return f"{len(missing)} pods run in plain text: {', '.join(missing)}" if missing else None


COVERAGE = Probe(
    id="mtls.coverage",
    claim="Every pod of the cluster that asks to be in the mesh has a proxy.",
    tier=Tier.FOUNDATION,
    steps=_coverage_steps,
    proof=_coverage_proof,
    causes=(
        Cause(
            code="NOT_INJECTED",
            rung=Rung.OBJECT,
            seen=cautious(_coverage_seen),
            message="Pods came up without a proxy, most likely while the injector did not answer; no Event says so.",
            expected="a container linkerd-proxy in each pod that asks for one",
            disproof="The pods have the container, among their init containers too.",
            remedy="See that cp.webhook passes; then restart the workloads of these pods.",
            command="kubectl get --raw /metrics | grep webhook_fail_open",
        ),
    ),
    safety=Safety.INTRUSIVE,
    security=True,
)

PROBES = (TCP, PLAINTEXT, OPEN_RELAY, COVERAGE)

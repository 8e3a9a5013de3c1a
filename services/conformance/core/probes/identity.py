"""`mtls.identity` and what rests on it: both proxies know who talks to whom, and nobody can pretend."""

from services.conformance.core import diagnosis as why
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious, skipped_port
from services.conformance.core.known_causes.reading import proxy_of
from services.conformance.core.orders import Reply
from services.conformance.core.probe import Cause, Control, Probe
from services.conformance.core.proofs import (
    CLIENT_ID,
    Between,
    all_ok,
    answered,
    between,
    counter_grew,
    good,
    growth,
    header_present,
    seen_by_server,
    series,
    server_saw,
    server_saw_none,
    status_is,
    together,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Calls, Pages, Step
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
)
from services.conformance.core.told import endpoints_told
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import text

HTTP = str(PORTS[Port.HTTP])
FORGED = "forged.probe.serviceaccount.identity.invalid"
_OUTBOUND_PORT = 4140
_TIMES = 10


def surrounded(*steps: Step) -> tuple[Step, ...]:
    """The steps, between readings of both proxies' pages."""
    return (
        Pages("client-before", CLIENT, UNMESHED),
        Pages("server-before", "sm", UNMESHED),
        *steps,
        Pages("client-after", CLIENT, UNMESHED),
        Pages("server-after", "sm", UNMESHED),
    )


def _identity_steps(stage: Stage) -> tuple[Step, ...]:
    return surrounded(
        Calls("by-service", CLIENT, get(at_service(stage, "sm"), times=_TIMES)),
        Calls("by-pod", CLIENT, get(at_pod(stage, "sm"), times=3)),
    )


def _identity_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    client = stage.identity(CLIENT_ACCOUNT)
    by_service, by_pod = evidence.replies("by-service"), evidence.replies("by-pod")
    calls = len(by_service) + len(by_pod)
    inbound = series("request_total", direction="inbound", target_port=HTTP, tls="true", client_id=client)
    outbound = series("request_total", direction="outbound", target_port=HTTP, tls="true", dst_service="sm")
    return together(
        lambda: (
            all_ok("calls by the Service are answered", by_service),
            server_saw("by the Service, the server is told who calls", by_service, CLIENT_ID, client),
            server_saw("by the pod's address too", by_pod, CLIENT_ID, client),
        ),
        lambda: (counter_grew("the server's proxy authenticated them", pages_of(evidence, "server"), inbound, calls),),
        lambda: (
            counter_grew(
                "the client's proxy made them with TLS", pages_of(evidence, "client"), outbound, len(by_service)
            ),
        ),
    )


def pages_of(evidence: Evidence, side: str) -> Between:
    """The pages of one side, before and after."""
    return between(evidence, f"{side}-before", f"{side}-after")


def _identity_control(stage: Stage) -> tuple[Step, ...]:
    return (Calls("unmeshed-control", UNMESHED, get(at_service(stage, "sm"), times=3)),)


def _identity_control_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = answered(evidence, "unmeshed-control")
    return (server_saw_none("a client without a proxy has no identity", replies, CLIENT_ID),)


def _nameless(_stage: Stage, evidence: Evidence) -> str | None:
    told = endpoints_told(evidence, why.DESTINATIONS)
    if isinstance(told, NotTold):
        return None
    meshed = {text(pod, "status", "podIP") for pod in evidence.objects(why.SERVER_PODS) if proxy_of(pod) is not None}
    bare = sorted({str(each) for found in told.values() for each in found if each.ip in meshed and not each.identity})
    return f"destination tells no identity for {', '.join(bare)}" if bare else None


NO_ENDPOINT_IDENTITY = Cause(
    code="NO_ENDPOINT_IDENTITY",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_nameless),
    message="Destination does not know the identity of a meshed endpoint, so clients speak to it in plain text.",
    expected="tlsIdentity for each meshed endpoint",
    disproof="linkerd diagnostics endpoints shows an identity for the pod.",
    remedy="See that the pod has the label linkerd.io/control-plane-ns; restart linkerd-destination.",
    command="linkerd diagnostics endpoints <service>.<namespace>.svc.cluster.local:<port> -o json",
)


def _untold(_stage: Stage, evidence: Evidence) -> str | None:
    replies = (*evidence.replies("by-service"), *evidence.replies("by-pod"))
    anonymous = sum(1 for reply in replies if reply.echo is not None and seen_by_server(reply, CLIENT_ID) is None)
    known = growth(pages_of(evidence, "server"), series("request_total", direction="inbound", tls="true"))
    if not anonymous or known < len(replies):
        return None
    return f"the server's proxy authenticated {known:g} calls; {anonymous} reached the application without {CLIENT_ID}"


def _in_plain_text(_stage: Stage, evidence: Evidence) -> str | None:
    labels = {"direction": "outbound", "target_port": HTTP, "tls": "no_identity"}
    pages = pages_of(evidence, "client")
    count = growth(pages, series("request_total", **labels))
    reasons = sorted(
        {reason for page in pages[1].values() for reason in page.values("request_total", "no_tls_reason", **labels)}
    )
    return f"{count:g} calls without TLS, because {', '.join(reasons) or 'of nothing'}" if count else None


PLAINTEXT_TO_MESHED = Cause(
    code="PLAINTEXT_TO_MESHED",
    rung=Rung.PROXY,
    seen=cautious(_in_plain_text),
    message="The client's proxy speaks to meshed servers in plain text.",
    expected='request_total{direction="outbound",tls="true"}',
    disproof='No request_total with tls="no_identity" grows for the port.',
    remedy="not_provided_by_service_discovery: destination does not know the endpoint as meshed; restart the client.",
    command="linkerd diagnostics proxy-metrics po/<client> | grep request_total",
)
IDENTITY_NOT_TOLD = Cause(
    code="IDENTITY_NOT_TOLD",
    rung=Rung.PROXY,
    seen=cautious(_untold),
    message="The server's proxy knows who calls, and does not tell the application.",
    expected=f"{CLIENT_ID} in each request",
    disproof="The echo of a meshed call shows the header.",
    remedy="See that nothing between proxy and application removes the header; restart the server's pods.",
    command="curl http://<service>/",
)
IDENTITY = Probe(
    id="mtls.identity",
    claim="A meshed server is told, by its own proxy, who its meshed client is.",
    tier=Tier.FOUNDATION,
    steps=_identity_steps,
    proof=_identity_proof,
    control=Control("A client without a proxy has no identity.", _identity_control, _identity_control_proof),
    causes=(
        *COMMON,
        skipped_port(PORTS[Port.HTTP]),
        NO_ENDPOINT_IDENTITY,
        PLAINTEXT_TO_MESHED,
        IDENTITY_NOT_TOLD,
        DATAPATH,
    ),
    diagnosis=Scene().steps,
    security=True,
)


def _antispoof_steps(stage: Stage) -> tuple[Step, ...]:
    forged = get(at_service(stage, "sm"), times=3, headers=headers(l5d_client_id=FORGED))
    return surrounded(Calls("unmeshed", UNMESHED, forged), Calls("meshed", CLIENT, forged))


def _antispoof_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    unmeshed, meshed = evidence.replies("unmeshed"), evidence.replies("meshed")
    return (
        server_saw_none("an unmeshed client cannot claim an identity", unmeshed, CLIENT_ID),
        server_saw("a meshed client keeps its own", meshed, CLIENT_ID, stage.identity(CLIENT_ACCOUNT)),
    )


def _antispoof_control(stage: Stage) -> tuple[Step, ...]:
    return (Calls("plain", CLIENT, get(at_service(stage, "su"), headers=headers(l5d_client_id=FORGED))),)


def _antispoof_control_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = answered(evidence, "plain")
    return (server_saw("where no proxy strips it, the forged header arrives", replies, CLIENT_ID, FORGED),)


def _uncounted(_stage: Stage, evidence: Evidence) -> bool:
    """Whether the server's proxy saw nothing; where its page cannot be read, it is passed by there too."""
    plain = series("request_total", direction="inbound", target_port=HTTP, tls="no_identity")
    if "server-before" not in evidence or "server-after" not in evidence:
        return True
    return growth(pages_of(evidence, "server"), plain) == 0


def _bypassed(stage: Stage, evidence: Evidence) -> str | None:
    told = sum(1 for reply in evidence.replies("unmeshed") if seen_by_server(reply, CLIENT_ID) == FORGED)
    if not told or not _uncounted(stage, evidence):
        return None
    return f"the forged identity arrived {told} times, and the server's proxy counted none of the calls"


def _trusted(stage: Stage, evidence: Evidence) -> str | None:
    told = [
        who
        for who in ("unmeshed", "meshed")
        if any(seen_by_server(reply, CLIENT_ID) == FORGED for reply in evidence.replies(who))
    ]
    if not told or _uncounted(stage, evidence):
        return None
    return (
        f"the server's proxy counted the calls and let the forged identity of the {' and '.join(told)} client through"
    )


ANTISPOOF = Probe(
    id="mtls.antispoof",
    claim="Nobody can claim an identity by writing the header.",
    tier=Tier.FOUNDATION,
    steps=_antispoof_steps,
    proof=_antispoof_proof,
    control=Control("The header is sent, and arrives where no proxy is.", _antispoof_control, _antispoof_control_proof),
    causes=(
        Cause(
            code="HEADER_TRUSTED",
            rung=Rung.PROXY,
            seen=cautious(_trusted),
            message="The server's proxy lets a claimed identity through.",
            expected=f"the proxy replaces {CLIENT_ID}, or takes it away",
            disproof="The echo of a call with a forged header shows none.",
            remedy="Do not trust the header until the proxy is replaced by a release that strips it.",
            command=f"curl -H '{CLIENT_ID}: forged' http://<pod address>:8080/",
        ),
        Cause(
            code="INBOUND_BYPASSED",
            rung=Rung.TRAFFIC,
            seen=cautious(_bypassed),
            message="Traffic reaches the application without passing through its proxy.",
            expected="the server's proxy counts each call",
            disproof='request_total{direction="inbound"} moves when the call is made.',
            remedy="Look for skip-inbound-ports, and see that linkerd-init or the CNI plugin ran on that node.",
            command="kubectl logs <pod> -c linkerd-init",
        ),
        *COMMON,
        skipped_port(PORTS[Port.HTTP]),
    ),
    diagnosis=Scene().steps,
    security=True,
)


def _require_steps(stage: Stage) -> tuple[Step, ...]:
    right = headers(l5d_require_id=stage.identity(SERVER_ACCOUNT))
    wrong = headers(l5d_require_id=stage.identity("probe-nobody"))
    return (
        Pages("client-before", CLIENT, UNMESHED),
        Calls("right", CLIENT, get(at_service(stage, "sm"), headers=right, times=3)),
        Calls("right-by-pod", CLIENT, get(at_pod(stage, "sm"), headers=right)),
        Calls("wrong", CLIENT, fresh(get(at_service(stage, "sm"), headers=wrong, times=3))),
        Calls("wrong-by-pod", CLIENT, get(at_pod(stage, "sm"), headers=wrong)),
        Calls("nameless", CLIENT, fresh(get(at_service(stage, "su"), headers=right))),
        Pages("client-after", CLIENT, UNMESHED),
    )


def _require_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    wrong = _refused(evidence)
    counted = series("outbound_http_errors_total", error="identity required")
    return together(
        lambda: (
            all_ok("the right identity is let through", evidence.replies("right")),
            all_ok("by the pod's address too", evidence.replies("right-by-pod")),
            status_is("another identity, or none, is refused", wrong, 502),
            header_present("the client's proxy says why", wrong, "l5d-proxy-error", containing="required id"),
        ),
        lambda: (counter_grew("and counts it", pages_of(evidence, "client"), counted, len(wrong)),),
    )


def _refused(evidence: Evidence) -> tuple[Reply, ...]:
    """The calls that must be refused."""
    return tuple(reply for step in ("wrong", "wrong-by-pod", "nameless") for reply in evidence.replies(step))


def _right_refused(_stage: Stage, evidence: Evidence) -> str | None:
    refused = [reply for reply in evidence.replies("right") if reply.status == 502]
    said = [dict(reply.headers).get("l5d-proxy-error", "") for reply in refused]
    return said[0] if said and "found Some" in said[0] else None


def _wrong_accepted(_stage: Stage, evidence: Evidence) -> str | None:
    wrong = _refused(evidence)
    accepted = sum(1 for reply in wrong if good(reply))
    return f"{accepted} of {len(wrong)} calls that required another identity were answered" if accepted else None


REQUIRE_ID = Probe(
    id="mtls.require-id",
    claim="A client can insist on the identity of its server.",
    tier=Tier.TRAFFIC,
    steps=_require_steps,
    proof=_require_proof,
    causes=(
        Cause(
            code="REQUIREMENT_IGNORED",
            rung=Rung.PROXY,
            seen=cautious(_wrong_accepted),
            message="Calls that require another identity are answered: nobody looked at the requirement.",
            expected="502 with `required id …; found …`",
            disproof="A call with l5d-require-id of another identity is refused.",
            remedy="See that the client is injected and its outbound port is not skipped.",
            command="curl -H 'l5d-require-id: other' http://<service>/",
        ),
        Cause(
            code="OTHER_IDENTITY",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_right_refused),
            message="The server runs as another ServiceAccount, or in another trust domain, than it should.",
            expected="the identity of the server's ServiceAccount in the trust domain of the control plane",
            disproof="linkerd diagnostics endpoints shows the expected identity.",
            remedy="Compare the trust domain in linkerd-config with the environment of the server's proxy.",
            command="linkerd identity -n <namespace> <pod>",
        ),
        *COMMON,
        skipped_port(PORTS[Port.HTTP]),
        NO_ENDPOINT_IDENTITY,
    ),
    diagnosis=Scene().steps,
    security=True,
)


PROBES = (IDENTITY, ANTISPOOF, REQUIRE_ID)

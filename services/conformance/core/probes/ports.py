"""Ports and addresses: what a Service declares and what not, how it is dialled, who may read the admin port."""

from datetime import timedelta

from services.conformance.core.diagnosis import OUTBOUND, Scene
from services.conformance.core.evidence import Evidence, Told
from services.conformance.core.fronts import front, known
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious
from services.conformance.core.known_causes.reading import objects_of
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Fetch, Reply, Trouble
from services.conformance.core.pages import Page
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.control_plane import listed
from services.conformance.core.probes.http import SOUND, read_around, treated
from services.conformance.core.proofs import (
    CLIENT_ID,
    Series,
    all_are,
    all_ok,
    between,
    counter_grew,
    counter_stood_still,
    growth,
    series,
    server_saw,
    took,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Asked, Calls, Looked, Step
from services.conformance.core.targets import (
    CLIENT,
    CLIENT_ACCOUNT,
    UNMESHED,
    at_pod,
    at_service,
    fresh,
    get,
    native,
    prompt,
)
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import dig, text, texts
from steward.kube.resources import NAMESPACES, PODS

_DECLARED, _UNDEFINED, _ADDRESSED = "proto-declared", "proto-undefined", "proto-addressed"
_GONE = (Trouble.RESET, Trouble.CLOSED, Trouble.REFUSED)
_ADMIN = 4191
_DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
_APPS: tuple[tuple[int, Port, str, str], ...] = (
    (8301, Port.HTTP, "http", "http/1"),
    (8302, Port.H2C, "kubernetes.io/h2c", "http/2"),
    (8303, Port.TCP, "linkerd.io/opaque", "opaq"),
    (8304, Port.TCP, "linkerd.io/tcp", "opaq"),
    (8305, Port.HTTP, "steward.example/unheard-of", "opaq"),
)
"""Port, where it leads, its appProtocol, and what the proxy should take it for. An unknown word means opaque."""


def _declared_calls(stage: Stage) -> tuple[Step, ...]:
    calls: list[Step] = []
    for number, port, _, _ in _APPS:
        call = native(stage, _DECLARED, port) if port is not Port.HTTP else get(at_service(stage, _DECLARED))
        there = call.target.model_copy(update={"port": number})
        calls.append(Calls(f"to-{number}", CLIENT, fresh(call.model_copy(update={"target": there, "times": 2}))))
    return tuple(calls)


def _declared_steps(stage: Stage) -> tuple[Step, ...]:
    ports = (service_port(number, target=port, app_protocol=word) for number, port, word, _ in _APPS)
    made = front(stage, _DECLARED, {"app": "sm"}, service_port(Port.HTTP), *ports)
    return (Applied("applied", (made,)), known(stage, _DECLARED), *read_around(*_declared_calls(stage)))


def _taken_for(number: int, protocol: str) -> Series:
    wanted = treated(_DECLARED, protocol)
    return Series(wanted.name, {**wanted.labels, "parent_port": str(number)})


def _declared_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pages = between(evidence, "client-before", "client-after")
    found: list[AssertionResult] = []
    for number, _, word, protocol in _APPS:
        replies = evidence.replies(f"to-{number}")
        looked = series("outbound_tcp_detect_http_results_total", parent_name=_DECLARED, parent_port=str(number))
        found += (
            all_ok(f"a port with appProtocol {word} works", replies),
            counter_grew(f"{word} is taken for {protocol}", pages, _taken_for(number, protocol)),
            counter_stood_still(f"nothing is detected for {word}", pages, looked),
        )
    return tuple(found)


def _ignored(_stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    told = [word for number, _, word, _ in _APPS if growth(pages, _taken_for(number, "detect"))]
    return f"the proxy detects the protocol in spite of {', '.join(told)}" if told else None


def _opaque_words(_stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    told = [word for number, _, word, right in _APPS if right != "opaq" and growth(pages, _taken_for(number, "opaq"))]
    return f"{', '.join(told)} is taken for opaque" if told else None


def _policy_detects(_stage: Stage, evidence: Evidence) -> str | None:
    told = evidence.told(OUTBOUND)
    answers = told.answers if isinstance(told, Told) else {}
    replicas = sorted(replica for replica, answer in answers.items() if dig(answer, "protocol", "detect") is not None)
    return f"{', '.join(replicas)} tells proxies to detect a port with appProtocol http" if replicas else None


APP_PROTOCOL = Probe(
    id="proto.app-protocol",
    claim="A port's appProtocol says what the proxy takes it for; an unknown word means opaque.",
    tier=Tier.TRAFFIC,
    since="2.18",
    steps=_declared_steps,
    proof=_declared_proof,
    causes=(
        Cause(
            code="POLICY_IGNORES_APPPROTO",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_policy_detects),
            message="The policy controller does not pass on what the Service declares.",
            expected="protocol http1 for a port with appProtocol http",
            disproof="linkerd diagnostics policy shows the declared protocol.",
            remedy="Bring the control plane to 2.18 or later.",
            command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
        ),
        Cause(
            code="APPPROTO_IGNORED",
            rung=Rung.PROXY,
            seen=cautious(_ignored),
            message="The proxy looks for the protocol itself.",
            expected="no detection for ports with an appProtocol",
            disproof="outbound_tcp_detect_http_results_total does not move for the port.",
            remedy="Restart the client so that it gets the control plane's proxy.",
            command="linkerd version --proxy",
        ),
        Cause(
            code="APPPROTO_OPAQUE",
            rung=Rung.PROXY,
            seen=cautious(_opaque_words),
            message="A word that means HTTP is taken for an unknown one, so the port silently becomes opaque.",
            expected="http/1 and http/2",
            disproof="outbound_tcp_protocol_connections_total names http for the port.",
            remedy="Write exactly http or kubernetes.io/h2c.",
            command="kubectl get service <service> -o jsonpath='{.spec.ports}'",
        ),
        *COMMON,
        DATAPATH,
    ),
    diagnosis=Scene(service=_DECLARED, port=8301).steps,
)


def _undefined_steps(stage: Stage) -> tuple[Step, ...]:
    call = fresh(get(at_service(stage, _UNDEFINED, Port.H2C), times=3, timeout=5))
    return (
        Applied("applied", (front(stage, _UNDEFINED),)),
        known(stage, _UNDEFINED),
        *read_around(Calls("undefined", CLIENT, call)),
    )


def _undefined_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("undefined")
    pages = between(evidence, "client-before", "client-after")
    counted = series("outbound_tcp_route_open_total", route_name="undefined-port", parent_name=_UNDEFINED)
    return (
        all_are("a port that the Service does not have is closed", replies, "reset", lambda r: r.trouble in _GONE),
        took("at once", replies, timedelta(), prompt(stage)),
        counter_grew("and the proxy says that the port is undefined", pages, counted, len(replies)),
    )


def _open_port(_stage: Stage, evidence: Evidence) -> str | None:
    answered = [reply for reply in evidence.replies("undefined") if reply.trouble not in _GONE]
    return (
        f"{len(answered)} calls to a port that no Service has ended otherwise: {_how(answered[0])}"
        if answered
        else None
    )


def _how(reply: Reply) -> str:
    return str(reply.trouble or reply.status)


UNDEFINED_PORT = Probe(
    id="proto.undefined-port",
    claim="A port that the Service does not have is refused at once.",
    tier=Tier.TRAFFIC,
    since="2.19",
    steps=_undefined_steps,
    proof=_undefined_proof,
    control=SOUND,
    causes=(
        Cause(
            code="UNDEFINED_PORT_OPEN",
            rung=Rung.PROXY,
            seen=cautious(_open_port),
            message="The client's proxy forwards what is dialled to a port that no Service declares.",
            expected="a reset, and a route named undefined-port",
            disproof="A call to an undeclared port is reset within milliseconds.",
            remedy="Bring control plane and proxies to 2.19 or later; with a ServiceProfile later still.",
            command="curl http://<service>:7777/",
        ),
        *COMMON,
    ),
    diagnosis=Scene(service=_UNDEFINED).steps,
)


def _addressed_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Applied("applied", (front(stage, _ADDRESSED),)),
        known(stage, _ADDRESSED),
        *read_around(
            Calls("by-service", CLIENT, get(at_service(stage, _ADDRESSED), times=5)),
            Calls("by-pod", CLIENT, get(at_pod(stage, "sm"), times=5)),
        ),
    )


def _without_authority(pages: dict[str, Page], ip: str) -> float:
    return sum(
        sample.value
        for page in pages.values()
        for sample in page.select("request_total", direction="outbound", target_ip=ip)
        if not sample.labels.get("authority")
    )


def _direct_growth(stage: Stage, evidence: Evidence) -> float:
    ip = at_pod(stage, "sm").host
    before, after = between(evidence, "client-before", "client-after")
    return _without_authority(dict(after), ip) - _without_authority(dict(before), ip)


def _addressed_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    by_service, by_pod = evidence.replies("by-service"), evidence.replies("by-pod")
    pages = between(evidence, "client-before", "client-after")
    authority = f"{stage.service(_ADDRESSED)}:{PORTS[Port.HTTP]}"
    direct = _direct_growth(stage, evidence)
    client = stage.identity(CLIENT_ACCOUNT)
    return (
        server_saw("by the Service, the client is known", by_service, CLIENT_ID, client),
        server_saw("by the pod's address too", by_pod, CLIENT_ID, client),
        counter_grew(
            "by the Service, calls are counted under its name",
            pages,
            series("request_total", direction="outbound", authority=authority),
            len(by_service),
        ),
        check(
            "by the pod's address, under no name",
            expected=f"{len(by_pod)} or more",
            observed=f"{direct:g}",
            ok=direct >= len(by_pod),
        ),
    )


def _unnamed(stage: Stage, evidence: Evidence) -> str | None:
    pages = between(evidence, "client-before", "client-after")
    named = growth(pages, series("request_total", direction="outbound", dst_service=_ADDRESSED))
    authority = f"{stage.service(_ADDRESSED)}:{PORTS[Port.HTTP]}"
    if named or growth(pages, series("request_total", direction="outbound", authority=authority)):
        return None
    return "calls by the Service's name are not counted as calls to the Service"


ADDRESSES = Probe(
    id="proto.headless-ip",
    claim="Calls by Service and by pod address are both authenticated, and can be told apart.",
    tier=Tier.TRAFFIC,
    steps=_addressed_steps,
    proof=_addressed_proof,
    causes=(
        Cause(
            code="SERVICE_NOT_RESOLVED",
            rung=Rung.PROXY,
            seen=cautious(_unnamed),
            message="The client's proxy does not know the Service behind the address: its policies do not apply.",
            expected="request_total with the Service's authority",
            disproof="The client's page names the Service.",
            remedy="See that the client dials the Service and not a pod, and that destination knows the ClusterIP.",
            command="linkerd diagnostics profile <service>.<namespace>.svc.cluster.local:<port>",
        ),
        *COMMON,
        DATAPATH,
    ),
    diagnosis=Scene(service=_ADDRESSED).steps,
)


def _admin_steps(stage: Stage) -> tuple[Step, ...]:
    target = at_pod(stage, "sm", _ADMIN)
    return (
        Asked("meshed", CLIENT, Fetch(target=target)),
        Asked("unmeshed", UNMESHED, Fetch(target=target)),
    )


def _admin_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return tuple(
        check(f"a {a} scraper reads the proxy's metrics", expected=200, observed=_fetched(evidence, a))
        for a in ("meshed", "unmeshed")
    )


def _fetched(evidence: Evidence, step: str) -> str | int:
    fetched = evidence.fetched(step)
    return fetched.status if fetched.status is not None else f"{fetched.trouble}: {fetched.message}"


def _refused_scraper(_stage: Stage, evidence: Evidence) -> str | None:
    refused = [step for step in ("meshed", "unmeshed") if evidence.fetched(step).status == 403]
    return f"403 for {' and '.join(refused)} scrapers" if refused else None


def _strict_default(_stage: Stage, evidence: Evidence) -> str | None:
    strict = [
        f"{text(each, 'metadata', 'name')}: {policy}"
        for each in objects_of(evidence, "namespaces", "pods")
        if (policy := texts(each, "metadata", "annotations").get(_DEFAULT_POLICY, ""))
        and "unauthenticated" not in policy
    ]
    return listed(strict) if strict and _refused_scraper(_stage, evidence) else None


def _admin_diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (
        Looked("namespaces", NAMESPACES, names=(stage.meshed,)),
        Looked("pods", PODS, stage.meshed, labels="app=sm"),
    )


ADMIN_PORT = Probe(
    id="obs.admin-port",
    claim="A scraper may read the proxies' metrics, from within the mesh and from without.",
    tier=Tier.TRAFFIC,
    steps=_admin_steps,
    proof=_admin_proof,
    control=SOUND,
    diagnosis=_admin_diagnosis,
    causes=(
        Cause(
            code="STRICT_DEFAULT",
            rung=Rung.OBJECT,
            seen=cautious(_strict_default),
            message="The default inbound policy covers the admin port too, and shuts scrapers out.",
            expected=f"{_DEFAULT_POLICY} lets everybody in, or a policy for port {_ADMIN}",
            disproof="/metrics answers 200 to an unmeshed pod.",
            remedy=f"Authorize the scraper on port {_ADMIN} by a Server and an AuthorizationPolicy, or mesh it.",
            command=f"curl http://<pod address>:{_ADMIN}/metrics",
        ),
        Cause(
            code="SCRAPE_REFUSED",
            rung=Rung.PROXY,
            seen=cautious(_refused_scraper),
            message="The proxy refuses to show its metrics.",
            expected="200",
            disproof="/metrics answers 200 to an unmeshed pod.",
            remedy=f"See proxy.defaultInboundPolicy of the control plane, and Servers that select port {_ADMIN}.",
            command=f"linkerd diagnostics policy -n <namespace> po/<pod> {_ADMIN}",
        ),
        *COMMON,
    ),
)

PROBES = (APP_PROTOCOL, UNDEFINED_PORT, ADDRESSES, ADMIN_PORT)

"""Egress policy without the internet: addresses for documentation are refused, and a pod's own stands for outside."""

from dataclasses import replace

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.orders import Call, Conversation, Protocol, Reply, Target
from services.conformance.core.probe import Cause, Control, Probe
from services.conformance.core.proofs import (
    Maker,
    all_are,
    all_ok,
    between,
    counter_grew,
    good,
    made_by,
    series,
    status_is,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, OutboundPolicy, Pages, Step, Until
from services.conformance.core.targets import CLIENT, at_pod, at_service, fresh, get
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import Json, text

OUTSIDE = "192.0.2.10"
"""TEST-NET-1 (RFC 5737): an address that leads nowhere; the proxy answers before it would connect."""
_OUTSIDE_NETWORK = "192.0.2.0/24"
_FORBIDDEN = 403
_TOLD = "why-egress"


def _forbidden(reply: Reply) -> bool:
    return reply.status == _FORBIDDEN


def _outside(port: int) -> Target:
    return Target(host=OUTSIDE, port=port)


CONTROL = Control(
    claim="What stays inside the cluster is let through all the time.",
    steps=lambda stage: (Calls("inside", CLIENT, get(at_service(stage, "sm", Port.HTTP), times=3)),),
    proof=lambda _stage, evidence: (all_ok("inside", evidence.replies("inside")),),
)


def _let_out(*steps: str) -> Cause:
    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        out = [step for step in steps if step in evidence and not all(map(_stopped, evidence.replies(step)))]
        return f"not refused by the client's proxy: {', '.join(out)}" if out else None

    return Cause(
        code="EGRESS_OPEN",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="Traffic leaves although an EgressNetwork denies it.",
        expected="403 by the proxy of the client, at once",
        disproof="Calls to the denied network are answered with 403 and the header l5d-proxy-error.",
        remedy="See that clusterNetworks does not cover the address, and that the client's namespace has the policy.",
        command="kubectl get egressnetworks -A -o wide",
    )


def _stopped(reply: Reply) -> bool:
    return _forbidden(reply) or (reply.status is None and reply.trouble is not None)


def _not_known() -> Cause:
    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        told = evidence.told(_TOLD)
        if isinstance(told, NotTold):
            return f"the policy controller answers {told.code}: {told.message}"
        kinds = {text(answer, "metadata", "resource", "kind") for answer in told.answers.values()}
        return None if "EgressNetwork" in kinds else f"the policy controller tells of {', '.join(sorted(kinds))}"

    return Cause(
        code="EGRESS_NOT_TOLD",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message="The policy controller tells proxies nothing of the EgressNetwork.",
        expected="an outbound policy whose parent is the EgressNetwork",
        disproof="`linkerd diagnostics policy` shows the EgressNetwork for the address.",
        remedy="See that the policy controller is ready, and that no other EgressNetwork hides this one.",
        command=f"linkerd diagnostics policy -n <namespace> {OUTSIDE} 80",
    )


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    """What the controller tells of an outside address while an EgressNetwork stands, besides the usual."""
    network = made.egress_network(stage, "egress-why", "Deny", _OUTSIDE_NETWORK)
    asked = OutboundPolicy(_TOLD, stage.meshed, f"{OUTSIDE}:80")
    return (Applied("why-network", (network,)), asked, *Scene(service="su", server="su").steps(stage))


def _closed(_stage: Stage, evidence: Evidence) -> str | None:
    tried = [step for step in ("http", "named") if step in evidence]
    closed = [step for step in tried if any(map(_forbidden, evidence.replies(step)))]
    return f"refused by the client's proxy although allowed: {', '.join(closed)}" if closed else None


EGRESS_CLOSED = Cause(
    code="EGRESS_CLOSED",
    rung=Rung.PROXY,
    seen=cautious(_closed),
    message="Traffic is kept in although an EgressNetwork or a route of it lets it out.",
    expected="calls to the allowed network are answered",
    disproof="The same call by hand is answered.",
    remedy="See that no narrower EgressNetwork of the namespace denies the address.",
    command="kubectl get egressnetworks -A -o wide",
)


def _probe(id: str, claim: str, *tried: str) -> Probe:
    return Probe(
        id=id,
        claim=claim,
        tier=Tier.TRAFFIC,
        steps=lambda _stage: (),
        proof=lambda _stage, _evidence: (),
        control=CONTROL,
        causes=((_let_out(*tried),) if tried else ()) + (_not_known(), *COMMON),
        diagnosis=_diagnosis,
        needs=(Need.EGRESS_NETWORK,),
        since="2.17",
        depends_on=("proto.http1",),
    )


def _deny() -> Probe:
    name = "egress-deny"

    def steps(stage: Stage) -> tuple[Step, ...]:
        web = fresh(get(_outside(80), timeout=5))
        tls = Call(target=_outside(443), protocol=Protocol.TLS, server_name="outside.invalid", timeout_seconds=5)
        raw = Call(
            target=_outside(5432), protocol=Protocol.TCP, conversation=Conversation.CLIENT_FIRST, timeout_seconds=5
        )
        return (
            Applied("applied", (made.egress_network(stage, name, "Deny", _OUTSIDE_NETWORK),)),
            Until("in-force", CLIENT, web, _forbidden, "is refused", stage.timings.propagation),
            Pages("before", CLIENT),
            Calls("http", CLIENT, web.model_copy(update={"times": 5})),
            Calls("tls", CLIENT, tls),
            Calls("tcp", CLIENT, raw),
            Pages("after", CLIENT),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        denied = series(
            "outbound_http_route_request_statuses_total", parent_kind="EgressNetwork", route_name="http-egress-deny"
        )
        return (
            within("in force", evidence.effect("in-force"), stage.timings.propagation),
            status_is("HTTP", evidence.replies("http"), _FORBIDDEN),
            made_by("HTTP is refused by", evidence.replies("http"), Maker.CLIENT_PROXY),
            all_are("TLS", evidence.replies("tls"), "connection ended", _ended),
            all_are("raw TCP", evidence.replies("tcp"), "connection ended", _ended),
            counter_grew("denials counted", between(evidence, "before", "after"), denied, 5),
        )

    claim = "What an EgressNetwork denies does not leave: HTTP is answered with 403, anything else is cut."
    probe = _probe("egress.deny", claim, "http", "tls", "tcp")
    return replace(probe, steps=steps, proof=proof, security=True)


def _ended(reply: Reply) -> bool:
    return reply.trouble is not None


def _allow() -> Probe:
    name = "egress-allow"

    def steps(stage: Stage) -> tuple[Step, ...]:
        once = fresh(get(at_pod(stage, "su"), timeout=5))
        return (
            Applied("applied", (made.egress_network(stage, name, "Allow", f"{at_pod(stage, 'su').host}/32"),)),
            Until("in-force", CLIENT, once, good, "is let out", stage.timings.propagation),
            Pages("before", CLIENT),
            Calls("http", CLIENT, once.model_copy(update={"times": 5})),
            Pages("after", CLIENT),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        counted = series("outbound_http_route_request_statuses_total", parent_kind="EgressNetwork", parent_name=name)
        return (
            within("in force", evidence.effect("in-force"), stage.timings.propagation),
            all_ok("HTTP", evidence.replies("http")),
            counter_grew("counted for the EgressNetwork", between(evidence, "before", "after"), counted, 5),
        )

    claim = "What an EgressNetwork allows leaves, and is counted as egress."
    probe = _probe("egress.allow", claim)
    return replace(probe, steps=steps, proof=proof, alone=True, causes=(EGRESS_CLOSED, *probe.causes))


def _route() -> Probe:
    name, host = "egress-route", "allowed.invalid"

    def call(stage: Stage, authority: str) -> Call:
        target = at_pod(stage, "su").model_copy(update={"authority": authority})
        return fresh(get(target, timeout=5))

    def steps(stage: Stage) -> tuple[Step, ...]:
        network = made.egress_network(stage, name, "Deny", f"{at_pod(stage, 'su').host}/32")
        itself: Json = {"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": name}
        rule = {"backendRefs": [itself]}
        route = made.for_hosts(made.http_route(stage, name, made.parent("EgressNetwork", name), dict(rule)), host)
        return (
            Applied("denied", (network,)),
            Until("closes", CLIENT, call(stage, host), _forbidden, "is refused", stage.timings.propagation),
            Applied("opened", (route,)),
            Until("opens", CLIENT, call(stage, host), good, "is let out", stage.timings.propagation),
            Calls("named", CLIENT, call(stage, host).model_copy(update={"times": 5})),
            Calls("other", CLIENT, call(stage, "other.invalid").model_copy(update={"times": 5})),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        bound = stage.timings.propagation
        return (
            within("the network is closed", evidence.effect("closes"), bound),
            within("a route opens it", evidence.effect("opens"), bound),
            all_ok("the host of the route", evidence.replies("named")),
            status_is("any other host", evidence.replies("other"), _FORBIDDEN),
            made_by("other hosts are refused by", evidence.replies("other"), Maker.CLIENT_PROXY),
        )

    claim = "A route opens a denied EgressNetwork for its host, and for no other."
    probe = _probe("egress.route", claim, "other")
    needs = (Need.EGRESS_NETWORK, Need.GATEWAY_HTTP_ROUTE)
    return replace(probe, steps=steps, proof=proof, needs=needs, alone=True, tier=Tier.DEPTH)


PROBES: tuple[Probe, ...] = (_deny(), _allow(), _route())

"""Workloads outside of the cluster: an ExternalWorkload becomes an endpoint, and its identity is insisted on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from services.conformance.core import diagnosis as why
from services.conformance.core import external
from services.conformance.core.evidence import Evidence, Failure, NotTold, Unseen
from services.conformance.core.external import ACTOR, HTTP, MANAGED_BY, MANAGER, OPAQUE, OUTSIDE, PREFIX
from services.conformance.core.known_causes import CP_UNREACHABLE, cautious
from services.conformance.core.orders import Reply
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import Maker, all_are, answered, good, maker, pods_that_answered, tally, together
from services.conformance.core.stage import Need, Stage
from services.conformance.core.steps import (
    Applied,
    Calls,
    Destinations,
    Looked,
    LookedUntil,
    Stated,
    Step,
    Until,
)
from services.conformance.core.targets import CLIENT, UNMESHED, at_pod, at_service, fresh, get, place_of
from services.conformance.core.told import endpoints_told
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, flag, rows, text, texts, whole
from steward.kube import mesh_resources as mesh
from steward.kube.resources import CRDS, ENDPOINT_SLICES, LEASES, SERVICES

LEASE = "linkerd-destination-endpoint-write"
DEFINITION = "externalworkloads.workload.linkerd.io"
_WORKLOAD, _LEASE, _DEFINITION = "why-workload", "why-lease", "why-definition"


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the slices: the step, what the status says then, and the assertion."""

    step: str
    ready: bool
    claim: str


_LOOKS = (
    _Look("ready", ready=True, claim="a slice is written, ready as the status says"),
    _Look("unready", ready=False, claim="unready when the status says so"),
    _Look("ready-again", ready=True, claim="and ready again"),
)
_LAST = _LOOKS[-1].step


def _slices(stage: Stage, name: str) -> Looked:
    return Looked(name, ENDPOINT_SLICES, stage.meshed, labels=f"kubernetes.io/service-name={OUTSIDE}")


def _until(stage: Stage, look: _Look) -> LookedUntil:
    def mirrored(found: tuple[JsonObject, ...]) -> bool:
        return not external.differences(stage, found, ready=look.ready)

    wish = f"a slice of {MANAGER} has the workload, {'ready' if look.ready else 'unready'}"
    return LookedUntil(look.step, _slices(stage, look.step), mirrored, wish, stage.timings.propagation)


def _steps(stage: Stage) -> tuple[Step, ...]:
    changes = (
        step
        for look in _LOOKS
        for step in (Stated(f"{look.step}-stated", external.status(stage, ready=look.ready)), _until(stage, look))
    )
    authority = stage.service(OUTSIDE)
    patience = (stage.timings.failfast * 2 + timedelta(seconds=1)).total_seconds()
    return (
        Applied("workload", (external.workload(stage),)),
        *changes,
        Destinations("told", f"{authority}:{HTTP}"),
        Destinations("told-opaque", f"{authority}:{OPAQUE}"),
        Calls("refused", CLIENT, fresh(get(at_service(stage, OUTSIDE, HTTP), times=3, timeout=patience))),
    )


def _mirrored(stage: Stage, evidence: Evidence, look: _Look) -> AssertionResult:
    effect = evidence.effect(look.step)
    wrong = external.differences(stage, effect.objects, ready=look.ready)
    bound = stage.timings.propagation.total_seconds()
    observed = f"{effect.seconds:.1f} s" if effect.met else f"after {effect.seconds:.1f} s: {wrong}"
    ok = effect.met and effect.seconds <= bound
    return check(look.claim, expected=f"{effect.wish} within {bound:g} s", observed=observed, ok=ok)


def _told(stage: Stage, evidence: Evidence, step: str, *, opaque: bool) -> AssertionResult:
    name = f"each replica of destination tells the {'opaque' if opaque else 'other'} port with identity and hint"
    wanted, told = external.written(external.wanted(stage, opaque=opaque)), endpoints_told(evidence, step)
    if isinstance(told, NotTold):
        return check(name, expected=wanted, observed=f"{told.code}: {told.message}", ok=False)
    wrong = {replica: ", ".join(map(external.written, found)) or "nothing" for replica, found in told.items()}
    wrong = {replica: said for replica, said in wrong.items() if said != wanted}
    observed = "; ".join(f"{replica} tells {said}" for replica, said in sorted(wrong.items())) or wanted
    return check(name, expected=wanted, observed=observed, ok=bool(told) and not wrong)


def _turned_away(reply: Reply) -> bool:
    return maker(reply) is Maker.CLIENT_PROXY and reply.status in (502, 503, 504)


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return together(
        *(_later(stage, evidence, look) for look in _LOOKS),
        lambda: (
            _told(stage, evidence, "told", opaque=False),
            _told(stage, evidence, "told-opaque", opaque=True),
        ),
        lambda: (
            all_are(
                "whoever has not this identity is refused",
                evidence.replies("refused"),
                "refused by the client's own proxy",
                _turned_away,
            ),
        ),
    )


def _later(stage: Stage, evidence: Evidence, look: _Look) -> Callable[[], tuple[AssertionResult, ...]]:
    return lambda: (_mirrored(stage, evidence, look),)


def _unasked(stage: Stage) -> tuple[Step, ...]:
    by_service = get(at_service(stage, OUTSIDE, HTTP), timeout=5)
    return (
        Calls("by-address", UNMESHED, get(at_pod(stage, ACTOR, HTTP))),
        Until("unasked", UNMESHED, by_service, good, "an answer", stage.timings.propagation, consecutive=1),
    )


def _unasked_seen(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    """Where the slices are not as they should be, nobody need be led anywhere: that is no fault of the prober."""
    if not evidence.effect(_LAST).met:
        raise Unseen(_LAST, "the slices lead nowhere")
    answered(evidence, "by-address")
    replies = evidence.effect("unasked").replies
    wanted, seen = place_of(stage, ACTOR).pod, pods_that_answered(replies)
    ok = evidence.effect("unasked").met and set(seen) == {wanted}
    return (check("without a proxy the workload's address answers", expected=wanted, observed=tally(replies), ok=ok),)


UNASKED = Control("Without a proxy nobody asks who answers, and the pod does.", _unasked, _unasked_seen)


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (
        Looked(_DEFINITION, CRDS, names=(DEFINITION,)),
        Looked(_WORKLOAD, mesh.EXTERNAL_WORKLOADS, stage.meshed, names=(OUTSIDE,)),
        Looked(why.SERVICE, SERVICES, stage.meshed, names=(OUTSIDE,)),
        _slices(stage, why.SLICES),
        Looked(_LEASE, LEASES, stage.linkerd_namespace, names=(LEASE,)),
        Destinations(why.DESTINATIONS, f"{stage.service(OUTSIDE)}:{HTTP}"),
    )


def _failures(evidence: Evidence) -> list[Failure]:
    stated = [f"{look.step}-stated" for look in _LOOKS]
    steps = (evidence.steps.get(step) for step in ("workload", *stated))
    return [step.failure for step in steps if step is not None and step.failure is not None]


def _not_taken(_stage: Stage, evidence: Evidence) -> str | None:
    failures = _failures(evidence)
    if not failures:
        return None
    served = [
        text(version, "name")
        for each in evidence.objects(_DEFINITION)
        for version in rows(each, "spec", "versions")
        if flag(version, "served")
    ]
    return f"{failures[0].message}; the definition serves {', '.join(served) or 'nothing'}"


def _not_selected(_stage: Stage, evidence: Evidence) -> str | None:
    workloads, services = evidence.objects(_WORKLOAD), evidence.objects(why.SERVICE)
    if not services:
        return f"there is no Service {OUTSIDE}"
    if not workloads:
        return None
    labels, selector = texts(workloads[0], "metadata", "labels"), texts(services[0], "spec", "selector")
    missing = {key: value for key, value in selector.items() if labels.get(key) != value}
    if missing:
        return f"the Service asks for {missing}, the workload has {labels}"
    documented = {whole(port, "port") for port in rows(workloads[0], "spec", "ports")}
    asked = {whole(port, "targetPort") for port in rows(services[0], "spec", "ports")}
    return f"the workload documents no port {sorted(asked - documented)}" if asked - documented else None


def _holder(evidence: Evidence) -> str:
    leases = evidence.objects(_LEASE) if _LEASE in evidence else ()
    if not leases:
        return f"there is no lease {LEASE}"
    holder, renewed = text(leases[0], "spec", "holderIdentity"), text(leases[0], "spec", "renewTime")
    return f"lease {LEASE} is held by {holder or 'nobody'}, renewed {renewed or 'never'}"


def _unmet(evidence: Evidence) -> list[_Look]:
    if _failures(evidence):
        return []
    return [look for look in _LOOKS if not evidence.effect(look.step).met]


def _unwritten(_stage: Stage, evidence: Evidence) -> str | None:
    unmet = _unmet(evidence)
    if not unmet or any(external.own(evidence.effect(look.step).objects) for look in unmet):
        return None
    return f"no slice of {MANAGER} for Service {OUTSIDE}; {_holder(evidence)}"


def _otherwise(stage: Stage, evidence: Evidence) -> str | None:
    told = [
        f"{look.step}: {external.differences(stage, objects, ready=look.ready)}"
        for look in _unmet(evidence)
        if external.own(objects := evidence.effect(look.step).objects)
    ]
    return "; ".join(told) or None


def _led(evidence: Evidence) -> bool:
    """Whether Kubernetes has the workload as an endpoint."""
    return evidence.effect(_LAST).met


def _untold(stage: Stage, evidence: Evidence) -> str | None:
    told, ip = endpoints_told(evidence, "told"), place_of(stage, ACTOR).ip
    if not _led(evidence):
        return None
    if isinstance(told, NotTold):
        return None if told.code == "Unavailable" else f"destination answers {told.code}: {told.message}"
    silent = sorted(replica for replica, found in told.items() if ip not in {each.ip for each in found})
    return f"{', '.join(silent)} tells nothing of {ip}, which stands in a slice" if silent else None


def _misnamed(stage: Stage, evidence: Evidence) -> str | None:
    if not _led(evidence) or _untold(stage, evidence):
        return None
    found = (_told(stage, evidence, "told", opaque=False), _told(stage, evidence, "told-opaque", opaque=True))
    return "; ".join(each.observed for each in found if not each.ok) or None


def _anybody(stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("refused")
    through = sum(map(good, replies))
    return (
        f"{through} of {len(replies)} calls were answered, by somebody who is not {external.identity(stage)}"
        if through
        else None
    )


def _not_refused(_stage: Stage, evidence: Evidence) -> str | None:
    odd = [reply for reply in evidence.replies("refused") if not good(reply) and not _turned_away(reply)]
    return f"neither answered nor refused by the client's proxy: {tally(odd)}" if odd else None


_CAUSES = (
    Cause(
        code="WORKLOAD_NOT_TAKEN",
        rung=Rung.OBJECT,
        seen=cautious(_not_taken),
        message="The API server does not take an ExternalWorkload, or its status.",
        expected="the definition serves v1beta1, with a status of its own, and no webhook refuses the object",
        disproof="`kubectl apply --dry-run=server` takes the workload.",
        remedy="Upgrade Linkerd's definitions (chart linkerd-crds) together with its control plane.",
        command=f"kubectl get crd {DEFINITION} -o jsonpath='{{.spec.versions[*].name}}'",
    ),
    Cause(
        code="WORKLOAD_NOT_SELECTED",
        rung=Rung.OBJECT,
        seen=cautious(_not_selected),
        message="The Service does not select the workload as it stands in the cluster.",
        expected="the labels of the workload meet the Service's selector, and it documents every targetPort",
        disproof="Labels and ports of both objects agree.",
        remedy="See which webhook changes ExternalWorkloads; document each port that the Service leads to.",
        command=f"kubectl get externalworkloads -n <namespace> {OUTSIDE} -o yaml",
    ),
    Cause(
        code="SLICE_NOT_WRITTEN",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(_unwritten),
        message="The control plane writes no EndpointSlice for the workload.",
        expected=f"a slice {PREFIX}-… with {MANAGED_BY}: {MANAGER}",
        disproof="`kubectl get endpointslices` shows a slice of that manager.",
        remedy="See that a pod of linkerd-destination holds the lease, and that quotas let it write EndpointSlices.",
        command=f"kubectl get lease -n <linkerd> {LEASE} -o yaml",
    ),
    Cause(
        code="SLICE_DIFFERS",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(_otherwise),
        message="The EndpointSlice says something else than the workload.",
        expected="its address, its ports, and ready as its status says",
        disproof="The slice has the address, the ports and the readiness of the workload.",
        remedy="Look at workqueue_retries_total of linkerd-destination and its log; restart linkerd-destination.",
        command=f"kubectl get endpointslices -n <namespace> -l kubernetes.io/service-name={OUTSIDE} -o yaml",
    ),
    Cause(
        code="WORKLOAD_NOT_TOLD",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(_untold),
        message="Destination does not tell of a workload that stands in a slice.",
        expected="each replica of destination tells the address of the workload",
        disproof="`linkerd diagnostics endpoints` shows the address.",
        remedy="See that linkerd-destination may list externalworkloads; restart it.",
        command=f"linkerd diagnostics endpoints {OUTSIDE}.<namespace>.svc.cluster.local:{HTTP}",
    ),
    Cause(
        code="WORKLOAD_MISTOLD",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(_misnamed),
        message="Destination tells the workload without its identity, or with the wrong hint of its protocol.",
        expected="tlsIdentity with the URI and the server name of the workload; opaque for its opaque ports, else h2",
        disproof="`linkerd diagnostics endpoints -o json` shows both.",
        remedy="Compare meshTLS and config.linkerd.io/opaque-ports of the workload; restart linkerd-destination.",
        command=f"linkerd diagnostics endpoints {OUTSIDE}.<namespace>.svc.cluster.local:{HTTP} -o json",
    ),
    Cause(
        code="IDENTITY_NOT_REQUIRED",
        rung=Rung.PROXY,
        seen=cautious(_anybody),
        message="The client's proxy lets anybody answer for the workload.",
        expected="no answer from a server that cannot prove the workload's identity",
        disproof="Calls end with 503 or 504, and the log of the client's proxy names another identity.",
        remedy="Take what stands behind external workloads for unauthenticated, until the client's proxy is replaced.",
        command="linkerd diagnostics proxy-metrics -n <namespace> deploy/cm | grep server_id",
    ),
    Cause(
        code="NOT_REFUSED",
        rung=Rung.PROXY,
        seen=cautious(_not_refused),
        message="Calls to a workload that does not prove its identity end otherwise than by a refusal.",
        expected="503 or 504 with l5d-proxy-error, after the time to fail fast",
        disproof="The same call by hand ends with 503 or 504 in that time.",
        remedy="Look at the log of the client's proxy, and at outbound_http_balancer_endpoints of its page.",
        command="kubectl logs -n <namespace> deploy/cm -c linkerd-proxy",
    ),
    CP_UNREACHABLE,
)

PROBES: tuple[Probe, ...] = (
    Probe(
        id="exp.external-workload",
        claim="An ExternalWorkload is an endpoint as ready as its status says, and nobody else answers for it.",
        tier=Tier.ENVIRONMENT,
        objects=lambda stage: (external.front(stage),),
        steps=_steps,
        proof=_proof,
        control=UNASKED,
        causes=_CAUSES,
        diagnosis=_diagnosis,
        needs=(Need.EXTERNAL_WORKLOAD,),
        since="2.15",
        security=True,
        depends_on=("mtls.identity",),
        bound=timedelta(minutes=3),
        sources=("linkerd2 controller/api/destination/external-workload", "linkerd2-proxy linkerd/meshtls/verifier"),
    ),
)

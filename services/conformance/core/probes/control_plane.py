"""`cp.*`: the control plane is up, and every replica of destination tells what Kubernetes has."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes import CP_STALE, CP_UNREACHABLE, cautious
from services.conformance.core.known_causes.control_plane import ready_addresses
from services.conformance.core.known_causes.reading import clock_of, pod_name
from services.conformance.core.orders import Fetch
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Asked, Destinations, Looked, Step
from services.conformance.core.targets import CLIENT, at_pod
from services.conformance.core.told import ToldEndpoint, endpoints_told
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, text, whole
from steward.kube.resources import DEPLOYMENTS, ENDPOINT_SLICES, LEASES, PODS
from steward.linkerd.marks import COMPONENT

NONE = "none missing"
DEPLOYED = ("linkerd-destination", "linkerd-identity", "linkerd-proxy-injector")
LEASE = "policy-controller-write"
_RECENT = timedelta(minutes=10)
_STALE_LEASES = 3
"""A lease is taken over after its duration; after three of them nobody holds it who lives."""


def _ready_steps(stage: Stage) -> tuple[Step, ...]:
    home = stage.linkerd_namespace
    return (
        Looked("deployments", DEPLOYMENTS, home, names=DEPLOYED),
        Looked("pods", PODS, home, labels=COMPONENT),
        Looked("lease", LEASES, home, names=(LEASE,)),
        Asked("clock", CLIENT, Fetch(target=at_pod(stage, CLIENT, 4191), path="/ready")),
    )


def _ready_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    deployments = {text(each, "metadata", "name"): each for each in evidence.objects("deployments")}
    unavailable = [name for name in DEPLOYED if not _available(deployments.get(name, {}))]
    pods = [pod for pod in evidence.objects("pods") if text(pod, "status", "phase") != "Succeeded"]
    unready = sorted(pod_name(pod) for pod in pods if not is_true(pod, "Ready"))
    now = clock_of(evidence)
    restarted = [told for pod in pods for told in _restarts(pod, now)]
    return (
        check("every Deployment of the control plane is Available", expected=NONE, observed=listed(unavailable)),
        check(
            "every pod of the control plane is Ready",
            expected=NONE,
            observed=listed(unready),
            ok=bool(pods) and not unready,
        ),
        check("no container of it ended lately", expected=NONE, observed=listed(restarted)),
        *_lease_proof(evidence, now),
    )


def _lease_proof(evidence: Evidence, now: float) -> tuple[AssertionResult, ...]:
    leases = evidence.objects("lease") if "lease" in evidence else ()
    if not leases:
        return ()
    spec = leases[0]
    renewed = moment(text(spec, "spec", "renewTime"))
    allowed = _STALE_LEASES * whole(spec, "spec", "leaseDurationSeconds", default=30)
    age = None if renewed is None else now - renewed
    return (
        check(
            "the policy controller's lease is held",
            expected=f"renewed within {allowed} s",
            observed="never renewed" if age is None else f"{age:.0f} s ago",
            ok=age is not None and age <= allowed,
        ),
    )


def moment(written: str) -> float | None:
    """A time as Kubernetes writes it, in seconds since 1970."""
    try:
        return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _available(deployment: JsonObject) -> bool:
    """A Deployment that was scaled to nothing calls itself Available too."""
    return is_true(deployment, "Available") and whole(deployment, "status", "availableReplicas") > 0


def is_true(thing: JsonObject, condition: str) -> bool:
    conditions = rows(thing, "status", "conditions")
    return any(text(each, "type") == condition and text(each, "status") == "True" for each in conditions)


def _restarts(pod: JsonObject, now: float) -> list[str]:
    statuses = [*rows(pod, "status", "containerStatuses"), *rows(pod, "status", "initContainerStatuses")]
    return [
        f"{pod_name(pod)}/{text(each, 'name')} {text(each, 'lastState', 'terminated', 'reason') or 'ended'}"
        for each in statuses
        if (ended := moment(text(each, "lastState", "terminated", "finishedAt"))) is not None
        and now - ended <= _RECENT.total_seconds()
    ]


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or NONE


def _crashed(_stage: Stage, evidence: Evidence) -> str | None:
    now = clock_of(evidence)
    told = [each for pod in evidence.objects("pods") for each in _restarts(pod, now)]
    return ", ".join(told) or None


def _waiting(_stage: Stage, evidence: Evidence) -> str | None:
    found = [
        f"{pod_name(pod)}/{text(each, 'name')} {text(each, 'state', 'waiting', 'reason')}"
        for pod in evidence.objects("pods")
        for each in (*rows(pod, "status", "containerStatuses"), *rows(pod, "status", "initContainerStatuses"))
        if text(each, "state", "waiting", "reason")
    ]
    return ", ".join(found) or None


def _absent(_stage: Stage, evidence: Evidence) -> str | None:
    found = {text(each, "metadata", "name"): each for each in evidence.objects("deployments")}
    told = [
        f"{name}: {whole(found[name], 'status', 'availableReplicas')} available" if name in found else f"no {name}"
        for name in DEPLOYED
        if not _available(found.get(name, {}))
    ]
    return "; ".join(told) or None


READY = Probe(
    id="cp.ready",
    claim="The control plane is available, its pods are ready and have not restarted lately.",
    tier=Tier.FOUNDATION,
    steps=_ready_steps,
    proof=_ready_proof,
    causes=(
        Cause(
            code="CP_CRASHED",
            rung=Rung.OBJECT,
            seen=cautious(_crashed),
            message="A container of the control plane ended within the last ten minutes.",
            expected="no container has a lastState within ten minutes",
            disproof="The pods' lastState is older, or empty.",
            remedy="OOMKilled: raise its memory limit. Otherwise read the log of the previous container.",
            command="kubectl logs -n linkerd <pod> -c <container> --previous",
        ),
        Cause(
            code="CP_WAITING",
            rung=Rung.OBJECT,
            seen=cautious(_waiting),
            message="A container of the control plane waits to be started.",
            expected="no container is in state waiting",
            disproof="All containers of the named pods run.",
            remedy="See the pod's events: image, quota, a Secret that is missing.",
            command="kubectl describe pods -n linkerd",
        ),
        Cause(
            code="CP_UNAVAILABLE",
            rung=Rung.OBJECT,
            seen=cautious(_absent),
            message="A Deployment of the control plane has too few available pods.",
            expected=f"{', '.join(DEPLOYED)} Available",
            disproof="kubectl shows them as available.",
            remedy="Scale the Deployment up again, and see its pods' events.",
            command="kubectl get deployments -n linkerd",
        ),
    ),
)


def _consistency_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Destinations("told", f"{stage.service('sm')}:{PORTS[Port.HTTP]}"),
        Looked("slices", ENDPOINT_SLICES, stage.meshed, labels="kubernetes.io/service-name=sm"),
    )


def _consistency_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    told = endpoints_told(evidence, "told")
    if isinstance(told, NotTold):
        return (check("destination answers", expected="an answer", observed=f"{told.code}: {told.message}", ok=False),)
    wanted = sorted(ready_addresses(evidence.objects("slices")))
    meshed = {place.ip for place in stage.pods("sm") if place.proxy}
    return (
        check("destination answers", expected="an answer", observed=f"{len(told)} replicas", ok=bool(told)),
        check("the Service has ready endpoints", expected="some", observed=", ".join(wanted), ok=bool(wanted)),
        *(
            check(f"{replica} tells the ready pods", expected=wanted, observed=sorted(each.ip for each in found))
            for replica, found in sorted(told.items())
        ),
        *(
            check(
                f"{replica} knows the identity of meshed pods",
                expected=NONE,
                observed=listed(_nameless(found, meshed)),
            )
            for replica, found in sorted(told.items())
        ),
    )


def _nameless(found: Iterable[ToldEndpoint], meshed: set[str]) -> list[str]:
    return sorted(str(each) for each in found if each.ip in meshed and not each.identity)


def _consistency_diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (Destinations(why.DESTINATIONS, f"{stage.service('sm')}:{PORTS[Port.HTTP]}"),)


def _bare(stage: Stage, evidence: Evidence) -> str | None:
    told = endpoints_told(evidence, "told")
    if isinstance(told, NotTold):
        return None
    meshed = {place.ip for place in stage.pods("sm") if place.proxy}
    bare = {replica: _nameless(found, meshed) for replica, found in sorted(told.items())}
    return "; ".join(f"{replica} knows no identity of {listed(each)}" for replica, each in bare.items() if each) or None


def _one_stale(_stage: Stage, evidence: Evidence) -> str | None:
    told = endpoints_told(evidence, "told")
    if isinstance(told, NotTold):
        return None
    answers = {tuple(each.ip for each in found) for found in told.values()}
    wanted = ready_addresses(evidence.objects("slices"))
    if len(answers) < 2 and not any(set(answer) != wanted for answer in answers):
        return None
    return "; ".join(f"{replica} tells {[each.ip for each in found]}" for replica, found in sorted(told.items()))


CONSISTENCY = Probe(
    id="cp.dst-consistency",
    claim="Every replica of destination tells the endpoints that Kubernetes has.",
    tier=Tier.FOUNDATION,
    steps=_consistency_steps,
    proof=_consistency_proof,
    soak=True,
    diagnosis=_consistency_diagnosis,
    causes=(
        CP_UNREACHABLE,
        Cause(
            code="NO_ENDPOINT_IDENTITY",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_bare),
            message="Destination does not know the identity of meshed pods, so clients speak to them in plain text.",
            expected="tlsIdentity for each meshed endpoint",
            disproof="linkerd diagnostics endpoints shows an identity for the pod.",
            remedy="See that the pods have the label linkerd.io/control-plane-ns; restart linkerd-destination.",
            command="linkerd diagnostics endpoints <service>.<namespace>.svc.cluster.local:<port> -o json",
        ),
        Cause(
            code="CP_STALE",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_one_stale),
            message=CP_STALE.message,
            expected=CP_STALE.expected,
            disproof=CP_STALE.disproof,
            remedy=CP_STALE.remedy,
            command=CP_STALE.command,
        ),
    ),
)


PROBES = (READY, CONSISTENCY)

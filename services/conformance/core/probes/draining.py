"""`chg.node-drain`: a node loses its pods to an eviction, under load, and who calls them hardly sees it."""

from collections.abc import Callable
from datetime import timedelta

from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import calling, evenly, front
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.known_causes.reading import objects_of, pod_name
from services.conformance.core.objects import echo
from services.conformance.core.orders import Call
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.lifecycle import CALLS_LOST
from services.conformance.core.proofs import all_ok, good, pods_that_answered, tally, within
from services.conformance.core.stage import Need, Stage
from services.conformance.core.steps import (
    Applied,
    Calls,
    During,
    Evicted,
    Looked,
    LookedUntil,
    Ready,
    Step,
    Until,
    Wait,
)
from services.conformance.core.targets import CLIENT, at_service, fresh, get, paced
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, table, text
from steward.kube.resources import PODS

_NAME = "chg-drained"
_PODS = 4
_MOST_OF_ONE_NODE = _PODS - 1
_BUDGET = 0.01
"""What may be lost of all calls: a drain is planned, and everybody was told."""
_RATE = 20
_A_MOMENT = timedelta(seconds=1)
_BEFOREHAND = timedelta(seconds=2)
_AFTERWARDS = timedelta(seconds=2)
_LET_GO = timedelta(seconds=30)
_SAMPLE = 60


def _objects(stage: Stage) -> tuple[JsonObject, ...]:
    return front(stage, _NAME, {"app": _NAME}), _spread(echo(stage, _NAME, replicas=_PODS))


def _spread(deployment: JsonObject) -> JsonObject:
    """The same pods, on several nodes where there is room: pods that wait for a node would prove nothing."""
    template = table(deployment, "spec", "template")
    constraint: JsonObject = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": _NAME}},
    }
    pod = table(template, "spec") | {"topologySpreadConstraints": [constraint]}
    return deployment | {"spec": table(deployment, "spec") | {"template": template | {"spec": pod}}}


def _load(stage: Stage) -> Call:
    """Answers take a moment, so that some are under way whenever a pod ends; for as long as replacing all may take."""
    lasting = _BEFOREHAND + _LET_GO + stage.timings.settle * 2 + _AFTERWARDS
    slow = Wishes(delay=_A_MOMENT).on("/slow")
    call = get(at_service(stage, _NAME), slow, times=round(_RATE * lasting.total_seconds()), timeout=5)
    return paced(call.model_copy(update={"concurrency": 60}), _RATE)


def _all_back(pods: tuple[JsonObject, ...]) -> bool:
    return len([pod for pod in pods if _is_ready(pod)]) == _PODS


def _is_ready(pod: JsonObject) -> bool:
    ready = any(text(each, "type") == "Ready" and text(each, "status") == "True" for each in _conditions(pod))
    return ready and not text(pod, "metadata", "deletionTimestamp")


def _conditions(pod: JsonObject) -> tuple[JsonObject, ...]:
    return tuple(rows(pod, "status", "conditions"))


def _steps(stage: Stage) -> tuple[Step, ...]:
    bound = stage.timings.settle
    pods = Looked("pods", PODS, stage.meshed, labels=f"app={_NAME}")
    return (
        Applied("applied", _objects(stage)),
        Ready("ready", _NAME, stage.meshed, _PODS, bound * 2),
        Until("reached", CLIENT, fresh(get(at_service(stage, _NAME), timeout=5)), good, "answers", bound),
        During(
            "load",
            Calls("load", CLIENT, _load(stage)),
            (
                Wait("beforehand", _BEFOREHAND, "calls are under way on every pod"),
                Evicted("drained", _NAME, stage.meshed, _LET_GO),
                LookedUntil("back", pods, _all_back, f"{_PODS} pods are ready", bound * 2),
                Wait("afterwards", _AFTERWARDS, "the old pods end, and the new ones have calls"),
            ),
        ),
        Calls("after", CLIENT, evenly(calling(stage, _NAME, times=_SAMPLE))),
    )


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    drained, back = evidence.drained("drained"), evidence.effect("back")
    load, after = evidence.replies("load"), evidence.replies("after")
    lost = sum(1 for reply in load if not good(reply))
    new = {pod_name(pod) for pod in back.objects if _is_ready(pod)} - {*drained.before}
    idle = sorted(new - pods_that_answered(after))
    stayed = sorted(pods_that_answered(after) & {*drained.gone})
    return (
        check(
            "every pod of the node was let go", expected="none refused", observed=_refused(evidence) or "none refused"
        ),
        within("as many pods are ready again", back, stage.timings.settle * 2),
        check(
            "calls meanwhile",
            expected=f"at most {_BUDGET:.0%} of {len(load)} lost",
            observed=tally(load),
            ok=bool(load) and lost <= _BUDGET * len(load),
        ),
        all_ok("every call afterwards is answered", after),
        check(
            "new pods that have no calls",
            expected="none",
            observed=", ".join(idle) or "none",
            ok=bool(new) and not idle,
        ),
        check("pods that are gone and answer", expected="none", observed=", ".join(stayed) or "none"),
    )


def _refused(evidence: Evidence) -> str:
    return "; ".join(f"{pod}: {why}" for pod, why in sorted(evidence.drained("drained").refused.items()))


def _not_let_go(_stage: Stage, evidence: Evidence) -> str | None:
    return _refused(evidence) or None


def _not_back(_stage: Stage, evidence: Evidence) -> str | None:
    back = evidence.effect("back")
    if back.met:
        return None
    waiting = [f"{pod_name(pod)} ({_why(pod)})" for pod in back.objects if not _is_ready(pod)]
    return f"{len(back.objects) - len(waiting)} of {_PODS} are ready; not: {', '.join(waiting) or 'nobody is made'}"


def _why(pod: JsonObject) -> str:
    said = [
        text(each, "message") or text(each, "reason") for each in _conditions(pod) if text(each, "status") != "True"
    ]
    return next((each for each in said if each), text(pod, "status", "phase") or "no status")


def _idle(_stage: Stage, evidence: Evidence) -> str | None:
    new = {pod_name(pod) for pod in objects_of(evidence, "why-server-pods") if _is_ready(pod)}
    idle = sorted(new - {*evidence.drained("drained").before} - pods_that_answered(evidence.replies("after")))
    return f"of {_SAMPLE} calls none went to {', '.join(idle)}" if idle else None


def _cause(code: str, rung: Rung, seen: Callable[[Stage, Evidence], str | None], **words: str) -> Cause:
    return Cause(code=code, rung=rung, seen=cautious(seen), **words)


PROBES: tuple[Probe, ...] = (
    Probe(
        id="chg.node-drain",
        claim="When a node is drained, calls go on within the budget, and the pods that come instead take them over.",
        tier=Tier.DISRUPTIVE,
        safety=Safety.DISRUPTIVE,
        steps=_steps,
        proof=_proof,
        control=WHO_ANSWERS,
        diagnosis=Scene(service=_NAME, server=_NAME).steps,
        causes=(
            _cause(
                "EVICTION_REFUSED",
                Rung.OBJECT,
                _not_let_go,
                message="Pods were not let go: a node with such pods cannot be drained.",
                expected="every eviction is granted within 30 s",
                disproof="`kubectl drain --dry-run=server` is refused nothing.",
                remedy="See which PodDisruptionBudget covers the pods and lets none go, or what webhook refuses.",
                command="kubectl get poddisruptionbudgets -A",
            ),
            _cause(
                "PODS_NOT_BACK",
                Rung.OBJECT,
                _not_back,
                message="Pods that were evicted are not replaced.",
                expected=f"{_PODS} ready pods",
                disproof="The Deployment has as many ready pods as before.",
                remedy="See what the new pods wait for: room on nodes, a quota, the injector, or a certificate.",
                command="kubectl describe pods -n <namespace>",
            ),
            _cause(
                "NEW_PODS_IDLE",
                Rung.TRAFFIC,
                _idle,
                message="Pods that came instead are ready, and have no calls.",
                expected="each new pod has its share",
                disproof="Calls by hand are answered by the new pods, too.",
                remedy="Compare what destination tells of the Service with its EndpointSlices.",
                command="linkerd diagnostics endpoints <service>.<namespace>.svc.cluster.local:8080",
            ),
            *COMMON,
            CALLS_LOST,
        ),
        needs=(Need.TWO_NODES,),
        extra_pods=_PODS + _MOST_OF_ONE_NODE,
        alone=True,
        depends_on=("life.shutdown",),
        bound=timedelta(minutes=5),
    ),
)

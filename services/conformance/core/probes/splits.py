"""Shares: weighted backends, changes of weight under load, a backend that fails on purpose."""

from datetime import timedelta

from services.conformance.core import diagnosis as why
from services.conformance.core.controls import FAILURES_SEEN
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.fronts import V1, by, calling, front, named, until
from services.conformance.core.known_causes import COMMON, DATAPATH
from services.conformance.core.known_causes.outbound import ladder
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.objects import backend, http_route, manifest, parent, rule, service_port
from services.conformance.core.orders import Reply
from services.conformance.core.outbound import around, attempts, routed, sent
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import (
    Maker,
    all_ok,
    counter_grew_by,
    from_pods,
    good,
    maker,
    none_are,
    share,
    together,
    within,
)
from services.conformance.core.slices import CLOSED_PORT
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, During, Pages, Removed, Step
from services.conformance.core.targets import CLIENT, paced
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import Json, JsonObject, walk, whole
from steward.kube.mesh_resources import TRAFFIC_SPLITS

SAMPLE = 300
SHARES = frozenset({80, 20})
WEIGHTS = "p-weights"
ZERO = "p-weight-zero"
CHANGE = "p-change"
FAULT = "p-fault"
BROKEN = "p-fault-broken"
SPLIT = "p-trafficsplit"
FLIPS = 4


def _split(stage: Stage, name: str, first: int, second: int) -> JsonObject:
    backends = (backend("v1", Port.HTTP, weight=first), backend("v2", Port.HTTP, weight=second))
    return http_route(stage, name, parent("Service", name, Port.HTTP), rule(*backends))


def _weights(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, WEIGHTS), by(stage, "v2"), "an answer of v2", consecutive=1),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, calling(stage, WEIGHTS, times=SAMPLE)),
        Pages("after", CLIENT),
    )


def _weights_hold(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies, of_v2 = evidence.replies("sample"), named(stage, "v2")
    answered = sum(1 for reply in replies if from_pods(*of_v2)(reply))
    return together(
        lambda: (
            within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_ok("every request of the sample is answered", replies),
            share("v2 gets its share of 20 %", replies, 0.20, 0.10, from_pods(*of_v2)),
        ),
        lambda: (
            counter_grew_by(
                "the proxy sent v2 as many",
                around(evidence),
                sent(stage, WEIGHTS, "v2", route=WEIGHTS),
                answered,
            ),
            counter_grew_by(
                "and v1 the others",
                around(evidence),
                sent(stage, WEIGHTS, "v1", route=WEIGHTS),
                len(replies) - answered,
            ),
        ),
    )


def _zero(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, ZERO), by(stage, "v2"), "answers of v2"),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, calling(stage, ZERO, times=60)),
        Pages("after", CLIENT),
    )


def _zero_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    return together(
        lambda: (
            within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_ok("every request is answered", replies),
            none_are("the backend of weight 0 gets nothing", replies, "v1", from_pods(*named(stage, "v1"))),
        ),
        lambda: (
            counter_grew_by(
                "nor does the proxy count any for it",
                around(evidence),
                sent(stage, ZERO, "v1", route=ZERO),
                0,
            ),
        ),
    )


def _change(stage: Stage) -> tuple[Step, ...]:
    flips: list[Step] = []
    for turn in range(FLIPS):
        first, second = ((100, 0), (0, 100))[turn % 2]
        version = "v1" if first else "v2"
        flips.append(Applied(f"flip-{turn}", (_split(stage, CHANGE, first, second),)))
        flips.append(
            until(stage, f"effect-{turn}", calling(stage, CHANGE), by(stage, version), f"answers of {version}")
        )
    load = Calls("load", CLIENT, paced(calling(stage, CHANGE, times=240), 30))
    return (
        until(stage, "effect", calling(stage, CHANGE), by(stage, "v2"), "answers of v2"),
        Pages("before", CLIENT),
        During("under-load", load, tuple(flips)),
        Pages("after", CLIENT),
    )


def _change_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    effects = [evidence.effect(f"effect-{turn}") for turn in range(FLIPS)]
    slowest = max(effects, key=lambda each: (not each.met, each.seconds))
    return (
        within("every change of weights shows, the slowest", slowest, stage.timings.propagation),
        all_ok("no request is lost while routes change", evidence.replies("load")),
    )


def _fault(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, FAULT), lambda reply: not good(reply), "a failure", consecutive=1),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, calling(stage, FAULT, times=SAMPLE)),
        Pages("after", CLIENT),
        Removed("mended", (_faulty(stage),)),
        until(stage, "recovered", calling(stage, FAULT), good, "good answers", consecutive=10),
        Calls("afterwards", CLIENT, calling(stage, FAULT, times=30)),
    )


def _faulty(stage: Stage) -> JsonObject:
    halves = (backend("v1", Port.HTTP, weight=50), backend(BROKEN, Port.HTTP, weight=50))
    return http_route(stage, FAULT, parent("Service", FAULT, Port.HTTP), rule(*halves))


def _fault_objects(stage: Stage) -> tuple[JsonObject, ...]:
    broken = front(stage, BROKEN, V1, service_port(Port.HTTP, target=CLOSED_PORT))
    return (front(stage, FAULT, V1), broken, _faulty(stage))


def _fault_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    failures = [reply for reply in replies if not good(reply)]
    by_server = [reply for reply in failures if maker(reply) is Maker.SERVER_PROXY]
    return together(
        lambda: (
            within("the injected fault shows", evidence.effect("effect"), stage.timings.propagation),
            share("half of the requests fail", replies, 0.50, 0.12, lambda reply: not good(reply)),
            check("502, made by the server's proxy", expected=len(failures), observed=_of_status(by_server, 502)),
            within("the fault goes with its route", evidence.effect("recovered"), stage.timings.propagation),
            all_ok("afterwards nothing fails", evidence.replies("afterwards")),
        ),
        lambda: (
            counter_grew_by(
                "the proxy counts the same",
                around(evidence),
                attempts(stage, FAULT, status="502"),
                len(failures),
            ),
        ),
    )


def _of_status(replies: list[Reply], status: int) -> int:
    return sum(1 for reply in replies if reply.status == status)


def _smi(stage: Stage) -> tuple[JsonObject, ...]:
    backends: list[Json] = [{"service": version, "weight": "500m"} for version in ("v1", "v2")]
    split = manifest(stage, TRAFFIC_SPLITS, SPLIT, {"service": SPLIT, "backends": backends})
    return (front(stage, SPLIT, V1), split)


def _smi_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, SPLIT), by(stage, "v2"), "an answer of v2", consecutive=1),
        Calls("sample", CLIENT, calling(stage, SPLIT, times=100)),
    )


def _smi_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("sample")
    return (
        within("the split shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        all_ok("every request is answered", replies),
        share("v2 gets its half", replies, 0.50, 0.20, from_pods(*named(stage, "v2"))),
    )


def _untold(_stage: Stage, evidence: Evidence) -> str | None:
    answer = evidence.told(why.OUTBOUND)
    if isinstance(answer, NotTold):
        return None
    found = {weight for each in answer.answers.values() for one in walk(each) if (weight := whole(one, "weight"))}
    return None if found >= SHARES else f"the weights that are told are {sorted(found)}"


_NOT_TOLD = Cause(
    code="WEIGHTS_NOT_TOLD",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_untold),
    message="The control plane tells the proxies of other weights than the route has.",
    expected=f"the weights {sorted(SHARES)}",
    disproof="The outbound policy of the Service has the weights of the route.",
    remedy="Restart linkerd-destination, and look at the policy container's log.",
    command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
)

PROBES: tuple[Probe, ...] = (
    Probe(
        id="route.weights",
        claim="An HTTPRoute shares requests out by the weights of its backends.",
        tier=Tier.TRAFFIC,
        objects=lambda stage: (front(stage, WEIGHTS, V1), _split(stage, WEIGHTS, 80, 20)),
        steps=_weights,
        proof=_weights_hold,
        diagnosis=Scene(service=WEIGHTS).steps,
        causes=(
            _NOT_TOLD,
            *ladder("the weights", WEIGHTS, lambda stage: (routed(stage, WEIGHTS, WEIGHTS),), route=WEIGHTS),
        ),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        depends_on=("mtls.identity",),
        bound=timedelta(seconds=90),
    ),
    Probe(
        id="route.weight-zero",
        claim="A backend of weight 0 gets no request.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, ZERO, V1), _split(stage, ZERO, 0, 100)),
        steps=_zero,
        proof=_zero_holds,
        diagnosis=Scene(service=ZERO).steps,
        causes=ladder("the weights", ZERO, lambda stage: (routed(stage, ZERO, ZERO),), route=ZERO),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        depends_on=("route.weights",),
    ),
    Probe(
        id="route.change-under-load",
        claim="Weights may change under load and no request is lost.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, CHANGE, V1), _split(stage, CHANGE, 0, 100)),
        steps=_change,
        proof=_change_holds,
        diagnosis=Scene(service=CHANGE).steps,
        causes=ladder("the weights", CHANGE, lambda stage: (routed(stage, CHANGE, CHANGE),), route=CHANGE),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        depends_on=("route.weights",),
        bound=timedelta(seconds=180),
    ),
    Probe(
        id="fault.inject",
        claim="A route can send half of the requests to a backend that fails, and takes the fault away with it.",
        tier=Tier.DEPTH,
        objects=_fault_objects,
        steps=_fault,
        proof=_fault_holds,
        control=FAILURES_SEEN,
        diagnosis=Scene(service=FAULT).steps,
        causes=ladder("the route", FAULT, lambda stage: (routed(stage, FAULT, FAULT),), route=FAULT),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
        depends_on=("route.weights",),
        bound=timedelta(seconds=120),
    ),
    Probe(
        id="split.trafficsplit",
        claim="A TrafficSplit of the SMI extension shares requests out.",
        tier=Tier.ENVIRONMENT,
        objects=_smi,
        steps=_smi_steps,
        proof=_smi_holds,
        diagnosis=Scene(service=SPLIT).steps,
        causes=(*COMMON, DATAPATH),
        needs=(Need.TRAFFIC_SPLIT, Need.SERVICE_PROFILE),
    ),
)

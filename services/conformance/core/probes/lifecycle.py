"""`life.*` and `soak.*`: pods come and go without a lost call, and connections outlive everything but their peer."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.orders import Call, Hold, Protocol, Reply
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.proofs import (
    CLIENT_ID,
    all_are,
    all_ok,
    good,
    pods_that_answered,
    server_saw,
    tally,
    within,
)
from services.conformance.core.stage import Port, Stage
from services.conformance.core.steps import (
    Applied,
    Asked,
    Calls,
    During,
    Looked,
    LookedUntil,
    Ready,
    Released,
    Step,
    Until,
    Wait,
)
from services.conformance.core.targets import CLIENT, at_pod, at_service, fresh, get, native, paced
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, whole
from steward.kube.resources import DEPLOYMENTS

_ROLLED, _STORM = "life-rolled", "life-storm"
_GENERATION = "conformance.steward.linkerd.io/generation"
_RATE = 10
_A_MOMENT = timedelta(seconds=1)
_AFTERWARDS = timedelta(seconds=2)


def _front(stage: Stage, name: str) -> JsonObject:
    return made.service(stage, name, {"app": name}, made.service_port(Port.HTTP))


def _pods(stage: Stage, name: str, generation: int, replicas: int = 1) -> JsonObject:
    """With one of them Kubernetes makes the new one before it ends the old: two at the same time, and never none."""
    return made.echo(stage, name, {_GENERATION: str(generation)}, replicas=replicas)


def _rolled_out(replicas: int) -> Callable[[tuple[JsonObject, ...]], bool]:
    def rolled(found: tuple[JsonObject, ...]) -> bool:
        return bool(found) and all(
            whole(each, "status", "observedGeneration") >= whole(each, "metadata", "generation")
            and whole(each, "status", "updatedReplicas") == replicas
            and whole(each, "status", "availableReplicas") == replicas
            and whole(each, "status", "replicas") == replicas
            for each in found
        )

    return rolled


def _load(stage: Stage, name: str) -> Call:
    """Answers take a moment, so that some are under way whenever a pod ends; for as long as replacing it may take."""
    slow = Wishes(delay=_A_MOMENT).on("/slow")
    lasting = stage.timings.settle + _AFTERWARDS
    call = get(at_service(stage, name), slow, times=round(_RATE * lasting.total_seconds()), timeout=5)
    return paced(call.model_copy(update={"concurrency": 40}), _RATE)


def _restart_steps(stage: Stage) -> tuple[Step, ...]:
    bound = stage.timings.settle
    rolled = LookedUntil(
        "rolled",
        Looked("deployment", DEPLOYMENTS, stage.meshed, names=(_ROLLED,)),
        _rolled_out(1),
        "the pod is new and available",
        bound,
    )
    new = (_pods(stage, _ROLLED, 2),)
    afterwards = Wait("afterwards", _AFTERWARDS, "the old pod ends, and the new one has calls")
    return (
        Applied("applied", (_front(stage, _ROLLED), _pods(stage, _ROLLED, 1))),
        Ready("pods", _ROLLED, stage.meshed, 1, bound),
        Until("reached", CLIENT, fresh(get(at_service(stage, _ROLLED), timeout=5)), good, "answers", bound),
        During("load", Calls("load", CLIENT, _load(stage, _ROLLED)), (Applied("new", new), rolled, afterwards)),
    )


def _restart_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("load")
    return (
        within("a new pod took over", evidence.effect("rolled"), stage.timings.settle),
        all_ok("no call was lost", replies),
        check(
            "the old pod and the new one answered",
            expected=2,
            observed=len(pods_that_answered(replies)),
        ),
    )


def _lost(_stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("load")
    lost = [reply for reply in replies if not good(reply)]
    return f"{len(lost)} of {len(replies)} calls: {tally(lost)}" if lost else None


CALLS_LOST = Cause(
    code="CALLS_LOST",
    rung=Rung.TRAFFIC,
    seen=cautious(_lost),
    message="Calls are lost while pods are replaced.",
    expected="every call of a rolling restart is answered",
    disproof="A rolling restart by hand under `watch curl` loses nothing.",
    remedy="Give the application time between SIGTERM and its end (preStop), and see that proxies drain connections.",
    command="kubectl rollout restart deployment/<workload>",
)


def _storm_steps(stage: Stage) -> tuple[Step, ...]:
    bound = stage.timings.settle
    return (
        Applied("applied", (_front(stage, _STORM), _pods(stage, _STORM, 1, 20))),
        Ready("pods", _STORM, stage.meshed, 20, bound * 3),
        Calls("calls", CLIENT, get(at_service(stage, _STORM), times=100, timeout=5)),
    )


def _storm_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("calls")
    return (
        all_ok("every call is answered", replies),
        server_saw("and came through both proxies", replies, CLIENT_ID, stage.identity("probe-client")),
        check(
            "by many of the pods",
            expected="5 or more",
            observed=len(pods_that_answered(replies)),
            ok=len(pods_that_answered(replies)) >= 5,
        ),
    )


_PATHS = (Port.HTTP, Port.H2C, Port.GRPC, Port.WEBSOCKET, Port.OPAQUE)
_HELD = {"raw": Protocol.TCP, "stream": Protocol.GRPC, "websocket": Protocol.WEBSOCKET}
_PORTS = {"raw": Port.TCP, "stream": Port.GRPC, "websocket": Port.WEBSOCKET}


def hold(stage: Stage, name: str) -> Hold:
    """A connection of that kind that is kept and used; also what an upgrade opens before it begins."""
    return Hold(name=name, target=at_service(stage, "v1", _PORTS[name]), protocol=_HELD[name], every_seconds=0.5)


def _long_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        *(Asked(f"hold-{name}", CLIENT, hold(stage, name)) for name in _HELD),
        Wait("while", max(stage.timings.discovery_idle * 2, timedelta(seconds=2)), "caches of the proxies run out"),
        *(Released(f"held-{name}", CLIENT, name) for name in _HELD),
    )


def _long_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    found: list[AssertionResult] = []
    for name in _HELD:
        held = evidence.held(f"held-{name}")
        said = f"{held.uses} uses, {held.failures} failures, {held.resets} resets"
        ok = held.uses >= 2 and not held.failures and not held.resets
        found.append(check(f"{name} connection", expected="used without a failure or reset", observed=said, ok=ok))
    return tuple(found)


def _broken_connections(_stage: Stage, evidence: Evidence) -> str | None:
    broken = [
        f"{name}: {held.resets} resets, {held.failures} failures {held.message}".strip()
        for name in _HELD
        if (held := evidence.held(f"held-{name}")).resets or held.failures or not held.uses
    ]
    return "; ".join(broken) or None


CONNECTION_LOST = Cause(
    code="CONNECTION_LOST",
    rung=Rung.TRAFFIC,
    seen=cautious(_broken_connections),
    message="Connections that are in use are ended, though neither side was restarted.",
    expected="a connection in use stays",
    disproof="A connection by hand stays open for a minute.",
    remedy="Look for idle and stream time-outs on the route, and for restarts of the proxies between.",
    command="kubectl logs <pod> -c linkerd-proxy",
)


def _available_steps(stage: Stage) -> tuple[Step, ...]:
    return tuple(Calls(str(port), CLIENT, paced(native(stage, "sm", port, times=10), 5)) for port in _PATHS)


def _available_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return tuple(
        all_are(f"path by {port}", evidence.replies(str(port)), "answered well", partial(_carried, port))
        for port in _PATHS
    )


def _carried(port: Port, reply: Reply) -> bool:
    """Whether a call was answered in its own protocol: an upgrade that is lost is answered, too, by plain HTTP."""
    return good(reply) and (port is not Port.WEBSOCKET or reply.status == 101)


def _broken_paths(_stage: Stage, evidence: Evidence) -> str | None:
    broken = [
        f"{port}: {tally(bad)}"
        for port in _PATHS
        if (bad := [reply for reply in evidence.replies(str(port)) if not _carried(port, reply)])
    ]
    return "; ".join(broken) or None


PATH_BROKEN = Cause(
    code="PATH_BROKEN",
    rung=Rung.TRAFFIC,
    seen=cautious(_broken_paths),
    message="Some kinds of connection fail while the objects, the control plane and the proxies look well.",
    expected="every kind of connection is answered",
    disproof="A call of that kind by hand is answered.",
    remedy="See the probe of that protocol (proto.*), which says more.",
    command="linkerd steward conformance run-one proto.http1",
)


def _direct(stage: Stage) -> tuple[Step, ...]:
    return (Calls("direct", "cu", get(at_pod(stage, "su"), times=5, timeout=5)),)


def _direct_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies: tuple[Reply, ...] = evidence.replies("direct")
    return (all_ok("unmeshed pods reach each other", replies),)


CONTROL = Control("The network below the mesh carries calls.", _direct, _direct_proof)

PROBES: tuple[Probe, ...] = (
    Probe(
        id="life.shutdown",
        claim="A rolling restart under load loses no call.",
        tier=Tier.TRAFFIC,
        steps=_restart_steps,
        proof=_restart_proof,
        control=CONTROL,
        causes=(*COMMON, CALLS_LOST),
        diagnosis=Scene(service=_ROLLED, server=_ROLLED).steps,
        extra_pods=2,
        depends_on=("proto.http1",),
        bound=timedelta(seconds=120),
    ),
    Probe(
        id="soak.availability",
        claim="Every kind of connection carries traffic all the time.",
        tier=Tier.FOUNDATION,
        steps=_available_steps,
        proof=_available_proof,
        control=CONTROL,
        causes=(*COMMON, PATH_BROKEN),
        soak=True,
        depends_on=("mtls.identity",),
    ),
    Probe(
        id="soak.longconn",
        claim="Connections in use stay, while the mesh around them changes.",
        tier=Tier.TRAFFIC,
        steps=_long_steps,
        proof=_long_proof,
        control=CONTROL,
        causes=(*COMMON, CONNECTION_LOST),
        soak=True,
        depends_on=("mtls.identity",),
    ),
    Probe(
        id="life.storm",
        claim="Twenty pods that start at once are injected, become ready and take traffic.",
        tier=Tier.DISRUPTIVE,
        steps=_storm_steps,
        proof=_storm_proof,
        control=CONTROL,
        causes=COMMON,
        diagnosis=Scene(service=_STORM, server=_STORM).steps,
        safety=Safety.DISRUPTIVE,
        extra_pods=20,
        alone=True,
        bound=timedelta(minutes=5),
    ),
)

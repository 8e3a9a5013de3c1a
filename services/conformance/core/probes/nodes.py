"""`inj.every-node`: what enters and leaves pods goes through their proxies, whichever node they run on.

A suite names the nodes that get a client of their own; where it names none, it is tried on those that the cast runs on.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious
from services.conformance.core.known_causes.reading import objects_of, pod_name
from services.conformance.core.orders import Call, Reply, Target
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import CLIENT_ID, good, growth, seen_by_server, series, tally, together
from services.conformance.core.stage import ON_NODE, PORTS, Place, Port, Stage
from services.conformance.core.steps import Calls, Looked, Pages, Step
from services.conformance.core.targets import (
    CLIENT,
    CLIENT_ACCOUNT,
    OTHER,
    OTHER_ACCOUNT,
    SERVER_ACCOUNT,
    UNMESHED,
    fresh,
    get,
    number,
)
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, table, text, texts, whole
from steward.kube.resources import CONFIG_MAPS, PODS
from steward.linkerd.mesh_config import CONFIG_MAP, UnreadableConfig, parse_config

INIT, VALIDATOR = "linkerd-init", "linkerd-network-validator"
"""Who redirects a pod's traffic, and who sees that the CNI plugin did (since Linkerd 2.13)."""
TIMES = 2
_MEMBERS = {
    CLIENT: CLIENT_ACCOUNT,
    OTHER: OTHER_ACCOUNT,
    "sm": SERVER_ACCOUNT,
    "sp": SERVER_ACCOUNT,
    "ss": SERVER_ACCOUNT,
}
"""The actors with a proxy, and who they are."""
_HTTP = str(PORTS[Port.HTTP])
_CILIUM = "why-cilium"


@dataclass(frozen=True, slots=True)
class Seat:
    """A pod with a proxy, on its node: it calls, and it is called. `actor` is how steps name it."""

    actor: str
    place: Place
    account: str


def _cast(stage: Stage) -> Iterator[Seat]:
    """The pods with a proxy that every run has."""
    for actor, account in _MEMBERS.items():
        yield from _of(stage, actor, account)


def _of(stage: Stage, actor: str, account: str) -> Iterator[Seat]:
    """The pods of an actor that are ready, each by a name of its own where there are several."""
    places = stage.pods(actor)
    for at, place in enumerate(places):
        if place.ready:
            yield Seat(actor if len(places) == 1 else f"{actor}-{at}", place, account)


def seats(stage: Stage) -> tuple[Seat, ...]:
    """One for each node."""
    found: dict[str, Seat] = {}
    for seat in _clients(stage) if stage.nodes else _cast(stage):
        found.setdefault(seat.place.node, seat)
    return tuple(found[node] for node in sorted(found))


def _clients(stage: Stage) -> Iterator[Seat]:
    """The clients of the nodes that the suite names, as far as they came up."""
    for at in range(len(stage.nodes)):
        yield from _of(stage, f"{ON_NODE}{at}", CLIENT_ACCOUNT)


def _called(stage: Stage, at: int) -> Place:
    """Each calls the next one, so that calls go between nodes; the only one another pod."""
    sitting = seats(stage)
    own = sitting[at].place
    if len(sitting) > 1:
        return sitting[(at + 1) % len(sitting)].place
    others = (seat.place for seat in _cast(stage) if seat.place.pod != own.pod and seat.actor != CLIENT)
    return next(others, Place("", stage.meshed, "no-pod-yet.invalid"))


def _to(place: Place) -> Call:
    return fresh(get(Target(host=place.ip, port=number(Port.HTTP)), times=TIMES, timeout=5))


def _steps(stage: Stage) -> tuple[Step, ...]:
    tried = chain.from_iterable(_tried(stage, at, seat) for at, seat in enumerate(seats(stage)))
    return (
        Looked("config", CONFIG_MAPS, stage.linkerd_namespace, names=(CONFIG_MAP,)),
        Looked("pods", PODS, stage.meshed),
        *tried,
    )


def _tried(stage: Stage, at: int, seat: Seat) -> tuple[Step, ...]:
    return (
        Pages(f"before-{at}", seat.actor, UNMESHED),
        Calls(f"out-{at}", seat.actor, _to(_called(stage, at))),
        Calls(f"in-{at}", UNMESHED, _to(seat.place)),
        Pages(f"after-{at}", seat.actor, UNMESHED),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """How it went on one node. A way of calls is `answered` where nothing was wrong with the answers."""

    node: str
    out: str
    """What was wrong with the answers to its client, as far as anything was."""
    left: float
    """How many requests its proxy counted that left the pod."""
    entered: float
    out_answered: bool
    in_answered: bool

    @property
    def passed_by(self) -> tuple[str, ...]:
        """Ways that lead past the proxy: calls are answered, and it saw none of them."""
        ways = (("leaves", self.out_answered, self.left), ("enters", self.in_answered, self.entered))
        return tuple(way for way, answered, counted in ways if answered and not counted)

    @property
    def holds(self) -> bool:
        """Whether all went through the proxy."""
        return not self.out and self.in_answered and min(self.left, self.entered) >= TIMES


def _found(stage: Stage, evidence: Evidence) -> tuple[_Found, ...]:
    sitting = seats(stage)
    if not sitting:
        raise Unseen("stage", "no pod with a proxy is ready")
    return tuple(_on(stage, evidence, at, seat) for at, seat in enumerate(sitting))


def _on(stage: Stage, evidence: Evidence, at: int, seat: Seat) -> _Found:
    out, inward = evidence.replies(f"out-{at}"), evidence.replies(f"in-{at}")
    pages = evidence.pages(f"before-{at}"), evidence.pages(f"after-{at}")
    target = _called(stage, at)
    sent = series("request_total", direction="outbound", target_ip=target.ip, target_port=_HTTP)
    taken = series("request_total", direction="inbound", target_port=_HTTP, tls="no_identity")
    return _Found(
        node=seat.place.node,
        out=_wrong(out, target, stage.identity(seat.account)),
        left=growth(pages, sent),
        entered=growth(pages, taken),
        out_answered=_all_good(out),
        in_answered=_all_good(inward),
    )


def _all_good(replies: tuple[Reply, ...]) -> bool:
    return bool(replies) and all(map(good, replies))


def _wrong(replies: tuple[Reply, ...], target: Place, identity: str) -> str:
    if not _all_good(replies):
        return tally(replies)
    pods = {reply.echo.pod for reply in replies if reply.echo is not None}
    if pods != {target.pod}:
        return f"{', '.join(sorted(pods)) or 'nobody'} answered instead of {target.pod}"
    seen = {seen_by_server(reply, CLIENT_ID) for reply in replies} - {identity}
    return f"as {', '.join(sorted(each or 'nobody' for each in seen))}" if seen else ""


def _everywhere(name: str, found: Iterable[_Found], wrong: Callable[[_Found], str]) -> AssertionResult:
    """On every node, or on which not."""
    listed = list(found)
    broken = [f"{each.node}: {what}" for each in listed if (what := wrong(each))]
    nodes = ", ".join(each.node for each in listed)
    return check(name, expected=f"on {nodes}", observed="; ".join(broken) or f"on {nodes}", ok=not broken)


def _traffic(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    found = _found(stage, evidence)
    return (
        _everywhere("a client is answered, and the server sees its identity", found, lambda each: each.out),
        _everywhere("its proxy counts what leaves it", found, lambda each: _counted(each.left)),
        _everywhere(
            "an unmeshed call is answered", found, lambda each: "" if each.in_answered else "no or no good answer"
        ),
        _everywhere("the proxy counts what enters its pod", found, lambda each: _counted(each.entered)),
    )


def _counted(requests: float) -> str:
    return "" if requests >= TIMES else f"{requests:g} of {TIMES} requests"


def _mode(pod: JsonObject) -> str:
    names = [text(each, "name") for each in rows(pod, "spec", "initContainers")]
    return next((each for each in (INIT, VALIDATOR) if each in names), "nobody")


def _wanted_mode(evidence: Evidence) -> str:
    try:
        (config,) = evidence.objects("config")
        return VALIDATOR if parse_config(config).cni else INIT
    except (ValueError, UnreadableConfig) as error:
        raise Unseen("config", f"{CONFIG_MAP} cannot be read: {error}") from None


def _modes(stage: Stage, evidence: Evidence) -> dict[str, str]:
    """Who redirects, by node."""
    pods = {pod_name(pod): pod for pod in evidence.objects("pods")}
    sitting = {seat.place.node: pods.get(seat.place.pod) for seat in seats(stage)}
    return {node: _mode(pod) for node, pod in sitting.items() if pod is not None}


def _set_up(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    wanted, modes, failing = _wanted_mode(evidence), _modes(stage, evidence), _failing(evidence, INIT, VALIDATOR)
    told = "; ".join(f"{mode} on {', '.join(_with(modes, mode))}" for mode in sorted(set(modes.values())))
    return (
        check(
            "new pods are redirected before they start",
            expected="on every node",
            observed=_listed(failing) or "on every node",
            ok=not failing,
        ),
        check("as the mesh is configured", expected=wanted, observed=told, ok=set(modes.values()) <= {wanted}),
    )


def _with(modes: dict[str, str], mode: str) -> list[str]:
    return [node for node, each in modes.items() if each == mode]


def _actor(pod: JsonObject) -> str:
    return texts(pod, "metadata", "labels").get("app", "")


def _stuck(evidence: Evidence, *containers: str) -> list[JsonObject]:
    """Pods in which one of these ended with an error and has not ended well since."""
    return [pod for pod in objects_of(evidence, "pods") if any(_ended_badly(pod, each) for each in containers)]


def _ended_badly(pod: JsonObject, container: str) -> bool:
    found = [each for each in rows(pod, "status", "initContainerStatuses") if text(each, "name") == container]
    ended = [table(each, "state", "terminated") or table(each, "lastState", "terminated") for each in found]
    return any(whole(each, "exitCode") for each in ended)


def _failing(evidence: Evidence, *containers: str) -> dict[str, list[str]]:
    """By node, which of these ended badly in which pods."""
    found: dict[str, list[str]] = {}
    for container in containers:
        for pod in _stuck(evidence, container):
            found.setdefault(text(pod, "spec", "nodeName"), []).append(f"{container} of {pod_name(pod)}")
    return dict(sorted(found.items()))


def _listed(failing: dict[str, list[str]]) -> str:
    return "; ".join(f"{node}: {', '.join(sorted(pods))}" for node, pods in failing.items())


def _all_there(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    """A node whose client does not come up, for whatever other reason, says nothing about the mesh."""
    stuck = {_actor(pod) for pod in _stuck(evidence, INIT, VALIDATOR)}
    actors = {f"{ON_NODE}{at}": node for at, node in enumerate(stage.nodes)}
    missing = [
        node
        for actor, node in actors.items()
        if actor not in stuck and not any(place.ready for place in stage.pods(actor))
    ]
    if missing:
        raise Unseen("stage", f"no client came up on {', '.join(missing)}")
    return ()


def _proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return together(
        lambda: _set_up(stage, evidence), lambda: _traffic(stage, evidence), lambda: _all_there(stage, evidence)
    )


def _held(stage: Stage, evidence: Evidence) -> dict[str, bool]:
    """Where traffic passes by a proxy, that node is the one, and not those that it talks to."""
    failing = dict.fromkeys(_failing(evidence, INIT, VALIDATOR), False)
    found = _found(stage, evidence)
    past = any(each.passed_by for each in found)
    return {each.node: not each.passed_by if past else each.holds for each in found} | failing


def _not_redirected(stage: Stage, evidence: Evidence) -> str | None:
    told = [
        f"what {' and what '.join(each.passed_by)} a pod on {each.node}"
        for each in _found(stage, evidence)
        if each.passed_by
    ]
    return f"passes by its proxy: {'; '.join(told)}" if told else None


NODE_NOT_REDIRECTED = Cause(
    code="NODE_NOT_REDIRECTED",
    rung=Rung.TRAFFIC,
    seen=cautious(_not_redirected),
    message="Pods of a node have a proxy, and their traffic passes by it: nothing there is encrypted or authorized.",
    expected="the proxies on every node count the calls that their pods make and get",
    disproof="request_total of a pod on that node moves when it calls and when it is called.",
    remedy="Compare the iptables mode of linkerd-init or the CNI plugin with the node's kernel, restart its pods, and "
    "see that nothing else on the node rewrites the rules.",
    command="kubectl get pods -n <namespace> -o wide; kubectl logs <pod> -c linkerd-init",
)


def _validator_fails(_stage: Stage, evidence: Evidence) -> str | None:
    return _listed(_failing(evidence, VALIDATOR)) or None


CNI_CONFIG_MISSING = Cause(
    code="CNI_CONFIG_MISSING",
    rung=Rung.OBJECT,
    seen=cautious(_validator_fails),
    message="The CNI plugin does not redirect new pods of a node, so that they never start.",
    expected=f"{VALIDATOR} ends well on every node",
    disproof=f"A new pod on that node gets past {VALIDATOR}.",
    remedy="See that the pod of the DaemonSet linkerd-cni on that node is ready and its configuration is the last one "
    "in /etc/cni/net.d; then delete the pods that are stuck.",
    command="kubectl get pods -n linkerd-cni -o wide; kubectl logs -n <namespace> <pod> -c linkerd-network-validator",
)


def _exclusive(_stage: Stage, evidence: Evidence) -> str | None:
    failing = _failing(evidence, VALIDATOR)
    exclusive = [text(each, "data", "cni-exclusive") for each in evidence.objects(_CILIUM)]
    if not failing or "true" not in exclusive:
        return None
    return f"cni-exclusive is true in ConfigMap cilium-config; {_listed(failing)}"


CNI_EXCLUSIVE = Cause(
    code="CNI_EXCLUSIVE",
    rung=Rung.OBJECT,
    seen=cautious(_exclusive),
    message="Cilium keeps every other CNI configuration off its nodes, and Linkerd's plugin with them.",
    expected='cni-exclusive: "false" in ConfigMap kube-system/cilium-config',
    disproof="The configuration in /etc/cni/net.d on that node names linkerd-cni.",
    remedy="Install Cilium with cni.exclusive=false, then restart the DaemonSet linkerd-cni.",
    command="kubectl get configmap -n kube-system cilium-config -o jsonpath='{.data.cni-exclusive}'",
)


def _init_fails(_stage: Stage, evidence: Evidence) -> str | None:
    return _listed(_failing(evidence, INIT)) or None


INIT_FAILING = Cause(
    code="INIT_FAILING",
    rung=Rung.OBJECT,
    seen=cautious(_init_fails),
    message="The init container cannot redirect new pods of a node, so that they never start.",
    expected=f"{INIT} ends well on every node",
    disproof=f"A new pod on that node gets past {INIT}.",
    remedy="See that the node's kernel has the iptables modules that proxyInit.iptablesMode names, and that the "
    "namespace lets pods have NET_ADMIN.",
    command="kubectl logs -n <namespace> <pod> -c linkerd-init",
)


def _differs(stage: Stage, evidence: Evidence) -> str | None:
    wanted = _wanted_mode(evidence)
    others = {node: mode for node, mode in _modes(stage, evidence).items() if mode not in (wanted, "nobody")}
    told = "; ".join(f"{mode} on {', '.join(_with(others, mode))}" for mode in sorted(set(others.values())))
    return f"{CONFIG_MAP} wants {wanted}; there is {told}" if told else None


REDIRECTION_MODE_DIFFERS = Cause(
    code="REDIRECTION_MODE_DIFFERS",
    rung=Rung.OBJECT,
    seen=cautious(_differs),
    message="Pods are redirected in another way than the mesh is configured for: they are older than that.",
    expected="cniEnabled of linkerd-config and the init containers of pods agree",
    disproof="Each pod has linkerd-network-validator where cniEnabled is true, and linkerd-init where it is not.",
    remedy="Restart the workloads, so that they are injected anew; of a run's own pods, begin another run.",
    command="kubectl get pods -n <namespace> -o jsonpath='{.items[*].spec.initContainers[*].name}'",
)


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (Looked(_CILIUM, CONFIG_MAPS, "kube-system", names=("cilium-config",)), *Scene().steps(stage))


EVERY_NODE = Probe(
    id="inj.every-node",
    claim="What enters and leaves a pod goes through its proxy, on every node.",
    tier=Tier.DEPTH,
    safety=Safety.ENVIRONMENT,
    steps=_steps,
    proof=_proof,
    nodes=_held,
    control=WHO_ANSWERS,
    causes=(
        CNI_EXCLUSIVE,
        CNI_CONFIG_MISSING,
        INIT_FAILING,
        REDIRECTION_MODE_DIFFERS,
        NODE_NOT_REDIRECTED,
        *COMMON,
        DATAPATH,
    ),
    diagnosis=_diagnosis,
    depends_on=("inj.levels",),
    since="2.13",
    bound=timedelta(minutes=3),
)

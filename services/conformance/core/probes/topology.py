"""Nodes and zones: whose endpoints a client is told of, and what each stretch of the way costs."""

from statistics import median

from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.fronts import EVERY, calling, evenly, front, known
from services.conformance.core.known_causes import COMMON, CP_STALE, DATAPATH, cautious
from services.conformance.core.orders import Call, Reply, Target
from services.conformance.core.outbound import around
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import all_ok, good, growth, series, tally, together, within
from services.conformance.core.slices import bare_service, hinted
from services.conformance.core.stage import Need, Place, Port, Stage
from services.conformance.core.steps import Calls, Pages, Step
from services.conformance.core.targets import CLIENT, UNMESHED, get, number
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, table

HINTED, LOCAL, ZONAL = "p-zone-hints", "p-local", "p-zonal"
SAMPLE = 60
RHYTHM = 40
_COST = "outbound_tcp_transfer_cost_bytes_total"


def _client(stage: Stage) -> Place:
    """The first client; which zone and node is its own follows from it."""
    pods = stage.pods(CLIENT)
    return pods[0] if pods else Place(CLIENT, stage.meshed, "")


def _near(stage: Stage, kind: str) -> tuple[Place, ...]:
    """The servers of the client's own zone or node."""
    client = _client(stage)
    return tuple(place for place in stage.pods("sm") if _where(place, kind) == _where(client, kind))


def _where(place: Place, kind: str) -> str:
    return place.zone if kind == "zone" else place.node


def _near_names(stage: Stage, kind: str) -> set[str]:
    near = {place.pod for place in _near(stage, kind)}
    if not near or len(near) == len(stage.pods("sm")):
        raise Unseen("stage", f"the servers are not spread: {len(near)} of them are in the client's own {kind}")
    return near


def _answered(replies: tuple[Reply, ...]) -> set[str]:
    return {reply.echo.pod for reply in replies if reply.echo is not None}


def _hinted_objects(stage: Stage) -> tuple[JsonObject, ...]:
    return bare_service(stage, HINTED), hinted(stage, HINTED, stage.pods("sm"))


def _sample(stage: Stage, name: str) -> tuple[Step, ...]:
    return (
        known(stage, name),
        Pages("before", CLIENT),
        Calls("sample", CLIENT, evenly(calling(stage, name, times=SAMPLE))),
        Pages("after", CLIENT),
    )


def _stays_near(stage: Stage, evidence: Evidence, kind: str) -> tuple[AssertionResult, ...]:
    near, replies = _near_names(stage, kind), evidence.replies("sample")
    seen = _answered(replies)
    ok = bool(seen) and seen <= near
    return (
        within("the Service is found", evidence.effect("known"), stage.timings.propagation),
        all_ok("every request is answered", replies),
        check(f"by pods of the client's own {kind} only", expected=f"of {sorted(near)}", observed=sorted(seen), ok=ok),
    )


def _hints_hold(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    def carried() -> tuple[AssertionResult, ...]:
        near, far = (
            sum(growth(around(evidence), series(_COST, zone_locality=word)) for word in words)
            for words in (("Local", "local"), ("Remote", "remote"))
        )
        seen = f"{near:g} in the zone, {far:g} out of it"
        return (check("most bytes stay in the zone", expected="in > out", observed=seen, ok=far <= near),)

    return together(lambda: _stays_near(stage, evidence, "zone"), carried)


def _local_objects(stage: Stage) -> tuple[JsonObject, ...]:
    service = front(stage, LOCAL, EVERY)
    return (service | {"spec": table(service, "spec") | {"internalTrafficPolicy": "Local"}},)


def _crossing(kind: str) -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        far = _answered(evidence.replies("sample")) - _near_names(stage, kind)
        return f"pods of another {kind} answered: {', '.join(sorted(far))}" if far else None

    return Cause(
        code="TOPOLOGY_IGNORED",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message=f"Clients are told of endpoints in other {kind}s, though those of their own would do.",
        expected=f"endpoints of the client's own {kind} only",
        disproof=f"destination, asked with the client's node, tells only endpoints of its {kind}.",
        remedy="See that every endpoint has hints, and that nodes have the label topology.kubernetes.io/zone.",
        command="kubectl get endpointslices -n <namespace> -o yaml | grep -A2 forZones",
    )


_PATHS = (
    ("none", UNMESHED, "su", "no proxy"),
    ("client-side", CLIENT, "su", "the client's proxy only"),
    ("server-side", UNMESHED, "sm", "the server's proxy only"),
    ("both", CLIENT, "sm", "both proxies"),
)


def _at(stage: Stage, actor: str, server: str, where: str) -> Call:
    """A server on the client's node, on another node, or in another zone, by its address."""
    clients = stage.pods(actor)
    client = clients[0] if clients else Place(actor, "", "")
    kind = "zone" if where == "other-zone" else "node"
    alike = where == "same-node"
    fitting = [p for p in stage.pods(server) if (_where(p, kind) == _where(client, kind)) is alike]
    host = fitting[0].ip if fitting else f"{server}.{where}.invalid"
    return get(Target(host=host, port=number(Port.HTTP)), times=RHYTHM)


def _latency(stage: Stage, where: str) -> tuple[Step, ...]:
    return tuple(Calls(step, actor, _at(stage, actor, server, where)) for step, actor, server, _ in _PATHS)


def _latency_seen(evidence: Evidence, where: str) -> tuple[AssertionResult, ...]:
    found = []
    for step, _, _, through in _PATHS:
        replies = evidence.replies(step)
        spent = [reply.seconds for reply in replies if good(reply)]
        if not spent and all(reply.trouble is not None for reply in replies):
            found.append(check(f"through {through}", expected="a time", observed="no such pair of pods", ok=True))
            continue
        observed = f"median {median(spent) * 1000:.2f} ms of {len(spent)}" if spent else tally(replies)
        ok = len(spent) == len(replies)
        found.append(check(f"{where}, through {through}", expected="a time", observed=observed, ok=ok))
    return tuple(found)


def _net(where: str, claim: str, *needs: Need) -> Probe:
    return Probe(
        id=f"net.latency.{where}",
        claim=claim,
        tier=Tier.ENVIRONMENT,
        safety=Safety.ENVIRONMENT,
        steps=lambda stage: _latency(stage, where),
        proof=lambda _stage, evidence: _latency_seen(evidence, where),
        diagnosis=Scene().steps,
        causes=(*COMMON, DATAPATH),
        needs=needs,
        soak=True,
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="topo.zone-hints",
        claim="A client is told of the endpoints that are hinted to its zone, and of no others.",
        tier=Tier.DEPTH,
        safety=Safety.ENVIRONMENT,
        objects=_hinted_objects,
        steps=lambda stage: _sample(stage, HINTED),
        proof=_hints_hold,
        control=WHO_ANSWERS,
        diagnosis=Scene(service=HINTED).steps,
        causes=(*(each for each in COMMON if each is not CP_STALE), _crossing("zone"), DATAPATH),
        needs=(Need.TWO_ZONES,),
    ),
    Probe(
        id="topo.local",
        claim="A Service with internalTrafficPolicy Local is answered on the client's own node.",
        tier=Tier.DEPTH,
        safety=Safety.ENVIRONMENT,
        objects=_local_objects,
        steps=lambda stage: _sample(stage, LOCAL),
        proof=lambda stage, evidence: _stays_near(stage, evidence, "node"),
        diagnosis=Scene(service=LOCAL).steps,
        causes=(*(each for each in COMMON if each is not CP_STALE), _crossing("node"), DATAPATH),
        needs=(Need.TWO_NODES,),
    ),
    Probe(
        id="topo.hazl",
        claim="Enterprise releases keep requests in the zone while its endpoints can take them.",
        tier=Tier.ENVIRONMENT,
        safety=Safety.ENVIRONMENT,
        objects=lambda stage: (front(stage, ZONAL, EVERY),),
        steps=lambda stage: _sample(stage, ZONAL),
        proof=lambda stage, evidence: _stays_near(stage, evidence, "zone"),
        diagnosis=Scene(service=ZONAL).steps,
        causes=(*COMMON, _crossing("zone"), DATAPATH),
        needs=(Need.TWO_ZONES, Need.ZONE_AWARE_BALANCER),
    ),
    _net("same-node", "What the mesh adds to a request within a node is known."),
    _net("other-node", "What the mesh adds to a request to another node is known.", Need.TWO_NODES),
    _net("other-zone", "What the mesh adds to a request to another zone is known.", Need.TWO_ZONES),
)

"""Authorization policies: each a truth table of who is let through, with clients of two accounts and one unmeshed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.orders import Call, Reply
from services.conformance.core.probe import Control, Probe
from services.conformance.core.proofs import (
    all_ok,
    between,
    counter_grew,
    good,
    none_are,
    series,
    status_is,
    within,
)
from services.conformance.core.stage import SPARE_PORTS, Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, During, Pages, Removed, Step, Until
from services.conformance.core.targets import CLIENT, OTHER, UNMESHED, at_service, fresh, get, paced
from services.conformance.core.truth import AFTER, BEFORE, Line, Table
from steward.conformance.results import AssertionResult, Tier
from steward.jsonvalue import JsonObject
from steward.kube.mesh_resources import AUTHORIZATION_POLICIES, SERVER_AUTHORIZATIONS

ACTOR = "sp"
_HOME = {"app": ACTOR}
_ACCOUNT, _OTHER_ACCOUNT = "probe-client", "probe-other"
_FIRST = SPARE_PORTS.start


def _call(name: str, port: int, path: str = "/", *, namespace: str = "") -> Callable[[Stage], Call]:
    """GET through a Service of the probe's own."""

    def call(stage: Stage) -> Call:
        target = at_service(stage, name, port)
        if namespace:
            target = target.model_copy(update={"host": stage.service(name, namespace)})
        return get(target, path, timeout=5)

    return call


def _front(stage: Stage, name: str, port: int) -> JsonObject:
    return made.service(stage, name, _HOME, made.service_port(port))


def _guarded(stage: Stage, name: str, port: int, *more: JsonObject, access: str = "deny") -> tuple[JsonObject, ...]:
    """A Service, and a Server that closes its port."""
    closed = made.server(stage, name, _HOME, port, proxyProtocol="HTTP/1", accessPolicy=access)
    return (_front(stage, name, port), closed, *more)


def _allowing(stage: Stage, name: str, *authentications: JsonObject) -> JsonObject:
    target: JsonObject = {"group": "policy.linkerd.io", "kind": "Server", "name": name}
    return made.authorization_policy(stage, name, target, *(made.reference(each) for each in authentications))


def _open_port(stage: Stage) -> tuple[Step, ...]:
    return (Calls("open", CLIENT, get(at_service(stage, ACTOR, Port.HTTP), times=3)),)


CONTROL = Control(
    claim="The same server answers on a port that no policy closes.",
    steps=_open_port,
    proof=lambda _stage, evidence: (all_ok("open port", evidence.replies("open")),),
)


def _probe(id: str, claim: str, name: str, port: int, table: Table) -> Probe:
    return Probe(
        id=id,
        claim=claim,
        tier=Tier.TRAFFIC,
        steps=table.steps,
        proof=table.proof,
        control=CONTROL,
        causes=table.causes(name, port),
        diagnosis=Scene(service=name, server=ACTOR, port=port).steps,
        needs=(Need.SERVER_POLICY,),
        security=True,
        depends_on=("mtls.identity",),
    )


def _table(name: str, objects: Callable[[Stage], tuple[JsonObject, ...]], lines: tuple[Line, ...], first: str) -> Table:
    denied = any(not line.allowed and line.refused == 403 for line in lines)
    return Table(
        objects=objects,
        lines=lines,
        first=first,
        server=ACTOR,
        denials=series("inbound_http_authz_deny_total", srv_name=name) if denied else None,
        allowances=(
            series("inbound_http_authz_allow_total", srv_name=name) if any(line.allowed for line in lines) else None
        ),
    )


def _server() -> Probe:
    name, port = "authz-server", _FIRST
    table = _table(
        name,
        lambda stage: _guarded(stage, name, port),
        (
            Line("meshed client", CLIENT, _call(name, port), allowed=False),
            Line("unmeshed client", UNMESHED, _call(name, port), allowed=False),
        ),
        "meshed client",
    )
    return _probe("authz.server", "A port that a Server closes is closed to everybody.", name, port, table)


def _mesh_tls() -> Probe:
    name, port = "authz-meshtls", _FIRST + 1

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        who = made.mesh_tls(stage, name, stage.identity(_ACCOUNT))
        return _guarded(stage, name, port, who, _allowing(stage, name, who))

    lines = (
        Line("named account", CLIENT, _call(name, port), allowed=True),
        Line("other account", OTHER, _call(name, port), allowed=False),
        Line("unmeshed client", UNMESHED, _call(name, port), allowed=False),
    )
    claim = "A port can be opened to one identity, and stays closed to every other."
    return _probe("authz.meshtls", claim, name, port, _table(name, objects, lines, "named account"))


def _mesh_tls_ref() -> Probe:
    name, port = "authz-account", _FIRST + 2

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        who = made.mesh_tls_of(stage, name, _OTHER_ACCOUNT)
        return _guarded(stage, name, port, who, _allowing(stage, name, who))

    lines = (
        Line("named account", OTHER, _call(name, port), allowed=True),
        Line("other account", CLIENT, _call(name, port), allowed=False),
        Line("unmeshed client", UNMESHED, _call(name, port), allowed=False),
    )
    claim = "A port can be opened to a ServiceAccount by its name."
    return _probe("authz.meshtls.account", claim, name, port, _table(name, objects, lines, "named account"))


def _network() -> Probe:
    name, port = "authz-network", _FIRST + 3

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        near = made.network_authentication(stage, name, *_addresses(stage, UNMESHED))
        return _guarded(stage, name, port, near, _allowing(stage, name, near))

    lines = (
        Line("from the network", UNMESHED, _call(name, port), allowed=True),
        Line("from elsewhere", CLIENT, _call(name, port), allowed=False),
    )
    claim = "A port can be opened to the addresses of a network, with an identity or without."
    return _probe("authz.network", claim, name, port, _table(name, objects, lines, "from the network"))


def _except() -> Probe:
    name, port = "authz-except", _FIRST + 4

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        near = made.network_authentication(stage, name, "0.0.0.0/0", without=_addresses(stage, UNMESHED))
        return _guarded(stage, name, port, near, _allowing(stage, name, near))

    lines = (
        Line("from the network", CLIENT, _call(name, port), allowed=True),
        Line("from what is excepted", UNMESHED, _call(name, port), allowed=False),
    )
    claim = "What is excepted from a network stays closed."
    return _probe("authz.network.except", claim, name, port, _table(name, objects, lines, "from the network"))


def _both() -> Probe:
    name, port = "authz-both", _FIRST + 5

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        who = made.mesh_tls(stage, f"{name}-who", stage.identity(_ACCOUNT), stage.identity(_OTHER_ACCOUNT))
        near = made.network_authentication(stage, f"{name}-where", *_addresses(stage, CLIENT))
        return _guarded(stage, name, port, who, near, _allowing(stage, name, who, near))

    lines = (
        Line("identity and network", CLIENT, _call(name, port), allowed=True),
        Line("identity alone", OTHER, _call(name, port), allowed=False),
        Line("neither", UNMESHED, _call(name, port), allowed=False),
    )
    claim = "A policy that asks for an identity and a network is met only by both."
    return _probe("authz.both", claim, name, port, _table(name, objects, lines, "identity and network"))


def _either() -> Probe:
    name, port = "authz-either", _FIRST + 6

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        who = made.mesh_tls(stage, f"{name}-who", stage.identity(_ACCOUNT))
        near = made.network_authentication(stage, f"{name}-where", *_addresses(stage, UNMESHED))
        first = _allowing(stage, name, who)
        second = made.manifest(stage, AUTHORIZATION_POLICIES, f"{name}-second") | {
            "spec": {
                "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": name},
                "requiredAuthenticationRefs": [made.reference(near)],
            }
        }
        return _guarded(stage, name, port, who, near, first, second)

    lines = (
        Line("by identity", CLIENT, _call(name, port), allowed=True),
        Line("by network", UNMESHED, _call(name, port), allowed=True),
        Line("neither", OTHER, _call(name, port), allowed=False),
    )
    claim = "Of two policies on one Server, either lets through."
    return _probe("authz.either", claim, name, port, _table(name, objects, lines, "by network"))


def _addresses(stage: Stage, actor: str) -> list[str]:
    """The addresses of an actor's pods, each as a network of one; where it has none, one that nobody has."""
    return [f"{place.ip}/32" for place in stage.pods(actor)] or ["192.0.2.1/32"]


def _route() -> Probe:
    name, port = "authz-route", _FIRST + 7

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        attached = made.parent("Server", name)
        who = made.mesh_tls(stage, name, stage.identity(_ACCOUNT))
        routes = [
            made.policy_http_route(stage, f"{name}-{path}", attached, made.rule(matches=[made.path_match(f"/{path}")]))
            for path in ("open", "closed")
        ]
        policy = made.authorization_policy(stage, name, made.reference(routes[0]), made.reference(who))
        return _guarded(stage, name, port, who, *routes, policy)

    lines = (
        Line("authorized route", CLIENT, _call(name, port, "/open"), allowed=True),
        Line("authorized route, other account", OTHER, _call(name, port, "/open"), allowed=False),
        Line("route without authorization", CLIENT, _call(name, port, "/closed"), allowed=False),
        Line("unknown route", CLIENT, _call(name, port, "/elsewhere"), allowed=False, refused=404),
    )
    table = _table(name, objects, lines, "authorized route")

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        unknown = series("inbound_http_route_not_found_total", srv_name=name)
        counted = counter_grew("unknown route counted", between(evidence, BEFORE, AFTER), unknown, 5)
        return (*table.proof(stage, evidence), counted)

    claim = "Routes of a Server are authorized one by one; what no route names is not found."
    probe = _probe("authz.route", claim, name, port, table)
    return replace(probe, proof=proof, needs=(Need.SERVER_POLICY, Need.POLICY_HTTP_ROUTE))


def _audit() -> Probe:
    name, port = "authz-audited", _FIRST + 8
    lines = (
        Line("meshed client", CLIENT, _call(name, port), allowed=True),
        Line("unmeshed client", UNMESHED, _call(name, port), allowed=True),
    )
    table = replace(
        _table(name, lambda stage: _guarded(stage, name, port, access="audit"), lines, "unmeshed client"),
        allowances=series("inbound_http_authz_allow_total", srv_name=name, authz_name="audit"),
    )
    claim = "A Server that only audits lets everybody through, and counts who would have been refused."
    return replace(_probe("authz.audit", claim, name, port, table), since="2.16", tier=Tier.DEPTH, security=False)


def _legacy() -> Probe:
    name, port = "authz-legacy", _FIRST + 9

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        spec: JsonObject = {
            "server": {"name": name},
            "client": {"meshTLS": {"serviceAccounts": [{"name": _ACCOUNT, "namespace": stage.meshed}]}},
        }
        return _guarded(stage, name, port, made.manifest(stage, SERVER_AUTHORIZATIONS, name, spec))

    lines = (
        Line("named account", CLIENT, _call(name, port), allowed=True),
        Line("other account", OTHER, _call(name, port), allowed=False),
        Line("unmeshed client", UNMESHED, _call(name, port), allowed=False),
    )
    claim = "ServerAuthorizations, the older way to say it, still hold."
    probe = _probe("authz.legacy-serverauthorization", claim, name, port, _table(name, objects, lines, "named account"))
    return replace(probe, tier=Tier.DEPTH)


def _live_change() -> Probe:
    """A policy comes and goes under load; nobody who is refused may slip through in between."""
    name, port = "authz-live", _FIRST + 10
    allowed, refused = _call(name, port), _call(name, port)

    def opening(stage: Stage) -> tuple[JsonObject, ...]:
        who = made.mesh_tls(stage, name, stage.identity(_ACCOUNT))
        return who, _allowing(stage, name, who)

    def is_refused(reply: Reply) -> bool:
        return reply.status == 403

    def steps(stage: Stage) -> tuple[Step, ...]:
        bound = stage.timings.propagation
        load = paced(fresh(refused(stage).model_copy(update={"times": 400})), 10)
        once = fresh(allowed(stage))
        return (
            Applied("closed", _guarded(stage, name, port)),
            Until("in-force", OTHER, fresh(refused(stage)), is_refused, "is refused", bound),
            During(
                "stranger",
                Calls("stranger", OTHER, load),
                (
                    Applied("opened", opening(stage)),
                    Until("opens", CLIENT, once, good, "is let through", bound),
                    Removed("closed-again", opening(stage)),
                    Until("closes", CLIENT, once, is_refused, "is refused again", bound),
                ),
            ),
            Pages(AFTER, ACTOR),
        )

    def proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        bound = stage.timings.propagation
        stranger = evidence.replies("stranger")
        return (
            within("policy closes the port", evidence.effect("in-force"), bound),
            within("policy opens it", evidence.effect("opens"), bound),
            within("its removal closes it", evidence.effect("closes"), bound),
            none_are("no moment in which a stranger passes", stranger, "let through", good),
            status_is("a stranger is refused all the time", stranger, 403),
        )

    table = _table(name, opening, (Line("stranger", OTHER, refused, allowed=False),), "stranger")
    claim = "Policies change under load without a moment in which a refused client passes."
    probe = _probe("authz.live-change", claim, name, port, table)
    return replace(probe, steps=steps, proof=proof, tier=Tier.DEPTH, bound=timedelta(seconds=120))


PROBES: tuple[Probe, ...] = (
    _server(),
    _mesh_tls(),
    _mesh_tls_ref(),
    _network(),
    _except(),
    _both(),
    _either(),
    _route(),
    _audit(),
    _legacy(),
    _live_change(),
)

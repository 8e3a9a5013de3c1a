"""Authorization beyond HTTP/1.1: gRPC routes with their own codes, and raw connections that are cut."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import cautious
from services.conformance.core.orders import GRPC_SERVICE, Call, Conversation, Hold, Protocol
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.authorization import CONTROL
from services.conformance.core.proofs import between, counter_grew, series
from services.conformance.core.stage import PORTS, Need, Port, Stage
from services.conformance.core.steps import Applied, Asked, Pages, Ready, Released, Removed, Step, Until, Wait
from services.conformance.core.targets import CLIENT, OTHER, UNMESHED, at_service
from services.conformance.core.truth import AFTER, GRPC_DENIED, GRPC_UNKNOWN, NOBODY_AUTHORIZED, Line, Table, fits
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject

_RPC, _RAW, _REVOKED = "authz-grpc", "authz-tcp", "authz-revoked"


def _grpc(method: Conversation) -> Callable[[Stage], Call]:
    """A call of the method that is named after its way to talk."""

    def call(stage: Stage) -> Call:
        return Call(
            target=at_service(stage, _RPC, Port.GRPC), protocol=Protocol.GRPC, conversation=method, timeout_seconds=5
        )

    return call


def _guard(stage: Stage, name: str, port: Port, protocol: str) -> JsonObject:
    return made.server(stage, name, {"app": name}, port, proxyProtocol=protocol, accessPolicy="deny")


def _allow(stage: Stage, name: str, target: JsonObject) -> tuple[JsonObject, ...]:
    who = made.mesh_tls(stage, name, stage.identity("probe-client"))
    return who, made.authorization_policy(stage, name, made.reference(target), made.reference(who))


def _rpc_objects(stage: Stage) -> tuple[JsonObject, ...]:
    attached = made.parent("Server", _RPC)
    routes = [
        made.grpc_route(
            stage,
            f"{_RPC}-{method.lower()}",
            attached,
            made.rule(matches=[{"method": {"type": "Exact", "service": GRPC_SERVICE, "method": method.value}}]),
        )
        for method in (Conversation.UNARY, Conversation.SERVER_STREAM)
    ]
    front = made.service(stage, _RPC, {"app": _RPC}, made.service_port(Port.GRPC, app_protocol="kubernetes.io/h2c"))
    return (
        made.echo(stage, _RPC),
        front,
        _guard(stage, _RPC, Port.GRPC, "gRPC"),
        *routes,
        *_allow(stage, _RPC, routes[0]),
    )


_RPC_TABLE = Table(
    objects=_rpc_objects,
    lines=(
        Line("authorized method", CLIENT, _grpc(Conversation.UNARY), allowed=True),
        Line("authorized method, other account", OTHER, _grpc(Conversation.UNARY), allowed=False, refused=GRPC_DENIED),
        Line(
            "method without authorization",
            CLIENT,
            _grpc(Conversation.SERVER_STREAM),
            allowed=False,
            refused=GRPC_DENIED,
        ),
        Line("unknown method", CLIENT, _grpc(Conversation.BIDIRECTIONAL), allowed=False, refused=GRPC_UNKNOWN),
    ),
    first="authorized method",
    server=_RPC,
    denials=series("inbound_http_authz_deny_total", srv_name=_RPC),
    bound=lambda stage: stage.timings.settle,
)


def _raw(name: str) -> Callable[[Stage], Call]:
    """A raw connection on which the server speaks first."""

    def call(stage: Stage) -> Call:
        return Call(
            target=at_service(stage, name, Port.OPAQUE),
            protocol=Protocol.TCP,
            conversation=Conversation.SERVER_FIRST,
            timeout_seconds=5,
        )

    return call


def _raw_front(stage: Stage, name: str) -> tuple[JsonObject, ...]:
    front = made.service(stage, name, {"app": name}, made.service_port(Port.OPAQUE))
    opaque = made.annotated(front, **{made.OPAQUE_PORTS: str(PORTS[Port.OPAQUE])})
    return (made.echo(stage, name), opaque, _guard(stage, name, Port.OPAQUE, "opaque"))


def _raw_objects(stage: Stage) -> tuple[JsonObject, ...]:
    guarded = _raw_front(stage, _RAW)
    return (*guarded, *_allow(stage, _RAW, guarded[-1]))


_RAW_TABLE = Table(
    objects=_raw_objects,
    lines=(
        Line("named account", CLIENT, _raw(_RAW), allowed=True, refused=0),
        Line("other account", OTHER, _raw(_RAW), allowed=False, refused=0),
        Line("unmeshed client", UNMESHED, _raw(_RAW), allowed=False, refused=0),
    ),
    first="named account",
    server=_RAW,
    denials=series("inbound_tcp_authz_deny_total", srv_name=_RAW),
    bound=lambda stage: stage.timings.settle,
)


def _with_pod(table: Table, name: str) -> Callable[[Stage], tuple[Step, ...]]:
    def steps(stage: Stage) -> tuple[Step, ...]:
        applied, *rest = table.steps(stage)
        return (applied, Ready("pod", name, stage.meshed, 1, stage.timings.settle), *rest)

    return steps


def _probe(id: str, claim: str, table: Table, port: Port) -> Probe:
    name = table.server
    return Probe(
        id=id,
        claim=claim,
        tier=Tier.TRAFFIC,
        steps=_with_pod(table, name),
        proof=table.proof,
        control=CONTROL,
        causes=table.causes(name, PORTS[port]),
        diagnosis=Scene(service=name, server=name, port=port).steps,
        needs=(Need.SERVER_POLICY,),
        security=True,
        depends_on=("mtls.identity",),
        extra_pods=1,
    )


def _revoked_steps(stage: Stage) -> tuple[Step, ...]:
    held = Hold(name="open", target=_raw(_REVOKED)(stage).target, protocol=Protocol.TCP, every_seconds=0.2)
    guarded = _raw_front(stage, _REVOKED)
    allowing = _allow(stage, _REVOKED, guarded[-1])
    closed = Line("closed", CLIENT, _raw(_REVOKED), allowed=False, refused=0)
    opened = Line("opened", CLIENT, _raw(_REVOKED), allowed=True)
    once, bound = _raw(_REVOKED)(stage).model_copy(update={"keep": False}), stage.timings.settle
    return (
        Applied("applied", (*guarded, *allowing)),
        Ready("pod", _REVOKED, stage.meshed, 1, bound),
        Until("opens", CLIENT, once, lambda reply: fits(opened, reply), "is let through", bound),
        Asked("hold", CLIENT, held),
        Pages("before", _REVOKED),
        Removed("revoked", allowing),
        Until("closes", CLIENT, once, lambda reply: fits(closed, reply), "is cut", bound),
        Wait("noticed", timedelta(seconds=1), "the held connection is used again"),
        Released("held", CLIENT, "open"),
        Pages(AFTER, _REVOKED),
    )


def _revoked(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    held = evidence.held("held")
    terminated = series("inbound_tcp_authz_terminate_total", srv_name=_REVOKED)
    return (
        check("the connection was open", expected=True, observed=evidence.held("hold").open),
        check(
            "and is ended when its authorization goes",
            expected="ended by the proxy",
            observed=f"{held.uses} uses, {held.failures} failures, {held.resets} resets",
            ok=not held.open or held.failures + held.resets > 0,
        ),
        counter_grew("ended connections counted", between(evidence, "before", AFTER), terminated, 1),
    )


def _kept_open(_stage: Stage, evidence: Evidence) -> str | None:
    held = evidence.held("held")
    if not held.open or held.failures or held.resets:
        return None
    return f"a connection whose authorization is gone was used {held.uses} times without a failure"


REVOKED_KEPT = Cause(
    code="REVOKED_KEPT",
    rung=Rung.PROXY,
    seen=cautious(_kept_open),
    message="The proxy of the server keeps connections that are no longer authorized.",
    expected="the connection is ended, and inbound_tcp_authz_terminate_total counts it",
    disproof="A connection by hand is ended when its AuthorizationPolicy is deleted.",
    remedy="Restart the server's pods: what is open now stays open else.",
    command="kubectl delete pod -n <namespace> <pod>",
)

_TCP = _probe(
    "authz.tcp", "Raw connections of a stranger are cut, those of a named client stay.", _RAW_TABLE, Port.OPAQUE
)

PROBES: tuple[Probe, ...] = (
    replace(
        _probe("authz.grpc-route", "Methods of a gRPC service are authorized one by one.", _RPC_TABLE, Port.GRPC),
        needs=(Need.SERVER_POLICY, Need.GATEWAY_GRPC_ROUTE),
        tier=Tier.DEPTH,
    ),
    _TCP,
    replace(
        _TCP,
        id="authz.tcp.revoked",
        claim="A connection that is open when its authorization goes is ended.",
        steps=_revoked_steps,
        proof=_revoked,
        # That nobody is authorized any more is what the probe itself brought about.
        causes=tuple(
            each
            for each in (REVOKED_KEPT, *_RAW_TABLE.causes(_REVOKED, PORTS[Port.OPAQUE]))
            if each.code != NOBODY_AUTHORIZED
        ),
        diagnosis=Scene(service=_REVOKED, server=_REVOKED, port=Port.OPAQUE).steps,
        tier=Tier.DEPTH,
        alone=False,
        depends_on=("authz.tcp",),
    ),
)

"""`authz.default.*`: what a pod's default inbound policy lets through, mode by mode, where no Server says more."""

from collections.abc import Callable
from datetime import timedelta

from services.conformance.core import objects as made
from services.conformance.core.diagnosis import Scene
from services.conformance.core.orders import Call
from services.conformance.core.probe import Probe
from services.conformance.core.probes.authorization import CONTROL
from services.conformance.core.proofs import series
from services.conformance.core.stage import PORTS, Need, Port, Stage
from services.conformance.core.steps import Ready, Step
from services.conformance.core.targets import CLIENT, UNMESHED, at_service, get
from services.conformance.core.truth import Line, Table
from steward.conformance.results import Tier
from steward.jsonvalue import JsonObject

POLICY = "config.linkerd.io/default-inbound-policy"
_MODES: dict[str, tuple[bool, bool]] = {
    "all-unauthenticated": (True, True),
    "all-authenticated": (True, False),
    "cluster-unauthenticated": (True, True),
    "cluster-authenticated": (True, False),
    "deny": (False, False),
    "audit": (True, True),
}
"""Mode → whether a meshed client and an unmeshed one, both of the cluster, are let through."""
_COUNTED = ("all-authenticated", "cluster-authenticated")
"""Where a denial is expected, and the metrics of the pod are open to meshed clients."""


def _name(mode: str) -> str:
    return f"authz-{mode}"


def _call(name: str) -> Callable[[Stage], Call]:
    # Not `/`: what kubelet probes is open to everybody, whatever the policy.
    return lambda stage: get(at_service(stage, name), "/guarded", timeout=5)


def _objects(mode: str) -> Callable[[Stage], tuple[JsonObject, ...]]:
    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        name = _name(mode)
        pods = made.echo(stage, name, {POLICY: mode})
        return (made.service(stage, name, {"app": name}, made.service_port(Port.HTTP)), pods)

    return objects


def _table(mode: str) -> Table:
    meshed, unmeshed = _MODES[mode]
    name = _name(mode)
    lines = (
        Line("meshed client", CLIENT, _call(name), allowed=meshed),
        Line("unmeshed client", UNMESHED, _call(name), allowed=unmeshed),
    )
    port = str(PORTS[Port.HTTP])
    return Table(
        objects=_objects(mode),
        lines=lines,
        first="meshed client",
        server=name if mode in _COUNTED else "",
        denials=series("inbound_http_authz_deny_total", target_port=port) if meshed and not unmeshed else None,
        allowances=series("inbound_http_authz_allow_total", target_port=port) if meshed else None,
        bound=lambda stage: stage.timings.settle,
    )


def _steps(mode: str) -> Callable[[Stage], tuple[Step, ...]]:
    table = _table(mode)

    def steps(stage: Stage) -> tuple[Step, ...]:
        applied, force, *rest = table.steps(stage)
        ready = Ready("pod", _name(mode), stage.meshed, 1, stage.timings.settle)
        return (applied, ready, force, *rest)

    return steps


def _probe(mode: str) -> Probe:
    table, name = _table(mode), _name(mode)
    meshed, unmeshed = _MODES[mode]
    claim = (
        f"A pod whose default policy is {mode} lets "
        f"{'meshed clients in' if meshed else 'nobody in'}{_and(meshed=meshed, unmeshed=unmeshed)}."
    )
    return Probe(
        id=f"authz.default.{mode}",
        claim=claim,
        tier=Tier.TRAFFIC,
        steps=_steps(mode),
        proof=table.proof,
        control=CONTROL,
        causes=table.causes(mode, PORTS[Port.HTTP]),
        diagnosis=Scene(service=name, server=name).steps,
        needs=(Need.SERVER_POLICY,),
        security=not unmeshed,
        depends_on=("mtls.identity",),
        extra_pods=1,
        since="2.16" if mode == "audit" else "",
        bound=timedelta(seconds=120),
    )


def _and(*, meshed: bool, unmeshed: bool) -> str:
    if not meshed:
        return ""
    return ", and unmeshed ones of the cluster" if unmeshed else ", and no unmeshed ones"


PROBES: tuple[Probe, ...] = tuple(_probe(mode) for mode in _MODES)

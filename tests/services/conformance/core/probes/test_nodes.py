"""Redirection on every node, judged by evidence made by hand."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from services.conformance.core.evidence import Evidence, Found, Unseen
from services.conformance.core.grouping import findings
from services.conformance.core.judge import Judgement, Which, proven, result
from services.conformance.core.probe import Probe
from services.conformance.core.probes.nodes import EVERY_NODE, NODE_NOT_REDIRECTED
from services.conformance.core.steps import Calls, Pages
from steward.conformance.results import FeatureResult, Verdict
from steward.jsonvalue import Json, JsonObject
from tests.services.conformance.core.outbound_seen import WHO_ANSWERS
from tests.services.conformance.core.seen import (
    NOW,
    STAGE,
    answer,
    calls,
    causes,
    evidence,
    failure,
    judged,
    objects,
    pages,
    place,
    refusal,
    sample,
    silence,
    wrong,
)

_SEATS = (("cn-0", "10.0.0.2", "probe-other"), ("cm-0", "10.0.0.1", "probe-client"))
"""On node-0 and on node-1."""
_INIT, _VALIDATOR = "linkerd-init", "linkerd-network-validator"


def _config(*, cni: bool = False) -> Found:
    values = f"linkerdVersion: edge-26.8.3\ncniEnabled: {str(cni).lower()}\n"
    return objects({"metadata": {"name": "linkerd-config"}, "data": {"values": values}})


def _pod(name: str, node: str, container: str = _INIT, *, status: JsonObject | None = None) -> JsonObject:
    inits: list[Json] = [{"name": container}, {"name": "linkerd-proxy"}]
    statuses: list[Json] = [{"name": container, **(status or {"state": {"terminated": {"exitCode": 0}}})}]
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node, "initContainers": inits},
        "status": {"initContainerStatuses": statuses},
    }


def _counted(pod: str, target: str, *, left: float = 2, entered: float = 2) -> Found:
    outbound = {"direction": "outbound", "target_ip": target, "target_port": "8080", "tls": "true"}
    inbound = {"direction": "inbound", "target_port": "8080", "tls": "no_identity"}
    written = [sample("request_total", left, **outbound), sample("request_total", entered, **inbound)]
    return pages(**{pod.replace("-", "_"): written})


def _well() -> dict[str, Found]:
    found = {
        "config": _config(),
        "pods": objects(*(_pod(pod, f"node-{at}") for at, (pod, _, _) in enumerate(_SEATS))),
    }
    for at, (pod, _, account) in enumerate(_SEATS):
        peer, ip, _ = _SEATS[1 - at]
        found[f"before-{at}"] = _counted(pod, ip, left=0, entered=0)
        found[f"out-{at}"] = calls(answer(("l5d-client-id", STAGE.identity(account)), pod=peer), times=2)
        found[f"in-{at}"] = calls(answer(pod=pod), times=2)
        found[f"after-{at}"] = _counted(pod, ip)
    return found


_WELL = _well()
_PAST = {"out-0": calls(answer(pod="cm-0"), times=2), "after-0": _counted("cn-0", "10.0.0.1", left=0)}
"""What leaves node-0 passes by its proxy."""
_CRASHING: JsonObject = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 95}},
}


def _with(changed: Mapping[str, Found]) -> Evidence:
    return evidence({**_WELL, **changed})


def _result(probe: Probe, found: Evidence) -> FeatureResult:
    judgement: Judgement = proven(probe.proof, STAGE, found)
    return result(probe, Which("mine", "u", 0, NOW), [(judgement, NOW)], (STAGE, found))


def test_one_pod_of_each_node_calls_the_next_and_is_called_from_outside_of_the_mesh() -> None:
    steps = EVERY_NODE.steps(STAGE)
    called = [(step.actor, step.call.target.host) for step in steps if isinstance(step, Calls)]
    assert called == [("cn", "10.0.0.1"), ("cu", "10.0.0.2"), ("cm", "10.0.0.2"), ("cu", "10.0.0.1")]
    assert {step.by for step in steps if isinstance(step, Pages)} == {"cu"}


def test_the_clients_of_nodes_that_the_suite_names_call_where_there_are_any() -> None:
    own = {f"cm-node-{at}": (place(f"cm-node-{at}-x", 20 + at),) for at in range(3)}
    named = replace(STAGE, nodes=("node-0", "node-1", "node-9"), places=STAGE.places | own)
    actors = [step.actor for step in EVERY_NODE.steps(named) if isinstance(step, Calls) and step.actor != "cu"]
    assert actors == ["cm-node-0", "cm-node-1"], "node-9 is not where any client is"


def test_on_a_single_node_another_pod_is_called() -> None:
    alone = {actor: tuple(replace(each, node="only") for each in places) for actor, places in STAGE.places.items()}
    (out, _) = [step for step in EVERY_NODE.steps(replace(STAGE, places=alone)) if isinstance(step, Calls)]
    assert (out.actor, out.call.target.host) == ("cm", "10.0.0.2")


def test_a_mesh_whose_proxies_count_every_way_on_every_node_passes() -> None:
    assert judged(EVERY_NODE, evidence(_WELL)) == []
    assert causes(EVERY_NODE, evidence(_WELL)) == []
    assert _result(EVERY_NODE, evidence(_WELL)).actors.client_nodes == ("node-0", "node-1")


def test_the_node_where_traffic_passes_by_the_proxy_is_named_and_no_other() -> None:
    found = _with(_PAST)
    assert judged(EVERY_NODE, found) == [
        "a client is answered, and the server sees its identity",
        "its proxy counts what leaves it",
    ]
    assert "what leaves a pod on node-0" in (NODE_NOT_REDIRECTED.seen(STAGE, found) or "")
    assert causes(EVERY_NODE, found) == ["NODE_NOT_REDIRECTED"]
    failed = _result(EVERY_NODE, found)
    assert (failed.actors.client_nodes, failed.actors.server_nodes) == (("node-0",), ("node-0",))


def test_a_call_from_outside_of_the_mesh_that_no_proxy_saw_names_the_node_that_was_called() -> None:
    found = _with({"after-1": _counted("cm-0", "10.0.0.2", entered=0), "out-0": calls(refusal(502, "endpoint"))})
    assert causes(EVERY_NODE, found) == ["NODE_NOT_REDIRECTED"]
    assert _result(EVERY_NODE, found).actors.client_nodes == ("node-1",)


def test_calls_that_fail_for_another_reason_are_no_missing_redirection() -> None:
    found = _with({"out-1": calls(silence("TimedOut"), times=2), "after-1": _counted("cm-0", "10.0.0.2", left=0)})
    assert "a client is answered, and the server sees its identity" in judged(EVERY_NODE, found)
    assert "NODE_NOT_REDIRECTED" not in causes(EVERY_NODE, found)
    assert _result(EVERY_NODE, found).actors.client_nodes == ("node-1",)


@pytest.mark.parametrize(
    ("container", "cni", "cilium", "code"),
    [
        (_INIT, False, None, "INIT_FAILING"),
        (_VALIDATOR, True, None, "CNI_CONFIG_MISSING"),
        (_VALIDATOR, True, "true", "CNI_EXCLUSIVE"),
        (_VALIDATOR, True, "false", "CNI_CONFIG_MISSING"),
    ],
)
def test_pods_that_cannot_be_redirected_name_their_node_and_who_keeps_them(
    container: str, cni: bool, cilium: str | None, code: str
) -> None:
    pods = [_pod(pod, f"node-{at}", container) for at, (pod, _, _) in enumerate(_SEATS)]
    stuck = _pod("v1-new", "node-1", container, status=_CRASHING)
    config: JsonObject = {"metadata": {"name": "cilium-config"}, "data": {"cni-exclusive": cilium}}
    found = _with(
        {
            "config": _config(cni=cni),
            "pods": objects(*pods, stuck),
            "why-cilium": objects(config) if cilium else objects(),
        }
    )
    assert judged(EVERY_NODE, found) == ["new pods are redirected before they start"]
    assert causes(EVERY_NODE, found)[0] == code
    assert _result(EVERY_NODE, found).actors.client_nodes == ("node-1",)


def test_an_init_container_that_ended_well_in_the_end_is_well() -> None:
    again = _pod("v1-new", "node-1", status=_CRASHING | {"state": {"terminated": {"exitCode": 0}}})
    pods = [_pod(pod, f"node-{at}") for at, (pod, _, _) in enumerate(_SEATS)]
    assert judged(EVERY_NODE, _with({"pods": objects(*pods, again)})) == []


def test_pods_that_are_redirected_in_another_way_than_the_mesh_is_configured_for_are_told_by_node() -> None:
    found = _with({"config": _config(cni=True)})
    assert judged(EVERY_NODE, found) == ["as the mesh is configured"]
    assert causes(EVERY_NODE, found) == ["REDIRECTION_MODE_DIFFERS"]


def test_what_is_broken_is_told_though_something_else_could_not_be_read() -> None:
    assert "its proxy counts what leaves it" in judged(EVERY_NODE, _with({**_PAST, "config": failure()}))
    with pytest.raises(Unseen, match="not allowed"):
        EVERY_NODE.proof(STAGE, _with({"config": failure()}))


def test_without_any_pod_that_is_ready_nothing_is_said() -> None:
    nobody = replace(STAGE, places={})
    with pytest.raises(Unseen, match="no pod with a proxy is ready"):
        EVERY_NODE.proof(nobody, evidence(_WELL))


def test_a_named_node_is_not_missed_where_its_client_is_stuck_though_nodes_have_other_names_than_hosts() -> None:
    own = {"cm-node-0": (place("cm-node-0-x", 2),), "cm-node-1": (replace(place("cm-node-1-x", 1), ready=False),)}
    named = replace(STAGE, nodes=("host-0", "host-1"), places=STAGE.places | own)
    waiting = _pod("cm-node-1-x", "node-1", status={"state": {"waiting": {"reason": "PodInitializing"}}})
    stuck = _pod("cm-node-1-x", "node-1", status=_CRASHING)
    for pod in (waiting, stuck):
        pod["metadata"] = {"name": "cm-node-1-x", "labels": {"app": "cm-node-1"}}
    there = _pod("cm-node-0-x", "node-0")
    calling = {
        "out-0": calls(answer(("l5d-client-id", STAGE.identity("probe-client")), pod="cn-0"), times=2),
        "before-0": _counted("cm-node-0-x", "10.0.0.2", left=0, entered=0),
        "after-0": _counted("cm-node-0-x", "10.0.0.2"),
    }
    with pytest.raises(Unseen, match="no client came up on host-1"):
        EVERY_NODE.proof(named, _with({**calling, "pods": objects(there, waiting)}))
    assert wrong(EVERY_NODE.proof(named, _with({**calling, "pods": objects(there, stuck)}))) == [
        "new pods are redirected before they start"
    ]


def test_features_that_fail_from_one_node_are_one_finding_with_this_one_among_them() -> None:
    every = _result(EVERY_NODE, _with(_PAST))
    there = every.actors.model_copy(update={"client_nodes": (), "client_node": "node-0", "server_nodes": ("node-1",)})
    elsewhere = there.model_copy(update={"client_node": "node-1"})
    others = [every.model_copy(update={"feature": name, "actors": there}) for name in ("mtls.identity", "proto.http1")]
    well = [
        every.model_copy(update={"feature": name, "actors": elsewhere, "verdict": Verdict.PASSED})
        for name in ("lb.spread", "route.path", "disc.dns")
    ]
    first, *_ = findings([every, *others, *well])
    assert first.message.startswith("everything fails between clients on node node-0: inj.every-node")
    assert first.features == ("inj.every-node", "mtls.identity", "proto.http1")


def test_a_broken_prober_is_not_believed() -> None:
    control = EVERY_NODE.control
    assert control is not None
    good, bad = WHO_ANSWERS
    assert wrong(control.proof(STAGE, evidence(good))) == []
    assert wrong(control.proof(STAGE, evidence(bad))) != []

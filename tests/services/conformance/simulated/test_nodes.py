"""Redirection on every node of the simulated data plane: green when well, and where it is not, the node is named."""

from pathlib import Path

import pytest

from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject, rows, text
from steward.testing.dataplane import network_faults as network
from steward.testing.dataplane.faults import Scope
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import nodes as nodes_broken
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught, tried
from tests.services.conformance.simulated.theatre import Theatre, healthy, opened, told

_NODES = ("node-0", "node-1", "node-2")
_CNI: JsonObject = {"cniEnabled": True}
_CHOSEN = {"redirection-broken", "cni-plugin-missing-at-a-restart"}
_ROWS = [row for row in nodes_broken.MUTATIONS if row.name in _CHOSEN]


async def test_every_node_that_the_cast_runs_on_is_tried_where_the_suite_names_none(theatre: Theatre) -> None:
    outcome = await theatre.play("inj.every-node")
    assert healthy(outcome), told(outcome)
    assert outcome.result.actors.client_nodes == _NODES


@pytest.mark.parametrize("values", [{}, _CNI], ids=["linkerd-init", "the CNI plugin"])
async def test_the_client_of_each_node_is_redirected_whoever_does_it(
    values: JsonObject, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with opened(nats_server.url, tmp_path, nodes=_NODES, values=values) as theatre:
        stage = await theatre.stage()
        sitting = [
            (place.pod.startswith(f"cm-node-{at}-"), place.node)
            for at in range(3)
            for place in stage.pods(f"cm-node-{at}")
        ]
        assert sitting == [(True, node) for node in _NODES]
        (pod,) = theatre.mesh.pods(stage.meshed, labels="app=cm")
        first = text(rows(pod, "spec", "initContainers")[0], "name")
        assert first == ("linkerd-network-validator" if values else "linkerd-init")
        outcome = await theatre.play("inj.every-node")
        assert healthy(outcome), told(outcome)
        theatre.plane.faults.switch_on(network.REDIRECTION_BROKEN, Scope(node="node-2"))
        broken = await theatre.play("inj.every-node")
        assert broken.result.verdict is Verdict.FAILED
        assert broken.result.actors.client_nodes == ("node-2",), told(broken)
        assert "a pod on node-2" in broken.result.causes[0].observed


async def test_a_named_node_that_nobody_runs_on_is_no_failure_of_the_mesh(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with opened(nats_server.url, tmp_path, nodes=_NODES[:2]) as theatre:
        stage = await theatre.stage()
        theatre.mesh.change("Deployment", stage.meshed, "cm-node-1", {"spec": {"replicas": 0}})
        await theatre.plane.settled()
        found = (await theatre.play("inj.every-node")).result
        assert (found.verdict, found.message) == (Verdict.INCONCLUSIVE, "stage: no client came up on node-1")


@pytest.mark.parametrize("mutation", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
async def test_what_breaks_redirection_is_found_and_named(
    mutation: Mutation, nats_server: NatsServer, tmp_path: Path
) -> None:
    outcome = await tried(mutation, nats_server.url, tmp_path)
    assert caught(mutation, outcome), told(outcome)
    assert outcome.result.actors.client_nodes == (nodes_broken.NODE,)


def test_every_chosen_row_is_there() -> None:
    assert {row.name for row in _ROWS} == _CHOSEN

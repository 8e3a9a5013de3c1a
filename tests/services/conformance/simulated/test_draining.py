"""A node drained of a probe's pods on the simulated data plane: green, and nobody else's pods have moved."""

from steward.jsonvalue import text
from steward.kube.resources import NODES, PODS
from tests.services.conformance.simulated.theatre import Theatre, healthy, told


def _others(theatre: Theatre) -> set[tuple[str, str]]:
    return {
        (text(pod, "metadata", "uid"), text(pod, "spec", "nodeName"))
        for pod in theatre.mesh.cluster.list(PODS)
        if not text(pod, "metadata", "name").startswith("chg-drained")
    }


async def test_a_drained_node_costs_nobody_a_call_and_moves_nobody_elses_pods(theatre: Theatre) -> None:
    others, nodes = _others(theatre), theatre.mesh.cluster.list(NODES)
    outcome = await theatre.play("chg.node-drain")
    assert healthy(outcome), told(outcome)
    assert _others(theatre) == others
    assert theatre.mesh.cluster.list(NODES) == nodes

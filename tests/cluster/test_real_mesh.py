"""The same suite on a real data plane: STEWARD_MESH_KUBECONFIG names the cluster, STEWARD_IMAGE the exerciser.

Its pods must reach NATS: STEWARD_MESH_NATS is its address as pods have it, and as this process has it too unless
STEWARD_MESH_NATS_HERE says otherwise. Features that are known not to work there: STEWARD_EXPECT_FAILING, with commas.
"""

import sys
from pathlib import Path

import pytest

from services.conformance.settings import AgentSettings
from steward.bus.settings import BusSettings
from steward.testing.cluster.settings import ClusterTestSettings
from tests.cluster.real_mesh import Asked, exercised


@pytest.mark.mesh
@pytest.mark.timeout(3_600)
async def test_the_default_suite_passes_on_a_real_mesh(cluster_settings: ClusterTestSettings) -> None:
    given = cluster_settings.environment
    kubeconfig, image, nats = (
        given.get(name, "") for name in ("STEWARD_MESH_KUBECONFIG", "STEWARD_IMAGE", "STEWARD_MESH_NATS")
    )
    assert kubeconfig, "STEWARD_MESH_KUBECONFIG must be the kubeconfig of a cluster with a mesh that may be exercised"
    assert image, "STEWARD_IMAGE must name the image of the exerciser, as the nodes of the cluster pull it"
    assert nats, "STEWARD_MESH_NATS must be the address of a NATS server that the cluster's pods reach"
    bus = BusSettings(servers=(given.get("STEWARD_MESH_NATS_HERE", nats),), cluster="real-mesh")
    found = await exercised(Asked(Path(kubeconfig), image, bus, AgentSettings(servers=(nats,))))
    sys.stdout.write(found.report)
    expected = {each.strip() for each in given.get("STEWARD_EXPECT_FAILING", "").split(",") if each.strip()}
    assert found.failed - expected == set()
    assert found.left_behind == ()

"""How far the control plane's Deployments are, and what keeps them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.upgrader.edges.rollout import judge_rollout, observe_rollout
from steward.kube.client import Kube
from steward.kube.resources import DEPLOYMENTS
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.simulation.faults import PodFault


@pytest_asyncio.fixture
async def mesh(fake_kubernetes: FakeKubernetes) -> AsyncIterator[SimulatedMesh]:
    async with SimulatedMesh(fake_kubernetes) as mesh:
        await mesh.install("edge-26.6.3")
        yield mesh


@pytest.mark.usefixtures("mesh")
async def test_a_control_plane_that_runs_is_settled(kube: Kube) -> None:
    rollout = await observe_rollout(kube, "linkerd")
    assert rollout.settled
    assert rollout.message == (
        "linkerd-destination, linkerd-identity, linkerd-proxy-injector are rolled out and available"
    )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PodFault.IMAGE_PULL, "ImagePullBackOff"),
        (PodFault.UNSCHEDULABLE, "Unschedulable"),
        (PodFault.CRASH, "CrashLoopBackOff"),
        (PodFault.NEVER_READY, "RollingOut"),
    ],
)
async def test_what_keeps_a_rollout_is_its_reason(
    mesh: SimulatedMesh, kube: Kube, fault: PodFault, reason: str
) -> None:
    mesh.faults.break_workload("linkerd", "linkerd-destination", fault)
    await mesh.upgrade("edge-26.8.3")
    rollout = await observe_rollout(kube, "linkerd")
    assert not rollout.settled
    assert rollout.reason == reason
    assert "linkerd-destination" in rollout.message


async def test_a_missing_part_is_named(mesh: SimulatedMesh, kube: Kube) -> None:
    mesh.delete(DEPLOYMENTS, "linkerd-identity", "linkerd")
    rollout = await observe_rollout(kube, "linkerd")
    assert (rollout.settled, rollout.reason, rollout.message) == (False, "Missing", "no Deployment of identity")


def test_nothing_at_all_is_not_settled() -> None:
    assert not judge_rollout((), ()).settled

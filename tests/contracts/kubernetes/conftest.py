"""Every test here runs twice: against the fake API server and against a real one."""

import itertools
import uuid
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from steward.kube.client import Kube
from steward.kube.resources import NAMESPACES
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.fixtures import binaries, breakable_control_plane, cluster_settings, control_plane
from steward.testing.kubernetes.server import FakeKubernetes
from tests.contracts.kubernetes.subject import Subject

__all__ = ["binaries", "breakable_control_plane", "cluster_settings", "control_plane"]

_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """An API server with an empty namespace."""
    name = f"contract-{next(_NUMBERS)}-{uuid.uuid4().hex[:6]}"
    if request.param == "fake":
        async with FakeKubernetes() as fake, await Kube.connect(kubeconfig=fake.kubeconfig()) as kube:
            await kube.create(NAMESPACES, {"metadata": {"name": name}})
            yield Subject(kube, name, simulated=True)
        return
    cluster = cast("Cluster", request.getfixturevalue("control_plane"))
    async with await Kube.connect(kubeconfig=cluster.kubeconfig) as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": name}})
        yield Subject(kube, name, simulated=False)
        await kube.delete(NAMESPACES, name)

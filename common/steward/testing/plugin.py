"""The pytest plugin: real parts and honest fakes as fixtures. Installed with the extra `testing`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from steward.kube.client import Kube
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.feed import ReleaseFeed
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.nats import NatsCluster, NatsServer


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()


@pytest_asyncio.fixture
async def fake_kubernetes() -> AsyncIterator[FakeKubernetes]:
    """A simulated cluster of its own for each test: `steward.testing.kubernetes.server`."""
    async with FakeKubernetes() as kubernetes:
        yield kubernetes


@pytest_asyncio.fixture
async def kube(fake_kubernetes: FakeKubernetes) -> AsyncIterator[Kube]:
    """The simulated cluster through the client that services use, as its administrator."""
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig()) as client:
        yield client


@pytest_asyncio.fixture
async def simulated_mesh(fake_kubernetes: FakeKubernetes) -> AsyncIterator[SimulatedMesh]:
    """Controllers and an injector over `fake_kubernetes`, nothing installed yet: `steward.testing.linkerd.mesh`."""
    async with SimulatedMesh(fake_kubernetes) as mesh:
        yield mesh


@pytest_asyncio.fixture
async def release_feed() -> AsyncIterator[ReleaseFeed]:
    """Version document, release notes, Helm index and downloads on loopback: `steward.testing.linkerd.feed`."""
    async with ReleaseFeed() as feed:
        yield feed


@pytest_asyncio.fixture
async def nats_server() -> AsyncIterator[NatsServer]:
    """A NATS server of its own for each test, with JetStream and an empty store: `steward.testing.nats`."""
    async with NatsServer() as server:
        yield server


@pytest_asyncio.fixture
async def nats_cluster() -> AsyncIterator[NatsCluster]:
    """Three NATS servers that replicate to one another."""
    async with NatsCluster() as cluster:
        yield cluster

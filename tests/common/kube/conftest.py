"""Clients with short time-outs, so that a test of a hang takes no longer than the hang must."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from steward.kube.client import Kube, KubeOptions
from steward.kube.pace import WatchPace
from steward.kube.retries import RetryPolicy
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import Observed


@pytest.fixture
def observed() -> Observed:
    """What the client's observer was told."""
    return Observed()


@pytest_asyncio.fixture
async def kube(fake_kubernetes: FakeKubernetes, observed: Observed) -> AsyncIterator[Kube]:
    """A client that hurries."""
    options = KubeOptions(
        timeout=timedelta(milliseconds=500),
        page_size=3,
        retry=RetryPolicy(first=timedelta(milliseconds=1), longest=timedelta(milliseconds=5)),
        watch=WatchPace(
            least=timedelta(seconds=1),
            most=timedelta(seconds=2),
            first_wait=timedelta(milliseconds=5),
            longest_wait=timedelta(milliseconds=50),
        ),
    )
    async with await Kube.connect(
        kubeconfig=fake_kubernetes.kubeconfig(), options=options, observer=observed
    ) as client:
        yield client

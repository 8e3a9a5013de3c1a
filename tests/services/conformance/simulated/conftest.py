"""A theatre for each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from steward.testing.nats import NatsServer
from tests.services.conformance.simulated.theatre import Theatre, opened


@pytest_asyncio.fixture
async def theatre(nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    """A healthy mesh, and the cast on it."""
    async with opened(nats_server.url, tmp_path_factory.mktemp("spools")) as ready:
        yield ready

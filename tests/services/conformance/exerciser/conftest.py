"""A stage for every test: real sockets, a real NATS server, no mesh."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from steward.testing.nats import NatsServer
from tests.services.conformance.cast import Cast, assembled


@pytest_asyncio.fixture
async def cast(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Cast]:
    """Nobody is on the stage yet."""
    async with assembled(nats_server.url, tmp_path) as empty:
        yield empty

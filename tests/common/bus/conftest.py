"""A real server for every test, and buses connected to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import nats
import pytest_asyncio
from nats.aio.client import Client

from steward.bus.client import Bus
from steward.bus.metrics import BusMetrics
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.testing.nats import NatsServer

Connect = Callable[..., Awaitable[Bus]]


@pytest_asyncio.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    """Connects as often as asked, with other settings where given, and closes everything afterwards."""
    opened: list[Bus] = []

    async def open_bus(*, metrics: BusMetrics | None = None, **given: object) -> Bus:
        settings = BusSettings.model_validate(
            {"servers": [nats_server.url], "cluster": "test", "drain_deadline": timedelta(seconds=5), **given}
        )
        bus = await Bus.connect(settings, name="test", clock=SystemClock(), metrics=metrics)
        opened.append(bus)
        return bus

    yield open_bus
    for bus in opened:
        await bus.close(timedelta(seconds=2))


@pytest_asyncio.fixture
async def bus(connect: Connect) -> Bus:
    """A bus with every stream in place."""
    bus = await connect()
    await bus.reconcile()
    return bus


class Inside:
    """What only the server knows, asked with a client that is not ours."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.jetstream = client.jetstream()

    async def all_answered(self, consumer: str = "reader") -> bool:
        """Whether the server waits for no answer and has nothing more to deliver."""
        info = await self.jetstream.consumer_info("STEWARD_EVENTS", consumer)
        return not info.num_ack_pending and not info.num_pending

    async def store(self, payload: bytes, subject: str = "steward.v1.test.new-version.edge") -> None:
        """Bytes of anybody's, on a subject of ours."""
        await self.jetstream.publish(subject, payload)


@pytest_asyncio.fixture
async def inside(nats_server: NatsServer) -> AsyncIterator[Inside]:
    """A look into the server."""
    client = await nats.connect(nats_server.url, reconnect_time_wait=0)
    yield Inside(client)
    await client.close()

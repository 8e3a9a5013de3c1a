"""Typed events through the bus, against FastStream and against bare nats-py on the same work, in one run.

The work: take events of a file stream through a durable pull consumer, read each into its typed payload, call an
asynchronous handler, acknowledge. Every contender is measured several times in turn and its best run counts, so that
a noisy neighbour hurts all of them alike.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import nats
import nats.errors
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy

from steward.bus.client import Bus
from steward.bus.delivery import Delivery
from steward.bus.settings import BusSettings
from steward.bus.streams import EVENTS, ConsumerSpec, Start
from steward.clock import SystemClock
from steward.events import Envelope, NewVersion, enclose
from steward.events.codec import encode
from steward.testing.nats import NatsServer
from tests.bench.row import Row

MESSAGES = 20_000
ROUNDS = 3
KEYS = 200
_SUBJECT = "steward.v1.bench.new-version"
_FILTER = f"{_SUBJECT}.>"
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Counter:
    """Counts events and says when all have come."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.done = asyncio.Event()

    def count(self, event: NewVersion) -> None:
        assert event.release
        self._left -= 1
        if not self._left:
            self.done.set()


class Contender(Protocol):
    """Consumes everything under a fresh durable name, and returns when the counter is done."""

    def __call__(self, url: str, durable: str, counter: Counter) -> Awaitable[None]: ...


def event(number: int) -> Envelope[NewVersion]:
    """The event that everybody handles."""
    data = NewVersion(channel=f"c{number % KEYS}", release=f"edge-26.8.{number}", observed_at=datetime.now(UTC))  # noqa: TID251
    return enclose(data, id=f"bench/{number}", cluster="bench", service="bench", time=data.observed_at)


async def fill(url: str) -> None:
    """Store the events that are consumed."""
    client = await nats.connect(url)
    stream = client.jetstream(publish_async_max_pending=500)
    for number in range(MESSAGES):
        envelope = event(number)
        await stream.publish_async(
            f"{_SUBJECT}.{envelope.data.channel}",
            encode(envelope),
            headers={
                "Nats-Msg-Id": envelope.id,
                # FastStream reads JSON only where the header says just that.
                "content-type": "application/json",
                "ce-id": envelope.id,
                "ce-type": envelope.type,
                "traceparent": _TRACE,
            },
        )
    await stream.publish_async_completed()
    await client.close()


@contextlib.asynccontextmanager
async def open_bus(url: str) -> AsyncIterator[Bus]:
    """A bus on the private server."""
    bus = await Bus.connect(BusSettings(servers=(url,), cluster="bench"), name="bench", clock=SystemClock())
    try:
        yield bus
    finally:
        await bus.close(timedelta(seconds=5))


async def ours(url: str, durable: str, counter: Counter) -> None:
    """The bus as a subscriber uses it: order per key, in-progress acknowledgements and all."""

    async def handle(delivery: Delivery) -> None:
        assert isinstance(delivery.envelope.data, NewVersion)
        counter.count(delivery.envelope.data)

    spec = ConsumerSpec(name=durable, filters=(_FILTER,), start=Start.ALL)
    async with open_bus(url) as bus:
        await bus.reconcile((), (spec,))
        consuming = asyncio.create_task(bus.consume(spec, handle))
        await counter.done.wait()
        consuming.cancel()
        await asyncio.wait([consuming])


async def faststream(url: str, durable: str, counter: Counter) -> None:
    """FastStream's pull subscriber, fetching a hundred at a time, with the same typed envelope."""
    broker = NatsBroker(url, logger=None)

    @broker.subscriber(
        subject=_FILTER,
        stream=JStream(EVENTS.name, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=100),
        deliver_policy=DeliverPolicy.ALL,
    )
    async def handle(envelope: Envelope[NewVersion]) -> None:
        counter.count(envelope.data)

    async with broker:
        await broker.start()
        await counter.done.wait()


async def bare_nats(url: str, durable: str, counter: Counter) -> None:
    """nats-py as its documentation shows it: fetch a hundred, read, handle, acknowledge, again."""

    async def handle(data: NewVersion) -> None:
        counter.count(data)

    client: Client = await nats.connect(url)
    subscription = await client.jetstream().pull_subscribe(
        _FILTER, durable=durable, stream=EVENTS.name, config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    )
    while not counter.done.is_set():
        for message in await subscription.fetch(100, timeout=5):
            await handle(Envelope[NewVersion].model_validate_json(message.data).data)
            await message.ack()
    await client.close()


async def rate(contender: Callable[[str, str, Counter], Awaitable[None]], url: str, durable: str) -> float:
    """Events a second, connecting included for everybody."""
    counter = Counter(MESSAGES)
    began = time.perf_counter()
    async with asyncio.timeout(120):
        await contender(url, durable, counter)
    return MESSAGES / (time.perf_counter() - began)


async def measure() -> list[Row]:
    """Events a second of each contender."""
    best: dict[str, float] = {"ours": 0.0, "faststream": 0.0, "bare": 0.0}
    contenders = {"ours": ours, "faststream": faststream, "bare": bare_nats}
    async with NatsServer() as server:
        async with open_bus(server.url) as bus:
            await bus.reconcile((EVENTS,))
        await fill(server.url)
        for number in range(ROUNDS):
            for name, contender in contenders.items():
                best[name] = max(best[name], await rate(contender, server.url, f"{name}-{number}"))
    return [
        Row(
            "typed events consumed and acknowledged",
            "1/s",
            best["ours"],
            peer_name,
            best[key],
            best["ours"] / best[key],
        )
        for peer_name, key in (("FastStream 0.7", "faststream"), ("nats-py fetch(100)", "bare"))
    ]

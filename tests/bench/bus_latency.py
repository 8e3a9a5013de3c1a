"""From `publish` to the handler at 2,000 events a second: the bus, and bare nats-py fetching fifty at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from statistics import quantiles

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

from steward.bus.client import Bus
from steward.bus.delivery import Delivery
from steward.bus.settings import BusSettings
from steward.bus.streams import EVENTS, ConsumerSpec
from steward.clock import SystemClock
from steward.events import Envelope, NewVersion
from steward.events.codec import encode
from steward.testing.nats import NatsServer
from tests.bench.bus_throughput import event
from tests.bench.row import Row

PER_SECOND = 2_000
EVENTS_SENT = 10_000
_TICK_S = 0.001
_FILTER = "steward.v1.bench.new-version.>"

Publish = Callable[[Envelope[NewVersion]], Awaitable[object]]


class Stopwatch:
    """When each event was handed to `publish`, and how long it took until a handler had it."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._took: list[float] = []
        self.done = asyncio.Event()

    def start(self, id: str) -> None:
        self._sent[id] = time.perf_counter()

    def stop(self, id: str) -> None:
        self._took.append(time.perf_counter() - self._sent.pop(id))
        if len(self._took) == EVENTS_SENT:
            self.done.set()

    def milliseconds(self, percent: int) -> float:
        return quantiles(self._took, n=100)[percent - 1] * 1000


async def send(publish: Publish, watch: Stopwatch) -> None:
    """Publish at an even rate, never waiting for one before sending the next. Making the events is not counted."""
    envelopes = [event(number) for number in range(EVENTS_SENT)]
    clock, began, sent = SystemClock(), time.perf_counter(), 0
    async with asyncio.TaskGroup() as publishing:

        async def one(envelope: Envelope[NewVersion]) -> None:
            watch.start(envelope.id)
            await publish(envelope)

        while sent < EVENTS_SENT:
            due = min(EVENTS_SENT, int((time.perf_counter() - began) * PER_SECOND) + 1)
            for envelope in envelopes[sent:due]:
                publishing.create_task(one(envelope))
            sent = due
            await clock.sleep(timedelta(seconds=_TICK_S))


@asynccontextmanager
async def prepared() -> AsyncIterator[tuple[str, Bus]]:
    """A server with the stream of events, and a bus."""
    async with NatsServer() as server:
        settings = BusSettings(servers=(server.url,), cluster="bench")
        bus = await Bus.connect(settings, name="bench", clock=SystemClock())
        await bus.reconcile((EVENTS,))
        yield server.url, bus
        await bus.close(timedelta(seconds=5))


async def ours() -> Stopwatch:
    """The bus at both ends."""
    watch = Stopwatch()

    async def handle(delivery: Delivery) -> None:
        watch.stop(delivery.envelope.id)

    async with prepared() as (_, bus):
        spec = ConsumerSpec(name="latency", filters=(_FILTER,))
        await bus.reconcile((), (spec,))
        consuming = asyncio.create_task(bus.consume(spec, handle))
        await send(bus.publish, watch)
        async with asyncio.timeout(60):
            await watch.done.wait()
        consuming.cancel()
        await asyncio.wait([consuming])
    return watch


async def bare_nats() -> Stopwatch:
    """nats-py at both ends, reading each event into the same type."""
    watch = Stopwatch()
    async with prepared() as (url, _):
        client = await nats.connect(url)
        stream = client.jetstream()
        subscription = await stream.pull_subscribe(
            _FILTER, durable="bare", stream=EVENTS.name, config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
        )

        async def publish(envelope: Envelope[NewVersion]) -> None:
            subject = f"steward.v1.bench.new-version.{envelope.data.channel}"
            await stream.publish(subject, encode(envelope), headers={"Nats-Msg-Id": envelope.id})

        async def consume() -> None:
            while not watch.done.is_set():
                with suppress(TimeoutError):
                    for message in await subscription.fetch(50, timeout=1):
                        watch.stop(Envelope[NewVersion].model_validate_json(message.data).id)
                        await message.ack()

        consuming = asyncio.create_task(consume())
        await send(publish, watch)
        async with asyncio.timeout(60):
            await consuming
        await client.close()
    return watch


async def measure() -> list[Row]:
    """Median and 99th percentile of both."""
    mine, theirs = await ours(), await bare_nats()
    return [
        Row(
            f"publish to handler at 2,000/s, p{percent}",
            "ms",
            mine.milliseconds(percent),
            "nats-py fetch(50)",
            theirs.milliseconds(percent),
            theirs.milliseconds(percent) / mine.milliseconds(percent),
        )
        for percent in (50, 99)
    ]

"""What tests of the bus share: events that differ by a number, a handler that gathers, and patience."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from steward.bus.client import Bus
from steward.bus.delivery import Delivery
from steward.bus.metrics import BusMetrics
from steward.bus.streams import ConsumerSpec, Start
from steward.clock import SystemClock
from steward.events import Envelope, NewVersion
from steward.testing.events import build, enveloped

PATIENCE = 30.0
NEW_VERSIONS = "steward.v1.*.new-version.>"


def release(number: int, key: str = "edge") -> Envelope[NewVersion]:
    """The `number`th release of a channel."""
    return enveloped(build(NewVersion, channel=key, release=f"edge-26.1.{number}"), id=f"release/{key}/{number}")


def consumer(
    name: str = "reader", *, ack_wait: float = 30, max_deliver: int = 5, start: Start = Start.ALL
) -> ConsumerSpec:
    """A durable on every new-version."""
    return ConsumerSpec(
        name=name,
        filters=(NEW_VERSIONS,),
        start=start,
        ack_wait=timedelta(seconds=ack_wait),
        max_deliver=max_deliver,
    )


class Gathered:
    """A handler that keeps what it got. `answer` may raise, or wait."""

    def __init__(self, answer: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self.deliveries: list[Delivery] = []
        self._answer = answer
        self._changed = asyncio.Condition()

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        async with self._changed:
            self._changed.notify_all()
        if self._answer is not None:
            await self._answer(delivery)

    @property
    def ids(self) -> list[str]:
        """The ids of what came, in order."""
        return [delivery.envelope.id for delivery in self.deliveries]

    async def until(self, enough: Callable[[Sequence[Delivery]], bool]) -> None:
        """Wait until what came is `enough`."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: enough(self.deliveries))

    async def until_ids(self, count: int) -> None:
        """Wait for so many different events."""
        await self.until(lambda deliveries: len({each.envelope.id for each in deliveries}) >= count)


@asynccontextmanager
async def consuming(
    bus: Bus, spec: ConsumerSpec, handle: Callable[[Delivery], Awaitable[None]], *, concurrency: int = 16
) -> AsyncIterator["asyncio.Task[None]"]:
    """A consumer that runs while the body does."""
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, handle, concurrency=concurrency))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(probe: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes: for what happens inside the server, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await probe():
            await SystemClock().sleep(timedelta(milliseconds=20))


class Counted(BusMetrics):
    """Metrics as a list of words."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def connected(self, *, up: bool) -> None:
        self.said.append(f"connected {up}")

    def reconnected(self) -> None:
        self.said.append("reconnected")

    def published(self, event: str, *, duplicate: bool) -> None:
        self.said.append(f"published {event} {duplicate}")

    def publish_retried(self, event: str, reason: str) -> None:
        self.said.append(f"publish retried {event} {reason}")

    def delivered(self, consumer: str, event: str) -> None:
        self.said.append(f"delivered {consumer} {event}")

    def acked(self, consumer: str, event: str) -> None:
        self.said.append(f"acked {consumer} {event}")

    def retried(self, consumer: str, event: str) -> None:
        self.said.append(f"retried {consumer} {event}")

    def rejected(self, consumer: str, event: str) -> None:
        self.said.append(f"rejected {consumer} {event}")

    def dead_lettered(self, consumer: str, event: str) -> None:
        self.said.append(f"dead-lettered {consumer} {event}")

    def skipped(self, consumer: str, event: str, reason: str) -> None:
        self.said.append(f"skipped {consumer} {event} {reason}")

    def handled(self, consumer: str, event: str, seconds: float) -> None:
        assert seconds >= 0
        self.said.append(f"handled {consumer} {event}")

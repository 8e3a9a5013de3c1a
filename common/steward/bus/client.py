"""All of the bus in one object."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Self

from steward.bus.asking import Receive, ask, listen
from steward.bus.connection import Connection
from steward.bus.consuming import Consumption, Handle
from steward.bus.dead_letters import DeadLetters
from steward.bus.lock import KvLock
from steward.bus.metrics import BusMetrics
from steward.bus.objects import Objects
from steward.bus.publishing import MESSAGE_ID, Published, Publisher
from steward.bus.pulling import Pace
from steward.bus.reading import Stored, event_ids, stored_messages, tail
from steward.bus.reconcile import Change, ensure, reconcile
from steward.bus.settings import BusSettings
from steward.bus.streams import EVENTS, RESULTS, STORES, ConsumerSpec, Start, StoreSpec
from steward.clock import Clock
from steward.events.base import Envelope, Event


class Bus:
    """A connection to NATS and what Steward does with it.

    bus = await Bus.connect(BusSettings(), name="example", clock=SystemClock())
    await bus.reconcile(STORES)
    await bus.publish(envelope)
    await bus.close()
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._publisher = Publisher(connection)
        self._consumptions: set[Consumption] = set()
        self.dead_letters = DeadLetters(connection, self._publisher)

    @classmethod
    async def connect(
        cls, settings: BusSettings, *, name: str, clock: Clock, metrics: BusMetrics | None = None
    ) -> Self:
        """Connect and look whether the server will do; raises a `BusError` that says what is wrong and the remedy."""
        return cls(await Connection.open(settings, name=name, clock=clock, metrics=metrics or BusMetrics()))

    @property
    def cluster(self) -> str:
        """Name of the Kubernetes cluster that this process is about."""
        return self._connection.settings.cluster

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._connection.connected

    @property
    def healthy(self) -> bool:
        """Whether the connection is up and every consumer would get its events."""
        return self.connected and all(each.healthy for each in self._consumptions)

    @property
    def server_version(self) -> str:
        """Version of the NATS server."""
        return self._connection.server_version

    def on_reconnect(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Have `hook` awaited after each reconnect."""
        self._connection.on_reconnect.append(hook)

    async def died(self) -> None:
        """Wait until the connection is gone for good, then raise `BusClosed`."""
        await self._connection.died()

    async def reconcile(
        self, stores: Sequence[StoreSpec] = STORES, consumers: Sequence[ConsumerSpec] = ()
    ) -> list[Change]:
        """Create what is missing, update what differs; what would lose something comes back as `Refused`."""
        return await reconcile(self._connection, stores, consumers, replicas=self._connection.settings.replicas)

    async def ensure(self, stores: Sequence[StoreSpec]) -> None:
        """Create what is missing and change nothing."""
        await ensure(self._connection, stores, replicas=self._connection.settings.replicas)

    async def publish(self, envelope: Envelope[Event]) -> Published:
        """Store an event exactly once: safe to repeat under the same id, retried until the deadline."""
        return await self._publisher.publish(envelope)

    async def store_once(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> Published:
        """Store the only message that `subject` will ever have; sent again after days it is still stored once."""
        return await self._publisher.store_once(subject, payload, message_id, headers or {})

    async def record(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> Published:
        """Store one of many messages of `subject`; sent again within the stream's window it is stored once."""
        return await self._publisher.store(subject, payload, {**(headers or {}), MESSAGE_ID: message_id})

    def stored(
        self,
        subject_filter: str,
        *,
        stream: str = RESULTS.name,
        start: Start | datetime = Start.ALL,
        headers_only: bool = False,
    ) -> AsyncGenerator[Stored, None]:
        """What `stream` keeps on `subject_filter`, in the order in which it came."""
        return stored_messages(self._connection, stream, subject_filter, start=start, headers_only=headers_only)

    async def put_object(self, name: str, data: bytes, *, description: str = "") -> None:
        """Keep a report or evidence."""
        await self.objects.put(name, data, description=description)

    async def get_object(self, name: str) -> bytes:
        """A report or evidence; raises ObjectMissing."""
        return await self.objects.get(name)

    @property
    def objects(self) -> Objects:
        """Reports and evidence; see `steward.bus.objects`."""
        return Objects(self._connection, self._publisher)

    async def send(self, subject: str, payload: bytes = b"") -> None:
        """Tell whoever listens just now; nobody keeps it, nobody says whether it arrived."""
        await self._connection.send(subject, payload)

    async def ask(self, subject: str, payload: bytes, *, timeout: timedelta) -> bytes:
        """Ask whoever listens just now; raises NobodyListens at once, or AnswerLate."""
        return await ask(self._connection, subject, payload, timeout=timeout)

    def listen(self, subject: str, receive: Receive) -> AbstractAsyncContextManager[None]:
        """Have `receive` called with what is sent and asked on `subject`; see `steward.bus.asking`."""
        return listen(self._connection, subject, receive)

    async def consume(
        self, consumer: ConsumerSpec, handle: Handle, *, concurrency: int = 16, pace: Pace | None = None
    ) -> None:
        """Hand the consumer's events to `handle` until cancelled, or until `close`. See `steward.bus.consuming`."""
        consumption = Consumption(
            self._connection, self.dead_letters, consumer, handle, concurrency=concurrency, pace=pace
        )
        self._consumptions.add(consumption)
        try:
            await consumption.run()
        finally:
            self._consumptions.discard(consumption)

    async def event_ids(self, subject_filter: str, *, stream: str = EVENTS.name) -> set[str]:
        """The ids of all stored events on `subject_filter`: what is not among them can be published again."""
        return await event_ids(self._connection, subject_filter, stream=stream)

    def tail(
        self, *subject_filters: str, start: Start | datetime = Start.NEW, follow: bool = True
    ) -> AsyncGenerator[Envelope[Event], None]:
        """Events on any of `subject_filters` as they come, from now, from a time, or from the first one kept."""
        return tail(self._connection, *subject_filters, start=start, follow=follow)

    def lock(self, name: str, ttl: timedelta = timedelta(seconds=15)) -> KvLock:
        """A lock that one process in the world holds; see `steward.bus.lock`."""
        return KvLock(self._connection, name, ttl)

    async def close(self, deadline: timedelta | None = None) -> None:
        """Stop pulling, let handlers finish within `deadline`, flush, close. Never `drain`, which hangs."""
        patience = deadline if deadline is not None else self._connection.settings.drain_deadline
        async with asyncio.TaskGroup() as stopping:
            for consumption in self._consumptions:
                stopping.create_task(consumption.stop(patience))
        await self._connection.close()

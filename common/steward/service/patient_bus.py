"""A bus that need not be there yet: losing NATS costs time and nothing else, also while a service starts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from steward.bus.asking import Receive
from steward.bus.client import Bus
from steward.bus.consuming import Handle
from steward.bus.errors import BusUnreachable
from steward.bus.metrics import BusMetrics
from steward.bus.publishing import Published
from steward.bus.reading import Stored
from steward.bus.reconcile import Change
from steward.bus.settings import BusSettings
from steward.bus.streams import RESULTS, STORES, ConsumerSpec, Start, StoreSpec
from steward.clock import Clock
from steward.events.base import Envelope, Event

_AGAIN = timedelta(seconds=1)


class EventBus(Protocol):
    """What a service asks of the bus."""

    @property
    def cluster(self) -> str:
        """Name of the Kubernetes cluster that this process is about."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        ...

    def on_reconnect(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Have `hook` awaited after each reconnect."""
        ...

    async def reconcile(
        self, stores: Sequence[StoreSpec] = STORES, consumers: Sequence[ConsumerSpec] = ()
    ) -> list[Change]:
        """Create what is missing, update what differs."""
        ...

    async def publish(self, envelope: Envelope[Event]) -> Published:
        """Store an event exactly once."""
        ...

    async def consume(self, consumer: ConsumerSpec, handle: Handle, *, concurrency: int = 16) -> None:
        """Hand events to `handle` until cancelled."""
        ...

    async def event_ids(self, subject_filter: str) -> set[str]:
        """The ids of all stored events on `subject_filter`."""
        ...

    async def record(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> Published:
        """Store one of many messages of `subject`."""
        ...

    def stored(
        self,
        subject_filter: str,
        *,
        stream: str = RESULTS.name,
        start: Start | datetime = Start.ALL,
        headers_only: bool = False,
    ) -> AsyncGenerator[Stored, None]:
        """What `stream` keeps on `subject_filter`."""
        ...

    async def send(self, subject: str, payload: bytes = b"") -> None:
        """Tell whoever listens just now."""
        ...

    async def ask(self, subject: str, payload: bytes, *, timeout: timedelta) -> bytes:
        """Ask whoever listens just now."""
        ...

    def listen(self, subject: str, receive: Receive) -> AbstractAsyncContextManager[None]:
        """Have `receive` called with what is sent and asked on `subject`."""
        ...

    async def put_object(self, name: str, data: bytes, *, description: str = "") -> None:
        """Keep a report or evidence."""
        ...

    async def get_object(self, name: str) -> bytes:
        """A report or evidence."""
        ...


class PatientBus:
    """Connects for as long as it takes; every verb waits until it is done.

    Settings that can never work, such as a refused password or a server that is too old, end `keep` with the error.
    """

    def __init__(
        self, settings: BusSettings, *, name: str, clock: Clock, metrics: BusMetrics, log: FilteringBoundLogger
    ) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._hooks: list[Callable[[], Awaitable[None]]] = []
        self._bus: asyncio.Future[Bus] = asyncio.get_running_loop().create_future()

    async def keep(self) -> None:
        """Connect, then wait until the connection is lost for good; raises a BusError."""
        bus = await self._connect()
        for hook in self._hooks:
            bus.on_reconnect(hook)
        self._bus.set_result(bus)
        self._log.info("connected to NATS", server_version=bus.server_version)
        await bus.died()

    async def _connect(self) -> Bus:
        while True:
            try:
                return await Bus.connect(self._settings, name=self._name, clock=self._clock, metrics=self._metrics)
            except BusUnreachable as error:
                self._log.warning("NATS cannot be reached; trying again", error=str(error))
            await self._clock.sleep(_AGAIN)

    @property
    def cluster(self) -> str:
        """Name of the Kubernetes cluster that this process is about."""
        return self._settings.cluster

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._bus.done() and self._bus.result().connected

    @property
    def problem(self) -> str | None:
        """What keeps events from coming and going, or None."""
        if not self._bus.done():
            return "not connected to NATS yet"
        return None if self._bus.result().healthy else "not connected to NATS, or a consumer does not get its events"

    def on_reconnect(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Have `hook` awaited after each reconnect."""
        if self._bus.done():
            self._bus.result().on_reconnect(hook)
        else:
            self._hooks.append(hook)

    async def reconcile(
        self, stores: Sequence[StoreSpec] = STORES, consumers: Sequence[ConsumerSpec] = ()
    ) -> list[Change]:
        """Create what is missing, update what differs."""
        return await (await self._ready()).reconcile(stores, consumers)

    async def publish(self, envelope: Envelope[Event]) -> Published:
        """Store an event exactly once."""
        return await (await self._ready()).publish(envelope)

    async def consume(self, consumer: ConsumerSpec, handle: Handle, *, concurrency: int = 16) -> None:
        """Hand events to `handle` until cancelled."""
        await (await self._ready()).consume(consumer, handle, concurrency=concurrency)

    async def event_ids(self, subject_filter: str) -> set[str]:
        """The ids of all stored events on `subject_filter`."""
        return await (await self._ready()).event_ids(subject_filter)

    async def store_once(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> Published:
        """Store the only message that `subject` will ever have."""
        return await (await self._ready()).store_once(subject, payload, message_id=message_id, headers=headers)

    async def record(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> Published:
        """Store one of many messages of `subject`."""
        return await (await self._ready()).record(subject, payload, message_id=message_id, headers=headers)

    async def stored(
        self,
        subject_filter: str,
        *,
        stream: str = RESULTS.name,
        start: Start | datetime = Start.ALL,
        headers_only: bool = False,
    ) -> AsyncGenerator[Stored, None]:
        """What `stream` keeps on `subject_filter`."""
        bus = await self._ready()
        async with aclosing(
            bus.stored(subject_filter, stream=stream, start=start, headers_only=headers_only)
        ) as messages:
            async for message in messages:
                yield message

    async def put_object(self, name: str, data: bytes, *, description: str = "") -> None:
        """Keep a report or evidence."""
        await (await self._ready()).objects.put(name, data, description=description)

    async def get_object(self, name: str) -> bytes:
        """A report or evidence."""
        return await (await self._ready()).objects.get(name)

    async def send(self, subject: str, payload: bytes = b"") -> None:
        """Tell whoever listens just now."""
        await (await self._ready()).send(subject, payload)

    async def ask(self, subject: str, payload: bytes, *, timeout: timedelta) -> bytes:
        """Ask whoever listens just now."""
        return await (await self._ready()).ask(subject, payload, timeout=timeout)

    @asynccontextmanager
    async def listen(self, subject: str, receive: Receive) -> AsyncIterator[None]:
        """Have `receive` called with what is sent and asked on `subject`."""
        async with (await self._ready()).listen(subject, receive):
            yield

    async def close(self) -> None:
        """Drain and close, where there is anything to close."""
        if self._bus.done():
            await self._bus.result().close(self._settings.drain_deadline)

    async def _ready(self) -> Bus:
        # Shielded: one waiter that is cancelled must not cancel the future of all.
        return await asyncio.shield(self._bus)

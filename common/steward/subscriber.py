"""A handler of your own in ten lines.

    subscriber = Subscriber("acme-tickets")

    @subscriber.on(UpgradeStepFailed)
    async def open_ticket(event: UpgradeStepFailed) -> None:
        try:
            await tickets.create(event.message)
        except tickets.Busy as busy:
            raise Retry(after=timedelta(seconds=30)) from busy
        except tickets.Refused as refused:
            raise Reject(str(refused)) from refused

    if __name__ == "__main__":
        subscriber.main()

Returning acknowledges the event. `Retry` has it delivered again later, `Reject` puts it among the dead letters, any
other exception is logged and retried with growing delays, and in the end dead-lettered as well. The subscriber's name
is its place in the stream: whoever runs under the same name shares the events, and nothing is lost while nobody runs.
"""

import asyncio
import contextlib
import importlib
import inspect
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar, cast, overload

from steward.bus.client import Bus
from steward.bus.delivery import Delivery
from steward.bus.errors import BusError
from steward.bus.metrics import BusMetrics
from steward.bus.reconcile import Verdict
from steward.bus.settings import BusSettings
from steward.bus.streams import CONSUMER_NAME, DEAD_LETTERS, EVENTS, ConsumerSpec, Start
from steward.clock import Clock, SystemClock
from steward.errors import ConfigurationError, StewardError
from steward.events.base import Event
from steward.events.subjects import is_cluster_name, subject, subject_filter

log = logging.getLogger("steward.subscriber")

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class EventContext:
    """What surrounds an event: where it happened, what it belongs to, how often it was delivered."""

    id: str
    time: datetime
    cluster: str
    subject: str
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    attempt: int


Handler: TypeAlias = Callable[[E], Awaitable[None]]
HandlerWithContext: TypeAlias = Callable[[E, EventContext], Awaitable[None]]
_Call: TypeAlias = Callable[[Event, EventContext], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registration(Generic[E]):
    """What `@subscriber.on(...)` returns: put it on a handler."""

    subscriber: "Subscriber"
    event: type[E]
    filters: tuple[str, ...]

    @overload
    def __call__(self, handler: Handler[E]) -> Handler[E]: ...
    @overload
    def __call__(self, handler: HandlerWithContext[E]) -> HandlerWithContext[E]: ...
    def __call__(self, handler: Handler[E] | HandlerWithContext[E]) -> Handler[E] | HandlerWithContext[E]:
        self.subscriber.register(self.event, self.filters, _as_call(handler))
        return handler


class Subscriber:
    """Handlers that share one place in the stream of events, under one name.

    `cluster` limits it to the events of one Kubernetes cluster. `start` says where a name that was never used begins:
    with what happens from now on, or with everything the stream keeps.
    """

    def __init__(
        self,
        name: str,
        settings: BusSettings | None = None,
        *,
        start: Start = Start.NEW,
        concurrency: int = 16,
        max_deliver: int = 16,
        ack_wait: timedelta = timedelta(seconds=30),
    ) -> None:
        if not CONSUMER_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} cannot be a subscriber's name: use letters, digits, '_' and '-', for example 'acme-tickets'"
            )
        if concurrency < 1:
            raise ConfigurationError(f"subscriber {name!r}: concurrency is at least 1, not {concurrency}")
        self.name = name
        self._settings = settings
        self._start = start
        self._concurrency = concurrency
        self._max_deliver = max_deliver
        self._ack_wait = ack_wait
        self._calls: dict[str, _Call] = {}
        self._filters: list[str] = []

    @property
    def events(self) -> tuple[str, ...]:
        """The CloudEvents types that have a handler."""
        return tuple(self._calls)

    @property
    def settings(self) -> BusSettings | None:
        """The way to the bus that was given in code, if one was."""
        return self._settings

    @property
    def consumer(self) -> ConsumerSpec:
        """The durable consumer that this subscriber is."""
        if not self._calls:
            raise ConfigurationError(
                f"subscriber {self.name!r} has no handler: put @subscriber.on(EventType) on an async function"
            )
        return ConsumerSpec(
            name=self.name,
            filters=tuple(dict.fromkeys(self._filters)),
            description=f"Handlers of {self.name}",
            start=self._start,
            ack_wait=self._ack_wait,
            max_deliver=self._max_deliver,
        )

    def on(self, event: type[E], *, cluster: str = "*", key: Sequence[str] = ()) -> Registration[E]:
        """Decorate the handler of `event`; `cluster` and the first parts of the `key` narrow what it hears."""
        if cluster != "*" and not is_cluster_name(cluster):
            raise ConfigurationError(f"{cluster!r} is no cluster's name: give one, or '*' for every cluster")
        filters = [subject_filter(event.name, cluster=cluster, key=key)]
        if key:
            # The filter above matches what is beneath the key; the key itself is a subject of its own.
            filters.append(subject(cluster, event.name, key))
        return Registration(self, event, tuple(filters))

    def register(self, event: type[Event], filters: tuple[str, ...], call: _Call) -> None:
        """What the decorator does."""
        if event.type() in self._calls:
            raise ConfigurationError(
                f"subscriber {self.name!r} has a handler of {event.__name__} already: call both from one, or use a "
                "second subscriber with a name of its own"
            )
        self._calls[event.type()] = call
        self._filters.extend(filters)

    async def run(
        self, settings: BusSettings | None = None, *, clock: Clock | None = None, metrics: BusMetrics | None = None
    ) -> None:
        """Connect and hand over events until cancelled, then finish what runs; `settings` win over its own."""
        consumer, settings = self.consumer, settings or self._settings or BusSettings.from_environment()
        bus = await Bus.connect(settings, name=self.name, clock=clock or SystemClock(), metrics=metrics)
        try:
            await bus.ensure((EVENTS, DEAD_LETTERS))
            await self._reconcile(bus, consumer)
            log.info("%s listens to %s at NATS %s", self.name, ", ".join(consumer.filters), bus.server_version)
            await bus.consume(consumer, self.handle, concurrency=self._concurrency)
        finally:
            await bus.close()

    async def handle(self, delivery: Delivery) -> None:
        """Give one event to its handler. An event that nobody handles is not an error."""
        envelope = delivery.envelope
        call = self._calls.get(envelope.type)
        if call is None:
            return
        context = EventContext(
            id=envelope.id,
            time=envelope.time,
            cluster=envelope.cluster,
            subject=delivery.subject,
            correlation_id=envelope.correlationid,
            causation_id=envelope.causationid,
            traceparent=envelope.traceparent,
            attempt=delivery.attempt,
        )
        await call(envelope.data, context)

    def main(self) -> None:
        """Run in a process of one's own: SIGINT and SIGTERM end it in good order, an error ends it with status 1."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            asyncio.run(self._run_until_signal())
        except StewardError as error:
            raise SystemExit(f"{self.name}: {error}") from None

    async def _run_until_signal(self) -> None:
        running = asyncio.create_task(self.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def _reconcile(self, bus: Bus, consumer: ConsumerSpec) -> None:
        for change in await bus.reconcile((), (consumer,)):
            if change.verdict is Verdict.REFUSED:
                raise BusError(
                    f"consumer {change.name!r} is not what this subscriber needs: {change.detail}. {change.remedy}"
                )


def discover(reference: str) -> Subscriber:
    """The subscriber that `module:attribute` names."""
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError(
            f"{reference!r} names no subscriber: write module:attribute, as in acme.tickets:handlers"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise ConfigurationError(
                f"{reference!r}: there is no module {error.name!r}; is it installed, or its folder in PYTHONPATH?"
            ) from None
        raise ConfigurationError(f"{reference!r}: importing it needs {error.name!r}, which is missing") from error
    found: object = module
    for step in attribute.split("."):
        found = getattr(found, step, None)
    if isinstance(found, Subscriber):
        return found
    names = sorted(name for name, value in vars(module).items() if isinstance(value, Subscriber))
    hint = f"it has {', '.join(f'{module_name}:{name}' for name in names)}" if names else "it has no Subscriber"
    said = "is missing" if found is None else f"is {type(found).__name__!r}, not a Subscriber"
    raise ConfigurationError(f"{reference!r}: {attribute!r} {said}; {hint}")


def _as_call(handler: Handler[E] | HandlerWithContext[E]) -> _Call:
    """`handler` as a function of two arguments, whichever form it has."""
    name = getattr(handler, "__qualname__", repr(handler))
    if not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        raise ConfigurationError(f"handler {name} is not asynchronous: write `async def`")
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        pass
    else:
        return cast("_Call", handler)
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ConfigurationError(f"handler {name} must take the event, or the event and an EventContext") from None
    alone = cast("Callable[[Event], Awaitable[None]]", handler)

    async def call(event: Event, _: EventContext) -> None:
        await alone(event)

    return call

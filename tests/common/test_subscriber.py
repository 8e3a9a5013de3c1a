"""What a third party writes: how it feels, what it may do, and what it is told when it is wrong."""

import asyncio
import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from steward import (
    EventContext,
    MeshDrifted,
    NewVersion,
    Reject,
    Retry,
    Start,
    Subscriber,
    UpgradeFinished,
    UpgradeStarted,
)
from steward.bus.client import Bus
from steward.bus.errors import BusError, BusUnreachable
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.events import Trail
from steward.subscriber import discover
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer, free_ports

PATIENCE = 30


def settings(server: NatsServer) -> BusSettings:
    return BusSettings(servers=(server.url,), cluster="prod", drain_deadline=timedelta(seconds=5))


@asynccontextmanager
async def publisher(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings(server), name="publisher", clock=SystemClock())
    await bus.reconcile()
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def running(subscriber: Subscriber) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(subscriber.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_handler_gets_its_event_and_one_that_asks_for_it_the_context(nats_server: NatsServer) -> None:
    subscriber = Subscriber("acme", settings(nats_server), start=Start.ALL)
    versions: asyncio.Queue[NewVersion] = asyncio.Queue()
    drifts: asyncio.Queue[tuple[MeshDrifted, EventContext]] = asyncio.Queue()

    @subscriber.on(NewVersion)
    async def on_version(event: NewVersion) -> None:
        versions.put_nowait(event)

    @subscriber.on(MeshDrifted)
    async def on_drift(event: MeshDrifted, context: EventContext) -> None:
        drifts.put_nowait((event, context))

    version, drift = build(NewVersion), build(MeshDrifted)
    async with publisher(nats_server) as bus, running(subscriber), asyncio.timeout(PATIENCE):
        await bus.publish(enveloped(version, cluster="prod"))
        envelope = enveloped(drift, id="d/1", cluster="prod", trail=Trail("run", "cause", "00-1-2-03"))
        await bus.publish(envelope)
        assert await versions.get() == version
        event, context = await drifts.get()
    assert event == drift
    assert context == EventContext(
        id="d/1",
        time=envelope.time,
        cluster="prod",
        subject="steward.v1.prod.mesh-drifted.mesh",
        correlation_id="run",
        causation_id="cause",
        traceparent="00-1-2-03",
        attempt=1,
    )


async def test_its_name_is_its_place_in_the_stream_across_restarts(nats_server: NatsServer) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    def acme() -> Subscriber:
        subscriber = Subscriber("acme", settings(nats_server), start=Start.ALL)

        @subscriber.on(NewVersion)
        async def on_version(event: NewVersion) -> None:
            seen.put_nowait(event.release)

        return subscriber

    async with publisher(nats_server) as bus, asyncio.timeout(PATIENCE):
        for release in ("edge-26.1.1", "edge-26.1.2"):
            async with running(acme()):
                await bus.publish(enveloped(build(NewVersion, release=release), id=release))
                assert await seen.get() == release
        await bus.publish(enveloped(build(NewVersion, release="edge-26.1.3"), id="while nobody runs"))
        async with running(acme()):
            assert await seen.get() == "edge-26.1.3"


async def test_a_new_name_begins_with_what_happens_from_now_on(nats_server: NatsServer) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    subscriber = Subscriber("acme", settings(nats_server))

    @subscriber.on(NewVersion)
    async def on_version(event: NewVersion) -> None:
        seen.put_nowait(event.release)

    async with publisher(nats_server) as bus, asyncio.timeout(PATIENCE):
        await bus.publish(enveloped(build(NewVersion, release="edge-26.1.1"), id="before"))
        await bus.reconcile((), (subscriber.consumer,))
        await bus.publish(enveloped(build(NewVersion, release="edge-26.1.2"), id="after"))
        async with running(subscriber):
            assert await seen.get() == "edge-26.1.2"


async def test_retry_and_reject_are_answers(nats_server: NatsServer) -> None:
    attempts: asyncio.Queue[int] = asyncio.Queue()
    subscriber = Subscriber("acme", settings(nats_server), start=Start.ALL)

    @subscriber.on(NewVersion)
    async def on_version(_: NewVersion, context: EventContext) -> None:
        attempts.put_nowait(context.attempt)
        if context.attempt == 1:
            raise Retry(timedelta(milliseconds=10))
        raise Reject("not for us")

    async with publisher(nats_server) as bus, running(subscriber), asyncio.timeout(PATIENCE):
        await bus.publish(enveloped(build(NewVersion)))
        assert [await attempts.get(), await attempts.get()] == [1, 2]
        while not [letter async for letter in bus.dead_letters.list(consumer="acme")]:
            await SystemClock().sleep(timedelta(milliseconds=10))


async def test_a_filter_by_cluster_and_key_hears_only_that(nats_server: NatsServer) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    subscriber = Subscriber("acme", settings(nats_server), start=Start.ALL)

    @subscriber.on(UpgradeFinished, cluster="prod", key=("run-2",))
    async def on_finished(event: UpgradeFinished) -> None:
        seen.put_nowait(event.run)

    async with publisher(nats_server) as bus, running(subscriber), asyncio.timeout(PATIENCE):
        for run, cluster in (("run-1", "prod"), ("run-2", "dev"), ("run-2", "prod")):
            await bus.publish(enveloped(build(UpgradeFinished, run=run), id=f"{run}/{cluster}", cluster=cluster))
        assert await seen.get() == "run-2"
    assert seen.empty()


async def test_handlers_are_ordered_within_a_run_across_kinds_of_event(nats_server: NatsServer) -> None:
    told: list[str] = []
    done = asyncio.Event()
    subscriber = Subscriber("acme", settings(nats_server), start=Start.ALL)

    @subscriber.on(UpgradeStarted)
    async def on_started(event: UpgradeStarted) -> None:
        await asyncio.sleep(0)  # noqa: TID251 - lets others run, waits for no time
        told.append(f"{event.run} started")

    @subscriber.on(UpgradeFinished)
    async def on_finished(event: UpgradeFinished) -> None:
        told.append(f"{event.run} finished")
        if len(told) == 100:
            done.set()

    async with publisher(nats_server) as bus:
        for number in range(50):
            run = f"r{number}"
            await bus.publish(enveloped(build(UpgradeStarted, run=run), id=f"s{number}"))
            await bus.publish(enveloped(build(UpgradeFinished, run=run), id=f"f{number}"))
        async with running(subscriber), asyncio.timeout(PATIENCE):
            await done.wait()
    for number in range(50):
        assert told.index(f"r{number} started") < told.index(f"r{number} finished")


async def test_settings_come_from_the_environment_when_none_are_given(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEWARD_BUS__SERVERS", nats_server.url)
    monkeypatch.setenv("STEWARD_BUS__CLUSTER", "prod")
    seen: asyncio.Queue[str] = asyncio.Queue()
    subscriber = Subscriber("acme", start=Start.ALL)

    @subscriber.on(NewVersion)
    async def on_version(event: NewVersion) -> None:
        seen.put_nowait(event.release)

    # Nobody has made the streams yet: the subscriber makes what it needs.
    async with running(subscriber), asyncio.timeout(PATIENCE):
        async with publisher(nats_server) as bus:
            await bus.publish(enveloped(build(NewVersion)))
        assert await seen.get() == "edge-26.8.3"


async def test_no_server_is_an_error_with_its_address() -> None:
    port = free_ports(1)[0]
    given = BusSettings(servers=(f"nats://127.0.0.1:{port}",), connect_timeout=timedelta(milliseconds=200))
    subscriber = Subscriber("acme", given)
    subscriber.on(NewVersion)(nothing)
    with pytest.raises(BusUnreachable, match=str(port)):
        await subscriber.run()


async def test_a_place_that_would_have_to_move_is_refused_at_the_start(nats_server: NatsServer) -> None:
    first = Subscriber("acme", settings(nats_server), start=Start.ALL)
    first.on(NewVersion)(nothing)
    async with publisher(nats_server) as bus:
        await bus.reconcile((), (first.consumer,))
    second = Subscriber("acme", settings(nats_server), start=Start.NEW)
    second.on(NewVersion)(nothing)
    with pytest.raises(BusError, match=r"consumer 'acme' is not what .* nats consumer rm STEWARD_EVENTS acme"):
        await second.run()


async def nothing(_: NewVersion) -> None:
    """Handles nothing."""


def test_a_subscriber_without_a_handler_says_how_to_write_one() -> None:
    with pytest.raises(ConfigurationError, match=r"has no handler: put @subscriber\.on"):
        asyncio.run(Subscriber("acme").run())


def test_two_handlers_of_one_event_are_refused() -> None:
    subscriber = Subscriber("acme")
    subscriber.on(NewVersion)(nothing)
    with pytest.raises(ConfigurationError, match="has a handler of NewVersion already"):
        subscriber.on(NewVersion)(nothing)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", "-a"])
def test_a_name_that_cannot_be_a_consumer_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="for example 'acme-tickets'"):
        Subscriber(name)


def test_what_cannot_be_a_handler_is_refused_where_it_is_written() -> None:
    def synchronous(_: NewVersion) -> None: ...

    async def of_three(_: NewVersion, __: EventContext, ___: int) -> None: ...

    on = Subscriber("acme").on(NewVersion)
    with pytest.raises(ConfigurationError, match="synchronous is not asynchronous: write `async def`"):
        on(synchronous)  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(ConfigurationError, match="must take the event, or the event and an EventContext"):
        on(of_three)  # type: ignore[arg-type] # wrong on purpose


def test_a_wrong_cluster_or_concurrency_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is no cluster's name"):
        Subscriber("acme").on(NewVersion, cluster="Prod.EU")
    with pytest.raises(ConfigurationError, match="concurrency is at least 1"):
        Subscriber("acme", concurrency=0)


def test_the_decorated_function_stays_what_it_was() -> None:
    subscriber = Subscriber("acme")
    assert subscriber.on(NewVersion)(nothing) is nothing
    assert subscriber.events == ("io.linkerd.steward.new-version.v1",)


@pytest.fixture
def acme_module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("acme_handlers")
    vars(module).update(subscriber=Subscriber("acme"), number=3, group=types.SimpleNamespace(inner=Subscriber("inner")))
    monkeypatch.setitem(sys.modules, "acme_handlers", module)
    return module


def test_a_subscriber_is_found_by_module_and_attribute(acme_module: types.ModuleType) -> None:
    assert discover("acme_handlers:subscriber") is acme_module.subscriber
    assert discover("acme_handlers:group.inner").name == "inner"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("acme_handlers", "write module:attribute"),
        (":subscriber", "write module:attribute"),
        ("acme_handlers:", "write module:attribute"),
        ("acme_nowhere:subscriber", "there is no module 'acme_nowhere'"),
        ("acme_nowhere.inner:subscriber", "there is no module 'acme_nowhere'"),
        ("acme_handlers:missing", "'missing' is missing; it has acme_handlers:subscriber"),
        ("acme_handlers:number", "'number' is 'int', not a Subscriber; it has acme_handlers:subscriber"),
        ("json:loads", "'loads' is 'function', not a Subscriber; it has no Subscriber"),
    ],
)
@pytest.mark.usefixtures("acme_module")
def test_what_is_not_found_is_told_with_what_there_is(reference: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        discover(reference)

"""Whoever is told to end ends, whatever came in that very moment: a cancellation is said once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from steward.bus.client import Bus
from steward.bus.connection import Connection
from steward.bus.metrics import BusMetrics
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.service.patient_bus import PatientBus
from steward.testing.nats import NatsServer
from tests.common.bus.conftest import Connect
from tests.common.bus.gathering import Gathered, consumer, eventually, release

_MOST_TURNS = 2000


async def turn() -> None:
    """Let the loop turn once."""
    await SystemClock().sleep(timedelta(0))


async def ends_at_every_turn(begin: Callable[[], Coroutine[object, object, object]], *, over: int = 3) -> None:
    """Cancel at the first turn of the loop, then at the second and so on, until it was over before: `over` times."""
    survived = 0
    for turns in range(_MOST_TURNS):
        task = asyncio.create_task(begin())
        for _ in range(turns):
            await turn()
        told = task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])
        assert task.cancelled() or not told, f"told to end at turn {turns}, and went on"
        survived += not told
        if survived == over:
            return
    raise AssertionError(f"not over after {_MOST_TURNS} turns")


@asynccontextmanager
async def connection(server: NatsServer) -> AsyncIterator[Connection]:
    settings = BusSettings(servers=(server.url,), cluster="test", request_timeout=timedelta(seconds=2))
    opened = await Connection.open(settings, name="test", clock=SystemClock(), metrics=BusMetrics())
    try:
        yield opened
    finally:
        await opened.close()


async def test_while_it_connects(nats_server: NatsServer) -> None:
    async def connect() -> None:
        async with connection(nats_server):
            pass

    await ends_at_every_turn(connect)


async def test_while_a_service_connects(nats_server: NatsServer) -> None:
    settings = BusSettings(servers=(nats_server.url,))

    def patient() -> PatientBus:
        log = structlog.get_logger("test")
        return PatientBus(settings, name="test", clock=SystemClock(), metrics=BusMetrics(), log=log)

    turns = 0
    while True:
        bus = patient()
        keeping = asyncio.create_task(bus.keep())
        for _ in range(turns):
            await turn()
        connected = bus.connected
        keeping.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([keeping])
        await bus.close()
        assert keeping.cancelled()
        if connected:
            return
        turns += 1


async def test_while_it_publishes(bus: Bus) -> None:
    await ends_at_every_turn(lambda: bus.publish(release(1)))


async def test_while_it_reads_what_is_stored(bus: Bus) -> None:
    await bus.publish(release(1))
    await ends_at_every_turn(lambda: bus.event_ids("steward.v1.>"))


async def test_while_it_begins_to_consume(bus: Bus) -> None:
    await bus.publish(release(1))
    spec = consumer("reader", ack_wait=1)
    await bus.reconcile((), (spec,))
    got = Gathered()
    turns = 0
    while not got.deliveries:
        consuming = asyncio.create_task(bus.consume(spec, got))
        for _ in range(turns):
            await turn()
        consuming.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([consuming])
        assert consuming.cancelled()
        turns += 1


async def test_a_question_that_was_given_up_leaves_the_connection_its_hearing(connect: Connect) -> None:
    bus = await connect(publish_deadline=timedelta(seconds=1))
    await bus.reconcile()
    for turns in range(1, 10):
        asking = asyncio.create_task(bus.event_ids("steward.v1.>"))
        for _ in range(turns):
            await turn()
        asking.cancel()
        await asyncio.wait([asking])
        await bus.publish(release(turns))


async def test_a_flush_that_was_given_up_leaves_the_connection_its_hearing(nats_server: NatsServer) -> None:
    async with connection(nats_server) as opened:
        flushing = asyncio.create_task(opened.flush())
        await turn()
        flushing.cancel()
        await asyncio.wait([flushing])
        assert flushing.cancelled()
        # The server answers in order: what it says to the one that was given up comes first.
        assert "streams" in await opened.api("INFO")


async def test_a_server_that_stands_still_does_not_keep_us_from_closing(nats_server: NatsServer) -> None:
    sent: list[int] = []

    async def flood() -> None:
        while True:
            sent.append(len(sent))
            await opened.send("nobody.listens", bytes(500_000))

    async def is_stuck() -> bool:
        before = len(sent)
        for _ in range(100):
            await turn()
        return len(sent) == before

    async with connection(nats_server) as opened:
        nats_server.freeze()
        sending = asyncio.create_task(flood())
        await eventually(is_stuck)
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        async with asyncio.timeout(10):
            await opened.close()
        nats_server.thaw()

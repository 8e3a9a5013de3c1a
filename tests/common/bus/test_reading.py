"""Stored events, read exactly."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from steward.bus.client import Bus
from steward.bus.errors import StreamMissing
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.errors import Reject
from steward.testing.nats import NatsServer
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import PATIENCE, Gathered, consumer, consuming, eventually, release


async def test_the_ids_of_a_filter_are_exactly_those_stored(bus: Bus) -> None:
    for number in range(1200):
        await bus.publish(release(number, f"k{number % 3}"))
    assert await bus.event_ids("steward.v1.test.new-version.k1") == {
        f"release/k1/{number}" for number in range(1, 1200, 3)
    }
    assert len(await bus.event_ids("steward.v1.>")) == 1200
    assert await bus.event_ids("steward.v1.other.>") == set()


async def test_reading_while_others_write_ends_and_misses_nothing_that_was_there(bus: Bus, connect: Connect) -> None:
    for number in range(300):
        await bus.publish(release(number))
    writer = await connect()

    async def write() -> None:
        for number in range(300, 500):
            await writer.publish(release(number))

    writing = asyncio.create_task(write())
    ids = await bus.event_ids("steward.v1.>")
    await writing
    assert ids >= {f"release/edge/{number}" for number in range(300)}


async def test_a_reader_leaves_nothing_behind_in_the_server(bus: Bus, inside: Inside) -> None:
    await bus.publish(release(1))
    await bus.event_ids("steward.v1.>")

    async def no_consumers() -> bool:
        return not await inside.jetstream.consumers_info("STEWARD_EVENTS")

    await eventually(no_consumers)


async def test_a_stream_that_is_not_there_is_named(connect: Connect) -> None:
    bus = await connect()
    with pytest.raises(StreamMissing, match="stream STEWARD_EVENTS does not exist"):
        await bus.event_ids("steward.v1.>")


async def test_tail_from_now_shows_only_what_comes(bus: Bus) -> None:
    await bus.publish(release(1))
    seen: list[str] = []
    begun = asyncio.Event()

    async def watch() -> None:
        async with aclosing(bus.tail("steward.v1.>", start=Start.NEW)) as events:
            begun.set()
            async for envelope in events:
                seen.append(envelope.id)
                if len(seen) == 2:
                    return

    watching = asyncio.create_task(watch())
    await begun.wait()
    number = 2
    async with asyncio.timeout(PATIENCE):
        while not watching.done():
            await bus.publish(release(number))
            number += 1
    await watching
    assert "release/edge/1" not in seen
    assert seen == sorted(seen, key=lambda id: int(id.rsplit("/", 1)[1]))


async def test_tail_from_the_beginning_and_from_a_time(bus: Bus) -> None:
    await bus.publish(release(1))
    clock = SystemClock()
    await clock.sleep(timedelta(milliseconds=5))
    between = clock.now()
    await bus.publish(release(2))

    assert [each.id async for each in bus.tail("steward.v1.>", start=Start.ALL, follow=False)] == [
        "release/edge/1",
        "release/edge/2",
    ]
    assert [each.id async for each in bus.tail("steward.v1.>", start=between, follow=False)] == ["release/edge/2"]


async def test_tail_goes_on_after_the_server_was_killed_without_a_gap_or_a_repetition(
    bus: Bus, connect: Connect, nats_server: NatsServer
) -> None:
    writer = await connect()
    seen: list[str] = []
    half = asyncio.Event()

    async def watch() -> None:
        async with aclosing(bus.tail("steward.v1.>", start=Start.ALL)) as events:
            async for envelope in events:
                seen.append(envelope.id)
                if len(seen) == 50:
                    half.set()
                if len(seen) == 100:
                    return

    watching = asyncio.create_task(watch())
    for number in range(50):
        await writer.publish(release(number))
    async with asyncio.timeout(PATIENCE):
        await half.wait()
        await nats_server.restart()
        for number in range(50, 100):
            await writer.publish(release(number))
        await watching
    assert seen == [f"release/edge/{number}" for number in range(100)]


async def test_tail_passes_over_what_it_cannot_read_and_says_so(
    bus: Bus, inside: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    await inside.store(b"rubbish")
    await bus.publish(release(1))
    assert [each.id async for each in bus.tail("steward.v1.>", start=Start.ALL, follow=False)] == ["release/edge/1"]
    assert "steward.v1.test.new-version.edge at 1 cannot be read" in caplog.text


async def test_tail_does_not_show_a_replay_as_another_event(bus: Bus) -> None:
    async def answer(_: object) -> None:
        raise Reject("no")

    async with consuming(bus, consumer(), Gathered(answer)):
        await bus.publish(release(1))

        async def is_buried() -> bool:
            return bool([letter async for letter in bus.dead_letters.list()])

        await eventually(is_buried)
    letter = [letter async for letter in bus.dead_letters.list()]
    await bus.dead_letters.replay(letter[0].id)
    assert [each.id async for each in bus.tail("steward.v1.>", start=Start.ALL, follow=False)] == ["release/edge/1"]

"""What was given up can be found, understood and delivered again."""

from datetime import timedelta

import pytest

from steward.bus.client import Bus
from steward.bus.dead_letters import DeadLetter
from steward.bus.delivery import Delivery
from steward.bus.errors import BusError, StreamMissing
from steward.errors import Reject
from steward.events.codec import encode
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import Gathered, consumer, consuming, eventually, release


async def refuse(delivery: Delivery) -> None:
    raise Reject(f"no to {delivery.envelope.id}")


async def letters(bus: Bus, *, consumer: str = "*") -> list[DeadLetter]:
    return [letter async for letter in bus.dead_letters.list(consumer=consumer)]


async def bury(bus: Bus, count: int = 1, name: str = "reader") -> list[DeadLetter]:
    """So many dead letters of `name`."""
    async with consuming(bus, consumer(name), Gathered(refuse)):
        for number in range(count):
            await bus.publish(release(number))

        async def all_buried() -> bool:
            return len(await letters(bus, consumer=name)) == count

        await eventually(all_buried)
    return await letters(bus, consumer=name)


async def test_a_letter_keeps_the_original_bytes_headers_and_history(bus: Bus) -> None:
    (letter,) = await bury(bus)
    assert letter.payload == encode(release(0))
    assert letter.headers["ce-type"] == "io.linkerd.steward.new-version.v1"
    assert (letter.event, letter.stream, letter.sequence) == ("new-version", "STEWARD_EVENTS", 1)
    assert (letter.consumer, letter.reason, letter.deliveries) == ("reader", "no to release/edge/0", 1)
    assert letter.stored_at <= letter.died_at.isoformat()
    assert await bus.dead_letters.get(letter.id) == letter


async def test_letters_are_listed_by_consumer_oldest_first(bus: Bus) -> None:
    await bury(bus, 3, "one")
    await bury(bus, 3, "two")
    assert [letter.id for letter in await letters(bus, consumer="two")] == ["two.1", "two.2", "two.3"]
    assert len(await letters(bus)) == 6


async def test_a_replay_is_handled_and_its_letter_is_gone(bus: Bus) -> None:
    (letter,) = await bury(bus)
    published = await bus.dead_letters.replay(letter.id)
    assert (published.stream, published.sequence) == ("STEWARD_EVENTS", 2)
    handler = Gathered()
    async with consuming(bus, consumer(), handler):
        await handler.until_ids(1)
    assert handler.deliveries[0].envelope == release(0)
    assert await letters(bus) == []
    with pytest.raises(BusError, match=r"there is no dead letter 'reader\.1': it was replayed"):
        await bus.dead_letters.replay(letter.id)


async def test_a_replay_that_is_refused_again_becomes_a_new_letter(bus: Bus) -> None:
    (letter,) = await bury(bus)
    await bus.dead_letters.replay(letter.id)

    async def is_buried_again() -> bool:
        return [each.id for each in await letters(bus)] == ["reader.2"]

    async with consuming(bus, consumer(), Gathered(refuse)):
        await eventually(is_buried_again)


@pytest.mark.parametrize("id", ["", "reader", "reader.x", ".1", "a.b.1", "*.1"])
async def test_what_is_no_id_is_told_how_one_looks(bus: Bus, id: str) -> None:
    with pytest.raises(BusError, match=r"expected CONSUMER\.SEQUENCE"):
        await bus.dead_letters.get(id)


async def test_a_letter_whose_consumer_is_gone_is_kept_and_the_remedy_is_named(bus: Bus, inside: Inside) -> None:
    (letter,) = await bury(bus)
    await inside.jetstream.delete_consumer("STEWARD_EVENTS", "reader")
    with pytest.raises(StreamMissing, match="consumer reader of stream STEWARD_EVENTS does not exist any more"):
        await bus.dead_letters.replay(letter.id)
    assert await letters(bus) == [letter]


async def test_a_foreign_message_of_the_largest_size_is_buried_without_its_payload(bus: Bus, inside: Inside) -> None:
    await bus.reconcile((), (consumer(),))
    await inside.store(b"x" * 1_048_000)
    async with consuming(bus, consumer(), Gathered()):

        async def is_buried() -> bool:
            return bool(await letters(bus))

        await eventually(is_buried)
    (letter,) = await letters(bus)
    assert letter.payload == b""
    with pytest.raises(BusError, match="too large to keep; the original is message 1 of STEWARD_EVENTS"):
        await bus.dead_letters.replay(letter.id)


async def test_dead_letters_that_cannot_be_stored_leave_the_event_to_be_delivered_again(
    connect: Connect, inside: Inside
) -> None:
    """Somebody removed the stream of dead letters: nothing is acknowledged until it is back."""
    bus = await connect(publish_deadline=timedelta(milliseconds=200))
    await bus.reconcile()
    await inside.jetstream.delete_stream("STEWARD_DEAD_LETTERS")
    handler = Gathered(refuse)
    async with consuming(bus, consumer(), handler):
        await bus.publish(release(1))
        await handler.until(lambda all_: len(all_) == 2)
        await bus.reconcile()

        async def is_buried() -> bool:
            return len(await letters(bus)) == 1

        await eventually(is_buried)

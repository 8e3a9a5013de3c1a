"""Deliveries, answers and order, on a real server."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import nats
import pytest

from steward.bus.client import Bus
from steward.bus.connection import Connection
from steward.bus.dead_letters import DeadLetter
from steward.bus.delivery import Delivery
from steward.bus.errors import BusClosed, StreamMissing
from steward.bus.streams import ConsumerSpec
from steward.clock import SystemClock
from steward.errors import Reject, Retry
from steward.testing.nats import NatsServer, NatsUser
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import (
    NEW_VERSIONS,
    Counted,
    Gathered,
    consumer,
    consuming,
    eventually,
    release,
)

SOON = timedelta(milliseconds=50)


async def test_a_handler_that_returns_acknowledges(inside: Inside, bus: Bus) -> None:
    handler = Gathered()
    async with consuming(bus, consumer(), handler):
        await bus.publish(release(1))
        await handler.until_ids(1)
        await eventually(inside.all_answered)
    delivery = handler.deliveries[0]
    assert delivery.envelope == release(1)
    assert (delivery.subject, delivery.attempt, delivery.stream) == (
        "steward.v1.test.new-version.edge",
        1,
        "STEWARD_EVENTS",
    )
    assert delivery.stored_at.tzinfo is not None


async def test_what_is_published_before_the_consumer_runs_is_delivered_by_its_durable(bus: Bus) -> None:
    await bus.reconcile((), (consumer(),))
    for number in range(5):
        await bus.publish(release(number))
    handler = Gathered()
    async with consuming(bus, consumer(), handler):
        await handler.until_ids(5)
    again = Gathered()
    async with consuming(bus, consumer(), again):
        await bus.publish(release(99))
        await again.until_ids(1)
    assert again.ids == ["release/edge/99"]


async def test_retry_delivers_again_after_its_delay_and_counts_the_deliveries(inside: Inside, bus: Bus) -> None:
    async def answer(delivery: Delivery) -> None:
        if delivery.attempt < 3:
            raise Retry(SOON, "not yet")

    handler = Gathered(answer)
    async with consuming(bus, consumer(), handler):
        await bus.publish(release(1))
        await handler.until(lambda all_: len(all_) == 3)
        await eventually(inside.all_answered)
    assert [each.attempt for each in handler.deliveries] == [1, 2, 3]


async def test_reject_puts_the_event_among_the_dead_letters_and_never_delivers_it_again(
    inside: Inside, bus: Bus
) -> None:
    async def answer(_: Delivery) -> None:
        raise Reject("the customer\nis gone")

    handler = Gathered(answer)
    async with consuming(bus, consumer(), handler):
        published = await bus.publish(release(1))
        await eventually(lambda: has_letters(bus, 1))
        await eventually(inside.all_answered)
    letters = await letters_of(bus)
    assert len(handler.deliveries) == 1
    assert [(letter.consumer, letter.reason, letter.deliveries) for letter in letters] == [
        ("reader", "the customer is gone", 1)
    ]
    assert letters[0].replay_command == f"linkerd-steward dead-letters replay reader.{published.sequence}"
    assert letters[0].headers["ce-id"] == "release/edge/1"
    assert letters[0].subject == "steward.v1.test.new-version.edge"


async def letters_of(bus: Bus) -> list[DeadLetter]:
    return [letter async for letter in bus.dead_letters.list()]


async def has_letters(bus: Bus, count: int) -> bool:
    return len(await letters_of(bus)) == count


async def test_any_other_exception_is_logged_with_its_traceback_retried_and_dead_lettered_at_last(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Delivery) -> None:
        raise ZeroDivisionError("a bug")

    handler = Gathered(answer)
    with caplog.at_level(logging.ERROR, "steward.bus"):
        async with consuming(bus, consumer(max_deliver=2), handler):
            await bus.publish(release(1))
            await eventually(lambda: has_letters(bus, 1))
    assert [each.attempt for each in handler.deliveries] == [1, 2]
    letter = (await letters_of(bus))[0]
    assert letter.reason == "given up after 2 deliveries; the last said: ZeroDivisionError: a bug"
    assert letter.deliveries == 2
    failures = [record for record in caplog.records if record.exc_info and record.exc_info[0] is ZeroDivisionError]
    assert len(failures) == 2


async def test_an_answer_inside_an_exception_group_counts(bus: Bus) -> None:
    async def refuse() -> None:
        raise Reject("inside")

    async def answer(_: Delivery) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())

    async with consuming(bus, consumer(), Gathered(answer)):
        await bus.publish(release(1))
        await eventually(lambda: has_letters(bus, 1))
    assert [letter.reason async for letter in bus.dead_letters.list()] == ["inside"]


async def test_a_handler_that_is_cancelled_from_within_has_failed_and_the_loop_goes_on(
    inside: Inside, bus: Bus
) -> None:
    async def answer(delivery: Delivery) -> None:
        if delivery.attempt == 1 and delivery.envelope.id == "release/edge/1":
            raise asyncio.CancelledError

    handler = Gathered(answer)
    async with consuming(bus, consumer(), handler):
        await bus.publish(release(1))
        await bus.publish(release(2, "other"))
        await handler.until(
            lambda all_: [each.attempt for each in all_ if each.envelope.id == "release/edge/1"] == [1, 2]
        )
        await eventually(inside.all_answered)


async def test_an_event_of_an_unknown_newer_version_is_skipped_and_counted(inside: Inside, connect: Connect) -> None:
    metrics = Counted()
    bus = await connect(metrics=metrics)
    await bus.reconcile()
    handler = Gathered()
    newer = b'{"specversion":"1.0","id":"n","type":"io.linkerd.steward.new-version.v99","subject":"s","data":{}}'
    async with consuming(bus, consumer(), handler):
        await inside.store(newer)
        await bus.publish(release(1))
        await handler.until_ids(1)
        await eventually(inside.all_answered)
    assert handler.ids == ["release/edge/1"]
    assert "skipped reader new-version unknown" in metrics.said
    assert await has_letters(bus, 0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "invalid: not a CloudEvent"),
        (b"{not json", "invalid: not a CloudEvent"),
        (b'{"specversion":"1.0","id":"1","type":"io.linkerd.steward.new-version.v1"}', "does not fit its schema"),
        (b'{"specversion":"0.3","id":"1","type":"io.linkerd.steward.new-version.v1"}', "specversion"),
        (b'{"specversion":"1.0","id":"1","type":"com.example.other"}', "is not of the form"),
        (b"\xff\xfe\x00", "invalid: not a CloudEvent"),
    ],
    ids=["empty", "broken-json", "without-payload", "old-specversion", "foreign-type", "no-text"],
)
async def test_an_invalid_payload_goes_to_the_dead_letters(
    inside: Inside, bus: Bus, payload: bytes, reason: str
) -> None:
    handler = Gathered()
    async with consuming(bus, consumer(), handler):
        await inside.store(payload)
        await bus.publish(release(1))
        await handler.until_ids(1)
        await eventually(lambda: has_letters(bus, 1))
    letter = (await letters_of(bus))[0]
    assert reason in letter.reason
    assert letter.payload == payload


async def test_events_of_one_key_never_overtake_one_another_even_when_one_is_retried(inside: Inside, bus: Bus) -> None:
    """Every tenth event of each key asks for a retry; what comes after it has to wait, other keys do not."""
    running: set[str] = set()

    async def answer(delivery: Delivery) -> None:
        key = delivery.subject
        assert key not in running, "two handlers of one key at once"
        running.add(key)
        await asyncio.sleep(0)  # noqa: TID251 - lets others run, waits for no time
        running.discard(key)
        if delivery.attempt == 1 and delivery.sequence % 10 == 0:
            raise Retry(SOON)

    handler = Gathered(answer)
    keys = [f"k{number}" for number in range(5)]
    async with consuming(bus, consumer(), handler):
        for number in range(40):
            for key in keys:
                await bus.publish(release(number, key))
        await handler.until_ids(200)
        await eventually(inside.all_answered)
    for key in keys:
        done: dict[str, int] = {}
        for position, delivery in enumerate(handler.deliveries):
            if delivery.subject.endswith(f".{key}"):
                done[delivery.envelope.id] = position
        assert list(done) == [f"release/{key}/{number}" for number in range(40)]
        assert sorted(done.values()) == list(done.values())


async def test_one_key_that_waits_does_not_hold_up_the_others(bus: Bus) -> None:
    async def answer(delivery: Delivery) -> None:
        if delivery.subject.endswith(".bad"):
            raise Retry(timedelta(hours=1))

    handler = Gathered(answer)
    async with consuming(bus, consumer(), handler):
        for number in range(300):
            await bus.publish(release(number, "bad"))
        for number in range(300):
            await bus.publish(release(number, "good"))
        await handler.until_ids(301)
    assert len([each for each in handler.deliveries if each.subject.endswith(".bad")]) == 1


async def test_no_more_handlers_run_at_once_than_allowed(bus: Bus) -> None:
    running = most = 0
    release_them = asyncio.Event()

    async def answer(_: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            release_them.set()
        await release_them.wait()
        running -= 1

    handler = Gathered(answer)
    async with consuming(bus, consumer(), handler, concurrency=3):
        for number in range(50):
            await bus.publish(release(number, f"k{number}"))
        await handler.until_ids(50)
    assert most == 3


async def test_a_handler_slower_than_ack_wait_is_not_asked_twice_nor_are_those_that_wait_behind_it(
    inside: Inside, bus: Bus
) -> None:
    go_on = asyncio.Event()

    async def answer(_: Delivery) -> None:
        await go_on.wait()

    handler = Gathered(answer)
    async with consuming(bus, consumer(ack_wait=1), handler, concurrency=1):
        await bus.publish(release(1))
        await bus.publish(release(2))
        await handler.until_ids(1)
        # Longer than any redelivery would take.
        await SystemClock().sleep(timedelta(seconds=3.5))
        go_on.set()
        await handler.until_ids(2)
        await eventually(inside.all_answered)
    assert [each.attempt for each in handler.deliveries] == [1, 1]


async def test_nothing_is_lost_and_order_is_kept_when_the_server_is_killed_under_a_consumer(
    inside: Inside, bus: Bus, connect: Connect, nats_server: NatsServer
) -> None:
    handler = Gathered()
    writer = await connect()
    async with consuming(bus, consumer(ack_wait=2), handler):
        for number in range(100):
            await writer.publish(release(number))
        await handler.until_ids(100)
        await nats_server.restart()
        for number in range(100, 200):
            await writer.publish(release(number))
        await handler.until_ids(200)
        await eventually(inside.all_answered)
    assert handler.ids == [f"release/edge/{number}" for number in range(200)]


async def said(metrics: Counted, words: str) -> bool:
    return words in metrics.said


async def test_cancelling_lets_running_handlers_finish_and_gives_the_rest_back_at_once(
    inside: Inside, bus: Bus, connect: Connect
) -> None:
    go_on, finished = asyncio.Event(), asyncio.Event()

    async def answer(_: Delivery) -> None:
        await go_on.wait()
        finished.set()

    handler = Gathered(answer)
    spec = consumer()
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, handler, concurrency=1))
    for number in range(3):
        await bus.publish(release(number))
    await handler.until_ids(1)
    task.cancel()
    other, others = await connect(), Gathered()
    async with consuming(other, spec, others):
        # Redelivered at once, not after ack_wait.
        await others.until_ids(2)
        go_on.set()
        with suppress(asyncio.CancelledError):
            await task
        await eventually(inside.all_answered)
    assert finished.is_set()
    assert sorted(others.ids) == ["release/edge/1", "release/edge/2"]


async def test_close_waits_for_handlers_until_its_deadline_then_cancels_and_gives_back(connect: Connect) -> None:
    bus = await connect(drain_deadline=timedelta(hours=1))
    await bus.reconcile()
    cancelled = asyncio.Event()

    async def answer(_: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    handler = Gathered(answer)
    spec = consumer()
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, handler))
    await bus.publish(release(1))
    await handler.until_ids(1)
    await bus.close(timedelta(milliseconds=200))
    await task
    assert cancelled.is_set()
    other, others = await connect(), Gathered()
    async with consuming(other, spec, others):
        await others.until_ids(1)
    assert others.deliveries[0].attempt == 2


async def test_a_connection_closed_for_good_ends_the_consumer_instead_of_spinning(
    nats_server: NatsServer, connect: Connect
) -> None:
    """The server throws a user out whom it does not know any more, and refuses it when it comes back."""
    await nats_server.stop()
    nats_server.configure(users=[NatsUser("guest", "secret")])
    await nats_server.start()
    bus = await connect(user="guest", password="secret")
    await bus.reconcile()
    spec = consumer()
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, Gathered()))
    await eventually(lambda: is_healthy(bus))
    nats_server.configure(users=[NatsUser("other", "secret")])
    nats_server.reload()
    with pytest.raises(BusClosed, match="must end and start again"):
        await task
    with pytest.raises(BusClosed):
        await bus.died()
    with pytest.raises(BusClosed):
        await bus.publish(release(1))


async def is_healthy(bus: Bus) -> bool:
    return bus.healthy


async def test_a_consumer_that_somebody_deletes_ends_the_loop_with_a_clear_error(
    bus: Bus, nats_server: NatsServer
) -> None:
    spec, handler = consumer(), Gathered()
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, handler))
    await bus.publish(release(1))
    await handler.until_ids(1)
    client = await nats.connect(nats_server.url)
    await client.jetstream().delete_consumer("STEWARD_EVENTS", "reader")
    await client.close()
    with pytest.raises(StreamMissing, match="consumer reader of stream STEWARD_EVENTS was deleted"):
        await task


async def test_two_processes_share_a_consumer_and_each_event_goes_to_one_of_them(
    inside: Inside, bus: Bus, connect: Connect
) -> None:
    first, second = Gathered(), Gathered()
    other = await connect()
    async with consuming(bus, consumer(), first), consuming(other, consumer(), second):
        for number in range(200):
            await bus.publish(release(number, f"k{number}"))
        await eventually(inside.all_answered)
    assert sorted(first.ids + second.ids) == sorted(f"release/k{number}/{number}" for number in range(200))


async def test_a_replay_reaches_only_the_consumer_that_it_is_for(inside: Inside, connect: Connect) -> None:
    metrics = Counted()
    bus = await connect(metrics=metrics)
    await bus.reconcile()
    broken = True

    async def answer(_: Delivery) -> None:
        if broken:
            raise Reject("broken")

    fragile, sturdy = Gathered(answer), Gathered()
    async with consuming(bus, consumer("fragile"), fragile), consuming(bus, consumer("sturdy"), sturdy):
        await bus.publish(release(1))
        await sturdy.until_ids(1)
        await eventually(lambda: has_letters(bus, 1))
        letter = (await letters_of(bus))[0]
        broken = False
        replayed = await bus.dead_letters.replay(letter.id)
        await fragile.until(lambda all_: len(all_) == 2)
        await eventually(lambda: inside.all_answered("sturdy"))
    assert not replayed.duplicate
    assert [each.envelope.id for each in fragile.deliveries] == ["release/edge/1", "release/edge/1"]
    assert len(sturdy.deliveries) == 1
    assert "skipped sturdy new-version replay" in metrics.said
    assert await has_letters(bus, 0)


async def test_an_event_that_ends_its_process_again_and_again_is_dead_lettered_before_it_is_run_once_more(
    bus: Bus, nats_server: NatsServer
) -> None:
    spec = consumer(max_deliver=1)
    await bus.reconcile((), (spec,))
    await bus.publish(release(1))
    client = await nats.connect(nats_server.url)
    subscription = await client.jetstream().pull_subscribe_bind("reader", "STEWARD_EVENTS")
    for _ in range(11):
        message = (await subscription.fetch(1, timeout=5))[0]
        await message.nak()
    await client.close()
    handler = Gathered()
    async with consuming(bus, spec, handler):
        await eventually(lambda: has_letters(bus, 1))
    assert handler.deliveries == []
    assert "the process ended with it each time" in (await letters_of(bus))[0].reason


async def test_silence_is_noticed_by_missed_heartbeats_and_everything_is_asked_for_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that the server never saw: without the watchdog the loop would wait for ever."""
    swallowed = 0
    send = Connection.send

    async def lossy(
        self: Connection, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        nonlocal swallowed
        if "MSG.NEXT" in subject and not swallowed:
            swallowed += 1
            return
        await send(self, subject, payload, reply=reply, headers=headers)

    monkeypatch.setattr(Connection, "send", lossy)
    handler = Gathered()
    async with consuming(bus, consumer(), handler):
        await bus.publish(release(1))
        await handler.until_ids(1)
    assert swallowed == 1


async def test_a_consumer_hears_only_its_filters(bus: Bus) -> None:
    handler = Gathered()
    spec = ConsumerSpec(name="one", filters=("steward.v1.test.new-version.stable",))
    async with consuming(bus, spec, handler):
        await bus.publish(release(1, "edge"))
        await bus.publish(release(2, "stable"))
        await handler.until_ids(1)
    assert handler.ids == ["release/stable/2"]
    assert NEW_VERSIONS.startswith("steward.v1.")


async def test_metrics_tell_what_happened(connect: Connect) -> None:
    metrics = Counted()
    bus = await connect(metrics=metrics)
    await bus.reconcile()

    async def answer(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise Retry(SOON)
        raise Reject("enough")

    async with consuming(bus, consumer(), Gathered(answer)):
        await bus.publish(release(1))
        await bus.publish(release(1))
        await eventually(lambda: said(metrics, "dead-lettered reader new-version"))
    assert metrics.said[0] == "connected True"
    assert "published new-version False" in metrics.said
    assert "published new-version True" in metrics.said
    for word in ("delivered", "retried", "rejected", "handled"):
        assert f"{word} reader new-version" in metrics.said
    assert "acked reader new-version" not in metrics.said

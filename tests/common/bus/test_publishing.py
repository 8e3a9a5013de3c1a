"""Stored exactly once, whatever happens to the server meanwhile."""

import asyncio
from datetime import timedelta

import nats
import pytest

from steward.bus.client import Bus
from steward.bus.errors import EventTooLarge, PublishFailed, PublishUnknown
from steward.bus.reconcile import Verdict
from steward.bus.settings import BusSettings
from steward.bus.streams import EVENTS, Start
from steward.clock import SystemClock
from steward.events import NewVersion, Trail
from steward.events.codec import encode
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsCluster, NatsServer
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import Counted, Gathered, consumer, consuming, release

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"


async def test_a_stored_event_carries_what_other_consumers_filter_by(bus: Bus, inside: Inside) -> None:
    envelope = enveloped(build(NewVersion), id="ä/1", cluster="prod", trail=Trail("run-1", "cause-1", TRACE))
    published = await bus.publish(envelope)
    assert (published.stream, published.sequence, published.duplicate) == ("STEWARD_EVENTS", 1, False)
    stored = await inside.jetstream.get_msg("STEWARD_EVENTS", seq=1, direct=True)
    assert stored.subject == "steward.v1.prod.new-version.edge"
    assert stored.data == encode(envelope)
    assert stored.headers is not None
    assert {name: value for name, value in stored.headers.items() if not name.startswith(("Nats-S", "Nats-T"))} == {
        "Nats-Msg-Id": "ä/1",
        "content-type": "application/cloudevents+json",
        "ce-id": "ä/1",
        "ce-type": "io.linkerd.steward.new-version.v1",
        "traceparent": TRACE,
    }


async def test_the_same_id_is_stored_once_and_the_second_publish_says_so(bus: Bus) -> None:
    first, second = await bus.publish(release(1)), await bus.publish(release(1))
    assert (first.sequence, first.duplicate) == (1, False)
    assert (second.sequence, second.duplicate) == (1, True)


async def test_an_event_that_is_too_large_is_refused_before_it_is_sent(bus: Bus) -> None:
    data = build(NewVersion, notices=("x" * 1_100_000,))
    with pytest.raises(EventTooLarge, match=r"1100\d{3} bytes and 1032192 fit: .* object store"):
        await bus.publish(enveloped(data))
    assert (await bus.publish(release(1))).sequence == 1


async def test_a_subject_that_no_stream_takes_fails_at_the_deadline_and_says_where_to_look(connect: Connect) -> None:
    metrics = Counted()
    bus = await connect(publish_deadline=timedelta(milliseconds=300), metrics=metrics)
    with pytest.raises(PublishFailed, match=r"'release/edge/1' .* does a stream take this subject"):
        await bus.publish(release(1))
    # A retry without a pause would be thousands here.
    assert 1 <= metrics.said.count("publish retried new-version NoStream") <= 20


async def test_a_server_that_stays_away_leaves_the_outcome_unknown(connect: Connect, nats_server: NatsServer) -> None:
    bus = await connect(publish_deadline=timedelta(milliseconds=500))
    await bus.reconcile()
    await nats_server.kill()
    with pytest.raises(PublishUnknown, match=r"may be stored or not\. Publish it again"):
        await bus.publish(release(1))
    await nats_server.start()
    assert (await bus.publish(release(1))).sequence == 1


async def test_a_full_stream_fails_for_good_with_the_servers_words(bus: Bus, inside: Inside) -> None:
    await inside.jetstream.update_stream(name="STEWARD_EVENTS", subjects=["steward.v1.>"], max_msg_size=100)
    with pytest.raises(PublishFailed, match="message size exceeds maximum allowed"):
        await bus.publish(release(1))


async def test_three_thousand_publishes_across_a_kill_and_restart_store_exactly_three_thousand(
    connect: Connect, nats_server: NatsServer
) -> None:
    bus = await connect()
    await bus.reconcile()
    numbers = iter(range(3000))
    halfway = asyncio.Event()

    async def publish_some() -> None:
        for number in numbers:
            if number == 1500:
                halfway.set()
            await bus.publish(release(number))

    async def take_the_server_away() -> None:
        await halfway.wait()
        await nats_server.restart()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take_the_server_away())
        for _ in range(16):
            tasks.create_task(publish_some())
    stored = [envelope.id async for envelope in bus.tail("steward.v1.>", start=Start.ALL, follow=False)]
    assert len(stored) == 3000
    assert set(stored) == {f"release/edge/{number}" for number in range(3000)}
    assert await bus.event_ids("steward.v1.>") == set(stored)


async def test_killing_the_leader_of_a_replicated_stream_loses_and_repeats_nothing(nats_cluster: NatsCluster) -> None:
    settings = BusSettings(servers=nats_cluster.urls, replicas=3, cluster="test")
    bus = await Bus.connect(settings, name="test", clock=SystemClock())
    changes = await bus.reconcile()
    assert {change.verdict for change in changes} == {Verdict.CREATED}
    handler = Gathered()
    async with consuming(bus, consumer(ack_wait=2), handler):
        for number in range(100):
            await bus.publish(release(number))
        leader = await leader_of(nats_cluster.urls, EVENTS.name)
        await nats_cluster.named(leader).kill()
        for number in range(100, 200):
            await bus.publish(release(number))
        await handler.until_ids(200)
    assert handler.ids == [f"release/edge/{number}" for number in range(200)]
    assert len(await bus.event_ids("steward.v1.>")) == 200
    await bus.close()


async def leader_of(urls: tuple[str, ...], stream: str) -> str:
    client = await nats.connect(list(urls))
    info = await client.jetstream().stream_info(stream)
    await client.close()
    assert info.cluster is not None
    assert info.cluster.leader is not None
    return info.cluster.leader

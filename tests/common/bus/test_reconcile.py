"""What is created, what is changed, and what is refused because something would be lost."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from nats.js.api import StorageType

from steward.bus.client import Bus
from steward.bus.errors import StreamMissing
from steward.bus.reconcile import Change, Verdict, differences
from steward.bus.streams import EVENTS, LOCKS, STORES, ConsumerSpec, Start, StreamSpec
from steward.errors import ConfigurationError
from steward.events.registry import EVENTS as ALL_EVENTS
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import consumer, release

SMALL = StreamSpec(name="SMALL", subjects=("small.a", "small.b"), max_age=timedelta(days=10), max_bytes=10_000_000)


async def only(bus: Bus, spec: StreamSpec) -> Change:
    (change,) = await bus.reconcile((spec,))
    return change


async def test_everything_is_created_once_and_then_left_alone(connect: Connect) -> None:
    bus = await connect()
    specs = (
        consumer(),
        replace(consumer("other"), filters=("steward.v1.*.new-version.>", "steward.v1.*.mesh-drifted.>")),
    )
    first, second = await bus.reconcile(STORES, specs), await bus.reconcile(STORES, specs)
    assert {change.verdict for change in first} == {Verdict.CREATED}
    assert {change.verdict for change in second} == {Verdict.UNCHANGED}
    assert len(first) == len(STORES) + 2


async def test_the_streams_have_the_limits_that_the_design_gives_them(bus: Bus, inside: Inside) -> None:
    events = (await inside.jetstream.stream_info("STEWARD_EVENTS")).config
    assert events.subjects == ["steward.v1.>"]
    assert (events.max_age, events.duplicate_window) == (30 * 86400, 2 * 3600)
    assert events.storage == StorageType.FILE
    assert bus.connected


@pytest.mark.parametrize(
    "gentle",
    [
        {"max_age": timedelta(days=20)},
        {"max_age": None},
        {"max_bytes": 20_000_000},
        {"max_bytes": None},
        {"subjects": ("small.a", "small.b", "small.c")},
        {"description": "other words"},
        {"duplicate_window": timedelta(minutes=5)},
    ],
    ids=["keeps-longer", "keeps-for-ever", "grows", "without-limit", "hears-more", "described", "other-window"],
)
async def test_a_change_that_loses_nothing_is_made(connect: Connect, gentle: dict[str, object]) -> None:
    bus = await connect()
    await only(bus, SMALL)
    changed = replace(SMALL, **gentle)  # type: ignore[arg-type] # the parameters are fields of the spec
    assert (await only(bus, changed)).verdict is Verdict.UPDATED
    assert (await only(bus, changed)).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("destructive", "named"),
    [
        ({"max_age": timedelta(days=5)}, "max_age"),
        ({"max_bytes": 1_000_000}, "max_bytes"),
        ({"max_messages_per_subject": 1}, "max_msgs_per_subject"),
        ({"subjects": ("small.a",)}, "subjects"),
    ],
)
async def test_a_change_that_could_lose_messages_is_refused_with_the_command_to_do_it_on_purpose(
    connect: Connect, inside: Inside, destructive: dict[str, object], named: str
) -> None:
    bus = await connect()
    await only(bus, SMALL)
    before = (await inside.jetstream.stream_info("SMALL")).config
    change = await only(bus, replace(SMALL, **destructive))  # type: ignore[arg-type] # fields of the spec
    assert change.verdict is Verdict.REFUSED
    assert named in change.detail
    assert change.remedy == "If that is meant: nats stream edit SMALL"
    assert (await inside.jetstream.stream_info("SMALL")).config == before


async def test_the_gentle_part_of_a_change_is_made_and_the_rest_refused(connect: Connect, inside: Inside) -> None:
    bus = await connect()
    await only(bus, SMALL)
    change = await only(bus, replace(SMALL, description="other words", max_bytes=1))
    after = (await inside.jetstream.stream_info("SMALL")).config
    assert change.verdict is Verdict.REFUSED
    assert (after.description, after.max_bytes) == ("other words", 10_000_000)


async def test_storage_that_somebody_made_differently_is_reported_not_replaced(
    connect: Connect, inside: Inside
) -> None:
    await inside.jetstream.add_stream(name="SMALL", subjects=["small.a", "small.b"], storage=StorageType.MEMORY)
    bus = await connect()
    change = await only(bus, SMALL)
    assert change.verdict is Verdict.REFUSED
    assert "storage: 'memory' → 'file'" in change.detail


async def test_more_replicas_than_servers_is_reported_in_the_servers_words(connect: Connect) -> None:
    bus = await connect(replicas=3)
    change = await only(bus, SMALL)
    assert change.verdict is Verdict.REFUSED
    assert "replicas > 1 not supported in non-clustered mode" in change.detail


async def test_settings_that_people_added_by_hand_are_kept(connect: Connect, inside: Inside) -> None:
    bus = await connect()
    await only(bus, SMALL)
    await inside.jetstream.update_stream((await inside.jetstream.stream_info("SMALL")).config, max_msg_size=5000)
    assert (await only(bus, replace(SMALL, description="x"))).verdict is Verdict.UPDATED
    assert (await inside.jetstream.stream_info("SMALL")).config.max_msg_size == 5000


async def test_a_consumer_gets_its_new_filters_and_keeps_its_place(bus: Bus, inside: Inside) -> None:
    await bus.reconcile((), (consumer(),))
    await bus.publish(release(1))
    wider = replace(consumer(), filters=("steward.v1.*.new-version.>", "steward.v1.*.mesh-drifted.>"))
    (change,) = await bus.reconcile((), (wider,))
    assert change.verdict is Verdict.UPDATED
    info = await inside.jetstream.consumer_info("STEWARD_EVENTS", "reader")
    assert sorted(info.config.filter_subjects or []) == sorted(wider.filters)
    assert info.num_pending == 1
    (narrower,) = await bus.reconcile((), (consumer(),))
    assert narrower.verdict is Verdict.UPDATED


async def test_a_consumer_that_would_have_to_begin_elsewhere_is_refused(bus: Bus) -> None:
    await bus.reconcile((), (consumer(),))
    (change,) = await bus.reconcile((), (replace(consumer(), start=Start.NEW),))
    assert change.verdict is Verdict.REFUSED
    assert change.detail == ("would lose messages or positions, so it was left alone: deliver_policy: 'all' → 'new'")
    assert change.remedy.startswith("If that is meant: nats consumer rm STEWARD_EVENTS reader")


async def test_a_consumer_without_its_stream_says_what_to_start(connect: Connect) -> None:
    bus = await connect()
    with pytest.raises(StreamMissing, match="STEWARD_EVENTS does not exist: start Linkerd Steward's services"):
        await bus.reconcile((), (consumer(),))


async def test_many_that_reconcile_at_once_all_succeed(connect: Connect) -> None:
    buses = [await connect() for _ in range(5)]
    every = await asyncio.gather(*(bus.reconcile(STORES, (consumer(),)) for bus in buses))
    verdicts = {change.verdict for changes in every for change in changes}
    assert verdicts <= {Verdict.CREATED, Verdict.UNCHANGED}


async def test_a_guest_creates_what_is_missing_and_changes_nothing(connect: Connect, inside: Inside) -> None:
    bus = await connect()
    await bus.ensure((SMALL,))
    await bus.ensure((replace(SMALL, max_bytes=1, description="mine"),))
    config = (await inside.jetstream.stream_info("SMALL")).config
    assert (config.max_bytes, config.description or "") == (10_000_000, "")


def test_a_limit_of_nothing_is_written_in_two_ways_and_means_the_same() -> None:
    assert differences({"max_bytes": -1, "max_age": 0}, {"max_bytes": 0, "max_age": -1}) == []


def test_the_stream_of_events_takes_the_subject_of_every_event() -> None:
    assert EVENTS.subjects == ("steward.v1.>",)
    assert all(event.name for event in ALL_EVENTS)
    assert LOCKS.name == "KV_steward-locks"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "a.b", "filters": ("x",)}, "cannot be a consumer's name"),
        ({"name": "", "filters": ("x",)}, "cannot be a consumer's name"),
        ({"name": "a", "filters": ()}, "listens to nothing"),
        ({"name": "a", "filters": ("x",), "max_deliver": 0}, "at least 1"),
        ({"name": "a", "filters": ("x",), "ack_wait": timedelta(0)}, "at least 1 s"),
    ],
)
def test_a_consumer_that_cannot_work_is_refused_where_it_is_written(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ConsumerSpec(**given)  # type: ignore[arg-type] # wrong on purpose

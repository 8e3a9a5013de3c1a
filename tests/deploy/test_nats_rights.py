"""NATS as deploy/ configures it: each user can do what its program does, and not one thing more."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.upgrader.service import CONSUMER
from services.version_watcher.core.announce import Owed
from services.version_watcher.edges.herald import Herald
from steward.bus.client import Bus
from steward.bus.connection import Connection
from steward.bus.dead_letters import DeadLetter
from steward.bus.delivery import Delivery
from steward.bus.errors import BusRefused
from steward.bus.metrics import BusMetrics
from steward.bus.reconcile import Verdict
from steward.bus.streams import STORES, ConsumerSpec, Start, filters_for
from steward.clock import SystemClock
from steward.errors import Reject
from steward.events.alerts import AlertFiring, AlertPolicyApplied, AlertResolved
from steward.events.base import Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered, ConformanceRunFinished
from steward.events.registry import EVENTS
from steward.events.subjects import subject_filter
from steward.events.upgrades import UpgradeEvent, UpgradeFinished
from steward.events.versions import MeshDrifted, NewVersion, VersionWithdrawn
from steward.subscriber import Subscriber
from steward.testing.events import build, enveloped
from tests.deploy.deployed_nats import ALONE, CLUSTER, DeployedNats, deployed_cluster, deployed_nats

PATIENCE = 20.0
ALERTING = "alerting"
VERSIONS: tuple[type[Event], ...] = (NewVersion, VersionWithdrawn, MeshDrifted)
UPGRADES: tuple[type[Event], ...] = tuple(event for event in EVENTS if issubclass(event, UpgradeEvent))
CONFORMANCES: tuple[type[Event], ...] = (ConformanceRunFinished, ConformanceFailed, ConformanceRecovered)
ALERTS: tuple[type[Event], ...] = (AlertFiring, AlertResolved, AlertPolicyApplied)
SPEC = ConsumerSpec(CONSUMER, filters_for((NewVersion, VersionWithdrawn), cluster=CLUSTER))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[DeployedNats]:
    async with deployed_nats(tmp_path) as server:
        yield server


@asynccontextmanager
async def bus_of(nats: DeployedNats, user: str) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats.as_user(user), name=user, clock=SystemClock())
    try:
        yield bus
    finally:
        await bus.close()


async def said(nats: DeployedNats) -> list[str]:
    """The names of all events, as `events tail` reads them."""
    async with bus_of(nats, "cli") as bus:
        stored = bus.tail(subject_filter(), start=Start.ALL, follow=False)
        return [envelope.data.name async for envelope in stored]


async def test_version_watcher_makes_the_streams_and_says_each_of_its_events_once(nats: DeployedNats) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    owed = [Owed(f"id-{event.name}", now, build(event)) for event in VERSIONS]
    async with bus_of(nats, "version-watcher") as bus:
        herald = Herald(bus)
        changes = await bus.reconcile()
        await herald.prepare()
        first, second = await herald.say(owed), await herald.say(owed)
    assert {change.verdict for change in changes} == {Verdict.CREATED}
    assert len(first.ids) == len(VERSIONS), first.problem
    assert second.repeated == first.ids
    assert await said(nats) == [event.name for event in VERSIONS]


async def test_upgrader_hears_releases_tells_its_story_and_buries_what_it_cannot_read(nats: DeployedNats) -> None:
    async with bus_of(nats, "version-watcher") as watcher, bus_of(nats, "upgrader") as upgrader:
        await upgrader.reconcile(STORES, (SPEC,))
        assert {each.verdict for each in await upgrader.reconcile(STORES, (SPEC,))} == {Verdict.UNCHANGED}
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def handle(delivery: Delivery) -> None:
            heard.put_nowait(delivery.envelope.data.name)
            raise Reject("the test has no use for it")

        consuming = asyncio.create_task(upgrader.consume(SPEC, handle))
        await watcher.publish(enveloped(build(NewVersion), id="new", cluster=CLUSTER))
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() == NewVersion.name
        for event in UPGRADES:
            await upgrader.publish(enveloped(build(event), id=event.name, cluster=CLUSTER))
        assert await upgrader.event_ids(subject_filter(cluster=CLUSTER)) == {"new", *(each.name for each in UPGRADES)}
        consuming.cancel()
        await asyncio.wait([consuming])
    assert await said(nats) == [NewVersion.name, *(event.name for event in UPGRADES)]


async def test_alerting_hears_every_event_says_its_own_and_buries_what_it_cannot_read(nats: DeployedNats) -> None:
    spec = ConsumerSpec(ALERTING, (subject_filter(cluster=CLUSTER),))
    async with bus_of(nats, "upgrader") as upgrader, bus_of(nats, "alerting") as alerting:
        await alerting.reconcile(STORES, (spec,))
        assert {each.verdict for each in await alerting.reconcile(STORES, (spec,))} == {Verdict.UNCHANGED}
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def handle(delivery: Delivery) -> None:
            heard.put_nowait(delivery.envelope.data.name)
            raise Reject("the test has no use for it")

        consuming = asyncio.create_task(alerting.consume(spec, handle))
        await upgrader.publish(enveloped(build(UpgradeFinished), id="finished", cluster=CLUSTER))
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() == UpgradeFinished.name
            for event in ALERTS:
                await alerting.publish(enveloped(build(event), id=event.name, cluster=CLUSTER))
            assert {await heard.get() for _ in ALERTS} == {event.name for event in ALERTS}
        ids = await alerting.event_ids(subject_filter(cluster=CLUSTER))
        assert ids == {"finished", *(each.name for each in ALERTS)}
        consuming.cancel()
        await asyncio.wait([consuming])
    async with bus_of(nats, "cli") as people:
        letters = [letter async for letter in people.dead_letters.list()]
    assert {letter.consumer for letter in letters} == {ALERTING}


async def test_people_see_dead_letters_and_have_them_delivered_again(nats: DeployedNats) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    subscriber = Subscriber("acme-tickets", start=Start.ALL)

    @subscriber.on(UpgradeFinished)
    async def open_ticket(_: UpgradeFinished) -> None:
        heard.put_nowait(heard.qsize())
        raise Reject("the ticket system does not know this cluster")

    async with bus_of(nats, "upgrader") as upgrader, bus_of(nats, "cli") as people:
        await upgrader.reconcile()
        await upgrader.publish(enveloped(build(UpgradeFinished), id="finished", cluster=CLUSTER))
        running = asyncio.create_task(subscriber.run(nats.as_user("subscriber")))
        async with asyncio.timeout(PATIENCE):
            await heard.get()
            letters: list[DeadLetter] = []
            while not letters:
                letters = [letter async for letter in people.dead_letters.list()]
            assert (await people.dead_letters.get(letters[0].id)).consumer == "acme-tickets"
            await people.dead_letters.replay(letters[0].id)
            await heard.get()
        running.cancel()
        await asyncio.wait([running])


_OF_NOBODY = (
    "$JS.API.STREAM.DELETE.STEWARD_EVENTS",
    "$JS.API.STREAM.PURGE.STEWARD_EVENTS",
    "$JS.API.STREAM.MSG.DELETE.STEWARD_EVENTS",
    "$JS.API.STREAM.SNAPSHOT.STEWARD_EVENTS",
    "$JS.API.STREAM.CREATE.SOMETHING_ELSE",
    "$JS.API.CONSUMER.DELETE.STEWARD_EVENTS.upgrader",
    "$JS.API.CONSUMER.DELETE.STEWARD_EVENTS.alerting",
    "$KV.steward-locks.upgrader",
    "$SYS.REQ.SERVER.PING",
    "steward.results.testing.anything",
    "_INBOX_somebody.else",
)
_OF_THE_SERVICES = ("$JS.API.STREAM.UPDATE.STEWARD_EVENTS", "$JS.API.STREAM.CREATE.STEWARD_EVENTS")
_OF_UPGRADER = (
    "steward.v1.testing.upgrade-finished.run",
    "$JS.API.CONSUMER.CREATE.STEWARD_EVENTS.upgrader",
    "$JS.API.CONSUMER.MSG.NEXT.STEWARD_EVENTS.upgrader",
    "$JS.ACK.STEWARD_EVENTS.upgrader.1.1.1.1.0",
    "steward.dead-letters.testing.upgrader.1.STEWARD_EVENTS",
)
_OF_VERSION_WATCHER = ("steward.v1.testing.new-version.edge",)
_OF_CONFORMANCE = (
    "steward.v1.testing.conformance-failed.mtls.identity",
    "steward.orders.v1.testing.run.pod",
    "steward.results.v1.testing.conformance.run.mtls.identity",
    "$JS.API.CONSUMER.CREATE.STEWARD_EVENTS.conformance",
    "$JS.API.CONSUMER.MSG.NEXT.STEWARD_EVENTS.conformance",
    "$JS.ACK.STEWARD_EVENTS.conformance.1.1.1.1.0",
    "steward.dead-letters.testing.conformance.1.STEWARD_EVENTS",
)
_OF_ALERTING = (
    "steward.v1.testing.alert-firing.LinkerdInjectorSlow.0123456789abcdef",
    "$JS.API.CONSUMER.CREATE.STEWARD_EVENTS.alerting",
    "$JS.API.CONSUMER.MSG.NEXT.STEWARD_EVENTS.alerting",
    "$JS.ACK.STEWARD_EVENTS.alerting.1.1.1.1.0",
    "steward.dead-letters.testing.alerting.1.STEWARD_EVENTS",
)
_OF_EXERCISER = ("steward.results.v1.testing.agents.run.order", "steward.agents.v1.testing.run.pod")
_OF_PEOPLE = ("$JS.API.STREAM.MSG.DELETE.STEWARD_DEAD_LETTERS", "$JS.API.CONSUMER.CREATE.STEWARD_DEAD_LETTERS.reader")
_NOT_FOR = {
    "version-watcher": (*_OF_NOBODY, *_OF_UPGRADER, *_OF_CONFORMANCE, *_OF_ALERTING, *_OF_EXERCISER, *_OF_PEOPLE),
    "upgrader": (*_OF_NOBODY, *_OF_VERSION_WATCHER, *_OF_CONFORMANCE, *_OF_ALERTING, *_OF_EXERCISER, *_OF_PEOPLE),
    "conformance": (*_OF_NOBODY, *_OF_UPGRADER, *_OF_VERSION_WATCHER, *_OF_ALERTING, *_OF_EXERCISER, *_OF_PEOPLE),
    "alerting": (*_OF_NOBODY, *_OF_UPGRADER, *_OF_VERSION_WATCHER, *_OF_CONFORMANCE, *_OF_EXERCISER, *_OF_PEOPLE),
    "exerciser": (
        *_OF_NOBODY,
        *_OF_THE_SERVICES,
        *_OF_UPGRADER,
        *_OF_VERSION_WATCHER,
        *_OF_CONFORMANCE,
        *_OF_ALERTING,
        *_OF_PEOPLE,
    ),
    # Its replays go out on any event's own subject, so that one thing of each service's it may.
    "cli": (
        *_OF_NOBODY,
        *_OF_THE_SERVICES,
        *_OF_UPGRADER[1:],
        *_OF_CONFORMANCE[1:],
        *_OF_ALERTING[1:],
        *_OF_EXERCISER,
    ),
    "subscriber": (
        *_OF_NOBODY,
        *_OF_THE_SERVICES,
        *_OF_UPGRADER,
        *_OF_VERSION_WATCHER,
        *_OF_CONFORMANCE,
        *_OF_ALERTING,
        *_OF_EXERCISER,
        *_OF_PEOPLE,
    ),
}


@pytest.mark.parametrize("user", _NOT_FOR)
async def test_a_user_is_refused_what_is_not_its_own(nats: DeployedNats, user: str) -> None:
    connection = await Connection.open(nats.as_user(user), name=user, clock=SystemClock(), metrics=BusMetrics())

    async def ask(subject: str) -> str:
        try:
            await connection.request(subject, b"{}", timeout=2.0)
        except BusRefused as refused:
            return str(refused)
        except Exception as other:  # noqa: BLE001 - whatever else comes of it is the finding
            return f"not refused: {other!r}"
        return "answered"

    forbidden = _NOT_FOR[user]
    try:
        answers = dict(zip(forbidden, await asyncio.gather(*map(ask, forbidden)), strict=True))
    finally:
        await connection.close()
    assert {subject: said for subject, said in answers.items() if "may not use" not in said} == {}


@pytest.mark.parametrize("user", _NOT_FOR)
@pytest.mark.parametrize("subject", [">", "steward.>", "$JS.>", "$SYS.>", "_INBOX.>", "other"])
async def test_nobody_hears_anything_but_answers_to_its_own_questions(
    nats: DeployedNats, user: str, subject: str
) -> None:
    other = "_INBOX_cli.>" if user != "cli" else "_INBOX_upgrader.>"
    connection = await Connection.open(nats.as_user(user), name=user, clock=SystemClock(), metrics=BusMetrics())

    async def receive(_: object) -> None:
        """Nothing ever comes."""

    try:
        with suppress(BusRefused):
            await connection.subscribe(other if subject == "other" else subject, receive)
        async with asyncio.timeout(PATIENCE):
            # The client may send its ping before the subscription, so the refusal may come after the pong.
            while not any("subscription" in denial for denial in connection.denials):
                await connection.flush()
    finally:
        await connection.close()


async def test_without_a_password_nobody_gets_in(nats: DeployedNats) -> None:
    settings = nats.as_user("upgrader").model_copy(
        update={"user": None, "password": None, "connect_timeout": timedelta(seconds=10)}
    )
    with pytest.raises(BusRefused, match="does not let us in"):
        await Bus.connect(settings, name="nobody", clock=SystemClock())


async def test_three_servers_replicate_every_stream_and_let_no_stranger_join(tmp_path: Path) -> None:
    async with deployed_cluster(tmp_path) as servers, asyncio.timeout(2 * PATIENCE):
        settings = servers[0].as_user("upgrader").model_copy(update={"replicas": 3})
        bus = await Bus.connect(settings, name="upgrader", clock=SystemClock())
        try:
            changes = await bus.reconcile()
            await bus.publish(enveloped(build(UpgradeFinished), id="finished", cluster=CLUSTER))
        finally:
            await bus.close()
        assert {change.verdict for change in changes} == {Verdict.CREATED}
        assert await said(servers[2]) == [UpgradeFinished.name]


def test_every_event_may_be_said_by_exactly_one_service() -> None:
    users = re.split(r"(?m)^ {6}user: ", (ALONE / "users.conf").read_text())[1:]
    allowed = {
        text.split()[0]: set(re.findall(r'"(steward\.v1\.[^"]+)"', text.partition("deny:")[0])) for text in users
    }
    assert allowed["version-watcher"] == {subject_filter(event.name) for event in VERSIONS}
    assert allowed["upgrader"] == {subject_filter(event.name) for event in UPGRADES}
    assert allowed["conformance"] == {subject_filter(event.name) for event in CONFORMANCES}
    assert allowed["alerting"] == {subject_filter(event.name) for event in ALERTS}
    assert allowed["subscriber"] == allowed["exerciser"] == set()
    assert {*VERSIONS, *UPGRADES, *CONFORMANCES, *ALERTS} == set(EVENTS)

"""Events are stored once and in order, also when the answer of NATS is lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest_asyncio

from services.version_watcher.core.announce import Owed
from services.version_watcher.edges.herald import Herald
from steward.bus.client import Bus
from steward.bus.errors import PublishUnknown
from steward.bus.publishing import Published
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.events.base import Envelope, Event
from steward.events.versions import NewVersion
from steward.testing.events import build
from steward.testing.nats import NatsServer
from tests.services.version_watcher.running import CLUSTER, Stream

NOW = datetime(2026, 8, 22, tzinfo=UTC)


class LossyBus(Bus):
    """The real bus, which stores what it is given and then loses the answers that it is told to lose."""

    losses = 0

    async def publish(self, envelope: Envelope[Event]) -> Published:
        published = await super().publish(envelope)
        if self.losses:
            self.losses -= 1
            raise PublishUnknown("no answer; it may be stored or not")
        return published


@dataclass
class Scene:
    """A herald on a real server."""

    bus: LossyBus
    herald: Herald
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = Stream(self.bus, "*")


@pytest_asyncio.fixture
async def scene(nats_server: NatsServer) -> AsyncIterator[Scene]:
    settings = BusSettings(servers=(nats_server.url,), cluster=CLUSTER)
    bus = await LossyBus.connect(settings, name="test", clock=SystemClock())
    made = Scene(bus, Herald(bus))
    await made.herald.prepare()
    yield made
    await bus.close()


def owed(*releases: str) -> tuple[Owed, ...]:
    return tuple(
        Owed(f"new-version/x/{each}", NOW, build(NewVersion, channel="edge", release=each)) for each in releases
    )


async def test_events_are_stored_in_the_order_in_which_they_are_owed(scene: Scene) -> None:
    said = await scene.herald.say(owed("edge-26.8.1", "edge-26.8.2", "edge-26.8.3"))
    assert (len(said.ids), said.repeated, said.problem) == (3, frozenset(), "")
    assert [each.id.rsplit("/", 1)[1] for each in await scene.stream.all()] == [
        "edge-26.8.1",
        "edge-26.8.2",
        "edge-26.8.3",
    ]


async def test_what_is_stored_already_is_not_said_again(scene: Scene) -> None:
    await scene.herald.say(owed("edge-26.8.1"))
    said = await scene.herald.say(owed("edge-26.8.1", "edge-26.8.2"))
    assert said.repeated == {"new-version/x/edge-26.8.1"}
    assert len(await scene.stream.all()) == 2


async def test_a_lost_answer_leaves_the_rest_owed_and_nothing_is_said_twice(scene: Scene) -> None:
    scene.bus.losses = 1
    first = await scene.herald.say(owed("edge-26.8.1", "edge-26.8.2"))
    assert first.ids == frozenset()
    assert "may be stored or not" in first.problem
    second = await scene.herald.say(owed("edge-26.8.1", "edge-26.8.2"))
    assert len(second.ids) == 2
    assert second.repeated == {"new-version/x/edge-26.8.1"}
    assert len(await scene.stream.all()) == 2


async def test_an_event_says_when_it_happened_and_who_says_it(scene: Scene) -> None:
    await scene.herald.say(owed("edge-26.8.3"))
    (envelope,) = await scene.stream.all()
    assert envelope.time == NOW
    assert envelope.source == f"/linkerd-steward/{CLUSTER}/version-watcher"
    assert envelope.traceparent

"""Questions and answers that nothing keeps, and the only message of a subject."""

import asyncio
from datetime import timedelta

import pytest

from steward.bus.asking import Heard
from steward.bus.client import Bus
from steward.bus.errors import AnswerLate, BusRefused, EventTooLarge, NobodyListens
from steward.bus.streams import STORES
from steward.testing.nats import NatsServer, NatsUser
from tests.common.bus.conftest import Connect

SECOND = timedelta(seconds=1)
AMPLE = timedelta(seconds=20)


async def test_a_question_is_answered_by_whoever_listens(bus: Bus, connect: Connect) -> None:
    async def receive(heard: Heard) -> bytes:
        assert heard.asked
        return heard.data.upper()

    other = await connect()
    async with other.listen("questions.here", receive):
        assert await bus.ask("questions.here", b"hello", timeout=AMPLE) == b"HELLO"


async def test_a_question_that_nobody_hears_is_known_at_once(bus: Bus) -> None:
    with pytest.raises(NobodyListens, match=r"questions\.nowhere"):
        await bus.ask("questions.nowhere", b"hello", timeout=AMPLE)


async def test_a_listener_that_has_left_is_not_asked(bus: Bus) -> None:
    async def receive(heard: Heard) -> bytes:
        return heard.data

    async with bus.listen("questions.here", receive):
        pass
    with pytest.raises(NobodyListens):
        await bus.ask("questions.here", b"hello", timeout=AMPLE)


async def test_a_listener_that_says_nothing_is_waited_for_no_longer_than_wanted(bus: Bus) -> None:
    async def receive(heard: Heard) -> None:
        assert heard.data == b"hello"

    async with bus.listen("questions.here", receive):
        with pytest.raises(AnswerLate, match=r"0\.05 s"):
            await bus.ask("questions.here", b"hello", timeout=timedelta(milliseconds=50))


async def test_what_is_sent_is_heard_and_expects_no_answer(bus: Bus) -> None:
    arrived: asyncio.Queue[Heard] = asyncio.Queue()

    async def receive(heard: Heard) -> bytes:
        arrived.put_nowait(heard)
        return b"an answer to nobody"

    async with bus.listen("news.>", receive):
        await bus.send("news.today", b"rain")
        heard = await arrived.get()
    assert (heard.subject, heard.data, heard.asked) == ("news.today", b"rain", False)


async def test_a_listener_is_still_heard_after_the_server_was_away(bus: Bus, nats_server: NatsServer) -> None:
    back = asyncio.Event()

    async def returned() -> None:
        back.set()

    async def receive(heard: Heard) -> bytes:
        return heard.data

    bus.on_reconnect(returned)
    async with bus.listen("questions.here", receive):
        await nats_server.restart()
        await back.wait()
        assert await bus.ask("questions.here", b"again", timeout=AMPLE) == b"again"


async def test_a_question_too_large_for_the_server_is_refused_here(bus: Bus) -> None:
    with pytest.raises(EventTooLarge):
        await bus.ask("questions.here", bytes(2_000_000), timeout=AMPLE)


async def test_listening_without_the_right_to_is_refused_with_the_remedy(connect: Connect) -> None:
    users = (NatsUser("deaf", "secret", subscribe=("_INBOX.>",)),)
    async with NatsServer(users=users) as server:
        deaf = await connect(servers=[server.url], user="deaf", password="secret")

        async def receive(heard: Heard) -> bytes:
            return heard.data

        with pytest.raises(BusRefused, match="permissions in NATS"):
            async with deaf.listen("questions.here", receive):
                pass


async def test_a_subject_that_may_hold_one_message_holds_the_first(bus: Bus) -> None:
    subject = "steward.results.v1.test.agents.run.a"
    first = await bus.store_once(subject, b"first", message_id="a")
    again = await bus.store_once(subject, b"first", message_id="a")
    # Under another id: as if the server had forgotten the first one, which it does after two minutes.
    late = await bus.store_once(subject, b"second", message_id="b")
    assert [first.duplicate, again.duplicate, late.duplicate] == [False, True, True]
    assert [message.data async for message in bus.stored("steward.results.v1.test.agents.>")] == [b"first"]


async def test_what_is_stored_keeps_its_headers(bus: Bus) -> None:
    await bus.store_once("steward.results.v1.test.agents.run.a", b"x", message_id="a", headers={"Steward-Part": "0/1"})
    (message,) = [message async for message in bus.stored("steward.results.v1.test.agents.run.>")]
    assert message.headers["Steward-Part"] == "0/1"
    assert any(store.name == "STEWARD_RESULTS" for store in STORES)

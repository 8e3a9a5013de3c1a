"""Orders to agents and what becomes of their reports, whatever happens to the bus, the agent or the asker."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from services.conformance.core.carriage import TAKEN, orders_subject
from services.conformance.core.orders import (
    Answers,
    Call,
    Fetch,
    Fetched,
    Held,
    Hold,
    Lookup,
    Order,
    Protocol,
    Refused,
    Release,
    Replies,
    Report,
    Target,
    Trouble,
)
from services.conformance.core.stage import PORTS, Port
from services.conformance.core.wishes import Wishes
from services.conformance.edges.agents import Agents, AgentSilent
from services.conformance.exerciser.calling.trouble import UnknownName
from services.conformance.exerciser.exercising import exercising
from services.conformance.exerciser.settings import ExerciserGroup, ExerciserSettings, Role
from steward.bus.asking import Heard
from steward.bus.client import Bus
from steward.bus.metrics import BusMetrics
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.service.logs import logger
from steward.service.patient_bus import PatientBus
from steward.service.settings import LogSettings
from steward.testing.nats import NatsServer
from tests.services.conformance.cast import AMPLE, CLUSTER, RUN, Cast, assembled, eventually, loopback_address

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def connected(nats: NatsServer) -> AsyncIterator[Bus]:
    """A connection that is not of the cast."""
    bus = await Bus.connect(BusSettings(servers=(nats.url,), cluster=CLUSTER), name="other", clock=SystemClock())
    try:
        yield bus
    finally:
        await bus.close()


async def ask(nats: NatsServer, pod: str, payload: bytes) -> Report:
    """Put bytes to an agent as nobody of ours would."""
    async with connected(nats) as bus:
        return Report.model_validate_json(await bus.ask(orders_subject(CLUSTER, RUN, pod), payload, timeout=AMPLE))


async def test_a_pod_without_an_agent_is_silent_at_once(cast: Cast) -> None:
    with pytest.raises(AgentSilent, match="no agent in pod 'cm-9'"):
        await cast.do("cm-9", Lookup(name="x"))


async def test_an_agent_that_tells_nothing_in_time_is_silent(nats_server: NatsServer) -> None:
    async def take(heard: Heard) -> bytes:
        assert heard.asked
        return TAKEN

    async with connected(nats_server) as bus, bus.listen(orders_subject(CLUSTER, RUN, "cm-0"), take):
        agents = Agents(bus, SystemClock(), grace=timedelta())
        with pytest.raises(AgentSilent, match=r"told nothing about Lookup within 0\.05 s"):
            await agents.do(RUN, "cm-0", Lookup(name="x"), deadline=timedelta(seconds=0.05))


async def test_a_late_order_is_refused_and_never_done(cast: Cast, nats_server: NatsServer) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    path = Wishes(id="late").on()
    order = Order(
        id="late-1",
        agent="cm-0",
        deadline=SystemClock().now() - SECOND,
        doing=Call(target=server.at(), path=path),
    )
    report = await ask(nats_server, "cm-0", order.model_dump_json().encode())
    assert isinstance(report.seen, Refused)
    assert (report.order, report.pod, report.seen.reason) == ("late-1", "cm-0", "Late")
    reply = await cast.call("cm-0", Call(target=server.at(), path=path))
    assert reply.echo is not None
    assert reply.echo.attempt == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\x00", b"[]", b"{}", json.dumps({"id": "x", "agent": "cm-0", "doing": {"do": "Dance"}}).encode()],
    ids=["nothing", "no text", "a list", "an empty order", "something nobody can do"],
)
async def test_garbage_is_answered_with_what_is_wrong(cast: Cast, nats_server: NatsServer, payload: bytes) -> None:
    await cast.play("cm-0", roles=(Role.AGENT,))
    report = await ask(nats_server, "cm-0", payload)
    assert isinstance(report.seen, Refused)
    assert report.seen.reason == "Senseless"
    assert "makes no sense" in report.seen.message


async def test_an_order_for_another_agent_is_refused(cast: Cast, nats_server: NatsServer) -> None:
    await cast.play("cm-0", roles=(Role.AGENT,))
    order = Order(id="1", agent="cm-1", deadline=SystemClock().now() + 10 * SECOND, doing=Lookup(name="x"))
    report = await ask(nats_server, "cm-0", order.model_dump_json().encode())
    assert isinstance(report.seen, Refused)
    assert report.seen.reason == "NotMine"


async def test_an_agent_refuses_more_orders_than_it_may_do(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    played = await cast.play("cm-0", most_orders=1)
    slow = Call(target=server.at(), path="/?delay=60", timeout_seconds=60)
    first = asyncio.create_task(cast.do("cm-0", slow))
    try:
        await eventually(lambda: any(played.spool.glob("*.order")))
        seen = (await cast.do("cm-0", Lookup(name="x"))).seen
    finally:
        first.cancel()
        await asyncio.wait([first])
    assert isinstance(seen, Refused)
    assert seen.reason == "Busy"


async def test_the_same_order_twice_is_done_once(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    call = Call(target=server.at(), path=Wishes(id="once").on())
    first = await cast.agents.do(RUN, "cm-0", call, deadline=10 * SECOND, order="same")
    assert isinstance(first.seen, Replies)
    assert await cast.agents.reported(RUN, "same") == first
    reply = await cast.call("cm-0", call)
    assert reply.echo is not None
    assert reply.echo.attempt == 2


async def test_a_page_is_fetched_whole(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    seen = (await cast.do("cm-0", Fetch(target=server.at(), path=Wishes(stream=2_000).on("/metrics")))).seen
    assert isinstance(seen, Fetched)
    assert (seen.status, seen.body.splitlines()[-1]) == (200, "1999")
    seen = (await cast.do("cm-0", Fetch(target=server.at(4)))).seen
    assert isinstance(seen, Fetched)
    assert (seen.status, seen.trouble) == (None, Trouble.REFUSED)


async def test_names_are_looked_up_as_often_as_wanted(cast: Cast) -> None:
    answers = iter(["10.0.0.1", "10.0.0.2", "10.0.0.1"])

    async def resolve(host: str) -> Sequence[str]:
        if host == "sm.test":
            return (next(answers),)
        raise UnknownName(host)

    await cast.play("cm-0", resolve=resolve, roles=(Role.AGENT,))
    seen = (await cast.do("cm-0", Lookup(name="sm.test", times=3))).seen
    assert isinstance(seen, Answers)
    assert (seen.addresses, seen.failures) == ((("10.0.0.1", 2), ("10.0.0.2", 1)), 0)
    seen = (await cast.do("cm-0", Lookup(name="nobody.test", times=2))).seen
    assert isinstance(seen, Answers)
    assert (seen.addresses, seen.failures) == ((), 2)
    reply = await cast.call("cm-0", Call(target=Target(host="nobody.test", port=80)))
    assert reply.trouble is Trouble.UNKNOWN_NAME


HELD = {
    Protocol.TCP: Port.TCP,
    Protocol.WEBSOCKET: Port.WEBSOCKET,
    Protocol.GRPC: Port.GRPC,
    Protocol.HTTP1: Port.HTTP,
    Protocol.HTTP2: Port.H2C,
}


@pytest.mark.parametrize("protocol", HELD, ids=str)
async def test_a_held_connection_is_used_until_it_is_released(cast: Cast, protocol: Protocol) -> None:
    server = await cast.serve("ss-0")
    await cast.play("cm-0", heartbeat=timedelta(milliseconds=20))
    hold = Hold(name="long", target=server.at(HELD[protocol]), protocol=protocol, every_seconds=0.005)
    opened = (await cast.do("cm-0", hold)).seen
    assert isinstance(opened, Held)
    assert (opened.open, opened.pod, opened.trouble) == (True, "ss-0", None)
    again = (await cast.do("cm-0", hold.model_copy(update={"every_seconds": 5}))).seen
    assert isinstance(again, Refused)
    assert again.reason == "HeldAlready"
    await eventually(lambda: any(who.held == ("long",) for who in cast.agents.present(RUN)))
    released = (await cast.do("cm-0", Release(name="long"))).seen
    assert isinstance(released, Held)
    assert (released.open, released.failures, released.resets) == (True, 0, 0)
    assert released.uses >= opened.uses >= 1
    gone = (await cast.do("cm-0", Release(name="long"))).seen
    assert isinstance(gone, Held)
    assert not gone.open


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.WEBSOCKET, Protocol.GRPC], ids=str)
async def test_a_held_connection_counts_how_often_it_was_lost(cast: Cast, protocol: Protocol) -> None:
    address = loopback_address()
    await cast.play("cm-0")
    target = Target(host=address, port=PORTS[HELD[protocol]])
    hold = Hold(name="long", target=target, protocol=protocol, every_seconds=0.01)
    async with exercising(cast.settings("ss-0", address, roles=(Role.SERVE,))):
        assert (await held(cast, hold)).open
    async with exercising(cast.settings("ss-1", address, roles=(Role.SERVE,))):
        async with asyncio.timeout(AMPLE.total_seconds()):
            while not (await held(cast, hold)).resets:
                pass
        released = (await cast.do("cm-0", Release(name="long"))).seen
    assert isinstance(released, Held)
    assert (released.open, released.pod) == (True, "ss-1")


async def held(cast: Cast, hold: Hold) -> Held:
    """How a held connection fares."""
    seen = (await cast.do("cm-0", hold)).seen
    assert isinstance(seen, Held)
    return seen


async def test_what_cannot_be_opened_is_not_held(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    seen = (await cast.do("cm-0", Hold(name="x", target=server.at(4)))).seen
    assert isinstance(seen, Held)
    assert (seen.open, seen.trouble) == (False, Trouble.REFUSED)
    assert (await cast.do("cm-0", Release(name="x"))).seen.model_dump()["open"] is False


async def test_calls_end_early_when_they_are_told_to(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    call = Call(target=server.at(), times=10_000, per_second=100)
    asked = asyncio.create_task(cast.agents.do(RUN, "cm-0", call, deadline=60 * SECOND, order="load"))
    while not asked.done():
        await cast.agents.stop(RUN, "cm-0", "load")
        await asyncio.wait([asked], timeout=0.05)
    seen = asked.result().seen
    assert isinstance(seen, Replies)
    assert len(seen.replies) < 10_000
    assert all(reply.status == 200 for reply in seen.replies)


async def test_calls_that_the_deadline_overtakes_are_told_as_such(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    call = Call(target=server.at(), path="/?delay=60", times=3, timeout_seconds=60)
    seen = (await cast.do("cm-0", call, deadline=timedelta(seconds=0.3))).seen
    assert isinstance(seen, Replies)
    assert [reply.trouble for reply in seen.replies] == [Trouble.TIMED_OUT] * 3


async def test_a_report_of_megabytes_arrives_in_parts(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    await cast.play("cm-0")
    # Random headers do not compress: a report of some three megabytes.
    noise = "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(500))
    headers = tuple((f"x-{number}", f"{number}{noise[number:]}") for number in range(4))
    call = Call(target=server.at(), headers=headers, times=200, concurrency=20)
    report = await cast.agents.do(RUN, "cm-0", call, deadline=30 * SECOND, order="large")
    assert isinstance(report.seen, Replies)
    assert len(report.seen.replies) == 200
    assert await cast.agents.reported(RUN, "large") == report


async def test_agents_are_present_while_they_are_there(cast: Cast) -> None:
    async with cast.playing("cm-0", actor="cm"), cast.playing("cn-0"):
        present = {who.pod: who for who in cast.agents.present(RUN)}
        assert set(present) == {"cm-0", "cn-0"}
        assert (present["cm-0"].actor, present["cm-0"].node, present["cm-0"].zone) == ("cm", "node-1", "zone-a")
    assert cast.agents.present("another-run") == ()
    missing = await cast.agents.until_present(RUN, frozenset({"cx-0"}), within_time=timedelta(seconds=0.05))
    assert missing == {"cx-0"}


async def test_a_report_arrives_although_the_bus_was_away_meanwhile(cast: Cast, nats_server: NatsServer) -> None:
    server = await cast.serve("sm-0")
    played = await cast.play("cm-0")
    call = Call(target=server.at(), path="/?delay=0.3")
    asked = asyncio.create_task(cast.do("cm-0", call))
    await eventually(lambda: any(played.spool.glob("*.order")))
    await nats_server.kill()
    await eventually(lambda: any(played.spool.glob("*.report")))
    await nats_server.start()
    report = await asked
    assert isinstance(report.seen, Replies)
    assert report.seen.replies[0].status == 200
    await eventually(lambda: not any(played.spool.iterdir()))


async def test_a_report_outlives_its_asker(cast: Cast) -> None:
    server = await cast.serve("sm-0")
    played = await cast.play("cm-0")
    call = Call(target=server.at(), path="/?delay=0.2")
    asked = asyncio.create_task(cast.agents.do(RUN, "cm-0", call, deadline=10 * SECOND, order="orphan"))
    await eventually(lambda: any(played.spool.glob("*.order")))
    asked.cancel()
    await eventually(lambda: not any(played.spool.iterdir()))
    report = await cast.agents.reported(RUN, "orphan")
    assert report is not None
    assert isinstance(report.seen, Replies)
    assert await cast.agents.reported(RUN, "never given") is None


async def test_an_agent_may_begin_before_its_bus(tmp_path: Path) -> None:
    server = NatsServer()
    await server.start()
    await server.kill()
    who = ExerciserGroup(run=RUN, pod="cm-0", listen=loopback_address(), ports={Port.LOOPBACK: 0}, spool=tmp_path)
    bus = BusSettings(servers=(server.url,), cluster=CLUSTER)
    try:
        async with exercising(ExerciserSettings(bus=bus, exerciser=who)) as exerciser:
            assert exerciser.ports[Port.HTTP] == PORTS[Port.HTTP]
            await server.start()
            async with assembled(server.url, tmp_path) as others:
                await others.until_present("cm-0")
                assert isinstance((await others.do("cm-0", Lookup(name="localhost"))).seen, Answers)
    finally:
        await server.close()


async def test_the_service_may_ask_before_its_bus_is_there(cast: Cast, nats_server: NatsServer) -> None:
    await cast.play("cm-0", roles=(Role.AGENT,))
    settings, clock = BusSettings(servers=(nats_server.url,), cluster=CLUSTER), SystemClock()
    log = logger("test", LogSettings(level="error"))
    patient = PatientBus(settings, name="patient", clock=clock, metrics=BusMetrics(), log=log)
    listening = Agents(patient, clock).listening()
    entering = asyncio.create_task(listening.__aenter__())
    keeping = asyncio.create_task(patient.keep())
    agents = await entering
    try:
        assert not await agents.until_present(RUN, frozenset({"cm-0"}), within_time=AMPLE)
        report = await agents.do(RUN, "cm-0", Lookup(name="127.0.0.1"), deadline=AMPLE, order="patient")
        assert await agents.reported(RUN, "patient") == report
    finally:
        await listening.__aexit__(None, None, None)
        keeping.cancel()
        await asyncio.wait([keeping])
        await patient.close()


async def test_an_agent_needs_a_run() -> None:
    nobody = ExerciserSettings.load({"STEWARD_EXERCISER__ROLES": "agent", "STEWARD_EXERCISER__POD": "x"})
    with pytest.raises(ConfigurationError, match="STEWARD_EXERCISER__RUN"):
        async with exercising(nobody):
            pass

"""Exercisers as processes: what a kill leaves behind, and how they end when they are asked to."""

import asyncio
import signal
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

from h2.connection import H2Connection
from h2.errors import ErrorCodes

from services.conformance.core.orders import Call, Protocol, Refused, Replies, Target
from services.conformance.core.stage import PORTS, Port
from services.conformance.core.wishes import Wishes
from services.conformance.exerciser.calling.dialling import Dialler
from services.conformance.exerciser.calling.http1 import Http1Caller
from services.conformance.exerciser.calling.sight import Means
from steward.clock import SystemClock
from steward.testing.nats import NatsServer
from tests.services.conformance.cast import AMPLE, RUN, Cast, eventually, loopback_address, nowhere

MINUTE = timedelta(minutes=1)


async def test_a_killed_agent_loses_no_report_and_tells_none_twice(
    cast: Cast, nats_server: NatsServer, tmp_path: Path
) -> None:
    server, address, spool = await cast.serve("sm-0"), loopback_address(), tmp_path / "cm-0"
    call = Call(target=server.at(), path=Wishes(id="a", delay=timedelta(seconds=0.5)).on())
    async with cast.process("cm-0", address, roles="agent") as agent:
        await cast.until_present("cm-0")
        asked = asyncio.create_task(cast.agents.do(RUN, "cm-0", call, deadline=MINUTE, order="spooled"))
        await eventually(lambda: any(spool.glob("*.order")))
        await nats_server.kill()
        await eventually(lambda: any(spool.glob("*.report")))
        agent.kill()
        await agent.wait()
    await nats_server.start()
    async with cast.process("cm-0", address, roles="agent"):
        report = await asked
        assert isinstance(report.seen, Replies)
        assert report.seen.replies[0].echo is not None
        assert report.seen.replies[0].echo.attempt == 1
        await eventually(lambda: not any(spool.iterdir()))
    assert await cast.agents.reported(RUN, "spooled") == report


async def test_an_agent_that_was_killed_in_the_middle_says_so_when_it_is_back(cast: Cast, tmp_path: Path) -> None:
    server, address, spool = await cast.serve("sm-0"), loopback_address(), tmp_path / "cm-0"
    call = Call(target=server.at(), path="/?delay=60", timeout_seconds=60)
    async with cast.process("cm-0", address, roles="agent") as agent:
        await cast.until_present("cm-0")
        asked = asyncio.create_task(cast.agents.do(RUN, "cm-0", call, deadline=MINUTE))
        await eventually(lambda: any(spool.glob("*.order")))
        agent.kill()
        await agent.wait()
    async with cast.process("cm-0", address, roles="agent"):
        report = await asked
    assert isinstance(report.seen, Refused)
    assert report.seen.reason == "Interrupted"


async def test_a_server_that_is_asked_to_end_answers_what_it_was_asked(cast: Cast) -> None:
    address = loopback_address()
    ports = ((Port.HTTP, Protocol.HTTP1), (Port.H2C, Protocol.HTTP2), (Port.GRPC, Protocol.GRPC))
    async with cast.process("sm-0", address, roles="serve", linger="0.1") as server:
        await cast.play("cm-0")
        own = await until_asked(address, 0)
        slow = Wishes(id="slow", delay=timedelta(seconds=0.8)).on()
        calls = [
            asyncio.create_task(cast.call("cm-0", Call(target=at(address, port), protocol=protocol, path=slow)))
            for port, protocol in ports
        ]
        # It may not keep the server from ending that somebody is connected and says nothing.
        _, idle = await asyncio.open_connection(address, PORTS[Port.TCP])
        await until_asked(address, len(ports), own)
        server.send_signal(signal.SIGTERM)
        replies = await asyncio.gather(*calls)
        assert [(reply.trouble, reply.echo is not None) for reply in replies] == [(None, True)] * len(ports)
        assert await server.wait() == 0
        idle.close()


async def test_what_clients_do_to_the_grpc_server_is_not_written_to_standard_error(cast: Cast) -> None:
    address = loopback_address()
    async with cast.process("sm-0", address, roles="serve", written=PIPE) as server:
        await cast.play("cm-0")
        await until_asked(address, 0)
        reader, writer = await asyncio.open_connection(address, PORTS[Port.GRPC])
        client = H2Connection()
        client.initiate_connection()
        client.close_connection(ErrorCodes.PROTOCOL_ERROR)
        writer.write(client.data_to_send())
        writer.write_eof()
        # The server hangs up once it has read that.
        await asyncio.wait_for(reader.read(), AMPLE.total_seconds())
        writer.close()
        server.send_signal(signal.SIGTERM)
        _, written = await server.communicate()
    assert "goaway" not in written.decode().lower()


async def test_settings_that_cannot_be_used_end_the_process_with_a_sentence(cast: Cast) -> None:
    async with cast.process("cm-0", "nowhere", most_orders="none") as process:
        assert await process.wait() == 2


def at(address: str, port: Port) -> Target:
    """A port there."""
    return Target(host=address, port=PORTS[port])


async def until_asked(address: str, times: int, own: int = 0) -> int:
    """Wait until others made so many requests of the id `slow`; how many of our own there were, to be told again."""
    means = Means(Call(target=at(address, Port.HTTP), path="/?id=slow"), Dialler(nowhere), SystemClock())
    caller, others = Http1Caller(means), -1
    async with asyncio.timeout(AMPLE.total_seconds()):
        while others < times:
            reply = await caller.call()
            if reply.echo is not None:
                own += 1
                others = reply.echo.attempt - own
    await caller.close()
    return own

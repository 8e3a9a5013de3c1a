"""Ways in, and every way to be kept out, each in its own words."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from steward.bus.client import Bus
from steward.bus.errors import BusError, BusRefused, BusUnreachable, BusUnsuitable
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.testing.nats import NatsServer, NatsUser, free_ports
from tests.common.bus.certificates import Authority
from tests.common.bus.conftest import Connect
from tests.common.bus.gathering import Counted, Gathered, consumer, consuming, eventually, release
from tests.common.bus.operator_mode import operator, public, user_seed, write

SECRET = "hunter2-hunter2"


async def open_bus(server: NatsServer | str, **given: object) -> Bus:
    url = server if isinstance(server, str) else server.url
    settings = BusSettings.model_validate(
        {"servers": [url], "connect_timeout": timedelta(seconds=10), "request_timeout": timedelta(seconds=2), **given}
    )
    return await Bus.connect(settings, name="test", clock=SystemClock())


async def gets_in(server: NatsServer, **given: object) -> None:
    """Connects, stores an event, closes."""
    bus = await open_bus(server, **given)
    try:
        await bus.reconcile()
        assert (await bus.publish(release(1))).sequence == 1
    finally:
        await bus.close()


async def test_a_server_without_authentication_lets_everybody_in(nats_server: NatsServer) -> None:
    await gets_in(nats_server)


async def test_user_and_password() -> None:
    async with NatsServer(users=[NatsUser("steward", SECRET)]) as server:
        await gets_in(server, user="steward", password=SECRET)


async def test_a_token() -> None:
    async with NatsServer(extra=f"authorization {{ token: {SECRET} }}") as server:
        await gets_in(server, token=SECRET)


async def test_an_nkey_seed(tmp_path: Path) -> None:
    seed = user_seed()
    async with NatsServer(users=[NatsUser("", nkey=public(seed))]) as server:
        await gets_in(server, nkey_seed_file=write(tmp_path, "seed", seed.decode() + "\n"))


async def test_a_credentials_file_of_an_operator(tmp_path: Path) -> None:
    mode = operator()
    async with NatsServer(extra=mode.server_configuration) as server:
        await gets_in(server, credentials_file=write(tmp_path, "steward.creds", mode.credentials))


async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.sign("server")
    async with NatsServer(extra=f'tls {{ cert_file: "{pem.cert}", key_file: "{pem.key}" }}') as server:
        await gets_in(server, tls_ca=authority.ca)


async def test_mutual_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem, mine = authority.sign("server"), authority.sign("client")
    tls = f'tls {{ cert_file: "{pem.cert}", key_file: "{pem.key}", ca_file: "{authority.ca}", verify: true }}'
    async with NatsServer(extra=tls) as server:
        await gets_in(server, tls_ca=authority.ca, tls_cert=mine.cert, tls_key=mine.key)


async def test_a_wrong_password_is_refused_at_once_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with NatsServer(users=[NatsUser("steward", "right")]) as server:
        with (
            caplog.at_level(logging.DEBUG),
            pytest.raises(BusRefused, match="check the user, token, credentials") as refused,
        ):
            await open_bus(server, user="steward", password=SECRET, connect_timeout=timedelta(hours=1))
    assert SECRET not in f"{refused.value!r}{refused.value}{caplog.text}"


async def test_a_server_of_a_stranger_is_refused_at_once(tmp_path: Path) -> None:
    pem = Authority(tmp_path, "stranger").sign("server")
    ours = Authority(tmp_path, "ours")
    async with NatsServer(extra=f'tls {{ cert_file: "{pem.cert}", key_file: "{pem.key}" }}') as server:
        with pytest.raises(BusRefused, match=r"TLS handshake .* check tls_ca"):
            await open_bus(server, tls_ca=ours.ca, connect_timeout=timedelta(hours=1))


async def test_no_password_is_sent_in_clear_where_tls_was_asked_for() -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n')
        heard.extend(await reader.read())

    async with listening(listen) as url:
        with pytest.raises(BusRefused, match=r"TLS is asked for, but .* offers none"):
            await open_bus(url.replace("nats://", "tls://"), user="me", password=SECRET)
    assert SECRET.encode() not in heard


async def test_nobody_there_is_said_after_the_deadline_with_the_address() -> None:
    port = free_ports(1)[0]
    with pytest.raises(BusUnreachable, match=rf"no NATS server at nats://127.0.0.1:{port} within 0.5 s"):
        await open_bus(f"nats://127.0.0.1:{port}", connect_timeout=timedelta(seconds=0.5))


async def test_a_server_that_comes_up_late_is_waited_for() -> None:
    server = NatsServer()
    await server.start()
    await server.stop()
    connecting = asyncio.create_task(open_bus(server))
    await server.start()
    bus = await connecting
    assert bus.connected
    await bus.close()
    await server.close()


async def test_a_server_without_jetstream_is_refused_with_the_remedy() -> None:
    async with NatsServer(jetstream=False) as server:
        with pytest.raises(BusUnsuitable, match="has no JetStream: start it with -js"):
            await open_bus(server)


async def test_an_account_without_jetstream_is_refused_with_the_remedy() -> None:
    accounts = """accounts {
        A { users: [{ user: a, password: a }] }
        B { jetstream: enabled, users: [{ user: b, password: b }] }
    }"""
    async with NatsServer(extra=accounts) as server:
        with pytest.raises(BusUnsuitable, match=r"JetStream is off for our account .* add 'jetstream: enabled'"):
            await open_bus(server, user="a", password="a")
        await gets_in(server, user="b", password="b")


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[str]:
    """A server that holds one conversation, and is gone when that is over."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()
        await writer.wait_closed()
        over.set()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    await over.wait()
    listener.close()
    await listener.wait_closed()


def greeting_of(version: str) -> Talk:
    """Greets as an older nats-server does, and answers pings."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = {"server_id": "old", "version": version, "max_payload": 1048576, "headers": True, "jetstream": True}
        writer.write(f"INFO {json.dumps(greeting)}\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    return talk


@pytest.mark.parametrize("version", ["2.9.10", "2.11.4", "1.4.1"])
async def test_an_older_server_is_refused_with_both_versions_and_the_remedy(version: str) -> None:
    async with listening(greeting_of(version)) as url:
        with pytest.raises(BusUnsuitable, match=rf"is {version}, Steward needs 2\.12 or newer .* upgrade nats-server"):
            await open_bus(url)


async def test_a_user_that_may_not_ask_jetstream_is_told_which_subject_to_allow() -> None:
    user = NatsUser("guest", SECRET, publish=("steward.>",), subscribe=("_INBOX.>",))
    async with NatsServer(users=[user]) as server:
        with pytest.raises(BusRefused, match=r"may not use \$JS\.API\.INFO .*add it to the user's permissions"):
            await open_bus(server, user="guest", password=SECRET, request_timeout=timedelta(seconds=1))


async def test_a_user_that_may_not_hear_answers_is_told_about_the_inbox_prefix() -> None:
    user = NatsUser("guest", SECRET, publish=("$JS.API.>",), subscribe=("_INBOX_guest.>",))
    async with NatsServer(users=[user]) as server:
        with pytest.raises(BusRefused, match=r"subscribe to _INBOX\.>, or set inbox_prefix"):
            await open_bus(server, user="guest", password=SECRET, request_timeout=timedelta(seconds=1))


async def test_a_user_with_its_own_inbox_and_only_its_subjects_publishes_and_consumes() -> None:
    user = NatsUser(
        "acme",
        SECRET,
        publish=("$JS.API.>", "$JS.ACK.STEWARD_EVENTS.reader.>", "steward.v1.test.>", "steward.dead-letters.>"),
        subscribe=("_INBOX_acme.>",),
    )
    async with NatsServer(users=[user]) as server:
        bus = await open_bus(server, user="acme", password=SECRET, inbox_prefix="_INBOX_acme")
        await bus.reconcile()
        handler = Gathered()
        async with consuming(bus, consumer(), handler):
            await bus.publish(release(1))
            await handler.until_ids(1)
        await bus.close()


async def test_a_publish_that_is_not_permitted_is_refused_and_not_retried() -> None:
    user = NatsUser("acme", SECRET, publish=("$JS.API.>",), subscribe=("_INBOX.>",))
    async with NatsServer(users=[user]) as server:
        bus = await open_bus(server, user="acme", password=SECRET)
        await bus.reconcile()
        with pytest.raises(BusRefused, match=r"may not use steward\.v1\.test\.new-version\.edge"):
            await bus.publish(release(1))
        await bus.close()


@pytest.mark.parametrize("content", [None, "", "not a seed\n"], ids=["missing", "empty", "rubbish"])
async def test_a_seed_file_that_cannot_be_used_is_named(
    nats_server: NatsServer, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "seed"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        await open_bus(nats_server, nkey_seed_file=path)


async def test_tls_files_that_cannot_be_used_are_named(nats_server: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS files .*missing\.pem cannot be used"):
        await open_bus(nats_server, tls_ca=tmp_path / "missing.pem")


async def test_a_restart_is_noticed_counted_and_told_to_hooks(connect: Connect, nats_server: NatsServer) -> None:
    metrics = Counted()
    bus = await connect(metrics=metrics)
    came_back = asyncio.Event()

    async def hook() -> None:
        came_back.set()

    bus.on_reconnect(hook)
    await nats_server.restart()
    async with asyncio.timeout(20):
        await came_back.wait()
    assert metrics.said == ["connected True", "connected False", "connected True", "reconnected"]
    assert bus.connected


async def test_a_connection_without_a_server_says_that_it_is_down(connect: Connect, nats_server: NatsServer) -> None:
    bus = await connect()
    await nats_server.kill()

    async def is_down() -> bool:
        return not bus.connected and not bus.healthy

    await eventually(is_down)
    await nats_server.start()


async def test_closing_is_prompt_and_can_be_done_twice(nats_server: NatsServer) -> None:
    """An idle pull loop is what makes nats-py's own drain hang for half a minute."""
    bus = await open_bus(nats_server)
    await bus.reconcile()
    spec, handler = consumer(), Gathered()
    await bus.reconcile((), (spec,))
    task = asyncio.create_task(bus.consume(spec, handler))
    await bus.publish(release(1))
    await handler.until_ids(1)
    async with asyncio.timeout(3):
        await bus.close()
        await bus.close()
        await task
    with pytest.raises(BusError, match="we closed it"):
        await bus.publish(release(1))


async def test_closing_does_not_wait_for_a_server_that_is_gone(connect: Connect, nats_server: NatsServer) -> None:
    bus = await connect()
    await bus.reconcile()
    handler = Gathered()
    await bus.reconcile((), (consumer(),))
    task = asyncio.create_task(bus.consume(consumer(), handler))
    await bus.publish(release(1))
    await handler.until_ids(1)
    await nats_server.kill()
    async with asyncio.timeout(10):
        await bus.close(timedelta(seconds=1))
    await asyncio.wait([task])
    await nats_server.start()

"""One holder at a time, with a token that only grows."""

import asyncio
from datetime import timedelta

import pytest

from steward.bus.client import Bus
from steward.bus.errors import LockLost, StreamMissing
from steward.clock import SystemClock
from steward.errors import ConfigurationError
from steward.testing.nats import NatsServer
from tests.common.bus.conftest import Connect, Inside
from tests.common.bus.gathering import PATIENCE

TTL = timedelta(seconds=2)
KEY = "$KV.steward-locks.upgrader"


async def test_a_lock_that_is_given_back_is_taken_at_once_with_a_greater_token(bus: Bus, connect: Connect) -> None:
    other = await connect()
    tokens = []
    for each in (bus, other, bus):
        async with asyncio.timeout(PATIENCE), each.lock("upgrader", TTL) as lock:
            assert lock.held
            tokens.append(lock.token)
    assert tokens == sorted(set(tokens))


async def test_two_never_hold_it_together(bus: Bus, connect: Connect) -> None:
    buses = [bus, await connect(), await connect()]
    inside_now, most, tokens = 0, 0, []

    async def take_turns(mine: Bus) -> None:
        nonlocal inside_now, most
        for _ in range(3):
            async with mine.lock("upgrader", TTL) as lock:
                inside_now += 1
                most = max(most, inside_now)
                tokens.append(lock.token)
                await asyncio.sleep(0)  # noqa: TID251 - lets others run, waits for no time
                inside_now -= 1

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(take_turns(each) for each in buses))
    assert most == 1
    assert tokens == sorted(set(tokens))


async def test_it_is_kept_for_longer_than_its_ttl_and_others_wait(bus: Bus, connect: Connect) -> None:
    other = await connect()
    async with bus.lock("upgrader", TTL) as lock:
        waiting = asyncio.create_task(other.lock("upgrader", TTL).__aenter__())
        await SystemClock().sleep(TTL * 1.5)
        assert lock.held
        assert not waiting.done()
    async with asyncio.timeout(PATIENCE):
        taken = await waiting
    assert taken.token > lock.token
    await taken.__aexit__(None, None, None)


async def test_the_lock_of_a_process_that_died_is_taken_over_when_it_expires(bus: Bus, connect: Connect) -> None:
    dying = await connect()
    tokens: list[int] = []

    async def die_under_the_lock() -> None:
        async with dying.lock("upgrader", TTL) as lock:
            tokens.append(lock.token)
            await dying.close()
            await asyncio.Event().wait()

    with pytest.raises(LockLost):
        await die_under_the_lock()
    async with asyncio.timeout(PATIENCE), bus.lock("upgrader", TTL) as mine:
        assert mine.token > tokens[0]


async def test_a_lock_that_cannot_be_renewed_stops_its_work_before_anybody_else_can_begin(
    bus: Bus, nats_server: NatsServer
) -> None:
    clock = SystemClock()
    worked: list[float] = []

    async def work() -> None:
        async with bus.lock("upgrader", TTL) as lock:
            began = clock.monotonic()
            await nats_server.kill()
            try:
                await asyncio.Event().wait()
            finally:
                worked.append(clock.monotonic() - began)
                assert not lock.held

    with pytest.raises(LockLost, match="'upgrader' could not be renewed within 80%"):
        await work()
    assert len(worked) == 1
    await nats_server.start()


async def test_a_lock_survives_the_restart_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    async with bus.lock("upgrader", timedelta(seconds=8)) as lock:
        token = lock.token
        await nats_server.restart()
        await SystemClock().sleep(timedelta(seconds=4))
        assert lock.held
        assert lock.token == token


async def test_a_lock_that_somebody_took_by_force_is_noticed(bus: Bus, inside: Inside) -> None:
    async def work() -> None:
        async with asyncio.timeout(PATIENCE), bus.lock("upgrader", TTL):
            await inside.jetstream.publish(KEY, b'{"holder":"a thief"}')
            await asyncio.Event().wait()

    with pytest.raises(LockLost):
        await work()


async def test_a_cancellation_from_outside_stays_one_and_gives_the_lock_back(bus: Bus, connect: Connect) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with bus.lock("upgrader", timedelta(hours=1)):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    other = await connect()
    async with asyncio.timeout(PATIENCE), other.lock("upgrader", TTL):
        pass


async def test_an_error_under_the_lock_comes_out_unchanged(bus: Bus) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bus.lock("upgrader", TTL):
            raise ZeroDivisionError


async def test_locks_of_different_names_know_nothing_of_one_another(bus: Bus) -> None:
    async with asyncio.timeout(PATIENCE), bus.lock("a/b c", TTL), bus.lock("v1.2.3+build", TTL):
        pass


async def test_a_lock_without_its_bucket_says_what_to_reconcile(connect: Connect) -> None:
    bus = await connect()
    with pytest.raises(StreamMissing, match="bucket steward-locks does not exist"):
        async with bus.lock("upgrader", TTL):
            pass


@pytest.mark.parametrize("ttl", [timedelta(seconds=1), timedelta(seconds=2.5), timedelta(0)])
async def test_a_ttl_that_the_server_cannot_count_is_refused(bus: Bus, ttl: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="whole seconds, at least 2"):
        bus.lock("upgrader", ttl)

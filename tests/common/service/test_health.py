"""Alive while the loop turns; ready only while every check agrees."""

import asyncio
from datetime import timedelta

import httpx
from prometheus_client import CollectorRegistry

from steward.service.health import LAG_PERIOD, Health, HealthServer, watch_lag
from steward.service.instruments import Instruments, gauge
from steward.testing.clock import ManualClock


async def _get(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


async def test_a_service_is_alive_though_it_is_not_ready() -> None:
    health = Health()
    health.ready_when("bus", lambda: "not connected to NATS")

    async with HealthServer(health, "127.0.0.1", 0) as server:
        alive, ready = await _get(server.port, "/livez"), await _get(server.port, "/readyz")

    assert alive.status_code == 200
    assert (ready.status_code, ready.text) == (503, "bus: not connected to NATS\n")


async def test_a_service_is_ready_when_every_check_agrees() -> None:
    health = Health()
    health.ready_when("bus", lambda: None)

    async with HealthServer(health, "127.0.0.1", 0) as server:
        ready = await _get(server.port, "/readyz")

    assert (ready.status_code, ready.text) == (200, "ok\n")


async def test_who_asks_and_never_finishes_does_not_hold_up_the_end() -> None:
    async with asyncio.timeout(5):
        async with HealthServer(Health(), "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nhalf")
            assert b"200" in await reader.readline()
        writer.close()


async def test_the_lag_of_the_loop_is_measured(manual_clock: ManualClock) -> None:
    lag = gauge("steward_test_event_loop_lag_seconds", "Lag.")
    instruments = Instruments(CollectorRegistry(), [lag])

    async with asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(watch_lag(manual_clock, instruments, lag))
        await manual_clock.until_somebody_sleeps()
        await manual_clock.advance(LAG_PERIOD + timedelta(seconds=1))
        watcher.cancel()

    assert instruments.registry.get_sample_value("steward_test_event_loop_lag_seconds") == 0

"""Blobs in the object store, in the format that NATS' own clients read."""

import pytest

from steward.bus.client import Bus
from steward.bus.objects import ObjectMissing
from steward.bus.settings import BusSettings
from steward.bus.streams import EVIDENCE
from steward.clock import SystemClock
from steward.testing.nats import NatsServer

LARGE = bytes(range(256)) * 2_000


async def opened(server: NatsServer) -> Bus:
    bus = await Bus.connect(BusSettings(servers=(server.url,)), name="test", clock=SystemClock())
    await bus.reconcile()
    return bus


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["nothing", "one chunk", "many chunks"])
async def test_what_was_put_is_got_also_when_it_was_put_twice(nats_server: NatsServer, data: bytes) -> None:
    bus = await opened(nats_server)
    try:
        for _ in range(2):
            await bus.objects.put("conformance/u/report.html", data)
        assert await bus.objects.get("conformance/u/report.html") == data
    finally:
        await bus.close()


async def test_the_newest_of_a_name_wins_and_an_unknown_name_is_missing(nats_server: NatsServer) -> None:
    bus = await opened(nats_server)
    try:
        await bus.objects.put("name with spaces/ü", b"first")
        await bus.objects.put("name with spaces/ü", b"second")
        assert await bus.objects.get("name with spaces/ü") == b"second"
        with pytest.raises(ObjectMissing, match=EVIDENCE.bucket):
            await bus.objects.get("other")
    finally:
        await bus.close()

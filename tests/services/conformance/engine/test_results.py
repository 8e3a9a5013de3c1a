"""Results in the stream, and what is known from them after a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from services.conformance.core.judge import Which, undecided
from services.conformance.edges.results import StreamedResults
from services.conformance.engine.knowing import Knowing
from services.conformance.metrics import METRICS
from steward.bus.metrics import BusMetrics
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.conformance.results import FeatureResult, Verdict
from steward.service.instruments import Instruments
from steward.service.logs import logger
from steward.service.patient_bus import PatientBus
from steward.service.settings import LogSettings
from steward.testing.clock import ManualClock
from steward.testing.nats import NatsServer
from tests.services.conformance.engine.pieces import probe

DAWN = datetime(2026, 6, 18, 12, tzinfo=UTC)
PROBES = (probe("mtls.identity"), probe("proto.grpc.unary"))


def result(feature: str, cycle: int, verdict: Verdict, run: str = "a.run") -> FeatureResult:
    which = Which(run, f"uid-of-{run}", cycle, DAWN + timedelta(minutes=cycle))
    return undecided(probe(feature), which, "Because", "because").model_copy(update={"verdict": verdict})


@asynccontextmanager
async def stream(server: NatsServer) -> AsyncIterator[StreamedResults]:
    settings = BusSettings(servers=(server.url,), cluster="test")
    log = logger("test", LogSettings(level="error"))
    bus = PatientBus(settings, name="test", clock=SystemClock(), metrics=BusMetrics(), log=log)
    keeping = asyncio.create_task(bus.keep())
    await bus.reconcile()
    try:
        yield StreamedResults(bus)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await bus.close()


def knowing(results: StreamedResults) -> Knowing:
    return Knowing(PROBES, results, ManualClock(), Instruments(CollectorRegistry(), METRICS))


async def test_states_are_the_same_after_a_restart_whatever_was_told_twice(nats_server: NatsServer) -> None:
    async with stream(nats_server) as results:
        before = knowing(results)
        letters = [Verdict.PASSED, Verdict.FAILED, Verdict.FAILED, Verdict.FAILED, Verdict.INCONCLUSIVE]
        for cycle, verdict in enumerate(letters):
            for each in PROBES:
                told = result(each.id, cycle, verdict)
                before.add(told)
                await results.keep(told)
                await results.keep(told)
        after = knowing(results)
        await after.load()
        assert after.loaded.is_set()
        assert {name: after.state(name) for name in after.features()} == {
            name: before.state(name) for name in before.features()
        }
        assert after.history("mtls.identity").course.failing


async def test_one_result_is_found_whole_by_its_mark(nats_server: NatsServer) -> None:
    async with stream(nats_server) as results:
        wanted = result("proto.grpc.unary", 7, Verdict.FAILED)
        for each in (result("proto.grpc.unary", 6, Verdict.PASSED), wanted, result("mtls.identity", 7, Verdict.PASSED)):
            await results.keep(each)
        (mark,) = [kept.mark async for kept in results.marks() if kept.mark.verdict is Verdict.FAILED]
        assert mark.run == "a.run"
        assert await results.one("proto.grpc.unary", mark) == wanted
        assert [each.cycle async for each in results.of_run("uid-of-a.run", "a.run")] == [6, 7, 7]
        assert [each async for each in results.of_run("another", "a.run")] == []

"""Whatever is interrupted, a run ends as if nothing had been: no result lost or counted twice, nothing left behind."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from services.conformance.core.ledger import status_of
from steward.conformance.results import Verdict
from steward.events.conformance import ConformanceOutcome, ConformanceRunFinished
from steward.jsonvalue import JsonObject
from steward.kube.resources import CONFORMANCE_RUNS, NAMESPACES
from steward.resources.conformance_run import ConformanceRun, RunPhase
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import BROKEN, THROTTLED, Reset
from tests.services.conformance.engine.pieces import applying, probe
from tests.services.conformance.engine.running import Death, World, over, verdicts, world

PROBES = (probe("mtls.identity"), applying("proto.http1", "one"), probe("lb.spread"))


async def is_as_if_nothing_had_been(around: World, run: ConformanceRun) -> None:
    """Everything passed, each result is there once, the end was said once, no namespace is left."""
    assert status_of(run).phase is RunPhase.COMPLETED
    assert status_of(run).outcome is ConformanceOutcome.PASSED
    assert set(verdicts(run).values()) == {"Passed"}
    kept = Counter(each.id for each in await around.results())
    assert kept == {f"{run.metadata.uid}/{each.id}/0": 1 for each in PROBES}
    told = [each for each in await around.events() if each.data.name == ConformanceRunFinished.name]
    assert [each.id for each in told] == [f"{run.metadata.uid}/finished"]
    assert around.namespaces() == []


@pytest.mark.parametrize("answered", [True, False], ids=["before the write", "after the write"])
async def test_killed_at_every_write_of_a_run_it_ends_the_same(answered: bool) -> None:
    async with world(*PROBES) as around:
        around.create_run()
        lives = 0
        while not over(around.run()):
            # Each life gets a little further than the one before it.
            death = Death(1 + 3 * lives, answered=answered)
            around.kubernetes.on_write(death)
            replica = around.start(identity=f"life-{lives}")
            await _died_or_done(around, replica.task, death)
            await replica.stop()
            death.over = True
            lives += 1
            assert lives < 100
        async with around.running(identity="last"):
            await around.told(ConformanceRunFinished.name)
            await around.written(lambda: not around.namespaces())
        assert lives > 8
        await is_as_if_nothing_had_been(around, around.run())


async def _died_or_done(around: World, task: "asyncio.Task[None]", death: Death) -> None:
    struck = asyncio.create_task(death.struck.wait())
    ended = asyncio.create_task(around.until(over))
    try:
        async with asyncio.timeout(60):
            await asyncio.wait((struck, ended, task), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (struck, ended):
            each.cancel()
        await asyncio.wait((struck, ended))


async def test_without_nats_in_the_middle_of_it_the_run_waits_and_loses_nothing() -> None:
    async with world(*PROBES) as around:
        around.agents.gate.clear()
        around.create_run()
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            while not around.agents.at_once:
                await around.clock.sleep(timedelta(milliseconds=5))
            await around.nats.stop()
            around.agents.gate.set()
            await around.clock.sleep(timedelta(milliseconds=300))
            assert not over(around.run())
            await around.nats.start()
            run = await around.until(over)
            await around.told(ConformanceRunFinished.name)
        await is_as_if_nothing_had_been(around, run)


async def test_without_nats_a_run_can_be_stopped_and_cleans_up() -> None:
    async with world(*PROBES) as around:
        around.agents.gate.clear()
        around.create_run()
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
        await around.nats.stop()
        async with around.running():
            around.wish("mine", "Stop")
            await around.written(lambda: not around.namespaces())
            await around.nats.start()
            run = await around.until(over)
        assert status_of(run).outcome is ConformanceOutcome.ABORTED


async def test_an_api_server_under_stress_costs_time_and_nothing_else() -> None:
    async with world(*PROBES) as around:
        around.create_run()
        faults = around.kubernetes.faults
        faults.add(THROTTLED, path="conformanceruns", times=4, skip=3)
        faults.add(BROKEN, method="PATCH", path="conformanceruns", times=2, skip=5)
        faults.add(Reset(after=True), method="PATCH", path="conformanceruns", times=2, skip=9)
        faults.add(Reset(), method="PATCH", path="deployments", times=1)
        faults.add(Reset(after=True), method="PATCH", path="namespaces/steward-probes", times=1)
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            around.kubernetes.expire_watches()
            around.kubernetes.cut_watches()
            run = await around.until(over)
            await around.told(ConformanceRunFinished.name)
        await is_as_if_nothing_had_been(around, run)


async def test_of_two_replicas_one_acts_and_the_other_takes_over() -> None:
    async with world(*PROBES) as around:
        around.agents.gate.clear()
        around.create_run()
        first, second = around.start(identity="first"), around.start(identity="second")
        await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
        leading = [each.sample("lock_held") or 0 for each in (first, second)]
        assert sorted(leading) == [0, 1]
        leader, heir = (first, second) if leading[0] else (second, first)
        await leader.stop()
        around.agents.gate.set()
        run = await around.until(over)
        await around.told(ConformanceRunFinished.name)
        await heir.stop()
        await is_as_if_nothing_had_been(around, run)


async def test_namespaces_of_a_deleted_run_are_swept_and_those_of_others_are_not() -> None:
    async with world(*PROBES) as around:
        around.agents.gate.clear()
        around.create_run(pace="Continuous")
        around.create_run("other", pace="Continuous")
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING, "other")
        foreign: JsonObject = {"metadata": {"name": "steward-probes-foreign"}}
        around.kubernetes.cluster.create(NAMESPACES, foreign)
        # Without Kubernetes' own garbage collection, as after a restore of etcd.
        for name in around.namespaces():
            unowned = Patch("merge", {"metadata": {"ownerReferences": None}})
            around.kubernetes.cluster.patch(NAMESPACES, name, unowned)
        around.kubernetes.cluster.remove(
            around.kubernetes.cluster.kinds.of(CONFORMANCE_RUNS),
            around.kubernetes.cluster.get(CONFORMANCE_RUNS, "mine"),
        )
        async with around.running() as replica:
            await around.written(lambda: len(around.namespaces()) == 3)
            async with asyncio.timeout(10):
                while replica.sample("namespaces_swept_total") != 2:
                    await around.clock.sleep(timedelta(milliseconds=10))
        assert "steward-probes-foreign" in around.namespaces()


async def test_an_agent_that_vanishes_makes_nothing_fail() -> None:
    async with world(probe("proto.http1")) as around:
        around.create_suite(confirmation={"inlineRetries": 0})
        around.agents.gate.clear()
        around.create_run()
        async with around.running():
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING)
            around.agents.silent = True
            around.agents.gate.set()
            run = await around.until(over)
        (line,) = status_of(run).features
        assert line.verdict in (Verdict.INCONCLUSIVE, Verdict.PASSED)

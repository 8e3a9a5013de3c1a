"""Whatever is interrupted, the end is the same, and nothing is done twice."""

import asyncio
from pathlib import Path

import pytest

from services.upgrader.core.ledger import status_of
from services.upgrader.core.narrative import narrate
from steward.events.upgrades import UpgradeFinished
from steward.resources.upgrade_run import Phase, UpgradeRun
from steward.testing.kubernetes.faults import BROKEN, THROTTLED, Reset
from tests.services.upgrader.running import NEW, OLD, PATIENCE, Death, World, world


def over(run: UpgradeRun) -> bool:
    return status_of(run).finished_at is not None


async def is_as_if_nothing_had_been(around: World, run: UpgradeRun) -> None:
    """The run succeeded at the first attempt of each step, every pod is new, nobody was restarted twice."""
    assert status_of(run).phase is Phase.SUCCEEDED, narrate(run)
    assert all(step.attempt <= 1 for step in status_of(run).steps), narrate(run)
    assert set(around.versions("shop")) == {NEW}
    assert set(around.versions("quiet")) == {OLD}
    assert set(around.template_changes().values()) == {1}
    assert len(around.template_changes()) == 3
    assert set(around.deeds().values()) == {1}
    assert around.mesh.installed is not None
    assert around.mesh.installed.revision == 2
    events = [each.id for each in await around.events()]
    assert events == [f"{run.metadata.uid}/{each.id}" for each in status_of(run).transitions]


@pytest.mark.parametrize("answered", [True, False], ids=["before the next write", "after its last write"])
async def test_killed_at_every_single_write_a_run_ends_as_if_nothing_had_been(tmp_path: Path, answered: bool) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        lives = 0
        while not any(over(run) for run in around.runs()):
            lives += 1
            assert lives < 200, narrate(around.runs()[0])
            # The first write of each life says who holds the run, so that one more is the least that gets anywhere.
            death = Death(2, answered=answered)
            around.kubernetes.on_write(death)
            replica = around.start()
            finished = asyncio.create_task(around.until(over))
            struck = asyncio.create_task(death.struck.wait())
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait([finished, struck, replica.task], return_when=asyncio.FIRST_COMPLETED)
            await replica.stop()
            death.over = True
            for task in (finished, struck):
                task.cancel()
            await asyncio.wait([finished, struck])
        async with around.running():
            await around.told(UpgradeFinished.name)
        assert lives > 30
        await is_as_if_nothing_had_been(around, around.runs()[0])


async def test_without_nats_in_the_middle_of_it_the_run_goes_on_and_every_event_arrives_once(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        async with around.running():
            await around.until(lambda each: status_of(each).step == "crds")
            await around.nats.stop()
            run = await around.until(over)
            await around.nats.start()
            await around.told(UpgradeFinished.name)
        await is_as_if_nothing_had_been(around, run)


async def test_a_service_that_begins_without_nats_upgrades_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        await around.nats.stop()
        async with around.running():
            run = await around.until(over)
            await around.nats.start()
            await around.told(UpgradeFinished.name)
        await is_as_if_nothing_had_been(around, run)


async def test_of_two_replicas_one_acts_and_the_other_takes_over(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        first, second = around.start(identity="first"), around.start(identity="second")
        await around.until(lambda each: status_of(each).step == "control-plane")
        leading = [each.sample("lock_held") or 0 for each in (first, second)]
        assert sorted(leading) == [0, 1]
        leader, heir = (first, second) if leading[0] else (second, first)
        held = status_of(around.runs()[0]).lock
        await leader.stop()
        run = await around.until(over)
        await around.told(UpgradeFinished.name)
        await heir.stop()
        taken = status_of(run).lock
        assert held is not None
        assert taken is not None
        assert taken.fencing_token > held.fencing_token
        assert taken.holder != held.holder
        await is_as_if_nothing_had_been(around, run)


async def test_an_api_server_under_stress_costs_time_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        faults = around.kubernetes.faults
        faults.add(THROTTLED, path="upgraderuns", times=5, skip=7)
        faults.add(BROKEN, method="PATCH", path="upgraderuns", times=3, skip=11)
        faults.add(Reset(after=True), method="PATCH", path="upgraderuns", times=3, skip=17)
        faults.add(Reset(), method="PATCH", path="deployments", times=1)
        faults.add(Reset(after=True), method="PATCH", path="statefulsets", times=1)
        async with around.running():
            await around.until(lambda each: status_of(each).step == "crds")
            around.kubernetes.expire_watches()
            await around.until(lambda each: status_of(each).step == "data-plane")
            around.kubernetes.cut_watches()
            run = await around.until(over)
            await around.told(UpgradeFinished.name)
        assert status_of(run).phase is Phase.SUCCEEDED, narrate(run)
        assert set(around.deeds().values()) == {1}
        assert set(around.versions("shop")) == {NEW}


async def test_a_holder_with_a_newer_term_ends_ours(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.create_run("mine", state="Pause")
        async with around.running():
            run = await around.until(lambda each: status_of(each).lock is not None)
        lock = status_of(run).lock
        assert lock is not None
        around.take("mine", holder="somebody-else", token=lock.fencing_token + 10_000_000)
        around.resume("mine")
        async with around.running() as replica:
            await around.lease_was_taken_again()
            assert around.deeds().total() == 0
            assert not replica.task.done()

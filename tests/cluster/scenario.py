"""The scenario: a mesh of the old release, a feed that offers the new one, and everything that must follow."""

import asyncio

from steward.events import RunOutcome, UpgradeEvent
from steward.resources.upgrade_run import Phase
from steward.testing.cluster.workloads import Fate, mixed_fleet, unique
from tests.cluster.journey import RECOMMENDED, Journey


def offer(stage: Journey, old: str, new: str | None = None) -> None:
    """Let the feed know `old`, and `new` as its head; the CLIs are those that the artifacts hold."""
    for version in filter(None, (old, new)):
        stage.feed.publish(version, notes=RECOMMENDED)
        stage.feed.put_cli(version, stage.linkerd.artifacts[version].linkerd.read_bytes())


async def travel(stage: Journey, method: str, old: str, new: str) -> None:
    """From `old`, installed by `method`, to `new`: the whole journey and everything that must be true after it."""
    fleet = mixed_fleet(f"-{unique('j')}")
    linkerd = stage.linkerd
    await asyncio.to_thread(linkerd.by_helm if method == "Helm" else linkerd.by_cli, old)
    await asyncio.to_thread(fleet.create, linkerd.cluster.api)
    await asyncio.to_thread(fleet.until_ready, linkerd.cluster.api)
    before = await stage.revisions(fleet)
    offer(stage, old)
    await stage.start("version_watcher")
    await stage.start("upgrader")

    offer(stage, old, new)
    finished = await stage.finished()

    assert finished.outcome is RunOutcome.SUCCEEDED, finished.message
    assert finished.from_version == old
    assert finished.to_version == new
    await stage.assert_upgraded(fleet, before, old, new)
    run = await stage.run()
    assert run.status is not None
    assert run.status.phase is Phase.SUCCEEDED
    assert run.status.snapshot is not None
    assert run.status.snapshot.install_method == method
    assert run.status.workloads is not None
    assert run.status.workloads.verified == len(fleet.of(Fate.UPGRADED))
    listed = {each.name: each for each in run.status.workloads.listed}
    # The Job has ended and the others chose to stay outside the mesh: only the bare pod is left to be reported.
    assert set(listed) == {"bare"}, listed
    await _assert_told_in_order(stage)
    await _assert_a_second_announcement_changes_nothing(stage)
    await asyncio.to_thread(fleet.remove, linkerd.cluster.api)


async def _assert_told_in_order(stage: Journey) -> None:
    events = await stage.events()
    assert [each.data.name for each in events].count("new-version") == 1
    assert len({each.id for each in events}) == len(events)
    story = await stage.story()
    assert story[:2] == ["upgrade-planned", "upgrade-started"]
    assert story[-1] == "upgrade-finished"
    done = [each.removeprefix("upgrade-step-done ") for each in story if each.startswith("upgrade-step-done")]
    begun = [each.removeprefix("upgrade-step-started ") for each in story if each.startswith("upgrade-step-started")]
    assert [step for step in done if step in begun] == list(dict.fromkeys(begun))
    times = [each.time for each in events if isinstance(each.data, UpgradeEvent)]
    assert times == sorted(times)


async def _assert_a_second_announcement_changes_nothing(stage: Journey) -> None:
    """The same release is said again, by another stream of events, and the services start afresh."""
    before, run = await stage.story(), await stage.run()
    for service in list(stage.services):
        await service.end()
    await stage.start("version_watcher")
    upgrader = await stage.start("upgrader")
    async with asyncio.timeout(60):
        while "leading" not in upgrader.log.read_text():
            await asyncio.to_thread(upgrader.log.read_text)
    await stage.republish("new-version")
    await stage.until_idle()

    assert await stage.story() == before
    assert (await stage.run()).metadata.uid == run.metadata.uid

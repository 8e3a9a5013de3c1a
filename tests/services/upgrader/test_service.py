"""The service as a whole."""

from pathlib import Path

from services.upgrader.core.narrative import narrate
from steward.events.upgrades import UpgradeFinished
from steward.resources.upgrade_run import Phase
from tests.services.upgrader.running import NEW, OLD, world


async def test_a_release_that_the_catalog_knows_is_brought_to_every_opted_in_pod(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        async with around.running():
            run = await around.until(lambda each: each.status is not None and each.status.finished_at is not None)
            events = await around.told(UpgradeFinished.name)
        assert run.status is not None
        assert run.status.phase is Phase.SUCCEEDED, narrate(run)
        assert set(around.versions("shop")) == {NEW}
        assert set(around.versions("quiet")) == {OLD}
        assert [event.id for event in events] == [f"{run.metadata.uid}/{each.id}" for each in run.status.transitions]

"""A new release travels from the feed to upgraded proxies, where helm installed Linkerd."""

from pathlib import Path

from steward.testing.cluster.installation import Linkerd
from tests.cluster.journey import staged
from tests.cluster.scenario import travel


async def test_a_release_travels_from_the_feed_to_proxies_that_helm_installed(linkerd: Linkerd, tmp_path: Path) -> None:
    *_, old, new = linkerd.artifacts.versions

    async with staged(linkerd, tmp_path) as stage:
        await travel(stage, "Helm", old, new)

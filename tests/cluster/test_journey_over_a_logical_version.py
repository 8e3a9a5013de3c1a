"""A mesh moves one logical version: classic sidecars become native ones on the way."""

from pathlib import Path

from steward.testing.cluster.installation import Linkerd
from tests.cluster.journey import staged
from tests.cluster.scenario import travel


async def test_a_mesh_moves_one_logical_version(linkerd: Linkerd, tmp_path: Path) -> None:
    old, new, *_ = linkerd.artifacts.versions

    async with staged(linkerd, tmp_path) as stage:
        await travel(stage, "Helm", old, new)

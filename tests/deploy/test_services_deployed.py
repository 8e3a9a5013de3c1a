"""Both services whole, with the rights and the NATS users that deploy/ gives them, on a simulated cluster.

The same on a real API server is in test_rights_real.py; this one tells within seconds that a right is missing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.together import MEMBERS
from services.upgrader.edges.assembled import assembled
from services.upgrader.service import Upgrader, surroundings
from services.upgrader.settings import ToolSettings, UpgraderGroup, UpgraderSettings
from services.version_watcher.service import serve
from services.version_watcher.settings import VersionWatcherSettings
from steward.bus.client import Bus
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events.subjects import subject_filter
from steward.events.upgrades import UpgradeFinished
from steward.events.versions import NewVersion
from steward.resources.upgrade_run import Phase
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.kubernetes.server import FakeKubernetes
from tests.deploy.deployed_nats import DeployedNats, deployed_nats
from tests.deploy.rights import granted
from tests.services.upgrader import running as upgrader_world
from tests.services.upgrader.quick import quicken
from tests.services.version_watcher.upstream import Upstream, release

PATIENCE = 60.0
OLD, NEW = upgrader_world.OLD, upgrader_world.NEW
METRICS = {member.name: member.metrics for member in MEMBERS}


def kubeconfig(kubernetes: FakeKubernetes, account: str) -> Path:
    """The way in of a ServiceAccount with exactly its rights."""
    user = f"system:serviceaccount:linkerd-steward:{account}"
    return kubernetes.add_user(f"token-of-{account}", user, [each.simulated() for each in granted(account)])


async def version_watcher(kubernetes: FakeKubernetes, nats: DeployedNats, upstream: Upstream) -> None:
    settings = VersionWatcherSettings(
        bus=nats.as_user("version-watcher"),
        cluster=ClusterSettings(kubeconfig=kubeconfig(kubernetes, "version-watcher")),
        lease=LeaseSettings(duration=timedelta(seconds=2)),
        log=LogSettings(level="warning"),
        version_watcher=upstream.group(),
    )
    name = "version-watcher"
    async with lent(name, settings, METRICS[name], registry=CollectorRegistry(), health=Health()) as chassis:
        await serve(chassis, identity="one")


async def upgrader(world: upgrader_world.World, nats: DeployedNats) -> None:
    settings = UpgraderSettings(
        bus=nats.as_user("upgrader"),
        cluster=ClusterSettings(kubeconfig=kubeconfig(world.kubernetes, "upgrader")),
        lease=LeaseSettings(duration=timedelta(seconds=2)),
        log=LogSettings(level="warning"),
        upgrader=UpgraderGroup(
            identity="one",
            tempo=upgrader_world.TEMPO,
            tools=ToolSettings(work=world.folder / "work", cli_url="", charts_url=""),
        ),
    )
    async with (
        lent("upgrader", settings, METRICS["upgrader"], registry=CollectorRegistry(), health=Health()) as chassis,
        assembled(chassis.kube, chassis.clock, surroundings(settings)) as edges,
    ):
        quick = quicken(edges, world.mesh)
        await Upgrader(chassis, settings, quick).run()  # type: ignore[arg-type] # QuickProbes hands the rest on


@asynccontextmanager
async def both(world: upgrader_world.World, nats: DeployedNats, upstream: Upstream) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(version_watcher(world.kubernetes, nats, upstream)),
        asyncio.create_task(upgrader(world, nats)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def until_said(nats: DeployedNats, last: str) -> list[str]:
    """What people see at a terminal, up to the first event of that name."""
    people = await Bus.connect(nats.as_user("cli"), name="people", clock=SystemClock())
    said = []
    try:
        async for envelope in people.tail(subject_filter(), start=Start.ALL):
            said.append(envelope.data.name)
            if envelope.data.name == last:
                break
    finally:
        await people.close()
    return said


async def test_a_release_travels_to_every_pod_with_no_rights_but_those_of_deploy(tmp_path: Path) -> None:
    async with upgrader_world.world(tmp_path) as world, deployed_nats(tmp_path) as nats, Upstream() as upstream:
        world.policy()
        upstream.offer(edge=NEW)
        upstream.publish(release(NEW), release(OLD))
        upstream.index("2026.6.3", "2025.10.7")
        async with both(world, nats, upstream), asyncio.timeout(PATIENCE):
            run = await world.until(lambda each: each.status is not None and each.status.finished_at is not None)
            said = await until_said(nats, UpgradeFinished.name)
        refused = [entry for entry in world.kubernetes.audit if entry.code == 403]
        assert refused == []
        assert run.status is not None
        assert run.status.phase is Phase.SUCCEEDED
        # The catalog is written before the event is said, so a quick upgrader may be the first to speak.
        assert NewVersion.name in said
        assert set(world.versions("shop")) == {NEW}

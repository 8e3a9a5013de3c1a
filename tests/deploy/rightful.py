"""The journey with no rights but those of deploy/: each service under its own ServiceAccount on a real API server."""

import asyncio
from pathlib import Path

from steward.events import RunOutcome
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import ASKS, MESHED, Fleet, Kind, Namespace, Workload, unique
from tests.cluster.journey import staged
from tests.cluster.scenario import offer
from tests.deploy.installed import HOME, grant, refusals


async def travel(linkerd: Linkerd, folder: Path, method: str) -> set[str]:
    """From an older release to a newer one; what the API server refused on the way is returned."""
    *_, old, new = linkerd.artifacts.versions
    cluster = linkerd.cluster
    await asyncio.to_thread(linkerd.by_helm if method == "Helm" else linkerd.by_cli, old)
    await asyncio.to_thread(grant, cluster)
    fleet = _fleet()
    await asyncio.to_thread(fleet.create, cluster.api)
    await asyncio.to_thread(fleet.until_ready, cluster.api)
    before = await asyncio.to_thread(refusals, linkerd.commands)
    async with staged(linkerd, folder) as stage:
        offer(stage, old)
        revisions = await stage.revisions(fleet)
        await stage.start("version_watcher", kubeconfig=cluster.kubeconfig_of(HOME, "version-watcher"))
        await stage.start("upgrader", kubeconfig=cluster.kubeconfig_of(HOME, "upgrader"))
        offer(stage, old, new)
        finished = await stage.finished()
        assert finished.outcome is RunOutcome.SUCCEEDED, finished.message
        await stage.assert_upgraded(fleet, revisions, old, new)
    after = await asyncio.to_thread(refusals, linkerd.commands)
    await asyncio.to_thread(fleet.remove, cluster.api)
    return set(after - before)


def _fleet() -> Fleet:
    name = unique("rightful")
    workloads = tuple(
        Workload(kind, name, kind.value.lower()) for kind in (Kind.DEPLOYMENT, Kind.STATEFUL_SET, Kind.DAEMON_SET)
    )
    return Fleet((Namespace(name, {**MESHED, **ASKS}),), workloads)

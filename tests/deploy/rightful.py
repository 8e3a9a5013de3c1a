"""The journey with no rights but those of deploy/: each service under its own ServiceAccount on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from steward.events import RunOutcome
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.gate import Call, Gate, Verdict
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.workloads import ASKS, MESHED, Fleet, Kind, Namespace, Workload, unique
from tests.cluster.journey import staged
from tests.cluster.scenario import offer
from tests.deploy.installed import ACCOUNTS, HOME, grant, refusals
from tests.deploy.rights import Act


@dataclass
class Account:
    """A ServiceAccount, and everything that was asked in its name."""

    cluster: Cluster
    kubectl: Path
    name: str
    acts: set[Act] = field(default_factory=set)

    @asynccontextmanager
    async def watched(self, folder: Path) -> AsyncIterator[Path]:
        """A kubeconfig that leads to the API server by way of a listener."""
        own = folder / self.name
        own.mkdir()
        access = Kubeconfig.read(self.cluster.kubeconfig_of(HOME, self.name), self.kubectl)
        async with Gate(access, judge=self._note).open(own) as gate:
            yield gate.kubeconfig

    def _note(self, call: Call) -> Verdict:
        act = Act.of(call)
        if act is not None:
            self.acts.add(act)
        return None


@dataclass(frozen=True, slots=True)
class Travelled:
    """What the API server refused on the way, and what each account did."""

    refused: set[str]
    acts: dict[str, set[Act]]


async def travel(linkerd: Linkerd, folder: Path, method: str) -> Travelled:
    """From an older release to a newer one."""
    *_, old, new = linkerd.artifacts.versions
    cluster = linkerd.cluster
    await asyncio.to_thread(linkerd.by_helm if method == "Helm" else linkerd.by_cli, old)
    await asyncio.to_thread(grant, cluster)
    fleet = _fleet()
    await asyncio.to_thread(fleet.create, cluster.api)
    await asyncio.to_thread(fleet.until_ready, cluster.api)
    before = await asyncio.to_thread(refusals, linkerd.commands)
    kubectl = linkerd.commands.binaries.path("kubectl")
    watcher, upgrader = (Account(cluster, kubectl, name) for name in ACCOUNTS)
    async with staged(linkerd, folder) as stage, watcher.watched(folder) as one, upgrader.watched(folder) as other:
        offer(stage, old)
        revisions = await stage.revisions(fleet)
        await stage.start("version_watcher", kubeconfig=one)
        await stage.start("upgrader", kubeconfig=other)
        offer(stage, old, new)
        finished = await stage.finished()
        assert finished.outcome is RunOutcome.SUCCEEDED, finished.message
        await stage.assert_upgraded(fleet, revisions, old, new)
        await stage.stop()
    after = await asyncio.to_thread(refusals, linkerd.commands)
    await asyncio.to_thread(fleet.remove, cluster.api)
    return Travelled(set(after - before), {each.name: each.acts for each in (watcher, upgrader)})


def _fleet() -> Fleet:
    name = unique("rightful")
    workloads = tuple(
        Workload(kind, name, kind.value.lower()) for kind in (Kind.DEPLOYMENT, Kind.STATEFUL_SET, Kind.DAEMON_SET)
    )
    return Fleet((Namespace(name, {**MESHED, **ASKS}),), workloads)

"""NATS away for the middle third of the journey, the API server killed and revived: it completes, all is told once."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

from steward.events import RunOutcome
from steward.testing.cluster.control_plane import ControlPlane
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import mixed_fleet, unique
from tests.cluster.journey import staged
from tests.cluster.scenario import offer


async def test_nats_and_the_api_server_may_go_and_come_back(
    breakable_linkerd: Linkerd, breakable_control_plane: ControlPlane, tmp_path: Path
) -> None:
    linkerd = breakable_linkerd
    *_, old, new = linkerd.artifacts.versions
    fleet = mixed_fleet(f"-{unique('o')}")
    await asyncio.to_thread(linkerd.by_helm, old)
    await asyncio.to_thread(fleet.create, linkerd.cluster.api)
    await asyncio.to_thread(fleet.until_ready, linkerd.cluster.api)
    async with staged(linkerd, tmp_path) as stage:
        before = await stage.revisions(fleet)
        offer(stage, old, new)
        await stage.start("version_watcher")
        await stage.start("upgrader")

        await stage.until("the CRDs are new", "upgrade-step-done", step="crds")
        await stage.nats.kill()
        await stage.until_status("the control plane is new and workloads roll", step="data-plane")
        await asyncio.to_thread(breakable_control_plane.kill, "kube-apiserver", signal.SIGKILL)
        await asyncio.to_thread(breakable_control_plane.revive, "kube-apiserver")
        await stage.until_verified(3)
        await stage.nats.start()
        finished = await stage.finished()

        assert finished.outcome is RunOutcome.SUCCEEDED, finished.message
        await stage.assert_upgraded(fleet, before, old, new)
        events = await stage.events()
        assert Counter(each.id for each in events).most_common(1)[0][1] == 1
        run = await stage.run()
        assert run.status is not None
        told = [
            each.id.removeprefix(f"{run.metadata.uid}/") for each in events if each.correlationid == run.metadata.uid
        ]
        assert told == [transition.id for transition in run.status.transitions]

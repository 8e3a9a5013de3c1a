"""Kill -9 of upgrader between any two writes of the journey, each gap once: it ends as if nothing had happened."""

import asyncio
import re
import signal
from collections import Counter
from pathlib import Path

from steward.events import RunOutcome, UpgradeFinished
from steward.kube.resources import UPGRADE_RUNS
from steward.resources.upgrade_run import UpgradeRun
from steward.testing.cluster.gate import Gate, Write
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import mixed_fleet, unique
from tests.cluster.journey import Journey, Service, staged
from tests.cluster.scenario import offer

# What says nothing of the journey: who leads, and what was told to people.
_ASIDE = re.compile(r"/(leases|events)(/|$)")
_REVISION = re.compile(r"\.v[0-9]+$")
_MOST_KILLS = 400


class Executioner:
    """Ends upgrader at every write that it has not been ended at before, after the API server has acted on it.

    A write is known by what it changes, how often this process did so, and, for the status of the run, by what that
    status says: taking over a run again is no new write, and neither is a release of helm's under the next number.
    """

    def __init__(self, stage: Journey) -> None:
        self._stage = stage
        self._known: set[tuple[object, ...]] = set()
        self._here: Counter[tuple[str, str]] = Counter()
        self.victim: Service | None = None
        self.kills: list[str] = []

    def reborn(self, victim: Service) -> None:
        """A new process."""
        self.victim = victim
        self._here.clear()

    async def after(self, write: Write) -> None:
        """Called when the API server has answered and upgrader does not know it yet."""
        path = write.call.path
        if _ASIDE.search(path) or self.victim is None or not self.victim.alive:
            return
        what = (write.call.method, _REVISION.sub("", path))
        self._here[what] += 1
        key: tuple[object, ...] = (*what, self._here[what])
        if "/upgraderuns" in path:
            key = (*what, *await self._said())
        if key not in self._known and len(self.kills) < _MOST_KILLS:
            self._known.add(key)
            self.kills.append(f"{write.call.method} {path}")
            await self.victim.end(signal.SIGKILL)

    async def _said(self) -> tuple[object, ...]:
        """What the status of the run says, without who says it."""
        runs = [UpgradeRun.of(each) for each in (await self._stage.kube.list(UPGRADE_RUNS)).items]
        said: list[object] = [len(runs)]
        for run in runs:
            if run.status is not None:
                said += [run.status.phase, len(run.status.transitions)]
                said += [(step.state, step.attempt, len(step.evidence)) for step in run.status.steps]
        return tuple(said)


async def test_killed_between_any_two_writes_it_ends_the_same(linkerd: Linkerd, tmp_path: Path) -> None:
    *_, old, new = linkerd.artifacts.versions
    fleet = mixed_fleet(f"-{unique('k')}")
    await asyncio.to_thread(linkerd.by_helm, old)
    await asyncio.to_thread(fleet.create, linkerd.cluster.api)
    await asyncio.to_thread(fleet.until_ready, linkerd.cluster.api)
    async with staged(linkerd, tmp_path) as stage, Gate(linkerd.cluster.access).open(tmp_path) as gate:
        before = await stage.revisions(fleet)
        executioner = Executioner(stage)
        gate.after_write = executioner.after
        offer(stage, old, new)
        await stage.start("version_watcher")

        finished = await _through(stage, gate, executioner)

        assert finished.outcome is RunOutcome.SUCCEEDED, finished.message
        await stage.assert_upgraded(fleet, before, old, new)
        story = await stage.story()
        assert Counter(story).most_common(1)[0][1] == 1 or _only_attempts_repeat(story), story
        # Every kind of write met its kill: the run, the status, helm's own, each workload.
        assert len(executioner.kills) > len(before)
        assert any("/upgraderuns" in kill for kill in executioner.kills)
        assert any("/secrets" in kill for kill in executioner.kills)
        # The gate closes when nobody watches through it any more.
        await stage.stop()
    await asyncio.to_thread(fleet.remove, linkerd.cluster.api)


async def _through(stage: Journey, gate: Gate, executioner: Executioner) -> UpgradeFinished:
    """Start upgrader again and again until the run has ended."""
    while True:
        # The name of a container stays the same when it restarts, and so its lease is its own at once.
        victim = await stage.start("upgrader", kubeconfig=gate.kubeconfig, STEWARD_UPGRADER__IDENTITY="the-one")
        executioner.reborn(victim)
        ended = asyncio.create_task(victim.process.wait())
        finished = asyncio.create_task(stage.finished())
        await asyncio.wait({ended, finished}, return_when=asyncio.FIRST_COMPLETED)
        if finished.done():
            ended.cancel()
            return finished.result()
        finished.cancel()
        stage.must_live()


def _only_attempts_repeat(story: list[str]) -> bool:
    """A step may be begun again after a crash in the middle of it; nothing else is ever said twice."""
    return all(count == 1 or said.startswith("upgrade-step-started") for said, count in Counter(story).items())

"""The first journey on a real API server: both services as processes of their own, as they run in a pod."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import nats

from services.demo.journey import furnish
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import SystemClock
from steward.events import Envelope, Event, UpgradeEvent, UpgradeFinished
from steward.jsonvalue import JsonObject, dig, text, texts
from steward.kube.client import Kube
from steward.kube.errors import ServerUnavailable
from steward.kube.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    RELEASE_CATALOGS,
    REPLICA_SETS,
    STATEFUL_SETS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
)
from steward.linkerd import marks
from steward.resources.upgrade_run import UpgradeRun, UpgradeRunStatus
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import Fate, Fleet, Kind, Workload, proxy_version
from steward.testing.linkerd.feed import ReleaseFeed
from steward.testing.nats import NatsServer

CLUSTER = "testing"
PATIENCE = timedelta(minutes=5)
RECOMMENDED = "This release is recommended for all users."
_OF_KIND = {Kind.DEPLOYMENT: DEPLOYMENTS, Kind.STATEFUL_SET: STATEFUL_SETS, Kind.DAEMON_SET: DAEMON_SETS}
_POLL = timedelta(milliseconds=250)


@dataclass
class Service:
    """One process."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.returncode is None

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait."""
        self.signal(number)
        return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal by its id: Popen would reap a process that has just died, unseen by asyncio."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


@dataclass
class Journey:
    """The stage, and what is asked of it."""

    linkerd: Linkerd
    nats: NatsServer
    feed: ReleaseFeed
    kube: Kube
    folder: Path
    started: int = 0
    services: list[Service] = field(default_factory=list)

    async def start(self, service: str, *, kubeconfig: Path | None = None, **more: str) -> Service:
        """Start `version_watcher` or `upgrader`, talking to the API server by `kubeconfig`."""
        self.started += 1
        log = self.folder / f"{service}-{self.started}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"services.{service}",
                env={**self._environment(kubeconfig or self.linkerd.cluster.kubeconfig), **more},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.services.append(Service(process, log))
        return self.services[-1]

    def _environment(self, kubeconfig: Path) -> dict[str, str]:
        watcher, upgrader = "STEWARD_VERSION_WATCHER__", "STEWARD_UPGRADER__"
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "STEWARD_BUS__SERVERS": self.nats.url,
            "STEWARD_BUS__CLUSTER": CLUSTER,
            "STEWARD_CLUSTER__KUBECONFIG": str(kubeconfig),
            "STEWARD_LEASE__DURATION": "3",
            "STEWARD_HTTP__METRICS_PORT": "0",
            "STEWARD_HTTP__HEALTH_PORT": "0",
            f"{watcher}VERSION_CHECK__URL": self.feed.version_url,
            f"{watcher}VERSION_CHECK__INTERVAL": "1",
            f"{watcher}RELEASE_NOTES__URL": self.feed.releases_url,
            f"{watcher}RELEASE_NOTES__INTERVAL": "1",
            f"{watcher}HELM_INDEX__URL": self.feed.helm_index_url,
            f"{watcher}HELM_INDEX__INTERVAL": "1",
            f"{upgrader}TOOLS__ARTIFACTS": str(self.linkerd.artifacts[self.linkerd.artifacts.newest].directory.parent),
            f"{upgrader}TOOLS__HELM": str(self.linkerd.commands.binaries.path("helm")),
            f"{upgrader}TOOLS__WORK": str(self.folder / "work"),
            f"{upgrader}TEMPO__LOOK_AGAIN": "0.3",
            f"{upgrader}TEMPO__ASK_AGAIN": "0.5",
            f"{upgrader}TEMPO__RECORD": "0.2",
        }

    async def events(self) -> list[Envelope[Event]]:
        """What is stored so far, in order."""
        async with self._bus() as bus:
            return [each async for each in bus.tail("steward.v1.>", start=Start.ALL, follow=False)]

    async def finished(self) -> UpgradeFinished:
        """Wait for the end of the first run; a service that died meanwhile is an error with its log."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while (await self._status("the run has ended")).finished_at is None:
                    self.must_live()
                    await SystemClock().sleep(_POLL)
                return await self._told_of_the_end()
        except TimeoutError:
            raise AssertionError(await self._where()) from None

    async def _told_of_the_end(self) -> UpgradeFinished:
        while True:
            for each in await self.events() if self.nats.running else []:
                if isinstance(each.data, UpgradeFinished):
                    return each.data
            self.must_live()
            await SystemClock().sleep(_POLL)

    async def _where(self) -> str:
        """How far everything is, for whoever has to find out why it is not further."""
        runs = (await self.kube.list(UPGRADE_RUNS)).items
        policies = (await self.kube.list(UPGRADE_POLICIES)).items
        catalogs = (await self.kube.list(RELEASE_CATALOGS)).items
        seen = [dig(each, "status") for each in (*runs, *policies, *catalogs)]
        return f"not finished in {PATIENCE}: {json.dumps(seen, indent=1)[:12000]}"

    async def until(self, what: str, event: str, **members: str) -> Envelope[Event]:
        """Wait for an event that has these members."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while True:
                for each in await self.events():
                    if each.data.name == event and all(getattr(each.data, k) == v for k, v in members.items()):
                        return each
                self.must_live()
                await SystemClock().sleep(_POLL)
        raise AssertionError(what)

    async def until_status(self, what: str, *, step: str) -> None:
        """Wait until the run is at a step."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while (await self._status(what)).step != step:
                self.must_live()
                await SystemClock().sleep(_POLL)

    async def until_verified(self, workloads: int) -> None:
        """Wait until so many workloads are proven."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while True:
                status = await self._status(f"{workloads} workloads are verified")
                if status.workloads is not None and status.workloads.verified >= workloads:
                    return
                self.must_live()
                await SystemClock().sleep(_POLL)

    async def _status(self, what: str) -> UpgradeRunStatus:
        try:
            runs = (await self.kube.list(UPGRADE_RUNS)).items
        except ServerUnavailable:
            runs = []
        status = UpgradeRun.of(runs[0]).status if runs else None
        return status if status is not None else UpgradeRunStatus(step=f"unknown, waiting until {what}")

    def must_live(self) -> None:
        """Fail with the log of a service that ended by itself."""
        for service in self.services:
            code = service.process.returncode
            # Ended by a signal of ours is how these tests end services.
            assert code is None or code <= 0, (
                f"{service.log.name} ended with {code}:\n{service.log.read_text()[-4000:]}"
            )

    async def run(self) -> UpgradeRun:
        """The one run there is."""
        (found,) = (await self.kube.list(UPGRADE_RUNS)).items
        return UpgradeRun.of(found)

    async def republish(self, event: str) -> None:
        """Say a stored event again under another id, as somebody who does not know that it was said."""
        (first,) = [each for each in await self.events() if each.data.name == event]
        async with self._bus() as bus:
            await bus.publish(first.model_copy(update={"id": f"{first.id}/again"}))

    async def until_idle(self) -> None:
        """Wait until upgrader has acknowledged everything that was said to it."""
        client = await nats.connect(self.nats.url)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while True:
                    known = await client.jetstream().consumer_info("STEWARD_EVENTS", "upgrader")
                    if not known.num_pending and not known.num_ack_pending:
                        return
                    await SystemClock().sleep(_POLL)
        finally:
            await client.close()

    async def stop(self) -> None:
        """End every service; the last thing of a test."""
        for service in self.services:
            await service.end(signal.SIGKILL)

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[Bus]:
        bus = await Bus.connect(
            BusSettings(servers=(self.nats.url,), cluster=CLUSTER), name="test", clock=SystemClock()
        )
        try:
            await bus.reconcile()
            yield bus
        finally:
            await bus.close()

    # ---- what must be true afterwards ----

    async def assert_upgraded(self, fleet: Fleet, before: dict[str, str], old: str, new: str) -> None:
        """Every pod that asked runs the new proxy, nobody else was touched, and the control plane is new."""
        assert text(self.linkerd.config(), "linkerdVersion") == new
        api = self.linkerd.cluster.api
        for workload in fleet.workloads:
            versions = Counter(proxy_version(pod) for pod in await asyncio.to_thread(fleet.pods, api, workload))
            if workload.fate is Fate.UPGRADED:
                assert set(versions) == {new}, f"{workload.namespace}/{workload.name}: {versions}"
            elif workload.fate is Fate.UNTOUCHED:
                assert set(versions) <= {old, ""}, f"{workload.namespace}/{workload.name}: {versions}"
                assert await self.revision(workload) == before[_label(workload)], workload.name
        assert await self.restarts(fleet) == Counter({_label(each): 1 for each in fleet.of(Fate.UPGRADED)})

    async def revisions(self, fleet: Fleet) -> dict[str, str]:
        """The generation of every rolling workload: it moves with each change of a template."""
        rolling = [each for each in fleet.workloads if each.kind in _OF_KIND]
        return {_label(each): await self.revision(each) for each in rolling}

    async def revision(self, workload: Workload) -> str:
        """Generation of a workload."""
        found = await self.kube.get(_OF_KIND[workload.kind], workload.name, workload.namespace)
        return str(found["metadata"]["generation"]) if isinstance(found["metadata"], dict) else ""

    async def restarts(self, fleet: Fleet) -> Counter[str]:
        """How often each workload's template was given a marker of ours: once per ReplicaSet or revision with one."""
        counted: Counter[str] = Counter()
        for workload in fleet.of(Fate.UPGRADED):
            if workload.kind is Kind.DEPLOYMENT:
                sets = (await self.kube.list(REPLICA_SETS, workload.namespace, labels=f"app={workload.name}")).items
                counted[_label(workload)] = sum(1 for each in sets if _marked(each))
            else:
                # Created at generation 1; each restart is one more.
                counted[_label(workload)] = int(await self.revision(workload)) - 1
        return counted

    async def story(self) -> list[str]:
        """The events of the run as `name step attempt`."""
        return [_told(each.data) for each in await self.events() if isinstance(each.data, UpgradeEvent)]


def _label(workload: Workload) -> str:
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def _marked(replica_set: JsonObject) -> bool:
    return marks.PROXY_TARGET in texts(replica_set, "spec", "template", "metadata", "annotations")


def _told(event: Event) -> str:
    step = getattr(event, "step", None)
    return f"{event.name} {step}" if step else event.name


@asynccontextmanager
async def staged(linkerd: Linkerd, folder: Path) -> AsyncIterator[Journey]:
    """NATS, a feed that still offers the old release, custom resources, plans, and an automatic policy."""
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(NatsServer())
        feed = await stack.enter_async_context(ReleaseFeed())
        kube = await stack.enter_async_context(await Kube.connect(kubeconfig=linkerd.cluster.kubeconfig))
        await furnish(kube)
        journey = Journey(linkerd, nats, feed, kube, folder)
        stack.push_async_callback(journey.stop)
        yield journey

"""The journey: a cluster one release behind, a release that appears, an upgrade that follows by itself."""

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import yaml
from rich.console import Console
from rich.live import Live

from services.alerting.settings import AlertingGroup, AlertingSettings, WebhookSettings
from services.conformance.settings import ConformanceSettings
from services.demo.cluster import NEW, OLD, Cluster, cluster_of
from services.demo.narrator import bar, line
from services.demo.upstream import Upstream, upstream
from services.embedded_nats import embedded_nats
from services.together import Member, serve_all
from services.upgrader.settings import TempoSettings, ToolSettings, UpgraderGroup, UpgraderSettings
from services.version_watcher.settings import (
    HelmIndexSource,
    ReleaseNotes,
    VersionCheck,
    VersionWatcherGroup,
    VersionWatcherSettings,
)
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.bus.streams import Start
from steward.clock import Clock, SystemClock
from steward.events import UpgradeFinished
from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.resources import CRDS, NAMESPACES, PODS, RELEASE_CATALOGS, UPGRADE_PLANS, UPGRADE_POLICIES
from steward.linkerd.pods import trim
from steward.resources import KINDS
from steward.resources.definitions import definition
from steward.service.logs import adopt_library_logs, logger
from steward.service.runtime import listening
from steward.service.settings import ClusterSettings, HttpSettings, LogSettings, ServiceSettings

PLANS = Path(__file__).parent.parent / "upgrader" / "plans"
NAMESPACE = "linkerd-steward"
_SECOND = timedelta(seconds=1)
_LOOK = timedelta(milliseconds=400)
_QUIET = LogSettings(level="error")
POLICY: JsonObject = {
    "apiVersion": "steward.linkerd.io/v1alpha1",
    "kind": "UpgradePolicy",
    "metadata": {"name": "default"},
    "spec": {"mode": "Automatic", "targetSelector": {"minimumReleaseAgeSeconds": 0}},
}
CATALOG: JsonObject = {
    "apiVersion": "steward.linkerd.io/v1alpha1",
    "kind": "ReleaseCatalog",
    "metadata": {"name": "default"},
    "spec": {},
}


async def demonstrate(kind: str, *, once: bool) -> None:
    """Show the journey, then stay until Ctrl-C; with `once`, end when the upgrade has."""
    console = Console(highlight=False, markup=False)
    folder = Path(tempfile.mkdtemp(prefix="steward-demo-"))
    clock = SystemClock()
    adopt_library_logs(logger("demo", _QUIET), _QUIET)
    try:
        console.print(f"starting a {kind} cluster with {OLD} …")
        async with (
            cluster_of(kind, folder) as cluster,
            embedded_nats(folder / "nats", clock) as nats,
            upstream() as served,
            await Kube.connect(kubeconfig=cluster.kubeconfig) as kube,
        ):
            await furnish(kube)
            await _show(Stage(console, clock, cluster, nats, served, kube), once=once)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def furnish(kube: Kube) -> None:
    """What an installation brings: definitions, plans, a catalog, and a policy that lets releases in by themselves."""
    for each in KINDS:
        await kube.apply(CRDS, definition(each), manager="demo")
    await kube.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}}, manager="demo")
    for path in sorted(PLANS.glob("*.yaml")):
        await kube.apply(UPGRADE_PLANS, yaml.safe_load(path.read_text()), manager="demo")
    await kube.apply(RELEASE_CATALOGS, CATALOG, manager="demo")
    await kube.apply(UPGRADE_POLICIES, POLICY, manager="demo")


class Stage:
    """Everything that runs during the demonstration."""

    def __init__(
        self, console: Console, clock: Clock, cluster: Cluster, nats: str, served: Upstream, kube: Kube
    ) -> None:
        self.console = console
        self.clock = clock
        self.cluster = cluster
        self.bus = BusSettings(servers=(nats,), cluster="demo")
        self.upstream = served
        self.kube = kube
        self.pods: Counter[str] = Counter()

    def settings_of(self, member: Member) -> ServiceSettings:
        """Settings as quick as a person's patience."""
        where = ClusterSettings(kubeconfig=self.cluster.kubeconfig, namespace=NAMESPACE)
        if member.settings is VersionWatcherSettings:
            address = self.upstream.address
            watcher = VersionWatcherGroup(
                version_check=VersionCheck(url=f"{address}/version.json", interval=_SECOND),
                release_notes=ReleaseNotes(url=f"{address}/releases", interval=_SECOND),
                helm_index=HelmIndexSource(enabled=False),
                settle=timedelta(milliseconds=200),
            )
            return VersionWatcherSettings(bus=self.bus, cluster=where, log=_QUIET, version_watcher=watcher)
        if member.settings is ConformanceSettings:
            # Nobody made a suite here, so it hears of the upgrade and keeps still: no proxy carries a probe's calls.
            return ConformanceSettings(bus=self.bus, cluster=where, log=_QUIET)
        if member.settings is AlertingSettings:
            # There is no Prometheus here: it says so, and keeps still.
            return AlertingSettings(
                bus=self.bus,
                cluster=where,
                log=_QUIET,
                alerting=AlertingGroup(webhook=WebhookSettings(port=0)),
            )
        tools = ToolSettings(artifacts=self.cluster.artifacts, helm=self.cluster.helm, cli_url="", charts_url="")
        tempo = TempoSettings(look_again=_LOOK, ask_again=_SECOND)
        return UpgraderSettings(
            bus=self.bus, cluster=where, log=_QUIET, upgrader=UpgraderGroup(tools=tools, tempo=tempo)
        )

    async def narrate(self, finished: asyncio.Event) -> None:
        """Print every event; below them, where the terminal allows it, how far the proxies are."""
        bus = await Bus.connect(self.bus, name="demo", clock=self.clock)
        try:
            await bus.reconcile()
            with Live(
                console=self.console, refresh_per_second=4, transient=True, get_renderable=lambda: bar(self.pods, NEW)
            ):
                async for envelope in bus.tail("steward.v1.>", start=Start.ALL):
                    self.console.print(line(envelope), soft_wrap=True)
                    if isinstance(envelope.data, UpgradeFinished):
                        finished.set()
        finally:
            await bus.close()

    async def count(self) -> None:
        """Keep the number of pods by proxy."""
        while True:
            listing = await self.kube.list(PODS, labels="linkerd.io/control-plane-ns=linkerd")
            facts = [trim(pod) for pod in listing.items]
            self.pods = Counter(each.proxy.label for each in facts if each.proxy and each.namespace != "linkerd")
            await self.clock.sleep(_LOOK)

    async def publish(self) -> None:
        """Let the release appear, when everybody had time to look around."""
        await self.clock.sleep(3 * _SECOND)
        self.upstream.head = NEW


async def _show(stage: Stage, *, once: bool) -> None:
    finished = asyncio.Event()
    async with listening(HttpSettings(metrics_port=0, health_port=0)) as (registry, health):
        stage.console.print(_hints(stage))
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(stage.narrate(finished), name="narrator"),
                tasks.create_task(serve_all(stage.settings_of, registry, health), name="services"),
                tasks.create_task(stage.count(), name="count"),
                tasks.create_task(stage.publish(), name="upstream"),
            ]
            await finished.wait()
            await stage.clock.sleep(_SECOND)
            stage.console.print(bar(stage.pods, NEW), soft_wrap=True)
            if not once:
                stage.console.print("\nEverything keeps running: look around with the commands above. Ctrl-C ends it.")
                await asyncio.Event().wait()
            for task in running:
                task.cancel()


def _hints(stage: Stage) -> str:
    command = Path(sys.executable).parent / "linkerd-steward"
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    return (
        f"\nThis is {stage.cluster.description}. In another terminal:\n\n"
        f"  export KUBECONFIG={stage.cluster.kubeconfig}\n"
        f"  export STEWARD_NATS={stage.bus.servers[0]}\n"
        f"  {shown} upgrade status\n"
        f"  {shown} events tail\n"
        f"  {shown} releases\n"
    )

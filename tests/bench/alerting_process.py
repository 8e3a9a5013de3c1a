"""Alerting as a process of its own beside a real Prometheus, Alertmanager and NATS, on a fake Kubernetes API."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from steward.linkerd.version import Version
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd_pages.synthetic import SyntheticLinkerd
from steward.testing.monitoring.prometheus import PrometheusOptions
from steward.testing.monitoring.tools import monitoring_tools
from steward.testing.nats import free_ports
from steward.testing.toolboxes.settings import ToolboxSettings
from tests.bench.passes import Busy
from tests.services.alerting.meshed import pods_of
from tests.services.alerting.running import CLUSTER, World, scraping, world

LINKERD = Version.parse("edge-26.8.3")
AS_SHIPPED = timedelta(seconds=30)
"""Between two scrapes, and two evaluations."""
_PATIENCE = 180
_LOOK_EVERY = 0.1
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Around:
    """The cluster, with a mesh, and the monitoring."""

    world: World
    mesh: SimulatedMesh


@asynccontextmanager
async def surroundings(fill: Callable[[SimulatedMesh], None] | None = None) -> AsyncIterator[Around]:
    """A control plane; where `fill` brings applications, Prometheus scrapes the page of every pod."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="steward-alerting-")))
        tools = monitoring_tools(ToolboxSettings.from_environment())
        around = await stack.enter_async_context(world(tools, folder))
        mesh = await stack.enter_async_context(SimulatedMesh(around.kubernetes))
        mesh.gateway_api()
        await mesh.install(str(LINKERD))
        pages = None
        if fill is not None:
            fill(mesh)
            await mesh.settled()
            pods = pods_of(around.kubernetes, calls="")
            pages = await stack.enter_async_context(SyntheticLinkerd(LINKERD, pods=pods))
        prometheus, alertmanager = around.prometheus, around.alertmanager
        itself = (prometheus.address, alertmanager.address, f"127.0.0.1:{around.metrics_port}")
        document = scraping(pages, folder / "rules", itself, every=AS_SHIPPED)
        prometheus.configure(PrometheusOptions(document=document))
        await prometheus.reload()
        yield Around(around, mesh)


class Alerting:
    """The process."""

    def __init__(self, process: Process, around: World) -> None:
        self._process = process
        self._around = around

    @classmethod
    @asynccontextmanager
    async def running(cls, around: World) -> AsyncIterator["Alerting"]:
        """With delivery by files and every other setting as it is by default."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.watched_alerting", env=_environment(around), stdout=PIPE
        )
        try:
            yield cls(process, around)
        finally:
            process.terminate()
            await process.wait()

    async def until(self, holds: Callable[[Mapping[str, float]], bool]) -> float:
        """Seconds until its own metrics, those of several series added up, are as `holds` says."""
        began = time.perf_counter()
        async with asyncio.timeout(_PATIENCE):
            while not holds(await self.metrics()):  # noqa: ASYNC110 - another process cannot set an event of ours
                await asyncio.sleep(_LOOK_EVERY)  # noqa: TID251 - polls a real process
        return time.perf_counter() - began

    async def metrics(self) -> Mapping[str, float]:
        """Of its own, by name without the prefix; empty while it does not answer."""
        found: dict[str, float] = {}
        try:
            url = f"http://127.0.0.1:{self._around.metrics_port}/metrics"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                families = text_string_to_metric_families(await answer.text())
        except aiohttp.ClientError:
            return found
        for sample in (sample for family in families for sample in family.samples):
            name = sample.name.removeprefix("steward_alerting_")
            found[name] = found.get(name, 0.0) + sample.value
        return found

    async def busy(self) -> Busy:
        """The longest passes of its event loop since this was asked last."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR1)
        return Busy(**json.loads(await self._process.stdout.readline()))

    @property
    def processor(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    def memory(self, kind: str = "VmRSS") -> float:
        """MB: now, or at most so far (VmHWM)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def _environment(around: World) -> dict[str, str]:
    folder = around.folder
    files = {each.upper(): str(folder / each) for each in ("rules", "alertmanager", "secrets", "good")}
    alerting = {
        "PROMETHEUS__URL": around.prometheus.url,
        "ALERTMANAGER__URL": around.alertmanager.url,
        "WEBHOOK__PORT": str(around.port),
        "WEBHOOK__TOKEN_FILE": str(around.token),
        **{f"FILES__{name}": path for name, path in files.items()},
    }
    return {
        "PATH": os.defpath,
        "STEWARD_BUS__SERVERS": around.nats.url,
        "STEWARD_BUS__CLUSTER": CLUSTER,
        "STEWARD_CLUSTER__KUBECONFIG": str(around.kubernetes.kubeconfig()),
        "STEWARD_HTTP__METRICS_PORT": str(around.metrics_port),
        "STEWARD_HTTP__HEALTH_PORT": str(free_ports(1)[0]),
        "STEWARD_LOG__LEVEL": "error",
        **{f"STEWARD_ALERTING__{name}": value for name, value in alerting.items()},
    }

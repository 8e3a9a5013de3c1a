"""How long until a process answers, and what it costs to keep: each service, and the call that `linkerd check` makes.

The peer is a Python that does nothing: what is above it is ours.
"""

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

from services.demo.journey import furnish
from steward.kube.client import Kube
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.nats import NatsServer, free_ports
from tests.bench.row import Row

ROUNDS = 7
IDLE_SECONDS = 5
SERVICES = ("version_watcher", "upgrader")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


async def _took(*command: str) -> float:
    """Median milliseconds of a whole process."""
    times = []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        await process.wait()
        times.append((time.perf_counter() - before) * 1000)
    return statistics.median(times)


async def _answer(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
    await writer.drain()
    answer = await reader.readline()
    writer.close()
    return b" 200 " in answer


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def _service(name: str, nats: str, kubeconfig: Path) -> list[Row]:
    metrics_port, health_port = free_ports(2)
    environment = {
        "PATH": os.defpath,
        "STEWARD_BUS__SERVERS": nats,
        "STEWARD_CLUSTER__KUBECONFIG": str(kubeconfig),
        "STEWARD_HTTP__METRICS_PORT": str(metrics_port),
        "STEWARD_HTTP__HEALTH_PORT": str(health_port),
    }
    before = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{name}",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while not await _answer(health_port):  # noqa: ASYNC110 - another process cannot set an event of ours
                await asyncio.sleep(0.01)  # noqa: TID251 - polls a real process
        ready, worked = time.perf_counter() - before, _cpu_seconds(process.pid)
        await asyncio.sleep(1)  # noqa: TID251 - lets start-up end before idleness is measured
        busy, since = _cpu_seconds(process.pid), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)  # noqa: TID251 - idleness takes time
        share = (_cpu_seconds(process.pid) - busy) / (time.perf_counter() - since) * 100
        memory = _memory_mb(process.pid)
    finally:
        process.terminate()
        await process.wait()
    return [
        Row(f"{name}: start until ready", "s", ready, "bar", 1.0, 1.0 / ready),
        Row(f"{name}: start until ready, processor time", "s", worked, "bar", 1.0, 1.0 / worked),
        Row(f"{name}: idle memory", "MB", memory, "bar", 80.0, 80.0 / memory),
        Row(f"{name}: idle share of a core", "%", share, "bar", 1.0, 1.0 / max(share, 0.01)),
    ]


async def measure() -> list[Row]:
    """Processes against a bare interpreter, services against the bars of the design."""
    executable = str(Path(sys.executable).parent / "linkerd-steward")
    bare = await _took(sys.executable, "-c", "pass")
    ours = await _took(executable, "_extension-metadata")
    rows = [Row("_extension-metadata", "ms", ours, "python -c pass", bare, bare / ours)]
    async with NatsServer() as nats, FakeKubernetes() as kubernetes:
        async with await Kube.connect(kubeconfig=kubernetes.kubeconfig()) as kube:
            await furnish(kube)
        for service in SERVICES:
            rows += await _service(service, nats.url, kubernetes.kubeconfig())
    return rows

"""The reflector over 50,000 pods against the typed list of kubernetes_asyncio: time and resident memory.

The server and each client run in a process of their own, so that memory is the client's alone.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.row import Row

PODS = 50_000
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one client process reports."""

    seconds: float
    megabytes: float
    objects: int


async def measure(pods: int = PODS) -> list[Row]:
    """Our rows beside the peer's."""
    async with _served(pods) as kubeconfig:
        ours = await _client("ours", kubeconfig)
        peer = await _client("peer", kubeconfig)
    assert ours.objects == peer.objects == pods
    name = "kubernetes_asyncio typed list"
    faster, smaller = peer.seconds / ours.seconds, peer.megabytes / ours.megabytes
    return [
        Row(f"reflector synced over {pods} pods", "s", ours.seconds, name, peer.seconds, faster),
        Row(f"memory of {pods} pods", "MB", ours.megabytes, name, peer.megabytes, smaller),
    ]


@asynccontextmanager
async def _served(pods: int) -> AsyncIterator[str]:
    server = await _python("serve", str(pods))
    assert server.stdout is not None
    try:
        async with asyncio.timeout(300):
            kubeconfig = (await server.stdout.readline()).decode().strip()
        yield kubeconfig
    finally:
        server.terminate()
        await server.wait()


async def _client(which: str, kubeconfig: str) -> Measured:
    client = await _python(which, kubeconfig)
    out, _ = await client.communicate()
    assert client.returncode == 0, f"the {which} client failed"
    return Measured(**json.loads(out.splitlines()[-1]))


async def _python(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.kube_clients", *arguments, stdout=subprocess.PIPE, cwd=_REPOSITORY
    )

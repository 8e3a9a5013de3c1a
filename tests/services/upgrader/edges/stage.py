"""Edges on a real API server, and the end of a program in the middle of its work."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.upgrader.core.observations import Unseen
from services.upgrader.core.orders import Order, Stage, StepObservation
from services.upgrader.edges.assembled import AssembledEdges, Surroundings, assembled
from services.upgrader.edges.tooling import Sources
from steward.clock import SystemClock
from steward.kube.client import Kube
from steward.testing.cluster.gate import Gate, Write
from steward.testing.cluster.installation import Linkerd

OPERATIONS = (f"{number:016x}" for number in range(1, 1_000_000))


@dataclass(frozen=True, slots=True)
class Stand:
    """The edges with the cluster that they work on."""

    edges: AssembledEdges
    kube: Kube


@asynccontextmanager
async def edges_on(
    linkerd: Linkerd, work: Path, *, kubeconfig: Path | None = None, undo: bool = False
) -> AsyncIterator[Stand]:
    """All edges, with the cluster's own kubeconfig or one of a gate in front of it."""
    chosen = kubeconfig or linkerd.cluster.kubeconfig
    around = Surroundings(
        helm=linkerd.commands.binaries.path("helm"),
        work=work / "work",
        sources=Sources(linkerd.artifacts.directory),
        gitops=work / "changes",
        kubeconfig=chosen,
        environment={"PATH": "/usr/bin:/bin"},
        undo_on_failure=undo,
    )
    async with await Kube.connect(kubeconfig=chosen) as kube, assembled(kube, SystemClock(), around) as edges:
        yield Stand(edges, kube)


@asynccontextmanager
async def gated(linkerd: Linkerd, work: Path, *, undo: bool = False) -> AsyncIterator[tuple[Stand, Gate]]:
    """The same by way of a gate that sees every write and may fail or end things."""
    gate = Gate(linkerd.cluster.access)
    folder = work / f"gate-{next(OPERATIONS)}"
    folder.mkdir()
    async with gate.open(folder), edges_on(linkerd, work, kubeconfig=gate.kubeconfig, undo=undo) as stand:
        yield stand, gate


@dataclass(slots=True)
class EndAt:
    """Ends `victim` when the API server has answered the write of that number, before the victim knows."""

    number: int
    victim: Callable[[], None]
    counts: Callable[[Write], bool] = lambda _: True
    """Which writes are counted."""
    seen: int = 0

    async def __call__(self, write: Write) -> None:
        self.seen += self.counts(write)
        if self.seen == self.number and self.counts(write):
            self.victim()


def begins_a_revision(write: Write) -> bool:
    """Whether helm has made the Secret of a revision; before that it may throw the oldest one away."""
    return write.call.method == "POST" and write.call.path.endswith("/secrets")


def kill_children() -> None:
    """SIGKILL to every helm that this process started and that still runs."""
    for process in Path("/proc").glob("[0-9]*"):
        # Processes come and go while one looks.
        with suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and "helm" in (process / "cmdline").read_text().split("\0")[0]:
                os.kill(int(process.name), signal.SIGKILL)


async def seen(stand: Stand, order: Order) -> StepObservation:
    """What is observed, which must be an observation."""
    found = await stand.edges.installation.observe(order)
    assert isinstance(found, StepObservation), found
    return found


async def finished(stand: Stand, order: Order) -> StepObservation:
    """Observe and act as upgrader does until the goal is reached or refused."""
    async with asyncio.timeout(90):
        while True:
            found = await stand.edges.installation.observe(order)
            if isinstance(found, Unseen):
                # Just after CRDs have changed, the API server may be initializing the storage of their objects.
                assert found.transient, found
            elif found.stage in (Stage.REACHED, Stage.REFUSED, Stage.HANDED_OVER):
                return found
            elif found.stage in (Stage.ABSENT, Stage.INTERRUPTED):
                await stand.edges.installation.act(order)
                continue
            await SystemClock().sleep(timedelta(milliseconds=100))

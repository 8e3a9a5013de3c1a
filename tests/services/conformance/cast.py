"""Actors without a mesh: echo servers and agents in this process, each on a loopback address of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path

from services.conformance.core.orders import Call, Doing, Replies, Reply, Report, Target
from services.conformance.core.stage import PORTS, Port
from services.conformance.edges.agents import Agents
from services.conformance.exerciser.calling.dialling import Resolve
from services.conformance.exerciser.calling.trouble import UnknownName
from services.conformance.exerciser.exercising import Exerciser, exercising
from services.conformance.exerciser.settings import ExerciserGroup, ExerciserSettings, Role
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import Clock, SystemClock
from steward.service.settings import LogSettings

RUN = "quick-1"
CLUSTER = "test"
AMPLE = timedelta(seconds=30)
ROOT = Path(__file__).parents[3]
_SERVED = count(1)


def loopback_address() -> str:
    """An address of 127.0.0.0/8 that no other test process uses."""
    process, number = os.getpid(), next(_SERVED)
    return f"127.{64 + process % 128}.{(process // 128 + number // 250) % 256}.{1 + number % 250}"


async def eventually(holds: Callable[[], bool]) -> None:
    """Look until it is so: for what happens in another process, which tells nobody."""
    async with asyncio.timeout(AMPLE.total_seconds()):
        while not holds():
            await SystemClock().sleep(timedelta(milliseconds=10))


@dataclass(frozen=True, slots=True)
class Played:
    """An actor's pod."""

    pod: str
    address: str
    exerciser: Exerciser

    @property
    def spool(self) -> Path:
        """Where its reports wait."""
        return self.exerciser.settings.exerciser.spool

    def at(self, port: Port | int = Port.HTTP) -> Target:
        """One of its ports."""
        return Target(host=self.address, port=PORTS[port] if isinstance(port, Port) else port)


class Cast:
    """Pods that come and go, and the service's link to their agents."""

    def __init__(self, bus: BusSettings, agents: Agents, folder: Path, clock: Clock) -> None:
        self._bus = bus
        self._folder = folder
        self._clock = clock
        self._stack = AsyncExitStack()
        self.agents = agents

    def settings(self, pod: str, address: str, **given: object) -> ExerciserSettings:
        """What the container of a pod would be told."""
        own = {
            "run": RUN,
            "actor": pod.partition("-")[0],
            "pod": pod,
            "node": "node-1",
            "zone": "zone-a",
            "pod_ip": address,
            "listen": address,
            "source_address": address,
            "ports": {Port.LOOPBACK: 0},
            "spool": self._folder / pod,
            "most_per_second": 10_000,
            "grace": timedelta(),
        }
        return ExerciserSettings(
            bus=self._bus, log=LogSettings(level="error"), exerciser=ExerciserGroup.model_validate({**own, **given})
        )

    @asynccontextmanager
    async def playing(self, pod: str, *, resolve: Resolve | None = None, **given: object) -> AsyncIterator[Played]:
        """A pod for as long as the context lasts; agents take orders when this is entered."""
        address = loopback_address()
        settings = self.settings(pod, address, **given)
        async with exercising(settings, clock=self._clock, resolve=resolve or nowhere) as exerciser:
            if Role.AGENT in settings.exerciser.roles:
                await self.until_present(pod)
            yield Played(pod, address, exerciser)

    @asynccontextmanager
    async def process(self, pod: str, address: str, *, written: int = DEVNULL, **given: str) -> AsyncIterator[Process]:
        """A pod as a process of its own, which is killed at the end where it still lives.

        `written` is where its standard error goes.
        """
        own = {
            "run": RUN,
            "actor": pod.partition("-")[0],
            "pod": pod,
            "listen": address,
            "source_address": address,
            "ports": "loopback=0",
            "spool": str(self._folder / pod),
            "heartbeat": "0.2",
            **given,
        }
        variables = {
            "PATH": os.defpath,
            "STEWARD_BUS__SERVERS": ",".join(self._bus.servers),
            "STEWARD_BUS__CLUSTER": self._bus.cluster,
            **{f"STEWARD_EXERCISER__{name.upper()}": value for name, value in own.items()},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.conformance.exerciser", env=variables, cwd=ROOT, stderr=written
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def until_present(self, pod: str) -> None:
        """Wait for an agent."""
        assert not await self.agents.until_present(RUN, frozenset({pod}), within_time=AMPLE)

    async def play(self, pod: str, *, resolve: Resolve | None = None, **given: object) -> Played:
        """A pod until the end of the test."""
        return await self._stack.enter_async_context(self.playing(pod, resolve=resolve, **given))

    async def serve(self, pod: str, **given: object) -> Played:
        """A pod that only serves."""
        return await self.play(pod, resolve=None, roles=(Role.SERVE,), **given)

    async def do(self, pod: str, doing: Doing, *, deadline: timedelta = AMPLE) -> Report:
        """Have an agent do something."""
        return await self.agents.do(RUN, pod, doing, deadline=deadline)

    async def calls(self, pod: str, call: Call) -> tuple[Reply, ...]:
        """Have an agent make calls."""
        seen = (await self.do(pod, call)).seen
        assert isinstance(seen, Replies), seen
        return seen.replies

    async def call(self, pod: str, call: Call) -> Reply:
        """Have an agent make one call."""
        (reply,) = await self.calls(pod, call)
        return reply

    async def leave(self) -> None:
        """Everybody leaves the stage."""
        await self._stack.aclose()


def is_address(host: str) -> bool:
    """Whether it is no name."""
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


async def nowhere(host: str) -> Sequence[str]:
    """A resolver that knows nobody: tests reach their servers by address."""
    if is_address(host):
        return (host,)
    raise UnknownName(f"{host} does not exist here")


@asynccontextmanager
async def assembled(url: str, folder: Path) -> AsyncIterator[Cast]:
    """An empty stage over a NATS server."""
    settings, clock = BusSettings(servers=(url,), cluster=CLUSTER), SystemClock()
    bus = await Bus.connect(settings, name="conformance", clock=clock)
    try:
        await bus.reconcile()
        async with Agents(bus, clock).listening() as agents:
            cast = Cast(settings, agents, folder, clock)
            try:
                yield cast
            finally:
                await cast.leave()
    finally:
        await bus.close()

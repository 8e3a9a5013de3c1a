"""Agents that need not be heard yet: without NATS a run can still be stopped and cleaned up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.conformance.core.orders import Doing, Report
from services.conformance.edges.agents import AgentBus, Agents
from steward.bus.errors import BusClosed, BusError
from steward.clock import Clock

_AGAIN = timedelta(seconds=1)


class PatientAgents:
    """Every verb waits until agents are heard."""

    def __init__(self) -> None:
        self._agents: asyncio.Future[Agents] = asyncio.get_running_loop().create_future()

    async def do(self, run: str, pod: str, doing: Doing, *, deadline: timedelta, order: str = "") -> Report:
        """Have the agent of a pod do something within `deadline`."""
        return await (await self._heard()).do(run, pod, doing, deadline=deadline, order=order)

    async def stop(self, run: str, pod: str, order: str) -> None:
        """Let an order end early."""
        await (await self._heard()).stop(run, pod, order)

    async def until_present(self, run: str, pods: frozenset[str], *, within_time: timedelta) -> frozenset[str]:
        """Wait until these pods have an agent; while NATS is away, none has."""
        if not self._agents.done():
            return pods
        return await self._agents.result().until_present(run, pods, within_time=within_time)

    async def _heard(self) -> Agents:
        # Shielded: one waiter that is cancelled must not cancel the future of all.
        return await asyncio.shield(self._agents)

    async def listen(self, bus: AgentBus, clock: Clock) -> None:
        """Hear agents until cancelled, from as soon as NATS is there."""
        while True:
            try:
                async with Agents(bus, clock).listening() as agents:
                    self._agents.set_result(agents)
                    await asyncio.get_running_loop().create_future()
            except BusClosed:
                raise
            except BusError:
                if self._agents.done():
                    self._agents = asyncio.get_running_loop().create_future()
                await clock.sleep(_AGAIN)


@asynccontextmanager
async def patient_agents(bus: AgentBus, clock: Clock) -> AsyncIterator[PatientAgents]:
    """Agents for as long as the context lasts."""
    agents = PatientAgents()
    listening = asyncio.create_task(agents.listen(bus, clock), name="agents")
    try:
        yield agents
    finally:
        listening.cancel()
        await asyncio.wait([listening])

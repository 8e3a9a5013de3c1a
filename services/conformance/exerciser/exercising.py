"""An exerciser as a context: what it does begins when the context is entered, and is over when it is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.conformance.core.stage import Port
from services.conformance.exerciser.agent import Agent
from services.conformance.exerciser.calling.dialling import Dialler, Resolve, resolving
from services.conformance.exerciser.link import Link
from services.conformance.exerciser.serving.server import serving
from services.conformance.exerciser.settings import ExerciserSettings, Role
from steward.bus.metrics import BusMetrics
from steward.clock import Clock, SystemClock
from steward.errors import ConfigurationError
from steward.service.logs import logger
from steward.service.patient_bus import PatientBus


@dataclass(frozen=True, slots=True)
class Exerciser:
    """One that is at work. `ports` are the numbers on which its server listens."""

    settings: ExerciserSettings
    ports: dict[Port, int]


@asynccontextmanager
async def exercising(
    settings: ExerciserSettings, *, clock: Clock | None = None, resolve: Resolve | None = None
) -> AsyncIterator[Exerciser]:
    """Serve and take orders. Any number of them live in one event loop, each on addresses of its own.

    A bus that is away is waited for; one that will never let us in ends the context with a BusError.
    """
    clock, who = clock or SystemClock(), settings.exerciser
    async with AsyncExitStack() as stack:
        ports: dict[Port, int] = {}
        if Role.SERVE in who.roles:
            ports = (await stack.enter_async_context(serving(who, clock))).ports
        if Role.AGENT in who.roles:
            dialler = Dialler(resolve or resolving(who.hosts), who.source_address)
            await stack.enter_async_context(_linked(settings, dialler, clock))
        yield Exerciser(settings, ports)


@asynccontextmanager
async def _linked(settings: ExerciserSettings, dialler: Dialler, clock: Clock) -> AsyncIterator[None]:
    who = settings.exerciser
    if not who.run:
        raise ConfigurationError("STEWARD_EXERCISER__RUN is empty: an agent needs the name of its run to take orders")
    log = logger("exerciser", settings.log).bind(run=who.run, pod=who.pod)
    bus = PatientBus(settings.bus, name=f"agent-{who.pod}", clock=clock, metrics=BusMetrics(), log=log)
    agent = Agent(who, dialler, clock)
    link = Link(who, agent, bus, clock=clock, log=log)
    try:
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(bus.keep(), name="bus"), tasks.create_task(link.keep(), name="link")]
            try:
                yield
            finally:
                for task in working:
                    task.cancel()
    finally:
        await agent.close()
        await bus.close()

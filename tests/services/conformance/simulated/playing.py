"""Many probes on one stage, some of them at the same time: none may disturb another."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from services.conformance.core.probe import Probe
from steward.conformance.results import Capability
from tests.services.conformance.simulated.theatre import Theatre, healthy, told

AT_ONCE = 4
_AMPLE = timedelta(minutes=2)


async def unwell(theatre: Theatre, probes: Iterable[Probe]) -> list[str]:
    """What does not work on a healthy mesh, in words; probes that must be alone are played after all others.

    As in a run, what fails is tried again: a busy machine is no broken mesh.
    """
    theatre.runner = replace(theatre.runner, retries=2, retry_within=_AMPLE)
    supported = [probe for probe in probes if theatre.supports(probe).capability is Capability.SUPPORTED]
    turn = asyncio.Semaphore(AT_ONCE)

    async def play(probe: Probe) -> str:
        async with turn:
            outcome = await theatre.run(probe)
        return "" if healthy(outcome) else told(outcome)

    together = await asyncio.gather(*(play(probe) for probe in supported if not probe.alone))
    alone = [await play(probe) for probe in supported if probe.alone]
    return [words for words in (*together, *alone) if words]

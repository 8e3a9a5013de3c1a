"""One mutation, tried on a mesh of its own."""

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from services.conformance.engine.runner import Outcome
from steward.conformance.results import Capability, FeatureResult, Verdict
from steward.errors import StewardError
from steward.testing.nats import NatsServer
from tests.mutation.canaries import canaries
from tests.mutation.catalogue import all_mutations
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught
from tests.services.conformance.simulated.theatre import Theatre, needs_viz, opened

_PATIENCE = 180.0
_BESIDE = 180.0
"""Seconds for all canaries of a mutation together; what they do not get to is told."""


@dataclass(frozen=True, slots=True)
class Beside:
    """How unrelated probes fared."""

    played: int = 0
    red: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mutation fared."""

    number: int
    caught: bool
    seconds: float
    said: str
    beside: Beside = Beside()


def tried(number: int, *, beside: bool) -> Trial:
    """Try one; runs an event loop of its own, so that many can be tried in as many processes."""
    mutation = all_mutations()[number]
    began = time.monotonic()
    try:
        outcome, others = asyncio.run(_play(mutation, beside=beside))
    except (TimeoutError, OSError, AssertionError, StewardError) as error:
        return Trial(number, caught=False, seconds=time.monotonic() - began, said=f"{type(error).__name__}: {error}")
    return Trial(number, caught(mutation, outcome), time.monotonic() - began, _said(mutation, outcome), others)


async def _play(mutation: Mutation, *, beside: bool) -> tuple[Outcome, Beside]:
    with tempfile.TemporaryDirectory() as folder:
        viz = needs_viz(mutation.probe)
        async with NatsServer() as nats, opened(nats.url, Path(folder), viz=viz) as theatre:
            async with asyncio.timeout(_PATIENCE):
                stage = await theatre.stage()
                await mutation.break_it(theatre.plane, stage)
                outcome = await theatre.play(mutation.probe)
            return outcome, await _beside(theatre, mutation) if beside else Beside()


async def _beside(theatre: Theatre, mutation: Mutation) -> Beside:
    """As in a run, what fails is tried again: a busy machine breaks nothing."""
    theatre.runner = replace(theatre.runner, retries=1, retry_within=timedelta(seconds=2))
    wanted = [probe for probe in canaries(mutation) if theatre.supports(probe).capability is Capability.SUPPORTED]
    ends, red, played = time.monotonic() + _BESIDE, list[str](), 0
    for probe in wanted:
        if time.monotonic() >= ends:
            break
        found = (await theatre.run(probe)).result
        played += 1
        red += [told_of(found)] if found.verdict is Verdict.FAILED else []
    return Beside(played, tuple(red), len(wanted) - played)


def told_of(found: FeatureResult) -> str:
    """A feature that should be green, and what is said of it."""
    code = f" {found.causes[0].code}" if found.causes else ""
    return f"{found.feature}{code} ({found.message[:200]})"


def _said(mutation: Mutation, outcome: Outcome) -> str:
    if mutation.control:
        return "control holds" if outcome.control.ok is not False else "control does not hold"
    found = outcome.result
    cause = found.causes[0] if found.causes else None
    why = f"{cause.code} ({cause.rung.value})" if cause else found.reason
    return f"{found.verdict.value} {why}"

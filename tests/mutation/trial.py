"""One mutation, tried on a mesh of its own."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from services.conformance.core.dependencies import GROUNDS
from services.conformance.engine.runner import Outcome
from steward.conformance.results import Verdict
from steward.testing.nats import NatsServer
from tests.mutation.catalogue import all_mutations
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.mutating import caught
from tests.services.conformance.simulated.theatre import opened

CANARIES = ("inj.levels", "mtls.antispoof", "proto.tcp.client-first", "disc.dns", "egress.deny", "route.path")
"""Quick probes of several groups: those that have nothing to do with what is broken must stay green."""
_PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mutation fared."""

    number: int
    caught: bool
    seconds: float
    said: str
    also_red: tuple[str, ...] = ()


def tried(number: int, *, beside: bool) -> Trial:
    """Try one; runs an event loop of its own, so that many can be tried in as many processes."""
    mutation = all_mutations()[number]
    began = time.monotonic()
    try:
        outcome, red = asyncio.run(_play(mutation, beside=beside))
    except (TimeoutError, OSError, AssertionError) as error:
        return Trial(number, caught=False, seconds=time.monotonic() - began, said=f"{type(error).__name__}: {error}")
    return Trial(number, caught(mutation, outcome), time.monotonic() - began, _said(mutation, outcome), red)


async def _play(mutation: Mutation, *, beside: bool) -> tuple[Outcome, tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.timeout(_PATIENCE), NatsServer() as nats, opened(nats.url, Path(folder)) as theatre:
            stage = await theatre.stage()
            await mutation.break_it(theatre.plane, stage)
            outcome = await theatre.play(mutation.probe)
            red: list[str] = []
            for canary in CANARIES if beside else ():
                if not _related(canary, mutation.probe):
                    found = await theatre.play(canary)
                    red += [canary] if found.result.verdict is Verdict.FAILED else []
            return outcome, tuple(red)


def _related(canary: str, feature: str) -> bool:
    """Whether a broken feature may break the other one too: of its group, or of one that builds upon it."""
    group, below = feature.split(".")[0], canary.split(".")[0]
    return group == below or group in _below(below)


def _below(group: str) -> frozenset[str]:
    """The groups that a group stands on, near and far."""
    direct = GROUNDS.get(group, ())
    return frozenset(direct).union(*(_below(each) for each in direct))


def _said(mutation: Mutation, outcome: Outcome) -> str:
    if mutation.control:
        return "control holds" if outcome.control.ok is not False else "control does not hold"
    found = outcome.result
    cause = found.causes[0] if found.causes else None
    why = f"{cause.code} ({cause.rung.value})" if cause else found.reason
    return f"{found.verdict.value} {why}"

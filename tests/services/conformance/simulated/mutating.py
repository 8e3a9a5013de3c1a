"""One mutation on a stage of its own: broken, probed once, explained."""

from pathlib import Path

from services.conformance.engine.runner import Outcome
from steward.conformance.results import Verdict
from tests.services.conformance.mutations.mutation import Mutation
from tests.services.conformance.simulated.theatre import needs_viz, opened


async def tried(mutation: Mutation, url: str, folder: Path) -> Outcome:
    """What the probe says of a mesh that is broken so."""
    async with opened(url, folder, viz=needs_viz(mutation.probe)) as theatre:
        stage = await theatre.stage()
        await mutation.break_it(theatre.plane, stage)
        return await theatre.play(mutation.probe)


def caught(mutation: Mutation, outcome: Outcome) -> bool:
    """Whether the probe saw it, and said what it is; of a control, whether the probe doubts itself."""
    if mutation.control:
        return outcome.control.ok is False
    found = outcome.result
    first = found.causes[0] if found.causes else None
    named = first is not None and (first.code, first.rung) == (mutation.code, mutation.rung)
    return found.verdict is Verdict.FAILED and named

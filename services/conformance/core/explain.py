"""Which causes a failure has, the likeliest first.

The rung on which what should be and what is part company is the class of the cause: an object that is wrong explains
everything above it, a control plane that is behind explains its proxies, and so on.
"""

from collections.abc import Iterable, Iterator, Mapping

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.known_causes import COMMON, DATAPATH, ENV_NOISE
from services.conformance.core.probe import Cause, Probe
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Step
from steward.events.conformance import FoundCause, Rung

_RUNGS = (Rung.OBJECT, Rung.CONTROL_PLANE, Rung.PROXY, Rung.TRAFFIC)
MOST_CAUSES = 3


def steps(probe: Probe, stage: Stage) -> tuple[Step, ...]:
    """What is looked at after a failure: what the probe asks for, or else all four rungs between client and servers."""
    return (probe.diagnosis or Scene().steps)(stage)


def causes(probe: Probe, stage: Stage, evidence: Evidence) -> tuple[FoundCause, ...]:
    """The causes that the evidence shows: lower rungs first, and on one rung the probe's own before the common ones.

    That nothing else is wrong is said only where nothing else is.
    """
    known = {each.code for each in probe.causes}
    common = [each for each in (*COMMON, DATAPATH) if each.code not in known]
    found = list(_found((*probe.causes, *common), stage, evidence))
    specific = [each for each in found if each.code != DATAPATH.code]
    ranked = sorted(specific or found, key=lambda each: _RUNGS.index(each.rung))
    return tuple(ranked[:MOST_CAUSES])


def noise(found: Iterable[FoundCause]) -> str:
    """What disturbed us ourselves where nothing else is wrong: then a failure is none. Empty where nothing did."""
    listed = list(found)
    return listed[0].observed if [each.code for each in listed] == [ENV_NOISE.code] else ""


def rung_of(found: tuple[FoundCause, ...]) -> Rung | None:
    """Where the rungs part company."""
    return found[0].rung if found else None


def _found(known: Iterable[Cause], stage: Stage, evidence: Evidence) -> Iterator[FoundCause]:
    for cause in known:
        try:
            observed = cause.seen(stage, evidence)
        except Unseen:
            continue
        if observed is not None:
            yield FoundCause(
                code=cause.code,
                rung=cause.rung,
                message=cause.message,
                observed=observed,
                expected=cause.expected,
                disproof=cause.disproof,
                remedy=cause.remedy,
                command=_with_names(cause.command, stage),
            )


def _with_names(command: str, stage: Stage) -> str:
    """A command that can be pasted: with the names of this run where causes leave room for them."""
    names: Mapping[str, str] = {"<namespace>": stage.meshed, "<linkerd>": stage.linkerd_namespace}
    for room, name in names.items():
        command = command.replace(room, name)
    return command

"""What a probe is: a claim about the mesh, the steps that try it, and the proof that judges what they found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from services.conformance.core.evidence import Evidence
from services.conformance.core.stage import Need, Stage
from services.conformance.core.steps import Step
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject

Objects = Callable[[Stage], tuple[JsonObject, ...]]
Steps = Callable[[Stage], tuple[Step, ...]]
Proof = Callable[[Stage, Evidence], tuple[AssertionResult, ...]]


@dataclass(frozen=True, slots=True)
class Control:
    """A negative control: what must not work, or must be seen to be different, if the probe itself is to be believed.

    A control that does not hold makes the whole group inconclusive: a broken prober must not report green.
    """

    claim: str
    steps: Steps
    proof: Proof


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which the feature breaks. `seen` answers with what was observed, or None where this is not the cause.

    It is asked with the evidence of the probe and of the diagnosis (`diagnosis` steps), after a failure only.
    """

    code: str
    rung: Rung
    seen: Callable[[Stage, Evidence], str | None]
    message: str
    expected: str
    disproof: str
    remedy: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One feature and how it is tried. `since` and `until` are logical versions of Linkerd (`2.17`)."""

    id: str
    claim: str
    tier: Tier
    steps: Steps
    proof: Proof
    objects: Objects | None = None
    control: Control | None = None
    causes: tuple[Cause, ...] = ()
    diagnosis: Steps | None = None
    needs: tuple[Need, ...] = ()
    since: str = ""
    until: str = ""
    safety: Safety = Safety.SAFE
    nodes: Callable[[Stage, Evidence], Mapping[str, bool]] | None = None
    """Of a probe that plays on many nodes: on which, and whether it held there."""
    security: bool = False
    soak: bool = False
    depends_on: tuple[str, ...] = ()
    alone: bool = False
    extra_pods: int = 0
    bound: timedelta = field(default=timedelta(seconds=60))
    sources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The first token of the id: probes that share a control and a place in reports."""
        return self.id.split(".", 1)[0]


def check(name: str, *, expected: object, observed: object, ok: bool | None = None, doubt: str = "") -> AssertionResult:
    """One assertion; where `ok` is not given, expected and observed must be equal."""
    return AssertionResult(
        name=name,
        expected=_written(expected),
        observed=_written(observed),
        ok=(expected == observed) if ok is None else ok,
        doubt=doubt,
    )


def _written(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 400 else f"{text[:397]}..."

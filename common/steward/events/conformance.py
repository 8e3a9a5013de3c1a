"""What conformance says: which features of the mesh work, told once for each confirmed change."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.base import Event, Part

Count = Annotated[int, Field(ge=0)]
Feature = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$", max_length=128, description="Such as mtls.identity."),
]


class Rung(StrEnum):
    """Where object, control plane, proxy and traffic stop agreeing: the class of a cause."""

    OBJECT = "Object"
    CONTROL_PLANE = "ControlPlane"
    PROXY = "Proxy"
    TRAFFIC = "Traffic"


class FoundCause(Part):
    """Why a feature does not work, never without what was seen."""

    code: str = Field(description="Stable, such as POLICY_DENY.")
    rung: Rung
    message: str = Field(description="A sentence for people.")
    observed: str
    expected: str
    disproof: str = Field(default="", description="What would show that this is not the cause.")
    remedy: str = ""
    command: str = Field(default="", description="How to see it by hand.")


class Finding(Part):
    """Features that fail together, and what they share."""

    message: str
    features: tuple[str, ...]
    cause: FoundCause | None = None


class VerdictCounts(Part):
    """How many features ended how. A feature is in exactly one of these."""

    passed: Count = 0
    failed: Count = 0
    flaky: Count = 0
    inconclusive: Count = 0
    skipped: Count = 0
    unsupported: Count = 0
    not_applicable: Count = 0


class ConformanceOutcome(StrEnum):
    """How a run ended. Inconclusive: nothing failed, and too much could not be told."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    ABORTED = "Aborted"


class ConformanceRunFinished(Event):
    """A run is over: what works, what does not, and why."""

    name: ClassVar[str] = "conformance-run-finished"

    run: str = Field(description="Name of the ConformanceRun.")
    run_uid: str
    suite: str
    trigger: str = Field(description="What the run was made for: Manual, Schedule, UpgradeStep or Incident.")
    operation_id: str = Field(default="", description="The attempt of an upgrade step that the run answers.")
    outcome: ConformanceOutcome
    reason: str = Field(description="CamelCase, stable: what programs react to.")
    message: str = Field(description="A sentence for people.")
    linkerd_version: str = ""
    summary: VerdictCounts
    findings: tuple[Finding, ...] = ()
    duration_seconds: Annotated[float, Field(ge=0)]
    report: str = Field(default="", description="Name of the report in the object store steward-evidence.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.run,)


class FeatureEvent(Event):
    """What an event about one feature carries."""

    feature: Feature
    claim: str = Field(description="What the feature promises.")
    security: bool = Field(default=False, description="Whether failing means that something is open.")
    run: str = Field(description="Name of the ConformanceRun that saw it.")
    run_uid: str
    since: AwareDatetime = Field(description="When the first of the results that confirm it was taken.")
    reason: str = Field(description="CamelCase, stable: what programs react to.")
    message: str = Field(description="A sentence for people.")

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.feature.split("."))


class ConformanceFailed(FeatureEvent):
    """A feature that worked, or had never been seen, is confirmed not to work."""

    name: ClassVar[str] = "conformance-failed"

    causes: tuple[FoundCause, ...] = ()
    consecutive: Annotated[int, Field(ge=1)] = Field(description="How many results in a row say so.")
    evidence: str = Field(default="", description="Name of the evidence in the object store steward-evidence.")


class ConformanceRecovered(FeatureEvent):
    """A feature that was confirmed not to work is confirmed to work again."""

    name: ClassVar[str] = "conformance-recovered"

    failed_for_seconds: Annotated[float, Field(ge=0)]

"""ConformanceRun: one exercise of the mesh and its verdicts. Its status is the truth about it."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from steward.conformance.results import Capability, State, Verdict
from steward.events.conformance import ConformanceOutcome, Feature, Finding, VerdictCounts
from steward.resources.base import CamelCase, Column, Condition, LocalRef, Model, Patience, Resource, Sentence
from steward.resources.conformance_suite import ConformanceSuiteSpec, Pace
from steward.resources.feature_pattern import FeaturePattern
from steward.resources.rules import atomic, map_list, rules


class Trigger(StrEnum):
    """What a run was made for."""

    MANUAL = "Manual"
    SCHEDULE = "Schedule"
    UPGRADE_STEP = "UpgradeStep"
    INCIDENT = "Incident"


class RunState(StrEnum):
    """What people want of the run at present."""

    RUN = "Run"
    PAUSE = "Pause"
    STOP = "Stop"


class ConformanceRunSpec(Model):
    """What is asked. Everything but `state` and `keepEvidence` is fixed at creation."""

    suite_ref: LocalRef = Field(default=LocalRef(name="default"))
    only: tuple[FeaturePattern, ...] = Field(
        default=(),
        max_length=256,
        description="Features or groups; all of the suite where empty.",
        json_schema_extra=atomic(),
    )
    pace: Pace = Pace.ONCE
    duration_seconds: Patience | None = Field(default=None, description="Of a continuous run; for ever where absent.")
    state: RunState = RunState.RUN
    keep_evidence: bool = True
    trigger: Trigger = Trigger.MANUAL
    operation_id: str = Field(default="", max_length=128, description="The attempt of an upgrade step it answers.")
    upgrade_run: str = Field(default="", max_length=253, description="The UpgradeRun that asked.")


class RunPhase(StrEnum):
    """Printed summary of the conditions; nothing is decided by it."""

    PENDING = "Pending"
    PREFLIGHT = "Preflight"
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    PAUSED = "Paused"
    DRAINING = "Draining"
    REPORTING = "Reporting"
    COMPLETED = "Completed"
    ABORTED = "Aborted"
    FAILED = "Failed"


class FeatureLine(Model):
    """Where one feature stands in this run."""

    feature: Feature
    capability: Capability = Capability.UNKNOWN
    verdict: Verdict | None = None
    state: State = State.UNKNOWN
    reason: CamelCase | None = None
    cause: str = Field(
        default="",
        max_length=64,
        pattern="^([A-Z][A-Z0-9_]*)?$",
        description="Code of the likeliest cause of a failure, such as POLICY_DENY; empty where none was found.",
    )
    message: Sentence = ""
    cycles: int = 0
    at: AwareDatetime | None = None


class OwnedNamespace(Model):
    """A namespace that this run made; deleted only where both still match."""

    name: str
    uid: str


class ClusterFacts(Model):
    """What was probed."""

    kubernetes_version: str = ""
    linkerd_version: str = ""
    proxy_versions: tuple[str, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    nodes: int = 0
    zones: int = 0


class ConformanceRunStatus(Model):
    """Where the run stands."""

    phase: RunPhase = RunPhase.PENDING
    observed_generation: int = 0
    suite: ConformanceSuiteSpec | None = Field(default=None, description="As it was when the run began.")
    suite_digest: str = ""
    exerciser_version: str = ""
    cluster: ClusterFacts = Field(default=ClusterFacts())
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    outcome: ConformanceOutcome | None = None
    summary: VerdictCounts = Field(default=VerdictCounts())
    features: tuple[FeatureLine, ...] = Field(default=(), max_length=256, json_schema_extra=map_list("feature"))
    findings: tuple[Finding, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    namespaces: tuple[OwnedNamespace, ...] = Field(default=(), max_length=16, json_schema_extra=map_list("name"))
    report: str = ""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


def _fixed(*members: str) -> tuple[tuple[str, str], ...]:
    """A rule for each member that stays as it was made."""
    return tuple(
        (
            f"has(self.{each}) == has(oldSelf.{each}) && (!has(self.{each}) || self.{each} == oldSelf.{each})",
            f"{each} is fixed: make another run",
        )
        for each in members
    )


class ConformanceRun(Resource):
    """One exercise of the mesh."""

    kind_name: ClassVar[str] = "ConformanceRun"
    plural: ClassVar[str] = "conformanceruns"
    short_names: ClassVar[tuple[str, ...]] = ("lcr",)
    description: ClassVar[str] = "One exercise of the mesh and its verdicts."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Suite", json_path=".spec.suiteRef.name"),
        Column(name="Phase", json_path=".status.phase"),
        Column(name="Outcome", json_path=".status.outcome"),
        Column(name="Passed", json_path=".status.summary.passed", type="integer"),
        Column(name="Failed", json_path=".status.summary.failed", type="integer"),
        Column(name="Inconclusive", json_path=".status.summary.inconclusive", type="integer"),
        Column(name="Linkerd", json_path=".status.cluster.linkerdVersion", priority=1),
        Column(name="Why", json_path='.status.conditions[?(@.type=="Complete")].message', priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "ConformanceRun"
    spec: ConformanceRunSpec = Field(
        default=ConformanceRunSpec(),
        json_schema_extra=rules(
            *_fixed("suiteRef", "only", "pace", "durationSeconds", "trigger", "operationId", "upgradeRun"),
            ("oldSelf.state != 'Stop' || self.state == 'Stop'", "a stopped run cannot go on: make another run"),
            (
                "!has(self.durationSeconds) || (has(self.pace) && self.pace == 'Continuous')",
                "durationSeconds belongs to a run whose pace is Continuous",
            ),
        ),
    )
    status: ConformanceRunStatus | None = None

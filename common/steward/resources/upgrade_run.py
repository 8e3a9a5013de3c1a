"""UpgradeRun: one execution of a plan. Its status is the truth about it; its spec says what people want of it."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.upgrades import GateResult
from steward.resources.base import CamelCase, Column, Condition, LocalRef, Model, Resource, Sentence
from steward.resources.release_catalog import Release, ReleaseEntry
from steward.resources.rules import atomic, map_list, rules
from steward.resources.upgrade_plan import InstallMethod, StepName, StepType, UpgradePlanSpec
from steward.resources.upgrade_policy import UpgradePolicySpec, WorkloadKind


class Purpose(StrEnum):
    """Why a run exists. RestartOnly repairs proxies without changing the control plane."""

    UPGRADE = "Upgrade"
    RESTART_ONLY = "RestartOnly"


class DryRun(StrEnum):
    """Preview: say in the status what would be done, and do nothing."""

    NONE = "None"
    PREVIEW = "Preview"


class DesiredState(StrEnum):
    """What people want of the run at present."""

    RUN = "Run"
    PAUSE = "Pause"
    ABORT = "Abort"


class UpgradeRunSpec(Model):
    """What is to be done. Everything but `state` and `restartEpoch` is fixed at creation."""

    target: Release = Field(description="The release to end at, for example edge-26.8.3.")
    plan_ref: LocalRef | None = Field(default=None, description="Chosen by the versions where absent.")
    policy_ref: LocalRef = Field(default=LocalRef(name="default"))
    purpose: Purpose = Purpose.UPGRADE
    dry_run: DryRun = DryRun.NONE
    state: DesiredState = DesiredState.RUN
    restart_epoch: int = Field(
        default=0, ge=0, description="Raise it to restart workloads that already have the target."
    )


class Phase(StrEnum):
    """Printed summary of the conditions; nothing is decided by it."""

    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ABORTED = "Aborted"
    PREVIEWED = "Previewed"


class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "Pending"
    BLOCKED = "Blocked"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    SKIPPED = "Skipped"


class Snapshot(Model):
    """What the run was made from; edits of the originals do not reach it."""

    from_version: Release
    install_method: InstallMethod
    plan: str
    plan_hash: str
    plan_spec: UpgradePlanSpec
    policy: str
    policy_spec: UpgradePolicySpec
    release: ReleaseEntry | None = Field(default=None, description="What the catalog knew of the target.")
    taken_at: AwareDatetime


class Evidence(Model):
    """What a gate said, and what it saw."""

    gate: StepName
    type: str
    result: GateResult
    reason: CamelCase
    message: Sentence = ""
    baseline: bool = Field(default=False, description="Asked before the first change.")
    before: bool = Field(default=False, description="Asked before the step's own act.")
    findings: tuple[Annotated[str, Field(max_length=256)], ...] = Field(
        default=(),
        max_length=64,
        description="What was not as it should be, by name: a later look is compared with it.",
        json_schema_extra=atomic(),
    )
    observed_at: AwareDatetime


class StepStatus(Model):
    """One step of the run."""

    name: StepName
    type: StepType
    state: StepState = StepState.PENDING
    attempt: int = Field(default=0, ge=0)
    operation_id: str = ""
    started_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    retry_after: AwareDatetime | None = None
    reason: str = ""
    message: Sentence = ""
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())


class WorkloadState(StrEnum):
    """Where a workload stands."""

    PENDING = "Pending"
    RESTARTING = "Restarting"
    VERIFIED = "Verified"
    FAILED = "Failed"
    NO_EFFECT = "NoEffect"
    CONTESTED = "Contested"
    HELD = "Held"
    UNSUPPORTED = "Unsupported"


class WorkloadStatus(Model):
    """A workload that is not simply done."""

    kind: WorkloadKind | str
    namespace: str
    name: str
    state: WorkloadState
    reason: str
    message: Sentence = ""


class Workloads(Model):
    """How many workloads stand where, and which ones need a look (at most two hundred are listed)."""

    pending: int = Field(default=0, ge=0)
    restarting: int = Field(default=0, ge=0)
    verified: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    no_effect: int = Field(default=0, ge=0)
    contested: int = Field(default=0, ge=0)
    held: int = Field(default=0, ge=0)
    unsupported: int = Field(default=0, ge=0)
    total: int = Field(default=0, ge=0)
    listed: tuple[WorkloadStatus, ...] = Field(default=(), max_length=200, json_schema_extra=atomic())


class Lock(Model):
    """Who acts. A higher token always wins."""

    holder: str
    fencing_token: int = Field(ge=0)


class Transition(Model):
    """Something that happened to the run. Each becomes exactly one event, named `<run uid>/<id>`."""

    id: str = Field(max_length=256, description="`<step>/<attempt>/<state>`, or `run/<count>/<state>`.")
    event: str = Field(description="Name of the event, for example upgrade-step-done.")
    time: AwareDatetime
    step: str = ""
    attempt: int = 0
    operation_id: str = ""
    reason: CamelCase
    message: Sentence = ""
    duration_seconds: Annotated[float, Field(ge=0)] | None = None
    outcome: str = ""
    will_retry: bool = False
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    workloads: Workloads | None = None


class PreviewStep(Model):
    """What a step would do."""

    name: StepName
    type: StepType
    summary: Sentence


class UpgradeRunStatus(Model):
    """The truth about the run."""

    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    step: str = Field(default="", description="The step that is under way.")
    progress: str = Field(default="", description="Steps done of all steps, for example 3/7.")
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    snapshot: Snapshot | None = None
    steps: tuple[StepStatus, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("name"))
    workloads: Workloads | None = None
    preview: tuple[PreviewStep, ...] = Field(default=(), max_length=32, json_schema_extra=atomic())
    lock: Lock | None = None
    transitions: tuple[Transition, ...] = Field(default=(), max_length=500, json_schema_extra=atomic())
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class UpgradeRun(Resource):
    """One execution of an UpgradePlan."""

    kind_name: ClassVar[str] = "UpgradeRun"
    plural: ClassVar[str] = "upgraderuns"
    short_names: ClassVar[tuple[str, ...]] = ("lur",)
    description: ClassVar[str] = "One execution of an UpgradePlan."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="From", json_path=".status.snapshot.fromVersion"),
        Column(name="To", json_path=".spec.target"),
        Column(name="Phase", json_path=".status.phase"),
        Column(name="Step", json_path=".status.step"),
        Column(name="Progress", json_path=".status.progress"),
        Column(name="Proxies", json_path=".status.workloads.verified", type="integer"),
        Column(name="Reason", json_path='.status.conditions[?(@.type=="Progressing")].message', priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "UpgradeRun"
    spec: UpgradeRunSpec = Field(
        json_schema_extra=rules(
            ("self.target == oldSelf.target", "target is fixed: make another run for another release"),
            ("self.purpose == oldSelf.purpose", "purpose is fixed: make another run"),
            ("self.dryRun == oldSelf.dryRun", "dryRun is fixed: make another run"),
            ("self.policyRef == oldSelf.policyRef", "policyRef is fixed: make another run"),
            (
                "has(self.planRef) == has(oldSelf.planRef) && (!has(self.planRef) || self.planRef == oldSelf.planRef)",
                "planRef is fixed: make another run",
            ),
            ("self.restartEpoch >= oldSelf.restartEpoch", "restartEpoch can only be raised"),
            ("oldSelf.state != 'Abort' || self.state == 'Abort'", "an aborted run cannot go on: make another run"),
        )
    )
    status: UpgradeRunStatus | None = None

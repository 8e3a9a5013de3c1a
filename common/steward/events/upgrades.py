"""What upgrader says: the story of one run, in the order in which it happened."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from steward.events.base import Event, Part

Count = Annotated[int, Field(ge=0)]


class GateResult(StrEnum):
    """What a gate said. An error is not a failure, and an unknown is not a pass."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class GateReport(Part):
    """The verdict of one gate."""

    gate: str
    type: str
    result: GateResult
    reason: str
    message: str


class WorkloadCounts(Part):
    """How many workloads stand where. A workload is in exactly one of these."""

    pending: Count = 0
    restarting: Count = 0
    verified: Count = 0
    failed: Count = 0
    no_effect: Count = 0
    contested: Count = 0
    held: Count = 0
    unsupported: Count = 0


class UpgradeEvent(Event):
    """What every event of a run carries."""

    run: str = Field(description="Name of the UpgradeRun.")
    run_uid: str = Field(description="Its uid: a run made again under the same name is another run.")
    plan: str
    from_version: str
    to_version: str
    reason: str = Field(description="CamelCase, stable: what programs react to.")
    message: str = Field(description="A sentence for people.")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.run,)


class UpgradePlanned(UpgradeEvent):
    """A plan was found for the pair of versions and a run was created from it."""

    name: ClassVar[str] = "upgrade-planned"

    install_method: str
    steps: tuple[str, ...]
    notices: tuple[str, ...] = ()


class ApprovalScope(StrEnum):
    """What an approval is for."""

    RUN = "Run"
    STEP = "Step"
    WAVE = "Wave"


class UpgradeApprovalNeeded(UpgradeEvent):
    """The run waits for a person."""

    name: ClassVar[str] = "upgrade-approval-needed"

    scope: ApprovalScope
    scope_name: str
    digest: str = Field(description="What is approved; any change of it voids the approval.")
    deadline: AwareDatetime | None = None


class UpgradeApproved(UpgradeEvent):
    """A person agreed to exactly what the digest names."""

    name: ClassVar[str] = "upgrade-approved"

    scope: ApprovalScope
    scope_name: str
    digest: str
    approved_by: str


class UpgradeStarted(UpgradeEvent):
    """The first step is about to begin."""

    name: ClassVar[str] = "upgrade-started"

    steps: tuple[str, ...]


class UpgradeStepStarted(UpgradeEvent):
    """An attempt at a step began."""

    name: ClassVar[str] = "upgrade-step-started"

    step: str
    step_type: str
    attempt: Annotated[int, Field(ge=1)]
    operation_id: str = Field(description="Stamped on everything that this attempt touches.")


class StepOutcome(StrEnum):
    """How a step that is done ended."""

    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"


class UpgradeStepDone(UpgradeEvent):
    """A step reached its goal and its gates agreed, or there was nothing to do."""

    name: ClassVar[str] = "upgrade-step-done"

    step: str
    step_type: str
    attempt: Annotated[int, Field(ge=0)]
    operation_id: str
    outcome: StepOutcome
    duration_seconds: Annotated[float, Field(ge=0)]
    gates: tuple[GateReport, ...] = ()
    workloads: WorkloadCounts | None = None


class StepFailure(StrEnum):
    """How an attempt went wrong: it was refused, nobody can tell, or it could not be tried."""

    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class UpgradeStepFailed(UpgradeEvent):
    """An attempt at a step did not reach its goal."""

    name: ClassVar[str] = "upgrade-step-failed"

    step: str
    step_type: str
    attempt: Annotated[int, Field(ge=0)]
    operation_id: str
    outcome: StepFailure
    will_retry: bool
    gates: tuple[GateReport, ...] = ()
    workloads: WorkloadCounts | None = None


class UpgradeWaveDone(UpgradeEvent):
    """Every workload of a wave is proven, reported or given up."""

    name: ClassVar[str] = "upgrade-wave-done"

    wave: str
    workloads: WorkloadCounts


class UpgradePaused(UpgradeEvent):
    """The run stands still until somebody or something lets it go on; the reason says what."""

    name: ClassVar[str] = "upgrade-paused"

    step: str | None = None


class UpgradeResumed(UpgradeEvent):
    """The run goes on."""

    name: ClassVar[str] = "upgrade-resumed"

    step: str | None = None


class UpgradeRolledBack(UpgradeEvent):
    """Proxies, then the control plane, are back on the version before."""

    name: ClassVar[str] = "upgrade-rolled-back"

    held: bool = Field(description="Whether the version is held until a person lifts it.")


class RunOutcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ABORTED = "Aborted"


class UpgradeFinished(UpgradeEvent):
    """The run is over and will not act again."""

    name: ClassVar[str] = "upgrade-finished"

    outcome: RunOutcome
    duration_seconds: Annotated[float, Field(ge=0)]
    workloads: WorkloadCounts

"""UpgradePolicy: how the owner of a cluster wants upgrades to happen. The one named `default` is in force."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from steward.resources.base import Column, Condition, Model, Patience, Resource, Seconds
from steward.resources.release_catalog import Channel
from steward.resources.rules import atomic, map_list, rules
from steward.resources.upgrade_plan import Range


class Mode(StrEnum):
    """Who begins a run: a person, or a release that fits."""

    MANUAL = "Manual"
    AUTOMATIC = "Automatic"


class SelectionMode(StrEnum):
    """Whether a workload must ask for new proxies, or must ask to be left alone."""

    OPT_IN = "OptIn"
    OPT_OUT = "OptOut"


class WorkloadKind(StrEnum):
    """Kinds whose pods are replaced when their template changes."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class FailurePolicy(StrEnum):
    """What a run does when a step will not be tried again."""

    PAUSE = "Pause"
    ABORT = "Abort"


class TargetSelector(Model):
    """Which release is eligible. The newest is never the target for being the newest."""

    range: Range | None = None
    require_recommended: bool = Field(
        default=True, description="Only what upstream or the catalog recommends; Unknown is not a yes."
    )
    minimum_release_age_seconds: Seconds = Field(default=604_800, description="Counted from when it was seen as head.")


class Selection(Model):
    """Which workloads get new proxies."""

    mode: SelectionMode = SelectionMode.OPT_IN
    kinds: tuple[WorkloadKind, ...] = Field(
        default=(WorkloadKind.DEPLOYMENT, WorkloadKind.STATEFUL_SET, WorkloadKind.DAEMON_SET),
        min_length=1,
        max_length=3,
        json_schema_extra=atomic(),
    )


class Wave(Model):
    """How fast workloads are restarted, and when it is too many failures to go on."""

    max_parallel_workloads: int = Field(default=5, ge=1, le=1000)
    max_parallel_per_namespace: int = Field(default=1, ge=1, le=1000)
    failure_threshold: int = Field(default=0, ge=0, le=10_000, description="So many may fail before the step does.")
    workload_deadline_seconds: Patience = Field(default=600, description="How long one workload may take to be proven.")


class DataPlane(Model):
    """How proxies are rolled forward."""

    selection: Selection = Field(default=Selection())
    default_wave: Wave = Field(default=Wave())


class UpgradePolicySpec(Model):
    """The owner's preferences."""

    channel: Channel = "edge"
    mode: Mode = Mode.MANUAL
    target_selector: TargetSelector = Field(default=TargetSelector())
    data_plane: DataPlane = Field(default=DataPlane())
    failure_policy: FailurePolicy = FailurePolicy.PAUSE
    paused: bool = Field(default=False, description="No run begins and every run stands still.")
    run_history_limit: int = Field(default=20, ge=1, le=1000)


class UpgradePolicyStatus(Model):
    """What follows from the policy at present."""

    observed_generation: int = 0
    candidate: str | None = Field(default=None, description="The release that would be upgraded to.")
    conditions: tuple[Condition, ...] = Field(default=(), max_length=32, json_schema_extra=map_list("type"))


class UpgradePolicy(Resource):
    """How upgrades happen in this cluster."""

    kind_name: ClassVar[str] = "UpgradePolicy"
    plural: ClassVar[str] = "upgradepolicies"
    short_names: ClassVar[tuple[str, ...]] = ("lpol",)
    description: ClassVar[str] = "How upgrades happen in this cluster; the one named default is in force."
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Channel", json_path=".spec.channel"),
        Column(name="Mode", json_path=".spec.mode"),
        Column(name="Paused", json_path=".spec.paused", type="boolean"),
        Column(name="Candidate", json_path=".status.candidate"),
        Column(name="Path", json_path='.status.conditions[?(@.type=="PathAvailable")].status'),
        Column(name="Reason", json_path='.status.conditions[?(@.type=="PathAvailable")].message', priority=1),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
    )

    kind: str = "UpgradePolicy"
    spec: UpgradePolicySpec = Field(
        default=UpgradePolicySpec(),
        json_schema_extra=rules(
            (
                "!has(self.dataPlane) || !has(self.dataPlane.defaultWave) || "
                "self.dataPlane.defaultWave.maxParallelPerNamespace <= self.dataPlane.defaultWave.maxParallelWorkloads",
                "maxParallelPerNamespace cannot exceed maxParallelWorkloads",
            ),
        ),
    )
    status: UpgradePolicyStatus | None = None

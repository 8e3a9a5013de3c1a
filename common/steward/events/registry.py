"""Every event there is, by its type."""

from steward.events.alerts import AlertFiring, AlertPolicyApplied, AlertResolved
from steward.events.base import Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered, ConformanceRunFinished
from steward.events.upgrades import (
    UpgradeApprovalNeeded,
    UpgradeApproved,
    UpgradeFinished,
    UpgradePaused,
    UpgradePlanned,
    UpgradeResumed,
    UpgradeRolledBack,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
    UpgradeStepStarted,
    UpgradeWaveDone,
)
from steward.events.versions import MeshDrifted, NewVersion, VersionWithdrawn

EVENTS: tuple[type[Event], ...] = (
    NewVersion,
    VersionWithdrawn,
    MeshDrifted,
    UpgradePlanned,
    UpgradeApprovalNeeded,
    UpgradeApproved,
    UpgradeStarted,
    UpgradeStepStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
    UpgradeWaveDone,
    UpgradePaused,
    UpgradeResumed,
    UpgradeRolledBack,
    UpgradeFinished,
    ConformanceRunFinished,
    ConformanceFailed,
    ConformanceRecovered,
    AlertFiring,
    AlertResolved,
    AlertPolicyApplied,
)

BY_TYPE: dict[str, type[Event]] = {event.type(): event for event in EVENTS}
NEWEST: dict[str, int] = {
    event.name: max(each.version for each in EVENTS if each.name == event.name) for event in EVENTS
}

"""Linkerd Steward's SDK: events of a mesh, and handlers of your own for them.

Everything here is imported when it is first used, because the command line must answer within a tenth of a second and
most of it needs neither events nor the bus.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steward.bus.settings import BusSettings
    from steward.bus.streams import Start
    from steward.errors import Reject, Retry, StewardError
    from steward.events import (
        AlertFiring,
        AlertPolicyApplied,
        AlertResolved,
        ConformanceFailed,
        ConformanceRecovered,
        ConformanceRunFinished,
        Envelope,
        Event,
        MeshDrifted,
        NewVersion,
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
        VersionWithdrawn,
    )
    from steward.subscriber import EventContext, Subscriber

__all__ = [
    "AlertFiring",
    "AlertPolicyApplied",
    "AlertResolved",
    "BusSettings",
    "ConformanceFailed",
    "ConformanceRecovered",
    "ConformanceRunFinished",
    "Envelope",
    "Event",
    "EventContext",
    "MeshDrifted",
    "NewVersion",
    "Reject",
    "Retry",
    "Start",
    "StewardError",
    "Subscriber",
    "UpgradeApprovalNeeded",
    "UpgradeApproved",
    "UpgradeFinished",
    "UpgradePaused",
    "UpgradePlanned",
    "UpgradeResumed",
    "UpgradeRolledBack",
    "UpgradeStarted",
    "UpgradeStepDone",
    "UpgradeStepFailed",
    "UpgradeStepStarted",
    "UpgradeWaveDone",
    "VersionWithdrawn",
]

_ELSEWHERE = {
    "BusSettings": "steward.bus.settings",
    "EventContext": "steward.subscriber",
    "Reject": "steward.errors",
    "Retry": "steward.errors",
    "Start": "steward.bus.streams",
    "StewardError": "steward.errors",
    "Subscriber": "steward.subscriber",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'steward' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "steward.events")), name)


def __dir__() -> list[str]:
    return __all__

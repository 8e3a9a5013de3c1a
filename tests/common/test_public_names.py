"""What `import steward` offers is a promise: it changes only on purpose, and it is lazy."""

import json
import subprocess
import sys

import pytest

import steward
from steward.events.registry import EVENTS

PROMISED = [
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


def test_the_public_names_are_exactly_those_promised() -> None:
    assert steward.__all__ == PROMISED
    assert dir(steward) == PROMISED


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(steward, name).__name__ == name


def test_every_event_is_public() -> None:
    assert {event.__name__ for event in EVENTS} <= set(PROMISED)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'steward' has no attribute 'Missing'"):
        steward.Missing  # noqa: B018 - wrong on purpose


def test_importing_it_imports_nothing_of_weight() -> None:
    """`linkerd-steward _extension-metadata` has a tenth of a second."""
    code = "import sys, json, steward; print(json.dumps(sorted(sys.modules)))"
    loaded: list[str] = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"pydantic", "nats", "asyncio", "kubernetes_asyncio", "steward.events", "steward.bus"} & set(loaded)

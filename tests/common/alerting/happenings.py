"""Events, and which alerts last after them."""

from datetime import UTC, datetime, timedelta

from steward.alerting import from_events
from steward.alerting.standing import Standing, posts
from steward.events.base import Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered, FoundCause, Rung
from steward.events.upgrades import (
    RunOutcome,
    StepFailure,
    StepOutcome,
    UpgradeFinished,
    UpgradePaused,
    UpgradeResumed,
    UpgradeRolledBack,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
    WorkloadCounts,
)
from steward.events.versions import Drift, DriftKind, MeshDrifted, NewVersion, VersionWithdrawn

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TTL = timedelta(minutes=5)
MESH = "linkerd"


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def run(name: str = "to-26-8-3") -> dict[str, str]:
    return {
        "run": name,
        "run_uid": f"uid-{name}",
        "plan": "p",
        "from_version": "edge-26.6.3",
        "to_version": "edge-26.8.3",
        "reason": "GateFailed",
        "message": "the mesh is not well",
    }


def paused(**more: str) -> UpgradePaused:
    return UpgradePaused.model_validate({**run(), "step": "control-plane", **more})


def step_failed(*, will_retry: bool, step: str = "control-plane", name: str = "to-26-8-3") -> UpgradeStepFailed:
    return UpgradeStepFailed.model_validate(
        {
            **run(name),
            "step": step,
            "step_type": "ControlPlane",
            "attempt": 1,
            "operation_id": "o",
            "outcome": StepFailure.FAILED,
            "will_retry": will_retry,
        }
    )


def step_done(step: str = "control-plane") -> UpgradeStepDone:
    return UpgradeStepDone.model_validate(
        {
            **run(),
            "step": step,
            "step_type": "ControlPlane",
            "attempt": 2,
            "operation_id": "o",
            "outcome": StepOutcome.SUCCEEDED,
            "duration_seconds": 1,
        }
    )


def finished(outcome: RunOutcome, name: str = "to-26-8-3") -> UpgradeFinished:
    return UpgradeFinished.model_validate(
        {**run(name), "outcome": outcome, "duration_seconds": 1, "workloads": WorkloadCounts()}
    )


def started(name: str = "next") -> UpgradeStarted:
    return UpgradeStarted.model_validate({**run(name), "steps": ()})


def resumed() -> UpgradeResumed:
    return UpgradeResumed.model_validate(run())


def rolled_back() -> UpgradeRolledBack:
    return UpgradeRolledBack.model_validate({**run(), "held": True})


def feature_failed(feature: str = "mtls.identity", *, security: bool = False) -> ConformanceFailed:
    cause = FoundCause(code="POLICY_DENY", rung=Rung.PROXY, message="refused", observed="403", expected="200")
    return ConformanceFailed(
        feature=feature,
        claim="works",
        security=security,
        run="nightly",
        run_uid="u",
        since=at(-10),
        reason="NotAsClaimed",
        message="403 instead of 200",
        causes=(cause,),
        consecutive=2,
    )


def recovered(feature: str = "mtls.identity") -> ConformanceRecovered:
    return ConformanceRecovered(
        feature=feature,
        claim="works",
        run="nightly",
        run_uid="u",
        since=NOON,
        reason="AsClaimed",
        message="200",
        failed_for_seconds=60,
    )


def drifted(*messages: str, control_plane: str = "edge-26.8.3") -> MeshDrifted:
    drifts = tuple(Drift(kind=DriftKind.STALE_PROXY, count=1, message=each) for each in messages)
    return MeshDrifted(control_plane=control_plane, meshed_pods=5, drifts=drifts, fingerprint="f")


def withdrawn(release: str = "edge-26.8.3", *, running: bool = True) -> VersionWithdrawn:
    return VersionWithdrawn(
        channel="edge", release=release, reason="it leaks", superseded_by="edge-26.8.4", running=running
    )


def new_version(running: str) -> NewVersion:
    return NewVersion(channel="edge", release="edge-26.9.1", observed_at=NOON, running=running)


def standing(*said: tuple[float, Event]) -> Standing:
    """After these events, at these minutes after noon."""
    return Standing().after(mark for minutes, event in said for mark in from_events.marks(event, at(minutes), MESH))


def names(standing: Standing, minutes: float) -> list[str]:
    """Of the alerts that fire at a time."""
    now = at(minutes)
    return [each.alert.labels["alertname"] for each in posts(standing, now, TTL) if each.until > now]

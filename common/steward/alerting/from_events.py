"""Steward's own events as marks of its own alerts: which of them begins one, and which ends it.

upgrade-paused            begins  LinkerdUpgradePaused, or LinkerdUpgradeHeld where people asked for it
upgrade-step-failed       begins  LinkerdUpgradeStepFailed, or LinkerdUpgradeStepFailing while it is tried again
upgrade-step-done         ends    those of the step
upgrade-resumed           ends    everything of the run
upgrade-rolled-back       ends    those of the steps
upgrade-finished          ends    everything of the run; Failed begins LinkerdUpgradeFailed, for a day
upgrade-started           ends    LinkerdUpgradeFailed of earlier runs
conformance-failed        begins  LinkerdFeatureFailing, or LinkerdProtectionFailing where security is at stake
conformance-recovered     ends    the same
mesh-drifted              begins  LinkerdMeshDrifted; without a difference it ends it, as the ReleaseCatalog does
version-withdrawn         begins  LinkerdVersionWithdrawn, while that version runs
"""

from datetime import datetime, timedelta

from steward.alerting import own_alerts
from steward.alerting.standing import Begins, Ends, Mark, Runs
from steward.events.base import Event
from steward.events.conformance import ConformanceFailed, ConformanceRecovered
from steward.events.upgrades import (
    RunOutcome,
    UpgradeEvent,
    UpgradeFinished,
    UpgradePaused,
    UpgradeResumed,
    UpgradeRolledBack,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
)
from steward.events.versions import MeshDrifted, NewVersion, VersionWithdrawn

BY_PEOPLE = frozenset({"PausedByPerson", "PausedByPolicy"})
"""Reasons of a pause that somebody asked for."""
FAILURE_LASTS = timedelta(days=1)
DRIFT = ("drift",)


def marks(event: Event, at: datetime, namespace: str) -> tuple[Mark, ...]:
    """What `event`, which happened at `at`, says of alerts. `namespace`: the control plane's."""
    match event:
        case UpgradeEvent():
            return _of_upgrade(event, at, namespace)
        case ConformanceFailed():
            return (_feature(event, at, namespace),)
        case ConformanceRecovered():
            return (Ends(("conformance", event.feature), at),)
        case MeshDrifted():
            return (_drift(event, at, namespace), *_running(event.control_plane, at))
        case VersionWithdrawn():
            return (_withdrawn(event, at, namespace), *_running(event.release if event.running else None, at))
        case NewVersion():
            return _running(event.running, at)
        case _:
            return ()


def mesh_is_as_expected(at: datetime) -> Mark:
    """No event says that nothing differs any more: the condition MeshAsExpected of the ReleaseCatalog does."""
    return Ends(DRIFT, at)


def _of_upgrade(event: UpgradeEvent, at: datetime, namespace: str) -> tuple[Mark, ...]:
    run = ("upgrade", event.run_uid)
    match event:
        case UpgradePaused():
            return _paused(event, at, namespace)
        case UpgradeStepFailed():
            return _step_failed(event, at, namespace)
        case UpgradeStepDone():
            return (Ends((*run, "step", event.step), at),)
        case UpgradeResumed():
            return (Ends(run, at),)
        case UpgradeRolledBack():
            return (Ends((*run, "step"), at), Runs(at, event.from_version))
        case UpgradeStarted():
            return (Ends(("failed upgrade",), at),)
        case UpgradeFinished():
            return (Ends(run, at), *_finished(event, at, namespace))
        case _:
            return ()


def _paused(event: UpgradePaused, at: datetime, namespace: str) -> tuple[Mark, ...]:
    run = ("upgrade", event.run_uid)
    asked = event.reason in BY_PEOPLE
    kind = own_alerts.UPGRADE_HELD if asked else own_alerts.UPGRADE_PAUSED
    alert = kind.about(
        namespace,
        f"The upgrade {event.run} to {event.to_version} stands still: {event.message}",
        f"It came from {event.from_version}, and is at step {event.step}." if event.step else "",
        run=event.run,
    )
    here, other = ("held", "paused") if asked else ("paused", "held")
    return (Begins((*run, here), at, alert, since=at), Ends((*run, other), at))


def _step_failed(event: UpgradeStepFailed, at: datetime, namespace: str) -> tuple[Mark, ...]:
    step = ("upgrade", event.run_uid, "step", event.step)
    kind = own_alerts.STEP_FAILING if event.will_retry else own_alerts.STEP_FAILED
    again = "is tried again" if event.will_retry else "is not tried again by itself"
    alert = kind.about(
        namespace,
        f"Step {event.step} of the upgrade {event.run} to {event.to_version} failed: {event.message}",
        f"{event.outcome.value}, {event.reason}; attempt {event.attempt}, which {again}.",
        run=event.run,
        step=event.step,
    )
    here, other = ("failing", "failed") if event.will_retry else ("failed", "failing")
    return (Begins((*step, here), at, alert, since=at), Ends((*step, other), at))


def _finished(event: UpgradeFinished, at: datetime, namespace: str) -> tuple[Mark, ...]:
    if event.outcome is RunOutcome.SUCCEEDED:
        return (Ends(("failed upgrade",), at), Runs(at, event.to_version))
    if event.outcome is RunOutcome.ABORTED:
        return ()
    alert = own_alerts.UPGRADE_FAILED.about(
        namespace, f"The upgrade {event.run} to {event.to_version} failed: {event.message}", run=event.run
    )
    return (Begins(("failed upgrade", event.run_uid), at, alert, since=at, lasts=FAILURE_LASTS),)


def _feature(event: ConformanceFailed, at: datetime, namespace: str) -> Mark:
    kind = own_alerts.PROTECTION_FAILING if event.security else own_alerts.FEATURE_FAILING
    causes = "; ".join(f"{cause.code}: {cause.message}" for cause in event.causes)
    alert = kind.about(namespace, f"{event.feature} does not work: {event.message}", causes, feature=event.feature)
    return Begins(("conformance", event.feature), at, alert, since=min(event.since, at))


def _drift(event: MeshDrifted, at: datetime, namespace: str) -> Mark:
    if not event.drifts:
        return Ends(DRIFT, at)
    first = event.drifts[0].message
    more = f", and {len(event.drifts) - 1} more differences" if len(event.drifts) > 1 else ""
    alert = own_alerts.MESH_DRIFTED.about(
        namespace,
        f"The mesh is not what its configuration says: {first}{more}",
        "; ".join(f"{each.kind.value}: {each.message}" for each in event.drifts),
    )
    return Begins(DRIFT, at, alert, since=at)


def _withdrawn(event: VersionWithdrawn, at: datetime, namespace: str) -> Mark:
    instead = f"; {event.superseded_by} is to be used instead" if event.superseded_by else ""
    alert = own_alerts.VERSION_WITHDRAWN.about(
        namespace,
        f"{event.release}, which runs here, is not recommended: {event.reason}{instead}",
        release=event.release,
    )
    return Begins(("withdrawn", event.release), at, alert, since=at, only_on=event.release)


def _running(version: str | None, at: datetime) -> tuple[Mark, ...]:
    return (Runs(at, version),) if version else ()

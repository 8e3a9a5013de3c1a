"""What is said to the world: confirmed changes of features and the ends of runs, each under a name of its own.

The name follows from what confirmed the change, so that it is the same whoever says it, and after any crash.
"""

from datetime import datetime

from services.conformance.core.ledger import COMPLETE, is_over, reason_of, status_of
from services.conformance.core.marks import Mark
from services.conformance.core.probe import Probe
from services.conformance.core.state import Course
from steward.conformance.results import FeatureResult
from steward.events.base import Envelope, Event, Trail, enclose
from steward.events.conformance import ConformanceFailed, ConformanceRecovered, ConformanceRunFinished
from steward.resources.base import condition_of
from steward.resources.conformance_run import ConformanceRun

SERVICE = "conformance"
FAILED, RECOVERED = "failed", "recovered"


def transition_id(feature: str, mark: Mark, what: str) -> str:
    """The name of a confirmed change."""
    return f"{mark.run_uid}/{feature}/{mark.cycle}/{what}"


def owed(course: Course, told: str, *, asleep: bool) -> str:
    """What must be said of a feature: nothing where it was said, or where nobody shall be woken."""
    if course.confirmed_by is None:
        return ""
    if course.failing:
        return "" if told == FAILED or asleep else FAILED
    return RECOVERED if told == FAILED else ""


def failed(probe: Probe, course: Course, mark: Mark, result: FeatureResult | None, cluster: str) -> Envelope[Event]:
    """A feature is confirmed not to work."""
    payload = ConformanceFailed(
        feature=probe.id,
        claim=probe.claim,
        security=probe.security,
        run=mark.run,
        run_uid=mark.run_uid,
        since=course.since or mark.at,
        reason=result.causes[0].code if result is not None and result.causes else "Disproven",
        message=_why(probe, result),
        causes=result.causes if result is not None else (),
        consecutive=max(1, course.bad),
        evidence=result.evidence if result is not None else "",
    )
    return _enclosed(payload, transition_id(probe.id, mark, FAILED), cluster, mark.at, mark.run_uid)


def recovered(probe: Probe, course: Course, mark: Mark, cluster: str) -> Envelope[Event]:
    """It is confirmed to work again."""
    since = course.since or mark.at
    down = (since - course.failed_since).total_seconds() if course.failed_since is not None else 0.0
    payload = ConformanceRecovered(
        feature=probe.id,
        claim=probe.claim,
        security=probe.security,
        run=mark.run,
        run_uid=mark.run_uid,
        since=since,
        reason="Recovered",
        message=f"{probe.claim} It does so again, after {max(0.0, down):.0f} s.",
        failed_for_seconds=max(0.0, down),
    )
    return _enclosed(payload, transition_id(probe.id, mark, RECOVERED), cluster, mark.at, mark.run_uid)


def finished(run: ConformanceRun, cluster: str) -> Envelope[Event] | None:
    """A run is over; None while it is not."""
    status = status_of(run)
    if not is_over(run) or status.outcome is None or status.ended_at is None:
        return None
    complete = condition_of(status.conditions, COMPLETE)
    took = (status.ended_at - (status.started_at or status.ended_at)).total_seconds()
    payload = ConformanceRunFinished(
        run=run.metadata.name,
        run_uid=run.metadata.uid,
        suite=run.spec.suite_ref.name,
        trigger=run.spec.trigger.value,
        operation_id=run.spec.operation_id,
        outcome=status.outcome,
        reason=reason_of(run, COMPLETE) or "Finished",
        message=complete.message if complete is not None else "",
        linkerd_version=status.cluster.linkerd_version,
        summary=status.summary,
        findings=status.findings,
        duration_seconds=max(0.0, took),
        report=status.report,
    )
    return _enclosed(payload, f"{run.metadata.uid}/finished", cluster, status.ended_at, run.metadata.uid)


def _enclosed(payload: Event, id: str, cluster: str, time: datetime, run_uid: str) -> Envelope[Event]:
    trail = Trail(correlation_id=run_uid)
    return enclose(payload, id=id, cluster=cluster, service=SERVICE, time=time, trail=trail)


def _why(probe: Probe, result: FeatureResult | None) -> str:
    if result is None:
        return f"{probe.claim} It does not."
    if result.causes:
        return f"{probe.id} does not work: {result.causes[0].message} Observed: {result.causes[0].observed}"
    return f"{probe.id} does not work: {result.message}"

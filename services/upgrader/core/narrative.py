"""A run as text: for people who ask what happened, and for tests that compare the whole story with a file."""

from collections.abc import Iterator
from datetime import datetime

from steward.events.upgrades import GateResult
from steward.resources.upgrade_run import Evidence, Transition, UpgradeRun, Workloads


def narrate(run: UpgradeRun) -> str:
    """Everything that happened to the run, a line each, with what its gates said beneath."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: UpgradeRun) -> Iterator[str]:
    status = run.status
    if status is None or status.snapshot is None:
        yield f"{run.metadata.name}: not planned"
        return
    snapshot = status.snapshot
    yield f"{snapshot.from_version} → {run.spec.target} by {snapshot.plan} ({snapshot.install_method})"
    begin = status.transitions[0].time if status.transitions else None
    baseline = [each for step in status.steps for each in step.evidence if each.baseline]
    for transition in status.transitions:
        yield _happened(transition, begin)
        answers = baseline if transition.event == "upgrade-started" else transition.evidence
        yield from (_answer(each) for each in answers)
        if transition.workloads is not None:
            yield f"        workloads: {_counts(transition.workloads)}"
    yield f"now {status.phase} {status.progress}: " + ", ".join(f"{step.name} {step.state}" for step in status.steps)
    yield from _listed(status.workloads or Workloads())


def _listed(workloads: Workloads) -> Iterator[str]:
    for each in workloads.listed:
        yield f"    {each.kind} {each.namespace}/{each.name} {each.state} ({each.reason}): {each.message}"


def _happened(transition: Transition, begin: datetime | None) -> str:
    seconds = (transition.time - begin).total_seconds() if begin is not None else 0.0
    step = f" {transition.step}" if transition.step else ""
    attempt = f" #{transition.attempt}" if transition.attempt else ""
    again = ", will be tried again" if transition.will_retry else ""
    outcome = f" {transition.outcome}" if transition.outcome else ""
    return (
        f"{seconds:6.0f}s {transition.event}{step}{attempt}{outcome}{again} ({transition.reason}): {transition.message}"
    )


def _answer(evidence: Evidence) -> str:
    sign = "ok" if evidence.result is GateResult.PASSED else str(evidence.result)
    when = "before the first change, " if evidence.baseline else ""
    return f"        gate {evidence.gate}: {when}{sign} ({evidence.reason}): {evidence.message}"


def _counts(workloads: Workloads) -> str:
    numbers = (
        ("verified", workloads.verified),
        ("restarting", workloads.restarting),
        ("pending", workloads.pending),
        ("failed", workloads.failed),
        ("no effect", workloads.no_effect),
        ("contested", workloads.contested),
        ("held", workloads.held),
        ("unsupported", workloads.unsupported),
    )
    return ", ".join(f"{number} {word}" for word, number in numbers if number) or "none"

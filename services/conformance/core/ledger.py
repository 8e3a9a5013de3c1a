"""A run's status after something happened to it. Conditions are the truth; the phase is only what people read first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.conformance.core.capability import ClusterSeen, Has
from steward.conformance.results import Capability, FeatureResult, FeatureState, State, Verdict
from steward.events.conformance import ConformanceOutcome, Finding, VerdictCounts
from steward.resources.base import Condition, ConditionStatus, condition_of, with_condition
from steward.resources.conformance_run import (
    ClusterFacts,
    ConformanceRun,
    ConformanceRunStatus,
    FeatureLine,
    OwnedNamespace,
    RunPhase,
)
from steward.resources.conformance_suite import ConformanceSuiteSpec, Pace

PREFLIGHTED = "Preflighted"
DEPLOYED = "Deployed"
EXERCISED = "Exercised"
PAUSED = "Paused"
CLEANED_UP = "CleanedUp"
REPORTED = "Reported"
COMPLETE = "Complete"

STOPPED = "StoppedByPerson"
ALL_PROBED = "AllProbed"
TIME_IS_UP = "TimeIsUp"
REGULAR = frozenset({ALL_PROBED, TIME_IS_UP, STOPPED})
"""How exercising may end without anything having gone wrong with the run itself."""

_COVERED = 0.95
_MOST_FEATURES = 256
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Said:
    """Why something is as it is: a reason for programs and a sentence for people."""

    reason: str
    message: str


def status_of(run: ConformanceRun) -> ConformanceRunStatus:
    """The status, also of a run that has none yet."""
    return run.status or ConformanceRunStatus()


def is_so(run: ConformanceRun, type_: str) -> bool | None:
    """What a condition says; None where it was never said."""
    found = condition_of(status_of(run).conditions, type_)
    if found is None or found.status is ConditionStatus.UNKNOWN:
        return None
    return found.status is ConditionStatus.TRUE


def reason_of(run: ConformanceRun, type_: str) -> str:
    """Why a condition is as it is."""
    found = condition_of(status_of(run).conditions, type_)
    return found.reason if found is not None else ""


def is_over(run: ConformanceRun) -> bool:
    """Whether nothing will happen to the run any more."""
    return status_of(run).ended_at is not None


def said(run: ConformanceRun, type_: str, value: ConditionStatus, why: Said, now: datetime) -> ConformanceRun:
    """With a condition; the rest of the status as it is."""
    condition = Condition(
        type=type_,
        status=value,
        reason=why.reason,
        message=why.message[:_LONGEST],
        observed_generation=run.metadata.generation,
        last_transition_time=now,
    )
    status = status_of(run)
    return _with(run, conditions=with_condition(status.conditions, condition))


def in_phase(run: ConformanceRun, phase: RunPhase, why: Said, now: datetime) -> ConformanceRun:
    """With what people read first, and why it is not complete yet."""
    return said(_with(run, phase=phase), COMPLETE, ConditionStatus.FALSE, why, now)


def begun(run: ConformanceRun, suite: ConformanceSuiteSpec, digest: str, version: str, now: datetime) -> ConformanceRun:
    """The suite as it is at this moment: later changes of it are for later runs."""
    made = _with(run, suite=suite, suite_digest=digest, exerciser_version=version, started_at=now)
    return in_phase(made, RunPhase.PREFLIGHT, Said("Preflight", "looking at the mesh, the cluster and our rights"), now)


def inspected(
    run: ConformanceRun, seen: ClusterSeen, features: Mapping[str, Has], kubernetes: str, now: datetime
) -> ConformanceRun:
    """What was found, and which features are there."""
    facts = ClusterFacts(
        kubernetes_version=kubernetes,
        linkerd_version=str(seen.linkerd) if seen.linkerd else "",
        proxy_versions=seen.proxies[:64],
        nodes=seen.nodes,
        zones=seen.zones,
    )
    known = {line.feature: line for line in status_of(run).features}
    lines = tuple(_line_of(feature, has, known.get(feature), now) for feature, has in sorted(features.items()))
    made = _with(run, cluster=facts, features=lines[:_MOST_FEATURES])
    made = said(made, PREFLIGHTED, ConditionStatus.TRUE, Said("Ready", f"{len(lines)} features of this suite"), now)
    return in_phase(made, RunPhase.DEPLOYING, Said("Deploying", "bringing up the probes' own workloads"), now)


def _line_of(feature: str, has: Has, known: FeatureLine | None, now: datetime) -> FeatureLine:
    if known is not None and known.verdict is not None:
        return known
    absent = {
        Capability.UNSUPPORTED: Verdict.UNSUPPORTED,
        Capability.NOT_APPLICABLE: Verdict.NOT_APPLICABLE,
    }.get(has.capability)
    return FeatureLine(
        feature=feature,
        capability=has.capability,
        verdict=absent,
        reason=has.reason if absent else None,
        message=has.message,
        at=now if absent else None,
    )


def owning(run: ConformanceRun, namespaces: Sequence[OwnedNamespace]) -> ConformanceRun:
    """With the namespaces that it made."""
    return _with(run, namespaces=tuple(sorted(namespaces, key=lambda each: each.name)))


def laid_out(run: ConformanceRun, now: datetime) -> ConformanceRun:
    """Every object was applied; a cast that was ready stays so."""
    if is_so(run, DEPLOYED):
        return run
    return said(run, DEPLOYED, ConditionStatus.FALSE, Said("Applied", "waiting until the cast is ready"), now)


def told(run: ConformanceRun, results: Iterable[FeatureResult], states: Mapping[str, FeatureState]) -> ConformanceRun:
    """With what was found out; of each feature the latest cycle shows."""
    lines = {line.feature: line for line in status_of(run).features}
    for result in sorted(results, key=lambda each: (each.at, each.cycle)):
        before = lines.get(result.feature)
        if before is not None and before.at is not None and before.at > result.at:
            continue
        cause = result.causes[0] if result.causes else None
        why = f"; {cause.message} {cause.observed}" if cause is not None else ""
        lines[result.feature] = FeatureLine(
            feature=result.feature,
            capability=result.capability,
            verdict=result.verdict,
            state=states[result.feature].state if result.feature in states else State.UNKNOWN,
            reason=result.reason,
            cause=cause.code if cause is not None else "",
            message=f"{result.message}{why}"[:_LONGEST],
            cycles=max(result.cycle + 1, before.cycles if before else 0),
            at=result.at,
        )
    features = tuple(lines[each] for each in sorted(lines))[:_MOST_FEATURES]
    return _with(run, features=features, summary=counted(features))


def counted(lines: Iterable[FeatureLine]) -> VerdictCounts:
    """How many features stand how."""
    names = {
        Verdict.PASSED: "passed",
        Verdict.FAILED: "failed",
        Verdict.FLAKY: "flaky",
        Verdict.INCONCLUSIVE: "inconclusive",
        Verdict.SKIPPED: "skipped",
        Verdict.UNSUPPORTED: "unsupported",
        Verdict.NOT_APPLICABLE: "not_applicable",
    }
    counts = dict.fromkeys(names.values(), 0)
    for line in lines:
        if line.verdict is not None:
            counts[names[line.verdict]] += 1
    return VerdictCounts(**counts)


def exercised(run: ConformanceRun, why: Said, now: datetime) -> ConformanceRun:
    """No more probes are run."""
    made = said(run, EXERCISED, ConditionStatus.TRUE, why, now)
    return in_phase(made, RunPhase.DRAINING, Said("Draining", "deleting the namespaces of the probes"), now)


def cleaned_up(run: ConformanceRun, why: Said, now: datetime, *, done: bool) -> ConformanceRun:
    """The namespaces are gone, or will be by somebody else's doing."""
    made = said(run, CLEANED_UP, ConditionStatus.TRUE if done else ConditionStatus.FALSE, why, now)
    return in_phase(made, RunPhase.REPORTING, Said("Reporting", "writing the reports"), now)


def reported(run: ConformanceRun, name: str, found: tuple[Finding, ...], why: Said, now: datetime) -> ConformanceRun:
    """The reports are stored, or cannot be."""
    value = ConditionStatus.TRUE if name else ConditionStatus.FALSE
    return said(_with(run, report=name, findings=found), REPORTED, value, why, now)


def concluded(run: ConformanceRun, now: datetime) -> ConformanceRun:
    """The end."""
    outcome, why = outcome_of(run)
    ended = reason_of(run, EXERCISED)
    phase = {True: RunPhase.COMPLETED}.get(ended in REGULAR, RunPhase.FAILED)
    if outcome is ConformanceOutcome.ABORTED:
        phase = RunPhase.ABORTED
    made = _with(run, phase=phase, outcome=outcome, ended_at=now, summary=counted(status_of(run).features))
    return said(made, COMPLETE, ConditionStatus.TRUE, why, now)


def outcome_of(run: ConformanceRun) -> tuple[ConformanceOutcome, Said]:
    """What the run says of the mesh."""
    status, ended = status_of(run), condition_of(status_of(run).conditions, EXERCISED)
    asleep = _quarantined(run)
    bad = [each for each in status.features if each.verdict is Verdict.FAILED and each.feature not in asleep]
    waiting = [each.feature for each in status.features if each.verdict is None]
    if ended is not None and ended.reason not in REGULAR:
        return ConformanceOutcome.INCONCLUSIVE, Said(ended.reason, ended.message)
    if bad:
        return ConformanceOutcome.FAILED, Said("FeaturesBroken", _broken(bad, status.findings))
    if waiting and run.spec.pace is Pace.ONCE:
        return ConformanceOutcome.ABORTED, Said(STOPPED, f"stopped before {len(waiting)} features were tried")
    counts = counted(status.features)
    valid = counts.passed + counts.flaky + counts.failed
    judged = valid + counts.inconclusive
    if not valid or valid / judged < _COVERED:
        names = ", ".join(each.feature for each in status.features if each.verdict is Verdict.INCONCLUSIVE)
        told = (
            f"{counts.inconclusive} of {judged} features could not be judged: {names}" if judged else "nothing to try"
        )
        return ConformanceOutcome.INCONCLUSIVE, Said("TooMuchUntold", told)
    return ConformanceOutcome.PASSED, Said("FeaturesWork", f"{valid} features work, {counts.flaky} of them flaky")


def _broken(bad: Sequence[FeatureLine], found: Sequence[Finding]) -> str:
    if found:
        return "; ".join(each.message for each in found)[:_LONGEST]
    return f"{len(bad)} features do not work: {', '.join(each.feature for each in bad)}"


def _quarantined(run: ConformanceRun) -> frozenset[str]:
    return frozenset(each.feature for each in status_of(run).features if each.state is State.QUARANTINED)


def _with(run: ConformanceRun, **changes: object) -> ConformanceRun:
    status = status_of(run).model_copy(update={**changes, "observed_generation": run.metadata.generation})
    return run.model_copy(update={"status": status})

"""Whether every feature of the mesh that was exercised works."""

from services.upgrader.core.gates.verdict import Finding, Verdict, failed, inconclusive, passed
from services.upgrader.core.observations import BrokenFeature, ConformanceSeen
from steward.events.conformance import ConformanceOutcome


def judge(seen: ConformanceSeen) -> Verdict:
    """A feature is a finding, so that one that was broken before is told from one that the upgrade broke."""
    match seen.outcome:
        case ConformanceOutcome.PASSED:
            return passed("FeaturesWork", f"{seen.summary.passed} features work, says ConformanceRun {seen.run!r}")
        case ConformanceOutcome.FAILED:
            broken = seen.broken or (BrokenFeature(seen.run, seen.message),)
            return failed("FeaturesBroken", tuple(Finding(each.feature, _said(each)) for each in broken))
        case ConformanceOutcome.INCONCLUSIVE | ConformanceOutcome.ABORTED:
            return inconclusive(
                f"Conformance{seen.outcome.value}",
                f"ConformanceRun {seen.run!r} came to no verdict: {seen.message}; look at it and ask again",
            )


def _said(broken: BrokenFeature) -> str:
    return f"{broken.feature}: {broken.message}"

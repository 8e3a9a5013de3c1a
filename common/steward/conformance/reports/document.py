"""What a report says, whatever its form: the run, each feature with its results, and what fails together."""

from collections.abc import Iterable, Mapping

from pydantic import AwareDatetime, Field

from steward.conformance.results import FeatureResult, FeatureState, Tier, Verdict
from steward.events.base import Part
from steward.events.conformance import ConformanceOutcome, Feature, Finding, VerdictCounts


class Subject(Part):
    """What was probed."""

    cluster: str = ""
    kubernetes_version: str = ""
    linkerd_version: str = ""
    proxy_versions: tuple[str, ...] = ()
    nodes: int = 0
    zones: int = 0


class FeatureReport(Part):
    """One feature: what it promises, and every result of the run, oldest first."""

    feature: Feature
    claim: str = ""
    tier: Tier
    security: bool = False
    results: tuple[FeatureResult, ...] = Field(min_length=1)
    state: FeatureState | None = None

    @property
    def group(self) -> str:
        """The first token of the feature."""
        return self.feature.split(".", 1)[0]

    @property
    def worst(self) -> FeatureResult:
        """The result that a reader must see first: the worst verdict, the latest of those."""
        return max(self.results, key=lambda result: (SEVERITY[result.verdict], result.at))

    @property
    def last(self) -> FeatureResult:
        """The latest result."""
        return max(self.results, key=lambda result: (result.at, result.cycle))


SEVERITY: Mapping[Verdict, int] = {
    Verdict.NOT_APPLICABLE: 0,
    Verdict.UNSUPPORTED: 1,
    Verdict.PASSED: 2,
    Verdict.SKIPPED: 3,
    Verdict.INCONCLUSIVE: 4,
    Verdict.FLAKY: 5,
    Verdict.FAILED: 6,
}


class RunReport(Part):
    """One run, complete."""

    run: str
    run_uid: str = ""
    suite: str = ""
    trigger: str = ""
    exerciser_version: str = ""
    subject: Subject = Subject()
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    outcome: ConformanceOutcome | None = None
    message: str = ""
    summary: VerdictCounts = VerdictCounts()
    findings: tuple[Finding, ...] = ()
    features: tuple[FeatureReport, ...] = ()

    def groups(self) -> dict[str, tuple[FeatureReport, ...]]:
        """The features by the first token of their names, in the order of the report."""
        grouped: dict[str, list[FeatureReport]] = {}
        for feature in self.features:
            grouped.setdefault(feature.group, []).append(feature)
        return {group: tuple(members) for group, members in grouped.items()}


_COUNTED = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.FLAKY: "flaky",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.SKIPPED: "skipped",
    Verdict.UNSUPPORTED: "unsupported",
    Verdict.NOT_APPLICABLE: "not_applicable",
}


def counted(verdicts: Iterable[Verdict]) -> VerdictCounts:
    """How many features ended how."""
    counts = dict.fromkeys(_COUNTED.values(), 0)
    for verdict in verdicts:
        counts[_COUNTED[verdict]] += 1
    return VerdictCounts(**counts)


def confidence(feature: FeatureReport) -> str:
    """What the number of clean results proves: with n passes and no failure, 95 % that the share of bad is below."""
    valid = [each for each in feature.results if each.verdict in (Verdict.PASSED, Verdict.FLAKY, Verdict.FAILED)]
    bad = sum(1 for each in valid if each.verdict is not Verdict.PASSED)
    if not valid:
        return "nothing was judged"
    if bad:
        return f"{bad} of {len(valid)} results were not clean"
    # The upper Wilson bound (95 %, z = 1.96) for zero failures.
    bound = 1.96**2 / (len(valid) + 1.96**2)
    runs = "1 clean result" if len(valid) == 1 else f"{len(valid)} clean results"
    return f"{runs}: excludes no more than a failure rate above {_percent(bound)}"


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"

"""The gate of type Conformance: what is judged, and under which name an exercise is asked for."""

import pytest

from services.upgrader.core.gates.conformance import judge
from services.upgrader.core.gates.verdict import Verdict, compared
from services.upgrader.core.observations import BrokenFeature, ConformanceSeen
from services.upgrader.core.operations import exercise_name
from steward.events.conformance import ConformanceOutcome, VerdictCounts
from steward.events.upgrades import GateResult
from steward.resources.base import ObjectMeta
from steward.resources.upgrade_plan import GateTemplate, GateType, StepType
from steward.resources.upgrade_run import StepStatus, UpgradeRun, UpgradeRunSpec, UpgradeRunStatus
from steward.testing.clock import ManualClock

NOW = ManualClock().now()


def seen(outcome: ConformanceOutcome, *broken: str) -> ConformanceSeen:
    return ConformanceSeen(
        run="upgrade-verify",
        outcome=outcome,
        message="as it went",
        summary=VerdictCounts(passed=40, failed=len(broken)),
        broken=tuple(BrokenFeature(each, "POLICY_DENY: an allowed client is refused") for each in broken),
    )


@pytest.mark.parametrize(
    ("outcome", "result", "reason"),
    [
        (ConformanceOutcome.PASSED, GateResult.PASSED, "FeaturesWork"),
        (ConformanceOutcome.FAILED, GateResult.FAILED, "FeaturesBroken"),
        (ConformanceOutcome.INCONCLUSIVE, GateResult.INCONCLUSIVE, "ConformanceInconclusive"),
        (ConformanceOutcome.ABORTED, GateResult.INCONCLUSIVE, "ConformanceAborted"),
    ],
)
def test_only_a_run_that_passed_lets_the_step_go_on(
    outcome: ConformanceOutcome, result: GateResult, reason: str
) -> None:
    verdict = judge(seen(outcome, *(["mtls.identity"] if outcome is ConformanceOutcome.FAILED else [])))
    assert (verdict.result, verdict.reason) == (result, reason)


def test_the_verdict_names_the_feature_and_its_cause() -> None:
    verdict = judge(seen(ConformanceOutcome.FAILED, "authz.meshtls"))
    assert verdict.message == "authz.meshtls: POLICY_DENY: an allowed client is refused"


def test_what_was_broken_before_is_not_held_against_the_upgrade_but_what_broke_since_is() -> None:
    gate = GateTemplate(name="features", type=GateType.CONFORMANCE)
    baseline = judge(seen(ConformanceOutcome.FAILED, "egress.deny")).evidence(gate, NOW)
    same: Verdict = compared(judge(seen(ConformanceOutcome.FAILED, "egress.deny")), baseline)
    worse: Verdict = compared(judge(seen(ConformanceOutcome.FAILED, "egress.deny", "mtls.identity")), baseline)
    assert same.result is GateResult.PASSED
    assert worse.result is GateResult.FAILED
    assert worse.message.startswith("mtls.identity")


def run(attempt: int) -> UpgradeRun:
    steps = (StepStatus(name="verify", type=StepType.GATE, attempt=attempt),)
    return UpgradeRun(
        metadata=ObjectMeta(name="edge-26.8.3-1a2b3c4d", uid="u-1"),
        spec=UpgradeRunSpec(target="edge-26.8.3"),
        status=UpgradeRunStatus(steps=steps),
    )


def test_an_exercise_keeps_its_name_until_its_answer_is_written_down() -> None:
    name = exercise_name(run(1), "verify", "features", "After", "")
    assert name == exercise_name(run(1), "verify", "features", "After", "")
    others = {
        exercise_name(run(2), "verify", "features", "After", ""),
        exercise_name(run(1), "verify", "features", "Baseline", ""),
        exercise_name(run(1), "verify", "features", "After", NOW.isoformat()),
    }
    assert len(others | {name}) == 4

"""The next act of a run, in every situation that a run can be in."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.upgrader.core import acts
from services.upgrader.core.ledger import status_of, step_of
from services.upgrader.core.observations import Unseen
from services.upgrader.core.orders import Broken, Order, Refused, Stage, StepObservation
from steward.events.upgrades import GateResult
from steward.linkerd.pods import WorkloadRef
from steward.resources.base import ConditionStatus, condition_of
from steward.resources.upgrade_plan import CheckScope, GateType, InstallMethod, StepType, UpgradePlan
from steward.resources.upgrade_policy import FailurePolicy, UpgradePolicySpec
from steward.resources.upgrade_run import DesiredState, Phase, StepState, UpgradeRun
from tests.services.upgrader.paper import (
    PaperCluster,
    PaperConductor,
    healthy_check,
    new_run,
    shipped_plans,
    shop,
    without_certificates,
)

PLANS = without_certificates(shipped_plans())


def conductor(
    cluster: PaperCluster | None = None, policy: UpgradePolicySpec | None = None, **run: object
) -> PaperConductor:
    return PaperConductor(
        cluster or shop(),
        new_run(**run),  # type: ignore[arg-type] # JSON of a test
        plans=PLANS,
        policy=policy or UpgradePolicySpec(),
    )


def until(paper: PaperConductor, holds: Callable[[UpgradeRun], bool], most: int = 500) -> UpgradeRun:
    """Step until the run is so."""
    for _ in range(most):
        if holds(paper.stored):
            return paper.stored
        if isinstance(paper.step(), acts.Resting):
            paper.cluster.tick()
    raise AssertionError(f"it never became so: {status_of(paper.stored)!r}")


def state(run: UpgradeRun, step: str) -> StepState:
    return step_of(run, step).state


def reason(run: UpgradeRun, condition: str) -> str:
    found = condition_of(status_of(run).conditions, condition)
    return f"{found.status.value}/{found.reason}" if found else ""


def under_way(step: str) -> Callable[[UpgradeRun], bool]:
    def holds(run: UpgradeRun) -> bool:
        return bool(status_of(run).steps) and state(run, step) in (StepState.RUNNING, StepState.VERIFYING)

    return holds


def test_an_upgrade_without_trouble_succeeds_and_touches_each_thing_once() -> None:
    paper = conductor()
    run = paper.finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    assert set(paper.cluster.deeds.values()) == {1}
    assert set(paper.cluster.restarts.values()) == {1}
    assert len(paper.cluster.restarts) == 5
    assert reason(run, "Succeeded") == "True/Succeeded"


@pytest.mark.parametrize(
    ("method", "expected"),
    [(InstallMethod.HELM, StepState.SKIPPED), (InstallMethod.CLI, StepState.SUCCEEDED)],
)
def test_only_a_cli_installation_is_pruned(method: InstallMethod, expected: StepState) -> None:
    run = conductor(shop(method=method)).finish()
    assert state(run, "prune") is expected


def test_every_gate_is_asked_before_the_first_change() -> None:
    paper = conductor()
    run = until(paper, under_way("crds"))
    baseline = {each.gate for step in status_of(run).steps for each in step.evidence if each.baseline}
    named = {gate for step in PLANS[0].spec.steps for gate in step.gates}
    assert named <= baseline
    assert paper.cluster.deeds.total() == 0


def test_what_was_red_before_does_not_stop_an_upgrade() -> None:
    cluster = shop()
    sick = tuple(healthy_check(scope, error="a left-over root has expired") for scope in CheckScope)
    cluster.answers[GateType.LINKERD_CHECK] = sick
    run = conductor(cluster).finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    evidence = [each for each in step_of(run, "verify").evidence if each.gate == "check-proxies"]
    assert [each.reason for each in evidence] == ["NoWorseThanBefore"]


def test_without_a_cli_the_check_stays_inconclusive_and_the_inventory_proves_the_rest() -> None:
    cluster = shop()
    cluster.answers[GateType.LINKERD_CHECK] = Unseen("NoCli", "no CLI of edge-26.6.3 is at hand: set artifacts")
    run = conductor(cluster).finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    results = {each.result for each in step_of(run, "control-plane").evidence if each.gate == "check"}
    assert results == {GateResult.INCONCLUSIVE}


def test_a_check_that_becomes_red_after_the_change_is_given_time_and_then_pauses_the_run() -> None:
    paper = conductor()
    until(paper, under_way("control-plane"))
    paper.cluster.answers[GateType.LINKERD_CHECK] = (healthy_check(CheckScope.CONTROL_PLANE, error="identity is down"),)
    run = paper.finish()
    assert state(run, "control-plane") is StepState.FAILED
    assert state(run, "data-plane") is StepState.BLOCKED
    assert status_of(run).phase is Phase.PAUSED
    assert paper.stored.spec.state is DesiredState.PAUSE
    asked = [act for act in paper.taken if isinstance(act, acts.Ask) and act.step == "control-plane"]
    assert len(asked) > 5


def test_a_gate_that_recovers_in_time_is_forgiven() -> None:
    paper = conductor()
    until(paper, under_way("control-plane"))
    paper.cluster.answers[GateType.LINKERD_CHECK] = (healthy_check(CheckScope.CONTROL_PLANE, error="not yet"),)
    for _ in range(30):
        if isinstance(paper.step(), acts.Resting):
            paper.cluster.tick()
    del paper.cluster.answers[GateType.LINKERD_CHECK]
    run = paper.finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    assert step_of(run, "control-plane").attempt == 1


def test_at_the_entrance_a_gate_that_says_no_pauses_at_once_and_nothing_is_touched() -> None:
    cluster = shop()
    cluster.add(next(iter(cluster.workloads.values())), "edge-25.4.4")
    paper = conductor(cluster)
    run = paper.finish()
    assert state(run, "preflight") is StepState.FAILED
    assert "2 logical versions" in step_of(run, "preflight").message
    assert paper.cluster.deeds.total() == 0


def test_a_policy_may_abort_what_fails() -> None:
    cluster = shop()
    cluster.injects = False
    run = conductor(cluster, UpgradePolicySpec(failure_policy=FailurePolicy.ABORT)).finish()
    assert status_of(run).phase is Phase.FAILED
    assert status_of(run).transitions[-1].outcome == "Failed"


class TestActs:
    def test_one_that_could_not_be_tried_is_tried_again_later_each_time(self) -> None:
        paper = conductor()
        paper.cluster.outcomes[StepType.APPLY_CRDS] = Broken("ApiServerUnavailable", "503")
        run = until(paper, lambda each: bool(status_of(each).steps) and step_of(each, "crds").retry_after is not None)
        step = step_of(run, "crds")
        assert step.state is StepState.PENDING
        assert step.retry_after == paper.cluster.now + timedelta(seconds=30)
        run = paper.finish()
        assert status_of(run).phase is Phase.SUCCEEDED
        assert step_of(run, "crds").attempt == 2

    def test_one_that_never_can_be_tried_pauses_the_run_after_its_limit(self) -> None:
        paper = conductor()
        for _ in range(4):
            paper.cluster.outcomes[StepType.APPLY_CRDS] = Broken("ApiServerUnavailable", "503")
            until(paper, lambda _: not paper.cluster.outcomes, most=2000)
        run = paper.finish()
        assert status_of(run).phase is Phase.PAUSED
        assert reason(run, "Paused") == "True/StepError"
        assert step_of(run, "crds").attempt == 4

    def test_one_that_is_refused_is_not_tried_again(self) -> None:
        paper = conductor()
        paper.cluster.outcomes[StepType.UPGRADE_CONTROL_PLANE] = Refused("PendingUpgrade", "somebody else's helm")
        run = paper.finish()
        assert step_of(run, "control-plane").attempt == 1
        assert reason(run, "Paused") == "True/StepFailed"
        assert "somebody else's helm" in step_of(run, "control-plane").message

    def test_a_crash_costs_no_attempt(self) -> None:
        paper = conductor()
        until(paper, under_way("control-plane"))
        for _ in range(5):
            paper.step(dies="before")
        run = paper.finish()
        assert status_of(run).phase is Phase.SUCCEEDED
        assert step_of(run, "control-plane").attempt == 1

    def test_an_act_whose_note_was_lost_is_not_done_again(self) -> None:
        paper = conductor()
        until(paper, under_way("control-plane"))
        while not isinstance(paper.step(dies="after"), acts.Act):
            paper.step()
        run = paper.finish()
        assert status_of(run).phase is Phase.SUCCEEDED
        assert set(paper.cluster.deeds.values()) == {1}

    def test_a_control_plane_that_never_settles_fails_at_its_time_out(self) -> None:
        paper = conductor()
        until(paper, lambda _: bool(paper.cluster.stamps.get("control-plane")))
        paper.cluster.settling = 10_000
        run = paper.finish()
        assert state(run, "control-plane") is StepState.FAILED
        assert step_of(run, "control-plane").reason == "TimedOut"
        assert "2 of 3 Deployments" in step_of(run, "control-plane").message


class TestPausing:
    def test_a_person_pauses_and_resumes(self) -> None:
        paper = conductor()
        until(paper, under_way("data-plane"))
        paper.ask_for(DesiredState.PAUSE)
        run = paper.finish()
        assert reason(run, "Paused") == "True/PausedByPerson"
        restarted = paper.cluster.restarts.total()
        paper.cluster.tick(3600)
        assert paper.finish() == run
        assert paper.cluster.restarts.total() == restarted
        paper.ask_for(DesiredState.RUN)
        run = paper.finish()
        assert status_of(run).phase is Phase.SUCCEEDED
        assert [each.event for each in status_of(run).transitions if each.event.endswith(("paused", "resumed"))] == [
            "upgrade-paused",
            "upgrade-resumed",
        ]

    def test_the_time_that_a_run_stood_still_is_not_held_against_a_step(self) -> None:
        paper = conductor()
        until(paper, under_way("control-plane"))
        paper.ask_for(DesiredState.PAUSE)
        paper.finish()
        paper.cluster.tick(100_000)
        paper.ask_for(DesiredState.RUN)
        assert status_of(paper.finish()).phase is Phase.SUCCEEDED

    def test_the_policy_pauses_every_run_and_lets_it_go_on(self) -> None:
        paper = conductor()
        until(paper, under_way("crds"))
        paper.policy = paper.policy.model_copy(update={"paused": True})
        run = paper.finish()
        assert reason(run, "Paused") == "True/PausedByPolicy"
        assert run.spec.state is DesiredState.RUN
        paper.policy = paper.policy.model_copy(update={"paused": False})
        assert status_of(paper.finish()).phase is Phase.SUCCEEDED

    def test_after_a_failure_a_person_lets_it_go_on_and_it_tries_again(self) -> None:
        paper = conductor()
        paper.cluster.outcomes[StepType.UPGRADE_CONTROL_PLANE] = Refused("Quota", "no room")
        paper.finish()
        paper.ask_for(DesiredState.RUN)
        run = paper.finish()
        assert status_of(run).phase is Phase.SUCCEEDED
        assert step_of(run, "control-plane").attempt == 2

    def test_a_crash_between_the_pause_and_its_wish_changes_nothing(self) -> None:
        paper = conductor()
        paper.cluster.outcomes[StepType.UPGRADE_CONTROL_PLANE] = Refused("Quota", "no room")
        while not isinstance(
            paper.step(dies="before" if paper.taken and isinstance(paper.taken[-1], acts.Pause) else ""),
            acts.AskForPause,
        ):
            continue
        run = paper.finish()
        assert run.spec.state is DesiredState.PAUSE
        assert status_of(run).phase is Phase.PAUSED

    def test_nothing_that_moves_for_hours_pauses_the_run(self) -> None:
        paper = conductor(shop(), plan_ref={"name": "patient"})
        paper.plans = (*PLANS, patient(PLANS[1]))
        until(paper, lambda _: bool(paper.cluster.stamps.get("control-plane")))
        paper.cluster.settling = 10_000
        paper.cluster.tick(30_000)
        run = paper.finish()
        assert reason(run, "Paused") == "True/ProgressDeadlineExceeded"


def patient(plan: UpgradePlan) -> UpgradePlan:
    """A plan whose steps have all the time in the world."""
    steps = tuple(step.model_copy(update={"timeout_seconds": 1_000_000}) for step in plan.spec.steps)
    metadata = plan.metadata.model_copy(update={"name": "patient"})
    return plan.model_copy(update={"metadata": metadata, "spec": plan.spec.model_copy(update={"steps": steps})})


@pytest.mark.parametrize("step", ["preflight", "crds", "control-plane", "data-plane", "verify"])
def test_an_abort_ends_a_run_wherever_it_is(step: str) -> None:
    paper = conductor()
    until(paper, under_way(step))
    paper.ask_for(DesiredState.ABORT)
    run = paper.finish()
    assert status_of(run).phase is Phase.ABORTED
    assert status_of(run).transitions[-1].outcome == "Aborted"
    assert state(run, step) is StepState.FAILED
    assert isinstance(paper.step(), acts.Over)


def test_a_newer_candidate_replaces_a_run_only_before_its_first_change() -> None:
    paper = conductor()
    until(paper, under_way("preflight"))
    paper.superseded_by = "edge-26.8.3"
    assert status_of(paper.finish()).transitions[-1].reason == "Superseded"
    late = conductor()
    until(late, under_way("crds"))
    late.superseded_by = "edge-26.8.3"
    assert status_of(late.finish()).phase is Phase.SUCCEEDED


def test_a_repair_leaves_the_control_plane_alone_and_restarts_everything() -> None:
    paper = conductor(shop(version="edge-26.6.3"), purpose="RestartOnly")
    run = paper.finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    assert state(run, "crds") is StepState.SKIPPED
    assert state(run, "control-plane") is StepState.SKIPPED
    assert paper.cluster.deeds.total() == 0
    assert len(paper.cluster.restarts) == 5


def test_workloads_that_fail_pause_the_run_and_no_further_one_is_touched() -> None:
    paper = conductor(shop({"Deployment": 8}))
    until(paper, under_way("data-plane"))
    paper.cluster.injects = False
    paper.cluster.answers[GateType.INJECTOR_DRY_RUN] = Unseen("Hidden", "the probe saw nothing", transient=False)
    run = paper.finish()
    assert status_of(run).phase is Phase.PAUSED
    assert paper.cluster.restarts.total() <= 1


def test_a_stuck_workload_fails_at_its_own_deadline() -> None:
    paper = conductor()
    paper.cluster.stuck = {WorkloadRef("Deployment", "shop", "deployment-0")}
    run = paper.finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    workloads = status_of(run).workloads
    assert workloads is not None
    assert (workloads.no_effect, workloads.verified) == (1, 4)


def test_a_run_without_a_way_is_refused_and_goes_on_once_there_is_one() -> None:
    paper = conductor()
    paper.plans = ()
    paper.step()
    assert status_of(paper.stored).snapshot is None
    assert reason(paper.stored, "Planned") == "False/NoPlan"
    paper.plans = PLANS
    assert status_of(paper.finish()).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"target": "edge-25.4.4"}, "Older"),
        ({"target": "stable-2.14.10"}, "OtherChannel"),
        ({"plan_ref": {"name": "nobody"}}, "PlanMissing"),
        ({"plan_ref": {"name": "linkerd-2.18-to-2.19"}}, "PlanUnsuitable"),
        ({"policy_ref": {"name": "nobody"}}, "PolicyMissing"),
        ({"purpose": "RestartOnly"}, "NotTheTarget"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(spec: dict[str, object], refusal: str) -> None:
    paper = conductor(**spec)  # type: ignore[arg-type] # JSON of a test
    paper.step()
    assert reason(paper.stored, "Planned") == f"False/{refusal}"


def test_edits_of_plan_and_policy_do_not_reach_a_run_that_has_begun() -> None:
    paper = conductor()
    until(paper, under_way("crds"))
    paper.plans = ()
    paper.policy = UpgradePolicySpec(failure_policy=FailurePolicy.ABORT)
    assert status_of(paper.finish()).phase is Phase.SUCCEEDED


def test_a_preview_does_nothing() -> None:
    paper = conductor(dry_run="Preview")
    run = paper.finish()
    assert status_of(run).phase is Phase.PREVIEWED
    assert paper.cluster.deeds.total() == 0
    assert paper.cluster.restarts.total() == 0


def test_conditions_agree_with_the_phase() -> None:
    paper = conductor()
    seen = set()
    while not isinstance(paper.step(), acts.Over):
        status = status_of(paper.stored)
        moving = condition_of(status.conditions, "Progressing")
        seen.add((status.phase, moving.status if moving else None))
        paper.cluster.tick()
    assert (Phase.RUNNING, ConditionStatus.TRUE) in seen
    assert (Phase.SUCCEEDED, ConditionStatus.FALSE) in seen
    assert (Phase.RUNNING, ConditionStatus.FALSE) not in seen


class HandedOver(PaperCluster):
    """An installation that somebody else applies: what is rendered waits for them."""

    merged = False

    def observe(self, order: Order) -> StepObservation:
        if order.step_type is StepType.UPGRADE_CONTROL_PLANE and not self.merged and self.stamps.get(order.step):
            return StepObservation(Stage.HANDED_OVER, "AwaitingMerge", "the change waits to be merged")
        if order.step_type is StepType.UPGRADE_CONTROL_PLANE and not self.merged:
            return StepObservation(Stage.ABSENT, "Absent", "nothing is rendered yet")
        return super().observe(order)


def test_what_is_handed_over_is_waited_for_as_long_as_it_takes() -> None:
    cluster = HandedOver(method=InstallMethod.GITOPS)
    cluster.namespaces = shop().namespaces
    paper = conductor(cluster)
    run = until(paper, lambda each: bool(status_of(each).steps) and state(each, "control-plane") is StepState.BLOCKED)
    assert step_of(run, "control-plane").reason == "AwaitingMerge"
    cluster.tick(200_000)
    for _ in range(5):
        assert isinstance(paper.step(), acts.Wait)
    assert state(paper.stored, "control-plane") is StepState.BLOCKED
    cluster.merged = True
    run = paper.finish()
    assert status_of(run).phase is Phase.SUCCEEDED
    assert state(run, "prune") is StepState.SKIPPED

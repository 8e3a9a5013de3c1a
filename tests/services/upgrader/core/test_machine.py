"""Whatever happens in whatever order: a run ends, does nothing twice, and never goes where it must not."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.upgrader.core import acts
from services.upgrader.core.ledger import status_of
from services.upgrader.core.narrative import narrate
from services.upgrader.core.observations import Injection, InjectionsSeen, Unseen
from services.upgrader.core.orders import Broken, Refused
from services.upgrader.core.rollout.wishes import ProxyUpgrade
from steward.linkerd import marks
from steward.linkerd.pods import WorkloadRef
from steward.resources.upgrade_plan import CheckScope, GateType, InstallMethod, StepType
from steward.resources.upgrade_policy import DataPlane, UpgradePolicySpec, Wave
from steward.resources.upgrade_run import DesiredState, Phase
from tests.services.upgrader.paper import (
    TRUST,
    PaperConductor,
    healthy_check,
    new_run,
    shipped_plans,
    shop,
    without_certificates,
)

PLANS = without_certificates(shipped_plans())
ENDED = (Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED)
NEW = "edge-26.6.3"


class Upgrade(RuleBasedStateMachine):
    """One run, a person with buttons, a world with moods."""

    @initialize(
        method=st.sampled_from([InstallMethod.HELM, InstallMethod.CLI]),
        most=st.integers(1, 4),
        ahead=st.integers(0, 45),
    )
    def begin(self, method: InstallMethod, most: int, ahead: int) -> None:
        wave = Wave(max_parallel_workloads=most, max_parallel_per_namespace=most)
        self.paper = PaperConductor(
            shop({"Deployment": 3, "StatefulSet": 1}, method=method),
            new_run(),
            plans=PLANS,
            policy=UpgradePolicySpec(data_plane=DataPlane(default_wave=wave)),
        )
        self.most = most
        self.touched_while_older = False
        for _ in range(ahead):
            self.advance()

    def advance(self, dies: str = "") -> None:
        act = self.paper.decide()
        if isinstance(act, acts.RestartSome) and self.paper.cluster.version != NEW:
            self.touched_while_older = True
        if isinstance(self.paper.step(dies=dies), acts.Resting):
            self.paper.cluster.tick()

    @rule(times=st.integers(1, 4))
    def go_on(self, times: int) -> None:
        for _ in range(times):
            self.advance()

    @rule(times=st.integers(4, 10))
    def go_further(self, times: int) -> None:
        for _ in range(times):
            self.advance()

    @rule(where=st.sampled_from(["before", "after"]))
    def die(self, where: str) -> None:
        self.advance(dies=where)

    @rule(seconds=st.sampled_from([1, 60, 700, 4000]))
    def wait(self, seconds: int) -> None:
        self.paper.cluster.tick(seconds)

    @rule(state=st.sampled_from([DesiredState.PAUSE, DesiredState.RUN]))
    def press(self, state: DesiredState) -> None:
        self.paper.ask_for(state)

    @rule()
    def pause_by_policy(self) -> None:
        self.paper.policy = self.paper.policy.model_copy(update={"paused": not self.paper.policy.paused})

    @rule(gate=st.sampled_from(list(GateType)), transient=st.booleans())
    def blind(self, gate: GateType, transient: bool) -> None:
        self.paper.cluster.answers[gate] = Unseen("Blind", "nothing can be seen", transient=transient)

    @rule()
    def sicken(self) -> None:
        self.paper.cluster.answers[GateType.LINKERD_CHECK] = (
            healthy_check(CheckScope.CONTROL_PLANE, error="identity is down"),
        )

    @rule()
    def lose_the_injector(self) -> None:
        probe = Injection("shop", admitted=True, proxy=False)
        self.paper.cluster.injects = False
        self.paper.cluster.answers[GateType.INJECTOR_DRY_RUN] = InjectionsSeen((probe,), NEW, TRUST)

    @rule()
    def heal(self) -> None:
        self.paper.cluster.injects = True
        self.paper.cluster.answers.clear()

    @rule(step=st.sampled_from([StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE, StepType.PRUNE]), no=st.booleans())
    def break_an_act(self, step: StepType, no: bool) -> None:
        self.paper.cluster.outcomes[step] = Refused("No", "no") if no else Broken("Later", "perhaps later")

    @rule(number=st.integers(0, 2), wish=st.sampled_from([*ProxyUpgrade, None]))
    def change_a_mind(self, number: int, wish: ProxyUpgrade | None) -> None:
        ref = WorkloadRef("Deployment", "shop", f"deployment-{number}")
        facts = self.paper.cluster.workloads[ref]
        kept = {key: value for key, value in facts.annotations.items() if key != marks.PROXY_UPGRADE}
        if wish is not None:
            kept[marks.PROXY_UPGRADE] = wish.value
        self.paper.cluster.workloads[ref] = replace(facts, annotations=kept)

    @rule(number=st.integers(0, 2))
    def revert_a_template(self, number: int) -> None:
        """A GitOps tool undoes our marker and leaves the stamp on the workload."""
        ref = WorkloadRef("Deployment", "shop", f"deployment-{number}")
        facts = self.paper.cluster.workloads[ref]
        if marks.PROXY_TARGET in facts.template_annotations:
            self.paper.cluster.workloads[ref] = replace(facts, template_annotations={})

    @precondition(lambda self: self.paper.taken and len(self.paper.taken) > 40)
    @rule()
    def abort(self) -> None:
        self.paper.ask_for(DesiredState.ABORT)

    @invariant()
    def nothing_is_done_twice(self) -> None:
        if hasattr(self, "paper"):
            assert all(times == 1 for times in self.paper.cluster.deeds.values())
            assert all(times == 1 for times in self.paper.cluster.restarts.values())

    @invariant()
    def no_workload_is_touched_before_the_control_plane_is_new(self) -> None:
        assert not getattr(self, "touched_while_older", False)

    @invariant()
    def those_who_asked_for_nothing_are_left_alone(self) -> None:
        if hasattr(self, "paper"):
            assert WorkloadRef("Deployment", "quiet", "bystander") not in self.paper.cluster.restarts

    @invariant()
    def no_more_are_on_their_way_than_allowed(self) -> None:
        workloads = status_of(self.paper.stored).workloads if hasattr(self, "paper") else None
        assert workloads is None or workloads.restarting <= self.most

    @invariant()
    def transitions_have_names_of_their_own(self) -> None:
        if hasattr(self, "paper"):
            names = [each.id for each in status_of(self.paper.stored).transitions]
            assert len(names) == len(set(names))

    def teardown(self) -> None:
        """With its troubles over, and a person who lets it go on, every run ends."""
        if not hasattr(self, "paper"):
            return
        self.heal()
        self.paper.cluster.outcomes.clear()
        self.paper.policy = self.paper.policy.model_copy(update={"paused": False})
        for _ in range(30):
            run = self.paper.finish(5000)
            if status_of(run).phase in ENDED:
                self.nothing_is_done_twice()
                return
            # A pod that came back without its proxy is for a person to replace.
            self._replace_the_broken()
            self.paper.ask_for(DesiredState.RUN)
        raise AssertionError(f"it never ends:\n{narrate(self.paper.stored)[-2000:]}")

    def _replace_the_broken(self) -> None:
        cluster = self.paper.cluster
        for ref, pods in cluster.pods.items():
            cluster.pods[ref] = tuple(replace(each, target="gone") if each.proxy is None else each for each in pods)


Upgrade.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestUpgrade = Upgrade.TestCase


def _undisturbed(method: InstallMethod) -> PaperConductor:
    paper = PaperConductor(shop({"Deployment": 2, "StatefulSet": 1}, method=method), new_run(), plans=PLANS)
    paper.finish()
    return paper


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("method", [InstallMethod.HELM, InstallMethod.CLI])
def test_killed_once_at_any_single_act_a_run_ends_as_if_nothing_had_been(method: InstallMethod, where: str) -> None:
    straight = _undisturbed(method)
    end = status_of(straight.stored)
    for number in range(len(straight.taken)):
        paper = PaperConductor(shop({"Deployment": 2, "StatefulSet": 1}, method=method), new_run(), plans=PLANS)
        for _ in range(number):
            if isinstance(paper.step(), acts.Resting):
                paper.cluster.tick()
        paper.step(dies=where)
        found = status_of(paper.finish())
        assert [each.id for each in found.transitions] == [each.id for each in end.transitions], number
        assert [(step.state, step.attempt) for step in found.steps] == [
            (step.state, step.attempt) for step in end.steps
        ]
        assert paper.cluster.deeds == straight.cluster.deeds
        assert paper.cluster.restarts == straight.cluster.restarts

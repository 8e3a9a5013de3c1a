"""The service as a whole: a real NATS server, a simulated cluster with a simulated mesh."""

from datetime import UTC, datetime
from pathlib import Path

from services.upgrader.core.ledger import status_of
from services.upgrader.core.narrative import narrate
from services.upgrader.core.story import CAUSE
from steward.events.base import Envelope, enclose
from steward.events.upgrades import UpgradeFinished
from steward.events.versions import NewVersion, Recommendation
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import EVENTS, UPGRADE_PLANS, UPGRADE_POLICIES, UPGRADE_RUNS
from steward.resources.upgrade_plan import UpgradePlan
from steward.resources.upgrade_run import DesiredState, Phase, StepState, UpgradeRun
from steward.testing.kubernetes.cluster import Patch
from steward.testing.kubernetes.faults import WriteMoment
from steward.testing.linkerd.executable import write_cli
from steward.testing.linkerd.simulation.faults import InjectorFault
from steward.testing.linkerd.values import Method
from tests.services.upgrader.running import NEW, OLD, World, condition, marked, world


def over(run: UpgradeRun) -> bool:
    return status_of(run).finished_at is not None


async def test_a_release_that_the_catalog_knows_is_brought_to_every_opted_in_pod(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy()
        async with around.running() as replica:
            run = await around.until(over)
            events = await around.told(UpgradeFinished.name)
            assert replica.sample("lock_held") == 1
            assert replica.sample("gate_results_total", gate="LinkerdCheck", result="Passed") == 5
        assert status_of(run).phase is Phase.SUCCEEDED, narrate(run)
        assert set(around.versions("shop")) == {NEW}
        assert set(around.versions("quiet")) == {OLD}
        assert [each.id for each in events] == [f"{run.metadata.uid}/{one.id}" for one in status_of(run).transitions]
        assert set(around.template_changes().values()) == {1}
        told = {text(each, "reason") for each in around.kubernetes.cluster.list(EVENTS)}
        assert {"UpgradeFinished", "ProxyRestarted"} <= told


async def test_the_event_of_a_release_is_the_cause_of_its_run_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as around, around.bus() as bus:
        around.catalog(head=OLD)
        around.policy()
        async with around.running():
            await around.policy_says("UpToDate")
            await bus.publish(_release("release-1"))
            around.move_head(NEW)
            run = await around.until(over)
            assert run.metadata.annotations.get(CAUSE) == "release-1"
            await bus.publish(_release("release-2"))
            await around.policy_says("UpToDate")
            events = await around.told(UpgradeFinished.name)
        assert len(around.runs()) == 1
        assert events[0].causationid == "release-1"
        assert sum(around.deeds().values()) == 2


def _release(id: str) -> Envelope[NewVersion]:
    payload = NewVersion(
        channel="edge",
        release=NEW,
        recommendation=Recommendation.RECOMMENDED,
        observed_at=datetime(2026, 6, 18, tzinfo=UTC),
    )
    return enclose(payload, id=id, cluster="testing", service="version-watcher", time=payload.observed_at)


async def test_a_manual_policy_shows_the_candidate_and_begins_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy(mode="Manual")
        async with around.running():
            policy = await around.policy_says("PathFound")
        assert policy.status is not None
        assert policy.status.candidate == NEW
        assert around.runs() == []


async def test_plans_say_whether_they_can_be_used(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        circle: JsonObject = {
            "metadata": {"name": "circle"},
            "spec": {
                "from": {"range": ">=1"},
                "to": {"range": ">=1"},
                "steps": [
                    {"name": "a", "type": "Preflight", "dependsOn": ["b"]},
                    {"name": "b", "type": "ApplyCRDs", "dependsOn": ["a"]},
                ],
            },
        }
        around.kubernetes.cluster.create(UPGRADE_PLANS, circle)
        async with around.running():
            await around.written(lambda: _plan_says(around, "circle") == "False/Circle")
            await around.written(lambda: _plan_says(around, "linkerd-2.19-to-2.20") == "True/Valid")


def _plan_says(around: World, name: str) -> str:
    found = around.kubernetes.cluster.find(UPGRADE_PLANS, name)
    status = UpgradePlan.of(found).status if found else None
    return f"{status.conditions[0].status.value}/{status.conditions[0].reason}" if status else ""


async def test_a_person_pauses_resumes_and_aborts(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.create_run("mine", state="Pause")
        async with around.running():
            await around.until(lambda each: condition(each, "Paused") == "True/PausedByPerson")
            assert around.deeds().total() == 0
            _press(around, "Run")
            await around.until(lambda each: status_of(each).step == "control-plane")
            _press(around, "Abort")
            run = await around.until(over)
            await around.told(UpgradeFinished.name)
        assert status_of(run).phase is Phase.ABORTED
        assert set(around.versions("shop")) == {OLD}


def _press(around: World, state: str) -> None:
    around.kubernetes.cluster.patch(UPGRADE_RUNS, "mine", Patch("merge", {"spec": {"state": state}}))


async def test_a_preview_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.create_run("look", dryRun="Preview")
        async with around.running():
            run = await around.until(over)
        summaries = {step.name: step.summary for step in status_of(run).preview}
        assert status_of(run).phase is Phase.PREVIEWED
        assert "would restart 3 of 3 workloads" in summaries["data-plane"]
        assert summaries["prune"].startswith("skipped")
        assert around.deeds().total() == 0
        assert set(around.versions("shop")) == {OLD}


async def test_a_wish_that_cannot_be_met_says_why_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.create_run("backwards", target="edge-25.4.4")
        around.create_run("forwards")
        async with around.running():
            run = await around.until(lambda each: each.metadata.name == "forwards" and over(each))
            refused = await around.until(lambda each: each.metadata.name == "backwards")
        assert status_of(run).phase is Phase.SUCCEEDED
        assert condition(refused, "Planned") == "False/Older"


async def test_a_pod_that_comes_back_without_its_proxy_pauses_the_run_and_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.create_run("mine")

        def lose_the_injector(moment: WriteMoment) -> None:
            if moment.stage == "before" and marked(moment.body):
                around.mesh.faults.injector = InjectorFault.DOWN

        around.kubernetes.on_write(lose_the_injector)
        async with around.running():
            run = await around.until(lambda each: condition(each, "Paused") == "True/StepFailed")
            await around.until(lambda each: each.spec.state is DesiredState.PAUSE)
        workloads = status_of(run).workloads
        assert workloads is not None
        failed = [each for each in workloads.listed if each.state == "Failed"]
        assert [each.reason for each in failed] == ["NoProxy"]
        assert around.template_changes().total() == 1


async def test_finished_runs_beyond_the_history_are_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy(mode="Manual", runHistoryLimit=1)
        for name in ("first", "second", "third"):
            around.create_run(name, state="Abort")
        async with around.running():
            await around.written(lambda: len(around.runs()) == 1)


async def test_a_policy_that_is_paused_holds_every_run(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        around.catalog()
        around.policy(mode="Manual", paused=True)
        around.create_run("mine")
        async with around.running():
            await around.until(lambda each: condition(each, "Paused") == "True/PausedByPolicy")
            unpaused = Patch("merge", {"spec": {"paused": False}})
            around.kubernetes.cluster.patch(UPGRADE_POLICIES, "default", unpaused)
            run = await around.until(over)
        assert status_of(run).phase is Phase.SUCCEEDED


async def test_with_its_real_edges_it_upgrades_an_installation_of_the_linkerd_cli(tmp_path: Path) -> None:
    async with world(tmp_path, method=Method.CLI) as around:
        for version in (OLD, NEW):
            write_cli(tmp_path / "artifacts", version)
        around.catalog()
        around.policy()
        async with around.running(quick=False):
            run = await around.until(over)
            await around.told(UpgradeFinished.name)
        assert status_of(run).phase is Phase.SUCCEEDED, narrate(run)
        assert status_of(run).progress == "6/6"
        assert {step.state for step in status_of(run).steps} == {StepState.SUCCEEDED}
        assert set(around.versions("shop")) == {NEW}
        assert set(around.template_changes().values()) == {1}

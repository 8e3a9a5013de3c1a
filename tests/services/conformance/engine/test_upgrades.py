"""What upgrades ask for, and what they get: a run for each step, and a watch from first to last."""

from datetime import UTC, datetime

from services.conformance.core.asked_by_upgrades import after_step, watch_name
from services.conformance.core.ledger import status_of
from services.conformance.service import consumer
from steward.events.base import Event, enclose
from steward.events.conformance import ConformanceOutcome, ConformanceRunFinished
from steward.events.upgrades import (
    RunOutcome,
    StepOutcome,
    UpgradeFinished,
    UpgradeStarted,
    UpgradeStepDone,
    WorkloadCounts,
)
from steward.jsonvalue import text
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources.conformance_run import RunPhase, Trigger
from tests.services.conformance.engine.pieces import held, probe
from tests.services.conformance.engine.running import World, over, verdicts, world

NOW = datetime(2026, 6, 18, tzinfo=UTC)


def about(**more: object) -> dict[str, object]:
    return {
        "run": "up",
        "run_uid": "u-1",
        "plan": "p",
        "from_version": "edge-25.10.7",
        "to_version": "edge-26.6.3",
        "reason": "Because",
        "message": "because",
        **more,
    }


def step(step_type: str = "UpgradeControlPlane", outcome: StepOutcome = StepOutcome.SUCCEEDED) -> UpgradeStepDone:
    more = {
        "step": "control-plane",
        "step_type": step_type,
        "attempt": 1,
        "operation_id": "0123456789abcdef",
        "outcome": outcome,
        "duration_seconds": 1.0,
    }
    return UpgradeStepDone(**about(**more))  # type: ignore[arg-type] # given by tests


async def says(around: World, event: Event, id: str) -> None:
    async with around.bus() as bus:
        await bus.publish(enclose(event, id=id, cluster="testing", service="upgrader", time=NOW))


def test_only_steps_that_changed_the_mesh_are_answered_and_none_twice() -> None:
    made = after_step(step(), ())
    assert made is not None
    assert text(made, "spec", "operationId") == "0123456789abcdef"
    assert after_step(step("Preflight"), ()) is None
    assert after_step(step(outcome=StepOutcome.SKIPPED), ()) is None


async def test_an_upgrade_is_watched_and_each_of_its_steps_answered() -> None:
    async with world(probe("proto.http1"), held("soak.longconn")) as around:
        around.create_suite(schedule=[{"tier": "Foundation", "intervalSeconds": 3600}])
        async with around.bus() as bus:
            await bus.reconcile(consumers=(consumer("testing"),))
        async with around.running():
            await says(around, UpgradeStarted(**about(steps=("control-plane",))), "u-1/run/1/started")  # type: ignore[arg-type] # given by tests
            watch = watch_name("u-1")
            await around.until(lambda each: status_of(each).phase is RunPhase.RUNNING, watch)
            await says(around, step(), "u-1/control-plane/1/done")
            await says(around, step(), "u-1/control-plane/1/done-again")
            answered = await around.until(over, "upgrade-0123456789abcdef")
            finished = about(outcome=RunOutcome.SUCCEEDED, duration_seconds=1.0, workloads=WorkloadCounts())
            await says(around, UpgradeFinished(**finished), "u-1/run/2/finished")  # type: ignore[arg-type] # given by tests
            watched = await around.until(over, watch)
            await around.told(ConformanceRunFinished.name)
        assert answered.spec.trigger is Trigger.UPGRADE_STEP
        assert answered.spec.upgrade_run == "up"
        assert status_of(answered).outcome is ConformanceOutcome.PASSED
        assert verdicts(watched) == {"soak.longconn": "Passed"}
        assert len(around.kubernetes.cluster.list(CONFORMANCE_RUNS)) == 2
        ends = [each.data for each in await around.events() if isinstance(each.data, ConformanceRunFinished)]
        assert {each.operation_id for each in ends} == {"0123456789abcdef", ""}


async def test_without_a_default_suite_nobody_asked_for_probes() -> None:
    async with world(probe("proto.http1")) as around:
        around.create_suite("other")
        async with around.bus() as bus:
            await bus.reconcile(consumers=(consumer("testing"),))
        async with around.running():
            await says(around, step(), "u-1/control-plane/1/done")
            around.create_run("mine", suiteRef={"name": "other"})
            await around.until(over)
        assert len(around.kubernetes.cluster.list(CONFORMANCE_RUNS)) == 1

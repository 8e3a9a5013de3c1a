"""The conformance service as upgrader sees it: one run is asked for, and read until it has a verdict."""

from datetime import timedelta

import pytest

from services.upgrader.core.observations import Awaited, ConformanceSeen, Unseen
from services.upgrader.core.orders import Exercise
from services.upgrader.edges.exercise import ExerciseEdge
from steward.clock import SystemClock
from steward.jsonvalue import Json, JsonObject
from steward.kube.client import Kube
from steward.kube.resources import CONFORMANCE_RUNS, CRDS
from steward.resources import KINDS
from steward.resources.conformance_run import ConformanceRun, Trigger
from steward.resources.definitions import definition
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.server import FakeKubernetes

EXERCISE = Exercise(
    name="edge-26.8.3-features-0a1b2c3d",
    suite="default",
    only=("mtls",),
    timeout=timedelta(minutes=30),
    upgrade_run="edge-26.8.3",
    operation_id="0123456789abcdef",
)


@pytest.fixture
def known(fake_kubernetes: FakeKubernetes) -> FakeKubernetes:
    for kind in KINDS:
        fake_kubernetes.cluster.create(CRDS, definition(kind))
    return fake_kubernetes


async def stand(kube: Kube, status: JsonObject) -> None:
    await kube.merge(CONFORMANCE_RUNS, EXERCISE.name, {"status": status}, subresource="status")


async def test_an_exercise_is_asked_for_once_and_awaited(known: FakeKubernetes, kube: Kube) -> None:
    edge = ExerciseEdge(kube, SystemClock())
    assert isinstance(await edge.ask(EXERCISE), Awaited)
    assert isinstance(await edge.ask(EXERCISE), Awaited)
    (stored,) = known.cluster.list(CONFORMANCE_RUNS)
    spec = ConformanceRun.of(stored).spec
    assert (spec.suite_ref.name, spec.only, spec.trigger) == ("default", ("mtls",), Trigger.UPGRADE_STEP)
    assert (spec.operation_id, spec.upgrade_run) == ("0123456789abcdef", "edge-26.8.3")


@pytest.mark.usefixtures("known")
async def test_a_finished_exercise_tells_what_is_broken_and_why(kube: Kube) -> None:
    edge = ExerciseEdge(kube, SystemClock())
    await edge.ask(EXERCISE)
    lines: list[Json] = [
        {"feature": "mtls.identity", "verdict": "Passed"},
        {"feature": "mtls.tcp", "verdict": "Failed", "message": "SKIPPED_PORT: port 8084 is skipped"},
    ]
    summary: JsonObject = {"passed": 40, "failed": 1}
    await stand(kube, {"phase": "Completed", "outcome": "Failed", "summary": summary, "features": lines})
    seen = await edge.ask(EXERCISE)
    assert isinstance(seen, ConformanceSeen)
    assert [(each.feature, each.message) for each in seen.broken] == [
        ("mtls.tcp", "SKIPPED_PORT: port 8084 is skipped")
    ]


async def test_a_cluster_without_conformance_is_no_pass(kube: Kube) -> None:
    seen = await ExerciseEdge(kube, SystemClock()).ask(EXERCISE)
    assert isinstance(seen, Unseen)
    assert (seen.reason, seen.transient) == ("NoConformance", False)
    assert "take the gate out of the plan" in seen.message


@pytest.mark.usefixtures("known")
async def test_nobody_waits_for_ever(kube: Kube) -> None:
    late = ManualClock(SystemClock().now() + timedelta(hours=1))
    edge = ExerciseEdge(kube, late)
    seen = await edge.ask(EXERCISE)
    assert isinstance(seen, Unseen)
    assert seen.reason == "NobodyAnswers"
    await stand(kube, {"phase": "Running"})
    seen = await edge.ask(EXERCISE)
    assert isinstance(seen, Unseen)
    assert seen.reason == "TimedOut"

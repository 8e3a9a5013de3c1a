"""Real helm on a real API server: upgrades, ends in the middle of one, and releases that are somebody else's."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from services.upgrader.core.orders import Broken, Done, Order, Refused, Stage
from services.upgrader.edges.helm_storage import STAMP
from steward.jsonvalue import Json, JsonObject, rows, text, texts
from steward.resources.upgrade_plan import StepType
from steward.testing.cluster.charts import CONTROL_PLANE, CRDS
from steward.testing.cluster.gate import Answer, Call, Write
from steward.testing.cluster.installation import Linkerd
from tests.services.upgrader.edges.conftest import MakeOrder, files_with_keys
from tests.services.upgrader.edges.stage import (
    OPERATIONS,
    EndAt,
    begins_a_revision,
    edges_on,
    finished,
    gated,
    kill_children,
    seen,
)

pytestmark = pytest.mark.cluster

_GIVEN: JsonObject = {"podAnnotations": {"example.org/kept": "1000000"}, "controllerReplicas": 2}


@pytest.fixture(scope="module", autouse=True)
def installed(linkerd: Linkerd) -> Linkerd:
    """Linkerd of the oldest version by helm, with values of its owner's own."""
    linkerd.by_helm(linkerd.artifacts.oldest, _GIVEN)
    return linkerd


class Journey:
    """Orders back and forth between two versions: the edges do not ask which is newer."""

    def __init__(self, linkerd: Linkerd, make_order: MakeOrder) -> None:
        self._linkerd = linkerd
        self._make = make_order

    def next(self, step: StepType) -> Order:
        """An order to the version that the step's release does not have."""
        chart = CRDS if step is StepType.APPLY_CRDS else CONTROL_PLANE
        now = next(each for each in self._linkerd.commands.releases() if each["name"] == chart)
        versions = self._linkerd.artifacts.versions[-2:]
        (target,) = [each for each in versions if not text(now, "chart").endswith(f"-20{each.partition('-')[2]}")][:1]
        return self._make(step, source=versions[0], target=target, operation=next(OPERATIONS))


@pytest.fixture
def journey(linkerd: Linkerd, make_order: MakeOrder) -> Journey:
    return Journey(linkerd, make_order)


def _helm(linkerd: Linkerd, *arguments: str) -> Json:
    parsed: Json = json.loads(linkerd.commands.helm(*arguments, "--namespace", "linkerd", "-o", "json"))
    return parsed


def _latest(linkerd: Linkerd, release: str) -> JsonObject:
    return rows(_helm(linkerd, "history", release))[-1]


async def test_both_releases_are_upgraded_with_the_values_that_their_owner_gave(
    linkerd: Linkerd, make_order: MakeOrder, tmp_path: Path
) -> None:
    oldest, target = linkerd.artifacts.versions[0], linkerd.artifacts.versions[-2]
    before = _helm(linkerd, "get", "values", CONTROL_PLANE)
    async with edges_on(linkerd, tmp_path) as stand:
        for step in (StepType.PREFLIGHT, StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE, StepType.PRUNE):
            order = make_order(step, source=oldest, target=target, operation=next(OPERATIONS))
            changes = step in (StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE)
            assert (await seen(stand, order)).stage is (Stage.ABSENT if changes else Stage.REACHED)
            if changes:
                assert target.partition("-")[2] in (await stand.edges.installation.preview(order)).summary
                assert isinstance(await stand.edges.installation.act(order), Done)
            reached = await finished(stand, order)
            assert reached.stage is Stage.REACHED
            assert reached.operation_id == (order.operation_id if changes else "")
    assert _helm(linkerd, "get", "values", CONTROL_PLANE) == before
    assert linkerd.config()["linkerdVersion"] == target
    assert f"Upgrade to {target} by linkerd-steward, operation" in text(_latest(linkerd, CONTROL_PLANE), "description")
    deployment = linkerd.cluster.api.get("/apis/apps/v1/namespaces/linkerd/deployments/linkerd-identity")
    assert texts(deployment, "spec", "template", "metadata", "annotations")["example.org/kept"] == "1000000"


@pytest.mark.parametrize("step", [StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE])
async def test_helm_ended_between_any_two_writes_is_recovered_from(
    linkerd: Linkerd, journey: Journey, tmp_path: Path, step: StepType
) -> None:
    release = CRDS if step is StepType.APPLY_CRDS else CONTROL_PLANE
    values = _helm(linkerd, "get", "values", release)
    async with gated(linkerd, tmp_path) as (stand, gate):
        order = journey.next(step)
        assert isinstance(await stand.edges.installation.act(order), Done)
        writes = len(gate.writes)
    # The pending revision, an object, the last object, the old revision superseded, the new one deployed. How many
    # writes there are depends on how many old revisions helm throws away.
    for number in sorted({1, 2, writes // 2, writes - 1, writes, writes + 1}):
        order = journey.next(step)
        async with gated(linkerd, tmp_path) as (stand, gate):
            gate.after_write = EndAt(number, kill_children)
            outcome = await stand.edges.installation.act(order)
            assert isinstance(outcome, Broken) or number > len(gate.writes), (number, writes, outcome)
            assert isinstance(outcome, Done) or "SIGKILL" in outcome.message
        latest = _latest(linkerd, release)
        async with edges_on(linkerd, tmp_path) as stand:
            left = await seen(stand, order)
            if text(latest, "status") == "pending-upgrade":
                assert (left.stage, left.operation_id) == (Stage.INTERRUPTED, order.operation_id), (number, left)
            else:
                arrived = text(latest, "chart").endswith(f"-20{order.target.number}")
                over = (Stage.REACHED, Stage.SETTLING) if arrived else (Stage.ABSENT,)
                assert left.stage in over, (number, writes, latest, left)
            assert (await finished(stand, order)).stage is Stage.REACHED
    assert [text(row, "status") for row in rows(_helm(linkerd, "history", release))][-1] == "deployed"
    assert _helm(linkerd, "get", "values", release) == values
    assert not files_with_keys(tmp_path)


async def test_a_release_that_somebody_else_left_pending_is_refused_and_left_alone(
    linkerd: Linkerd, journey: Journey, tmp_path: Path
) -> None:
    async with edges_on(linkerd, tmp_path) as stand:
        assert (await finished(stand, journey.next(StepType.UPGRADE_CONTROL_PLANE))).stage is Stage.REACHED
    order = journey.next(StepType.UPGRADE_CONTROL_PLANE)
    chart = linkerd.artifacts[str(order.target)].charts / CONTROL_PLANE
    async with gated(linkerd, tmp_path) as (_, gate):
        helm = str(linkerd.commands.binaries.path("helm"))
        argv = [helm, "upgrade", CONTROL_PLANE, str(chart), "-n", "linkerd", "--kubeconfig", str(gate.kubeconfig)]
        foreign = await asyncio.create_subprocess_exec(
            *argv, "--reuse-values", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"HOME": str(tmp_path)}
        )
        gate.after_write = EndAt(1, lambda: foreign.send_signal(signal.SIGKILL), begins_a_revision)
        assert await foreign.wait() == -signal.SIGKILL
    pending = _latest(linkerd, CONTROL_PLANE)
    assert text(pending, "status") == "pending-upgrade"
    secret = f"/api/v1/namespaces/linkerd/secrets/sh.helm.release.v1.{CONTROL_PLANE}.v{pending['revision']}"
    labels = texts(linkerd.cluster.api.get(secret), "metadata", "labels")
    assert STAMP in labels, "helm hands our label on to whoever comes next: the label alone proves nothing"
    try:
        async with edges_on(linkerd, tmp_path) as stand:
            left = await seen(stand, order)
            assert (left.stage, left.reason) == (Stage.REFUSED, "ReleaseLocked")
            assert f"revision {pending['revision']} is pending-upgrade, begun by somebody else" in left.message
            assert "helm rollback linkerd-control-plane --namespace linkerd" in left.message
            outcome = await stand.edges.installation.act(order)
            assert isinstance(outcome, Refused)
            assert outcome.reason == "ReleaseLocked"
            preflight = journey.next(StepType.PREFLIGHT)
            assert (await seen(stand, preflight)).reason == "ReleaseLocked"
        assert _latest(linkerd, CONTROL_PLANE) == pending
    finally:
        linkerd.cluster.api.delete(secret)


async def test_a_revision_of_another_run_is_refused_by_its_name(
    linkerd: Linkerd, journey: Journey, make_order: MakeOrder, tmp_path: Path
) -> None:
    order = journey.next(StepType.APPLY_CRDS)
    async with gated(linkerd, tmp_path) as (stand, gate):
        gate.after_write = EndAt(1, kill_children, begins_a_revision)
        assert isinstance(await stand.edges.installation.act(order), Broken)
    async with edges_on(linkerd, tmp_path) as stand:
        target = str(order.target)
        other = make_order(StepType.APPLY_CRDS, source=target, target=target, operation=next(OPERATIONS))
        left = await seen(stand, other)
        assert left.reason == "ReleaseLocked"
        assert f"operation {order.operation_id} of another run" in left.message
        later = make_order(
            StepType.APPLY_CRDS,
            source=target,
            target=target,
            operation=next(OPERATIONS),
            previous=(order.operation_id,),
        )
        assert (await seen(stand, later)).stage is Stage.INTERRUPTED
        outcome = await stand.edges.installation.act(later)
        assert isinstance(outcome, Done)
        assert f"after freeing revision {_latest(linkerd, CRDS)['revision']!s}" not in outcome.message
        assert "after freeing revision" in outcome.message
        assert (await finished(stand, later)).stage is Stage.REACHED


async def test_an_upgrade_that_the_api_server_refuses_is_a_failure_with_its_reason(
    linkerd: Linkerd, journey: Journey, tmp_path: Path
) -> None:
    order = journey.next(StepType.UPGRADE_CONTROL_PLANE)

    def no_deployments(call: Call) -> Answer | None:
        return Answer(403, message="quota of the day is used up") if _changes_deployments(call) else None

    async with gated(linkerd, tmp_path) as (stand, gate):
        gate.judge = no_deployments
        outcome = await stand.edges.installation.act(order)
        assert isinstance(outcome, Refused | Broken)
        assert "quota of the day is used up" in outcome.message
    async with edges_on(linkerd, tmp_path) as stand:
        left = await seen(stand, order)
        assert (left.stage, left.reason) == (Stage.REFUSED, "UpgradeFailed")
        assert "quota of the day is used up" in left.message
        again = journey.next(StepType.UPGRADE_CONTROL_PLANE)
        assert (await seen(stand, again)).stage is Stage.ABSENT
        assert (await finished(stand, again)).stage is Stage.REACHED


async def test_helm_takes_back_by_itself_what_fails_if_it_is_told_to(
    linkerd: Linkerd, journey: Journey, tmp_path: Path
) -> None:
    order = journey.next(StepType.UPGRADE_CONTROL_PLANE)
    failing = True

    def no_deployments(call: Call) -> Answer | None:
        nonlocal failing
        if failing and _changes_deployments(call):
            failing = False
            return Answer(403, message="not today")
        return None

    async with gated(linkerd, tmp_path, undo=True) as (stand, gate):
        gate.judge = no_deployments
        outcome = await stand.edges.installation.act(order)
        assert isinstance(outcome, Refused), outcome
        assert "has been rolled back" in outcome.message
        left = await seen(stand, order)
        assert (left.stage, left.reason) == (Stage.REFUSED, "RolledBack")
    assert text(_latest(linkerd, CONTROL_PLANE), "status") == "deployed"


async def test_helm_ended_in_its_own_rollback_is_recognised_as_ours(
    linkerd: Linkerd, journey: Journey, tmp_path: Path
) -> None:
    order = journey.next(StepType.UPGRADE_CONTROL_PLANE)

    def no_deployments(call: Call) -> Answer | None:
        return Answer(403, message="not today") if _changes_deployments(call) else None

    def end_in_rollback() -> None:
        if text(_latest(linkerd, CONTROL_PLANE), "status") == "pending-rollback":
            kill_children()

    async with gated(linkerd, tmp_path, undo=True) as (stand, gate):
        gate.judge = no_deployments

        async def after(_: Write) -> None:
            await asyncio.to_thread(end_in_rollback)

        gate.after_write = after
        assert isinstance(await stand.edges.installation.act(order), Broken)
    assert text(_latest(linkerd, CONTROL_PLANE), "status") == "pending-rollback"
    async with edges_on(linkerd, tmp_path) as stand:
        left = await seen(stand, order)
        assert (left.stage, left.operation_id) == (Stage.INTERRUPTED, order.operation_id)
        assert (await finished(stand, order)).stage is Stage.REACHED


async def test_an_unreachable_api_server_says_nothing_of_the_release(
    linkerd: Linkerd, journey: Journey, tmp_path: Path
) -> None:
    order = journey.next(StepType.APPLY_CRDS)
    async with gated(linkerd, tmp_path) as (stand, gate):
        gate.close()
        found = await stand.edges.installation.observe(order)
        assert getattr(found, "transient", False), found
        assert isinstance(await stand.edges.installation.act(order), Broken)


def _changes_deployments(call: Call) -> bool:
    return call.writes and "/deployments/" in call.path

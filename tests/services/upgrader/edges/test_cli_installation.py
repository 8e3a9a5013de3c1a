"""An installation by the Linkerd CLI, upgraded on a simulated mesh by the stand-in CLI of the target version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from services.upgrader.core.observations import CheckSeen, Unseen
from services.upgrader.core.orders import Broken, Done, Order, Refused, Stage, StepObservation
from services.upgrader.edges.assembled import AssembledEdges, Surroundings, assembled
from services.upgrader.edges.tooling import Sources
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.kube.client import Kube, KubeOptions
from steward.kube.resources import CONFIG_MAPS, CRDS, DEPLOYMENTS, NAMESPACES, SECRETS
from steward.kube.retries import RetryPolicy
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import CheckScope, InstallMethod, StepType
from steward.testing.kubernetes.faults import Refuse, WriteMoment
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.executable import write_cli
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.values import Method
from tests.services.upgrader.edges.conftest import MakeOrder, files_with_keys

OLD, NEW = "edge-25.10.7", "edge-26.6.3"
LABEL = {"linkerd.io/control-plane-ns": "linkerd"}


@dataclass(frozen=True, slots=True)
class World:
    """A simulated mesh, the edges on it, and the CLI in the owner's folder."""

    kubernetes: FakeKubernetes
    mesh: SimulatedMesh
    edges: AssembledEdges
    kube: Kube
    artifacts: Path

    async def seen(self, order: Order) -> StepObservation:
        found = await self.edges.installation.observe(order)
        assert isinstance(found, StepObservation), found
        return found

    async def finished(self, order: Order) -> StepObservation:
        async with asyncio.timeout(30):
            while True:
                found = await self.seen(order)
                if found.stage in (Stage.ABSENT, Stage.INTERRUPTED):
                    outcome = await self.edges.installation.act(order)
                    assert isinstance(outcome, Done), outcome
                elif found.stage is Stage.SETTLING:
                    await self.mesh.settled()
                else:
                    return found


@asynccontextmanager
async def _edges(kubernetes: FakeKubernetes, work: Path) -> AsyncIterator[tuple[AssembledEdges, Kube]]:
    options = KubeOptions(retry=RetryPolicy(attempts=2, first=timedelta(milliseconds=1)))
    around = Surroundings(
        helm=Path("/nonexistent/helm"),
        work=work / "work",
        sources=Sources(work / "artifacts"),
        kubeconfig=kubernetes.kubeconfig(),
        environment={"PATH": "/usr/bin:/bin"},
    )
    async with (
        await Kube.connect(kubeconfig=kubernetes.kubeconfig(), options=options) as kube,
        assembled(kube, SystemClock(), around) as edges,
    ):
        yield edges, kube


@pytest_asyncio.fixture
async def world(fake_kubernetes: FakeKubernetes, tmp_path: Path) -> AsyncIterator[World]:
    write_cli(tmp_path / "artifacts", NEW)
    async with SimulatedMesh(fake_kubernetes) as mesh:
        await mesh.install(OLD, method=Method.CLI)
        async with _edges(fake_kubernetes, tmp_path) as (edges, kube):
            yield World(fake_kubernetes, mesh, edges, kube, tmp_path / "artifacts")


@pytest.fixture
def order(make_order: MakeOrder) -> MakeOrder:
    def make(step: StepType, **more: object) -> Order:
        return make_order(step, source=OLD, target=NEW, method=InstallMethod.CLI, **more)

    return make


async def test_every_step_is_done_and_then_seen_as_done(world: World, order: MakeOrder) -> None:
    for number, step in enumerate((StepType.PREFLIGHT, StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE)):
        reached = await world.finished(order(step, operation=f"{number:016x}"))
        assert reached.stage is Stage.REACHED, reached
    config = await world.kube.get(CONFIG_MAPS, "linkerd-config", "linkerd")
    assert f"linkerdVersion: {NEW}" in text(config, "data", "values")
    assert texts(config, "metadata", "annotations")["steward.linkerd.io/last-operation"] == f"{2:016x}"


async def test_what_the_target_no_longer_renders_goes_even_from_the_middle_of_an_object(
    world: World, order: MakeOrder
) -> None:
    def containers(deployment: JsonObject, member: str) -> list[str]:
        return [text(each, "name") for each in rows(deployment, "spec", "template", "spec", member)]

    before = await world.kube.get(DEPLOYMENTS, "linkerd-destination", "linkerd")
    assert "linkerd-proxy" in containers(before, "containers")
    await world.finished(order(StepType.UPGRADE_CONTROL_PLANE))
    after = await world.kube.get(DEPLOYMENTS, "linkerd-destination", "linkerd")
    assert "linkerd-proxy" in containers(after, "initContainers")
    assert "linkerd-proxy" not in containers(after, "containers")
    assert "linkerd-init" in containers(after, "initContainers")
    managers = {text(entry, "manager") for entry in rows(after, "metadata", "managedFields")}
    assert "kubectl" not in managers


async def test_what_people_added_to_an_object_of_linkerds_stays(world: World, order: MakeOrder) -> None:
    note: JsonObject = {"metadata": {"annotations": {"example.org/owner": "platform team"}}}
    await world.kube.merge(DEPLOYMENTS, "linkerd-identity", note, "linkerd")
    await world.finished(order(StepType.UPGRADE_CONTROL_PLANE))
    after = await world.kube.get(DEPLOYMENTS, "linkerd-identity", "linkerd")
    # Merged as the same manager that applies: a person's own tool has another one.
    assert "steward.linkerd.io/last-operation" in texts(after, "metadata", "annotations")


@pytest.mark.parametrize("step", [StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE])
async def test_an_upgrade_that_ends_between_two_writes_is_seen_and_finished(
    world: World, order: MakeOrder, step: StepType, tmp_path: Path
) -> None:
    writes = await _writes_of(world, order(step, operation="f" * 16), None)
    assert writes > 10
    for number in (2, writes // 2, writes - 1):
        await world.mesh.upgrade(OLD)
        attempt = order(step, operation=f"{number:016x}")
        assert await _writes_of(world, attempt, number) == number
        async with _edges(world.kubernetes, tmp_path) as (edges, kube):
            after = World(world.kubernetes, world.mesh, edges, kube, world.artifacts)
            left = await after.seen(attempt)
            # CRDs that two versions share are as they should be from the beginning.
            allowed = {Stage.ABSENT, Stage.INTERRUPTED} | ({Stage.REACHED} if step is StepType.APPLY_CRDS else set())
            assert left.stage in allowed, (number, writes, left)
            assert (await after.finished(attempt)).stage is Stage.REACHED


async def _writes_of(world: World, order: Order, end_at: int | None) -> int:
    """How many changes an act makes; it is cancelled right after the one of number `end_at`."""
    count = 0
    acting = asyncio.create_task(world.edges.installation.act(order))

    async def on_write(moment: WriteMoment) -> None:
        nonlocal count
        if moment.stage == "before" or moment.code >= 300:
            return
        count += 1
        if count == end_at:
            acting.cancel()

    hook = on_write
    world.kubernetes.on_write(hook)
    with suppress(asyncio.CancelledError):
        await acting
    return count


async def test_only_leftovers_of_this_control_plane_are_pruned(world: World, order: MakeOrder) -> None:
    await world.finished(order(StepType.UPGRADE_CONTROL_PLANE))
    for name, labels in (("leftover", LABEL), ("of-others", {"linkerd.io/control-plane-ns": "linkerd-two"})):
        await world.kube.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "linkerd", "labels": {**labels}}})
    await world.kube.create(NAMESPACES, {"metadata": {"name": "old-home", "labels": {**LABEL}}})
    await world.kube.merge(CRDS, "httproutes.gateway.networking.k8s.io", {"metadata": {"labels": {**LABEL}}})
    prune = order(StepType.PRUNE)
    left = await world.seen(prune)
    assert left.stage is Stage.ABSENT
    assert left.message == "left over from an earlier version: ConfigMap linkerd/leftover"
    assert "ConfigMap linkerd/leftover" in (await world.edges.installation.preview(prune)).summary
    assert (await world.finished(prune)).stage is Stage.REACHED
    assert await world.kube.find(CONFIG_MAPS, "leftover", "linkerd") is None
    assert await world.kube.find(CONFIG_MAPS, "of-others", "linkerd") is not None
    assert await world.kube.find(NAMESPACES, "old-home") is not None
    assert await world.kube.find(CRDS, "httproutes.gateway.networking.k8s.io") is not None


async def test_kinds_that_the_plan_excludes_are_not_pruned(world: World, order: MakeOrder) -> None:
    await world.finished(order(StepType.UPGRADE_CONTROL_PLANE))
    await world.kube.create(
        CONFIG_MAPS, {"metadata": {"name": "leftover", "namespace": "linkerd", "labels": {**LABEL}}}
    )
    assert (await world.seen(order(StepType.PRUNE, exclude=("ConfigMap",)))).stage is Stage.REACHED


async def test_an_installation_that_the_cli_did_not_make_is_refused(world: World, order: MakeOrder) -> None:
    await world.kube.delete(SECRETS, "linkerd-config-overrides", "linkerd")
    found = await world.seen(order(StepType.PREFLIGHT))
    assert (found.stage, found.reason) == (Stage.REFUSED, "NoOverrides")
    outcome = await world.edges.installation.act(order(StepType.UPGRADE_CONTROL_PLANE))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "NoOverrides"


async def test_without_a_cli_the_step_is_refused_and_the_check_is_unseen(world: World, order: MakeOrder) -> None:
    (world.artifacts / NEW / "linkerd").unlink()
    for step in (StepType.PREFLIGHT, StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE):
        found = await world.seen(order(step))
        assert (found.stage, found.reason) == (Stage.REFUSED, "NotAtHand")
        assert f"<artifacts directory>/{NEW}/linkerd" in found.message
    check = await world.edges.probes.linkerd_check(Version.parse(NEW), CheckScope.CONTROL_PLANE, timedelta(seconds=10))
    assert isinstance(check, Unseen)
    assert (check.reason, check.transient) == ("NoCli", False)


async def test_linkerds_own_check_is_asked_in_both_scopes(world: World) -> None:
    for scope in CheckScope:
        seen = await world.edges.probes.linkerd_check(Version.parse(NEW), scope, timedelta(seconds=20))
        assert isinstance(seen, CheckSeen), seen
        assert seen.cli == NEW
        proxies = any("data-plane" in category for document in seen.documents for category in document.categories)
        assert proxies is (scope is CheckScope.PROXY)


async def test_an_api_server_in_trouble_is_trouble_and_no_answer(world: World, order: MakeOrder) -> None:
    world.kubernetes.faults.add(Refuse(503, "ServiceUnavailable", "etcd is away"), path="configmaps", times=None)
    found = await world.edges.installation.observe(order(StepType.UPGRADE_CONTROL_PLANE))
    assert isinstance(found, Unseen)
    assert (found.reason, found.transient) == ("ApiServerUnavailable", True)
    outcome = await world.edges.installation.act(order(StepType.UPGRADE_CONTROL_PLANE))
    assert isinstance(outcome, Broken)


async def test_a_missing_right_is_no_passing_trouble(world: World, order: MakeOrder) -> None:
    world.kubernetes.faults.add(
        Refuse(403, "Forbidden", "may not patch"), path="serviceaccounts/", method="PATCH", times=None
    )
    outcome = await world.edges.installation.act(order(StepType.UPGRADE_CONTROL_PLANE))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "Forbidden"
    assert "may not patch" in outcome.message


async def test_a_rollout_that_cannot_go_on_says_what_keeps_it(world: World, order: MakeOrder) -> None:
    world.mesh.faults.break_workload("linkerd", "linkerd-identity")
    attempt = order(StepType.UPGRADE_CONTROL_PLANE)
    assert isinstance(await world.edges.installation.act(attempt), Done)
    await world.mesh.settled()
    found = await world.seen(attempt)
    assert found.stage is Stage.SETTLING
    assert "linkerd-identity" in found.message


async def test_nothing_that_is_said_or_stored_holds_a_key(world: World, order: MakeOrder, tmp_path: Path) -> None:
    attempt = order(StepType.UPGRADE_CONTROL_PLANE)
    said = [
        repr(await world.edges.installation.preview(attempt)),
        repr(await world.edges.installation.act(attempt)),
        repr(await world.edges.installation.observe(attempt)),
    ]
    assert not [line for line in said if "BEGIN" in line]
    assert not files_with_keys(tmp_path)
    overrides = await world.kube.get(SECRETS, "linkerd-config-overrides", "linkerd")
    assert dig(overrides, "data") is not None

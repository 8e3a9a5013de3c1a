"""An installation that GitOps owns: real helm renders the change on a simulated mesh, and nothing is applied."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from services.upgrader.core.orders import Done, Order, Stage, StepObservation
from services.upgrader.edges.assembled import AssembledEdges, Surroundings, assembled
from services.upgrader.edges.chart_values import differences
from services.upgrader.edges.gitops import says_all_of
from services.upgrader.edges.handover import Handover
from services.upgrader.edges.tooling import Sources
from steward.clock import SystemClock
from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.kube.client import Kube
from steward.linkerd.version import Version
from steward.resources.upgrade_plan import InstallMethod, StepType
from steward.testing.cluster.artifacts import Artifacts
from steward.testing.cluster.binaries import Binaries
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.values import Method
from tests.services.upgrader.edges.conftest import MakeOrder, files_with_keys

OLD, NEW = "edge-26.6.3", "edge-26.8.3"


class World:
    """The mesh, the edges, and the folder in which changes are handed over."""

    def __init__(self, kubernetes: FakeKubernetes, mesh: SimulatedMesh, edges: AssembledEdges, folder: Path) -> None:
        self.kubernetes = kubernetes
        self.mesh = mesh
        self.edges = edges
        self.folder = folder

    async def seen(self, order: Order) -> StepObservation:
        found = await self.edges.installation.observe(order)
        assert isinstance(found, StepObservation), found
        return found

    def change(self, step: StepType) -> JsonObject:
        parsed: JsonObject = json.loads((self.folder / "a-run" / step.value.lower() / "change.json").read_text())
        return parsed

    def rendered(self, step: StepType, chart: str) -> list[JsonObject]:
        content = (self.folder / "a-run" / step.value.lower() / f"{chart}.yaml").read_text()
        parsed: Json = list(yaml.safe_load_all(content))
        return rows({"items": parsed}, "items")


@pytest_asyncio.fixture
async def world(
    fake_kubernetes: FakeKubernetes, binaries: Binaries, artifacts: Artifacts, kube: Kube, tmp_path: Path
) -> AsyncIterator[World]:
    around = Surroundings(
        binaries.path("helm"),
        tmp_path / "work",
        Sources(artifacts.directory),
        gitops=tmp_path / "changes",
        environment={"PATH": "/usr/bin:/bin"},
    )
    async with SimulatedMesh(fake_kubernetes) as mesh:
        await mesh.install(OLD, method=Method.HELM, overrides={"podAnnotations": {"example.org/kept": "yes"}})
        async with assembled(kube, SystemClock(), around) as edges:
            yield World(fake_kubernetes, mesh, edges, tmp_path / "changes")


@pytest.fixture
def order(make_order: MakeOrder) -> MakeOrder:
    def make(step: StepType, **more: object) -> Order:
        return make_order(step, source=OLD, target=NEW, method=InstallMethod.GITOPS, **more)

    return make


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("step", "chart"),
    [(StepType.APPLY_CRDS, "linkerd-crds"), (StepType.UPGRADE_CONTROL_PLANE, "linkerd-control-plane")],
)
async def test_a_change_is_written_and_nothing_is_applied(
    world: World, order: MakeOrder, step: StepType, chart: str, tmp_path: Path
) -> None:
    assert (await world.seen(order(StepType.PREFLIGHT))).stage is Stage.REACHED
    writes = len(world.kubernetes.audit)
    attempt = order(step)
    assert (await world.seen(attempt)).stage is Stage.ABSENT
    assert isinstance(await world.edges.installation.act(attempt), Done)
    left = await world.seen(attempt)
    assert (left.stage, left.operation_id) == (Stage.HANDED_OVER, attempt.operation_id)
    assert str(world.folder) in left.message
    assert len(world.kubernetes.audit) == writes
    change = world.change(step)
    assert (change["from"], change["to"], change["chart"], change["chartVersion"]) == (OLD, NEW, chart, "2026.8.3")
    objects = world.rendered(step, chart)
    assert len(objects) >= 10
    assert not [each for each in objects if text(each, "kind") == "Secret"]
    hooks = [hook for each in objects for hook in rows(each, "webhooks")]
    assert not [hook for hook in hooks if "caBundle" in table(hook, "clientConfig")]
    assert not files_with_keys(tmp_path)


@pytest.mark.cluster
async def test_what_the_owner_gave_is_in_the_rendering_and_what_is_of_the_release_is_not(
    world: World, order: MakeOrder
) -> None:
    step = StepType.UPGRADE_CONTROL_PLANE
    await world.edges.installation.act(order(step))
    config = next(
        each
        for each in world.rendered(step, "linkerd-control-plane")
        if text(each, "metadata", "name") == "linkerd-config"
    )
    values = yaml.safe_load(text(config, "data", "values"))
    assert values["linkerdVersion"] == NEW
    assert values["podAnnotations"] == {"example.org/kept": "yes"}


@pytest.mark.cluster
async def test_the_step_is_done_when_the_owner_has_applied_it(world: World, order: MakeOrder) -> None:
    crds, control_plane = order(StepType.APPLY_CRDS), order(StepType.UPGRADE_CONTROL_PLANE)
    await world.edges.installation.act(control_plane)
    await world.mesh.upgrade(NEW)
    assert (await world.seen(control_plane)).stage is Stage.REACHED
    world.mesh.apply(_rendered_crds(await _written(world, crds)), manager="argocd-controller")
    assert (await world.seen(crds)).stage is Stage.REACHED


async def _written(world: World, order: Order) -> list[JsonObject]:
    assert isinstance(await world.edges.installation.act(order), Done)
    return world.rendered(StepType.APPLY_CRDS, "linkerd-crds")


def _rendered_crds(objects: list[JsonObject]) -> list[JsonObject]:
    return [each for each in objects if text(each, "kind") == "CustomResourceDefinition"]


@pytest.mark.cluster
async def test_a_change_of_another_target_or_run_is_written_anew(world: World, order: MakeOrder) -> None:
    first = order(StepType.APPLY_CRDS, operation="1" * 16)
    await world.edges.installation.act(first)
    second = order(StepType.APPLY_CRDS, operation="2" * 16)
    assert (await world.seen(second)).stage is Stage.ABSENT
    await world.edges.installation.act(second)
    assert (await world.seen(second)).stage is Stage.HANDED_OVER
    retried = order(StepType.APPLY_CRDS, operation="3" * 16, previous=("2" * 16,))
    assert (await world.seen(retried)).stage is Stage.HANDED_OVER


async def test_without_a_folder_the_run_is_refused_before_it_begins(
    order: MakeOrder, kube: Kube, tmp_path: Path
) -> None:
    around = Surroundings(Path("/nonexistent/helm"), tmp_path / "work")
    async with assembled(kube, SystemClock(), around) as edges:
        found = await edges.installation.observe(order(StepType.PREFLIGHT))
    assert isinstance(found, StepObservation)
    assert (found.stage, found.reason) == (Stage.REFUSED, "NoHandover")


def test_a_handover_is_there_as_a_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    handover = Handover(tmp_path, "run", "crds")
    target = Version.parse(NEW)
    assert not handover.made_for(target, ["one"])
    handover.write({"change.json": json.dumps({"to": NEW, "operation": "one"}), "extra": "x"})
    assert handover.made_for(target, ["one"])
    assert not handover.made_for(Version.parse(OLD), ["one"])
    handover.write({"change.json": json.dumps({"to": NEW, "operation": "two"})})
    assert handover.operation() == "two"
    assert sorted(path.name for path in handover.path.iterdir()) == ["change.json"]
    assert [path.name for path in handover.path.parent.iterdir()] == ["crds"]


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": {}}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [{"n": 1, "more": 2}]}, {"a": [{"n": 1}]}, True),
        ({"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 1}]}, False),
        (None, {"a": 1}, False),
    ],
)
def test_the_api_servers_own_additions_do_not_matter(live: Json, wanted: Json, same: bool) -> None:
    assert says_all_of(live, wanted) is same


def test_only_what_differs_from_the_defaults_was_given() -> None:
    merged: JsonObject = {"a": 1, "b": {"c": 2, "d": 3}, "e": [1]}
    defaults: JsonObject = {"a": 1, "b": {"c": 2, "d": 4}, "e": [2], "gone": 1}
    assert differences(merged, defaults) == {"b": {"d": 3}, "e": [1]}

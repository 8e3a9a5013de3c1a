"""The Linkerd CLI on a real API server: what `kubectl apply` installed is upgraded, whole or cut off and finished."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from services.upgrader.core.orders import Order, Stage
from steward.jsonvalue import JsonObject, rows, text
from steward.resources.upgrade_plan import InstallMethod, StepType
from steward.testing.cluster.gate import Write
from steward.testing.cluster.installation import Linkerd
from tests.services.upgrader.edges.conftest import MakeOrder, files_with_keys
from tests.services.upgrader.edges.stage import OPERATIONS, edges_on, finished, gated, seen

pytestmark = pytest.mark.cluster

_DESTINATION = "/apis/apps/v1/namespaces/linkerd/deployments/linkerd-destination"
_LEFTOVER = "/api/v1/namespaces/linkerd/configmaps/leftover"


@pytest.fixture(scope="module", autouse=True)
def installed(linkerd: Linkerd) -> Linkerd:
    """Linkerd of the oldest version, by its CLI and `kubectl apply`."""
    linkerd.by_cli(linkerd.artifacts.oldest)
    return linkerd


async def test_every_step_is_done_on_objects_that_kubectl_applied(
    linkerd: Linkerd, make_order: MakeOrder, tmp_path: Path
) -> None:
    oldest, target = linkerd.artifacts.versions[0], linkerd.artifacts.versions[-2]
    leftover: JsonObject = {"metadata": {"name": "leftover", "labels": {"linkerd.io/control-plane-ns": "linkerd"}}}
    linkerd.cluster.api.create(_LEFTOVER.rpartition("/")[0], leftover)
    uid = text(linkerd.cluster.api.get("/api/v1/namespaces/linkerd/configmaps/linkerd-config"), "metadata", "uid")
    async with edges_on(linkerd, tmp_path) as stand:
        for step in (StepType.PREFLIGHT, StepType.APPLY_CRDS, StepType.UPGRADE_CONTROL_PLANE, StepType.PRUNE):
            order = make_order(step, source=oldest, target=target, method=InstallMethod.CLI, operation=next(OPERATIONS))
            reached = await finished(stand, order)
            assert reached.stage is Stage.REACHED, reached
    assert linkerd.config()["linkerdVersion"] == target
    assert linkerd.cluster.api.find(_LEFTOVER) is None
    config = linkerd.cluster.api.get("/api/v1/namespaces/linkerd/configmaps/linkerd-config")
    assert text(config, "metadata", "uid") == uid, "the installation's identity is its linkerd-config"
    assert _proxies(linkerd.cluster.api.get(_DESTINATION)) == 1
    assert len(linkerd.cluster.api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")) >= 10
    assert not files_with_keys(tmp_path)


async def test_an_upgrade_that_was_cut_off_is_seen_and_finished_by_whoever_comes_next(
    linkerd: Linkerd, make_order: MakeOrder, tmp_path: Path
) -> None:
    versions = linkerd.artifacts.versions[-2:]
    for turn, share in enumerate((0.02, 0.3, 0.6, 0.97)):
        target = versions[(turn + 1) % 2]
        order = make_order(
            StepType.UPGRADE_CONTROL_PLANE,
            source=versions[turn % 2],
            target=target,
            method=InstallMethod.CLI,
            operation=next(OPERATIONS),
        )
        await _cut_off(linkerd, order, tmp_path, share)
        async with edges_on(linkerd, tmp_path) as stand:
            left = await seen(stand, order)
            assert left.stage in (Stage.ABSENT, Stage.INTERRUPTED), (share, left)
            assert (await finished(stand, order)).stage is Stage.REACHED
        assert linkerd.config()["linkerdVersion"] == target
        assert _proxies(linkerd.cluster.api.get(_DESTINATION)) == 1


async def _cut_off(linkerd: Linkerd, order: Order, tmp_path: Path, share: float) -> None:
    """Cancel the act after about that share of its writes: one for each of some forty objects."""
    async with gated(linkerd, tmp_path) as (stand, gate):
        acting = asyncio.create_task(stand.edges.installation.act(order))

        async def after(write: Write) -> None:
            if write.number >= max(1, round(43 * share)):
                acting.cancel()

        gate.after_write = after
        with suppress(asyncio.CancelledError):
            await acting
        assert acting.cancelled()


def _proxies(deployment: JsonObject) -> int:
    template = ("spec", "template", "spec")
    containers = [*rows(deployment, *template, "containers"), *rows(deployment, *template, "initContainers")]
    return sum(text(each, "name") == "linkerd-proxy" for each in containers)

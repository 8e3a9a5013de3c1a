"""Restarts on a simulated mesh: one value, once, and never against somebody's will."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from services.upgrader.core.orders import Broken, Done, Refused, Restart
from services.upgrader.edges.workloads import MANAGER, WorkloadEdge
from steward.jsonvalue import JsonObject, rows, text, texts, whole
from steward.kube.client import Kube, KubeOptions
from steward.kube.resources import DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS, Resource
from steward.kube.retries import RetryPolicy
from steward.linkerd.pods import WorkloadRef
from steward.testing.kubernetes.faults import Refuse, Reset
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.mesh import SimulatedMesh

MARKER = "edge-26.8.3/0123abcd/0"
RESOURCES = {each.kind: each for each in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)}


class Shop:
    """A mesh of the older version with one workload of each kind."""

    def __init__(self, kubernetes: FakeKubernetes, mesh: SimulatedMesh, kube: Kube) -> None:
        self.kubernetes = kubernetes
        self.mesh = mesh
        self.kube = kube
        self.edge = WorkloadEdge(kube)

    async def live(self, kind: str) -> JsonObject:
        return await self.kube.get(RESOURCES[kind], kind.lower(), "shop")

    async def restart(self, kind: str, *, marker: str = MARKER, operation: str = "op-1") -> Restart:
        uid = text(await self.live(kind), "metadata", "uid")
        return Restart(WorkloadRef(kind, "shop", kind.lower()), uid, marker, operation)


@pytest_asyncio.fixture
async def shop(fake_kubernetes: FakeKubernetes) -> AsyncIterator[Shop]:
    options = KubeOptions(retry=RetryPolicy(attempts=2, first=timedelta(milliseconds=1)))
    async with SimulatedMesh(fake_kubernetes) as mesh:
        await mesh.install("edge-26.6.3")
        for kind in RESOURCES:
            mesh.workload(kind, "shop", kind.lower(), replicas=2)
        await mesh.settled()
        async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=options) as kube:
            yield Shop(fake_kubernetes, mesh, kube)


@pytest.mark.parametrize("kind", list(RESOURCES))
async def test_a_restart_replaces_every_pod_once(shop: Shop, kind: str) -> None:
    before = {text(pod, "metadata", "uid") for pod in shop.mesh.pods("shop", labels=f"app={kind.lower()}")}
    restart = await shop.restart(kind)
    assert isinstance(await shop.edge.restart(restart), Done)
    await shop.mesh.settled()
    after = shop.mesh.pods("shop", labels=f"app={kind.lower()}")
    assert len(after) == len(before)
    assert not before & {text(pod, "metadata", "uid") for pod in after}
    again = await shop.edge.restart(restart)
    assert isinstance(again, Done)
    assert not again.changed
    await shop.mesh.settled()
    names = {text(pod, "metadata", "uid") for pod in shop.mesh.pods("shop", labels=f"app={kind.lower()}")}
    assert names == {text(pod, "metadata", "uid") for pod in after}


async def test_the_workload_is_stamped_and_nothing_else_of_it_is_owned(shop: Shop) -> None:
    await shop.edge.restart(await shop.restart("Deployment"))
    live = await shop.live("Deployment")
    assert texts(live, "metadata", "annotations")["steward.linkerd.io/last-operation"] == "op-1"
    (entry,) = [each for each in rows(live, "metadata", "managedFields") if text(each, "manager") == MANAGER]
    assert set(texts(live, "spec", "template", "metadata", "annotations")) == {"steward.linkerd.io/proxy-target"}
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:annotations": {"f:steward.linkerd.io/last-operation": {}}},
        "f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:steward.linkerd.io/proxy-target": {}}}}},
    }


async def test_a_lost_answer_does_not_restart_twice(shop: Shop) -> None:
    restart = await shop.restart("Deployment")
    shop.kubernetes.faults.add(Reset(after=True), method="PATCH", times=1)
    assert isinstance(await shop.edge.restart(restart), Done)
    assert whole(await shop.live("Deployment"), "metadata", "generation") == 2


async def test_another_marker_restarts_again(shop: Shop) -> None:
    for epoch in range(3):
        done = await shop.edge.restart(await shop.restart("Deployment", marker=f"edge-26.8.3/0123abcd/{epoch}"))
        assert isinstance(done, Done)
        assert done.changed
    assert whole(await shop.live("Deployment"), "metadata", "generation") == 4


async def test_one_that_was_made_again_under_the_name_is_left_alone(shop: Shop) -> None:
    restart = await shop.restart("Deployment")
    shop.mesh.delete(DEPLOYMENTS, "deployment", "shop")
    gone = await shop.edge.restart(restart)
    assert isinstance(gone, Refused)
    assert gone.reason == "Gone"
    shop.mesh.workload("Deployment", "shop", "deployment")
    replaced = await shop.edge.restart(restart)
    assert isinstance(replaced, Refused)
    assert replaced.reason == "Replaced"
    assert whole(await shop.live("Deployment"), "metadata", "generation") == 1


async def test_a_deleted_one_is_not_made_by_the_restart(shop: Shop) -> None:
    restart = await shop.restart("Deployment")

    def delete_before_the_write(moment: object) -> None:
        if getattr(moment, "stage", "") == "before" and getattr(moment, "method", "") == "PATCH":
            shop.mesh.delete(DEPLOYMENTS, "deployment", "shop")

    shop.kubernetes.on_write(delete_before_the_write)
    assert not isinstance(await shop.edge.restart(restart), Done)
    assert await shop.kube.find(DEPLOYMENTS, "deployment", "shop") is None


async def test_a_paused_one_is_refused_with_the_remedy(shop: Shop) -> None:
    shop.mesh.change("Deployment", "shop", "deployment", {"spec": {"paused": True}})
    refused = await shop.edge.restart(await shop.restart("Deployment"))
    assert isinstance(refused, Refused)
    assert refused.reason == "Paused"
    assert "kubectl rollout resume" in refused.message


async def test_a_marker_that_somebody_else_owns_is_contested(shop: Shop) -> None:
    theirs: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "deployment", "namespace": "shop"},
        "spec": {"template": {"metadata": {"annotations": {"steward.linkerd.io/proxy-target": "old"}}}},
    }
    await shop.kube.apply(DEPLOYMENTS, theirs, manager="argocd-controller", force=True)
    refused = await shop.edge.restart(await shop.restart("Deployment"))
    assert isinstance(refused, Refused)
    assert refused.reason == "Contested"
    assert "argocd-controller" in refused.message


async def test_a_kind_without_a_template_is_unsupported(shop: Shop) -> None:
    refused = await shop.edge.restart(Restart(WorkloadRef("Pod", "shop", "bare"), "uid", MARKER, "op"))
    assert isinstance(refused, Refused)
    assert refused.reason == "Unsupported"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(403, "Forbidden", "may not patch deployments"), Refused),
        (Refuse(422, "Invalid", "template is immutable"), Refused),
        (Refuse(500, "InternalError", "etcd is away"), Broken),
        (Refuse(429, "TooManyRequests", "later", retry_after=0), Broken),
    ],
)
async def test_what_the_api_server_says_is_told_apart(shop: Shop, fault: Refuse, kind: type) -> None:
    restart = await shop.restart("Deployment")
    shop.kubernetes.faults.add(fault, method="PATCH", times=None)
    outcome = await shop.edge.restart(restart)
    assert isinstance(outcome, kind), outcome


def test_the_kinds_are_those_whose_template_makes_pods() -> None:
    assert all(isinstance(each, Resource) and each.group == "apps" for each in RESOURCES.values())

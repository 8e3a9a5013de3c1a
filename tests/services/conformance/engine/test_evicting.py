"""Draining a node of a probe's own pods, at an API server: never all of them, and never anybody else's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from services.conformance.core.evidence import Drained
from services.conformance.core.ports import Unable
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Evicted
from services.conformance.edges.cluster import ProbedCluster
from services.conformance.edges.surveying import Surveyor
from services.conformance.engine.evicting import evicted
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.resources import DISRUPTION_BUDGETS, NAMESPACES, NODES, PODS
from steward.testing.kubernetes.server import FakeKubernetes

OWNER = {"steward.linkerd.io/conformance-run-uid": "run-1"}
STAGE = Stage(run="run", meshed="meshed", plain="plain", owner=OWNER)


@dataclass
class Cluster:
    """Two namespaces of a run, one of somebody else, and two nodes."""

    kubernetes: FakeKubernetes
    probed: ProbedCluster

    def pod(self, name: str, node: str, namespace: str = "meshed", *, owned: bool = True) -> None:
        labels = {"app": "drained", **(OWNER if owned else {})}
        made: JsonObject = {
            "metadata": {"name": name, "labels": {**labels}},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "echo"}]},
        }
        self.kubernetes.cluster.create(PODS, made, namespace)

    def names(self) -> set[str]:
        return {text(pod, "metadata", "name") for pod in self.kubernetes.cluster.list(PODS)}

    async def evicted(self, namespace: str = "meshed") -> Drained:
        step = Evicted("drained", "drained", namespace, timedelta())
        return await evicted(step, STAGE, self.probed, SystemClock())


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    async with FakeKubernetes() as kubernetes, await Kube.connect(kubeconfig=kubernetes.kubeconfig()) as kube:
        for name in ("meshed", "plain", "shop"):
            kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": name}})
        yield Cluster(kubernetes, ProbedCluster(kube, Surveyor(kube, "linkerd")))


async def test_the_pods_of_one_node_go_and_nobody_else() -> None:
    async with cluster() as it:
        for name, node in (("one", "a"), ("two", "a"), ("three", "b")):
            it.pod(name, node)
        it.pod("bystander", "a", "shop")
        nodes = it.kubernetes.cluster.list(NODES)
        found = await it.evicted()
        assert (found.node, found.gone, found.refused) == ("a", ("one", "two"), {})
        assert found.before == ("one", "three", "two")
        assert it.names() == {"three", "bystander"}
        assert it.kubernetes.cluster.list(NODES) == nodes


async def test_pods_of_a_namespace_that_is_not_the_runs_are_never_evicted() -> None:
    async with cluster() as it:
        it.pod("one", "a", "shop")
        it.pod("two", "b", "shop")
        with pytest.raises(Unable, match="'shop' is no namespace of the run") as refused:
            await it.evicted("shop")
        assert refused.value.reason == "OutOfBounds"
        assert it.names() == {"one", "two"}


async def test_a_pod_without_the_labels_of_the_run_keeps_all_of_them_where_they_are() -> None:
    async with cluster() as it:
        it.pod("one", "a")
        it.pod("two", "a", owned=False)
        it.pod("three", "b")
        with pytest.raises(Unable, match="pod 'two' does not carry the labels of this run"):
            await it.evicted()
        assert it.names() == {"one", "two", "three"}


async def test_where_all_are_on_one_node_none_goes() -> None:
    async with cluster() as it:
        it.pod("one", "a")
        it.pod("two", "a")
        with pytest.raises(Unable, match="are not on two nodes") as refused:
            await it.evicted()
        assert refused.value.reason == "NotSpread"
        assert it.names() == {"one", "two"}


async def test_what_a_disruption_budget_keeps_stays_and_is_told() -> None:
    async with cluster() as it:
        it.pod("one", "a")
        it.pod("two", "b")
        spec: JsonObject = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "drained"}}}
        it.kubernetes.cluster.create(DISRUPTION_BUDGETS, {"metadata": {"name": "keep"}, "spec": spec}, "meshed")
        found = await it.evicted()
        assert found.gone == ()
        assert [(pod, why.partition(":")[0]) for pod, why in found.refused.items()] == [("one", "429")]
        assert it.names() == {"one", "two"}

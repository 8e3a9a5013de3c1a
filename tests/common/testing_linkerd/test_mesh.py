"""The simulated mesh behaves as a real one where an upgrader would notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, texts, whole
from steward.kube.client import Kube
from steward.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    MUTATING_WEBHOOKS,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    STATEFUL_SETS,
)
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.certificates import Trust, webhook_pair
from steward.testing.linkerd.mesh import SimulatedMesh, in_pod, proxy_version_of
from steward.testing.linkerd.objects import opened
from steward.testing.linkerd.simulation.engine import Pace
from steward.testing.linkerd.simulation.faults import InjectorFault, PodFault
from steward.testing.linkerd.simulation.pods import is_ready
from steward.testing.linkerd.values import Method
from steward.testing.linkerd.webhooks import INJECTOR

OLD, NEW = "edge-26.6.3", "edge-26.8.3"
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def a_mesh(
    version: str = OLD, *, pace: Pace | None = None, method: Method = Method.CLI
) -> AsyncIterator[SimulatedMesh]:
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(version, method=method)
        if pace:
            mesh.pace = pace
        yield mesh


def status(mesh: SimulatedMesh, name: str, namespace: str = "shop") -> JsonObject:
    return table(mesh.cluster.get(DEPLOYMENTS, name, namespace), "status")


def progress(mesh: SimulatedMesh, name: str) -> str:
    conditions = rows(status(mesh, name), "conditions")
    return next(text(one, "reason") for one in conditions if text(one, "type") == "Progressing")


def names(pods: list[JsonObject]) -> set[str]:
    return {text(pod, "metadata", "name") for pod in pods}


async def test_a_deployment_is_rolled_out_with_proxies() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 3)
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {OLD: 3}
        found = status(mesh, "web")
        assert (whole(found, "updatedReplicas"), whole(found, "readyReplicas"), whole(found, "replicas")) == (3, 3, 3)
        assert whole(found, "observedGeneration") == 1
        assert progress(mesh, "web") == "NewReplicaSetAvailable"


async def test_a_restart_after_an_upgrade_brings_the_new_proxy() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 3)
        await mesh.settled()
        before = names(mesh.pods("shop"))
        await mesh.upgrade(NEW)
        assert mesh.proxy_versions("shop") == {OLD: 3}
        assert mesh.proxy_versions("linkerd") == {NEW: 3}
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {NEW: 3}
        assert not before & names(mesh.pods("shop"))
        assert whole(status(mesh, "web"), "observedGeneration") == 2


async def test_the_same_marker_twice_changes_nothing() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 2)
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        before = names(mesh.pods("shop"))
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert names(mesh.pods("shop")) == before


async def test_a_rollout_never_falls_below_what_its_strategy_allows() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD)
        limits: JsonObject = {"maxSurge": 1, "maxUnavailable": 1}
        mesh.workload("Deployment", "shop", "web", 4, changes={"spec": {"strategy": {"rollingUpdate": limits}}})
        await mesh.settled()
        mesh.pace = Pace(start=SECOND, stagger=SECOND)
        mesh.restart("Deployment", "shop", "web", "1")
        least, most = 4, 4
        while whole(status(mesh, "web"), "observedGeneration") < 2 or progress(mesh, "web") != "NewReplicaSetAvailable":
            await clock.advance(timedelta(milliseconds=250))
            pods = mesh.pods("shop")
            least, most = min(least, sum(map(is_ready, pods))), max(most, len(pods))
        assert (least, most) == (3, 5)


async def test_recreate_takes_the_old_ones_down_first() -> None:
    async with a_mesh() as mesh:
        mesh.workload(
            "Deployment", "shop", "web", 3, changes={"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
        )
        await mesh.settled()
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert whole(status(mesh, "web"), "updatedReplicas") == 3
        assert len(mesh.pods("shop")) == 3


async def test_a_paused_deployment_does_not_roll() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 2)
        await mesh.settled()
        before = names(mesh.pods("shop"))
        pause: Json = {"spec": {"paused": True}}
        mesh.change("Deployment", "shop", "web", pause)
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert names(mesh.pods("shop")) == before
        assert whole(status(mesh, "web"), "updatedReplicas") == 0


async def test_a_stateful_set_rolls_from_the_highest_number_to_its_partition() -> None:
    async with a_mesh() as mesh:
        mesh.workload(
            "StatefulSet", "shop", "db", 3, changes={"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}}
        )
        await mesh.settled()
        await mesh.upgrade(NEW)
        mesh.restart("StatefulSet", "shop", "db", "1")
        await mesh.settled()
        assert {text(pod, "metadata", "name"): proxy_version_of(pod) for pod in mesh.pods("shop")} == {
            "db-0": OLD,
            "db-1": NEW,
            "db-2": NEW,
        }
        found = table(mesh.cluster.get(STATEFUL_SETS, "db", "shop"), "status")
        assert (whole(found, "updatedReplicas"), whole(found, "readyReplicas")) == (2, 3)
        assert text(found, "currentRevision") != text(found, "updateRevision")
        mesh.change("StatefulSet", "shop", "db", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {NEW: 3}
        found = table(mesh.cluster.get(STATEFUL_SETS, "db", "shop"), "status")
        assert text(found, "currentRevision") == text(found, "updateRevision")


async def test_on_delete_waits_for_somebody_to_delete_the_pod() -> None:
    async with a_mesh() as mesh:
        for kind, name in (("StatefulSet", "db"), ("DaemonSet", "agent")):
            mesh.workload(
                kind, name, name, 2, changes={"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}
            )
        await mesh.settled()
        await mesh.upgrade(NEW)
        for kind, name in (("StatefulSet", "db"), ("DaemonSet", "agent")):
            mesh.restart(kind, name, name, "1")
        await mesh.settled()
        assert mesh.proxy_versions("db") == {OLD: 2}
        assert mesh.proxy_versions("agent") == {OLD: 3}
        for namespace in ("db", "agent"):
            for pod in mesh.pods(namespace):
                mesh.delete(PODS, text(pod, "metadata", "name"), namespace)
        await mesh.settled()
        assert mesh.proxy_versions("db") == {NEW: 2}
        assert mesh.proxy_versions("agent") == {NEW: 3}
        found = table(mesh.cluster.get(DAEMON_SETS, "agent", "agent"), "status")
        assert (whole(found, "updatedNumberScheduled"), whole(found, "numberReady")) == (3, 3)


async def test_pods_belong_to_whom_the_injector_says() -> None:
    async with a_mesh() as mesh:
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"):
            mesh.workload(kind, kind.lower(), "one")
        await mesh.settled()
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            pod = mesh.pods(kind.lower())[0]
            assert texts(pod, "metadata", "labels")[f"linkerd.io/proxy-{kind.lower()}"] == "one"
            assert is_ready(pod)
        assert proxy_version_of(mesh.pods("pod")[0]) == OLD


async def test_a_deleted_pod_comes_back_and_a_bare_one_does_not() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 2)
        mesh.workload("Pod", "shop", "bare")
        await mesh.settled()
        before = names(mesh.pods("shop"))
        for name in before:
            mesh.delete(PODS, name, "shop")
        await mesh.settled()
        assert len(mesh.pods("shop")) == 2
        assert not before & names(mesh.pods("shop"))


async def test_an_evicted_pod_is_replaced_over_the_wire() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        mesh.workload("Deployment", "shop", "web", 2)
        await mesh.settled()
        victim = text(mesh.pods("shop")[0], "metadata", "name")
        await kube.evict("shop", victim)
        await mesh.settled()
        assert victim not in names(mesh.pods("shop"))
        assert len(mesh.pods("shop")) == 2


async def test_scaling_over_the_wire_is_followed() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        mesh.workload("Deployment", "shop", "web", 1)
        await kube.scale(DEPLOYMENTS, "web", "shop", 4)
        await mesh.settled()
        assert len(mesh.pods("shop")) == 4
        await kube.scale(DEPLOYMENTS, "web", "shop", 0)
        await mesh.settled()
        assert mesh.pods("shop") == []


async def test_a_deleted_deployment_takes_its_pods_along() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        mesh.workload("Deployment", "shop", "web", 3)
        await mesh.settled()
        await kube.delete(DEPLOYMENTS, "web", "shop")
        await mesh.settled()
        assert mesh.pods("shop") == []
        assert mesh.cluster.list(REPLICA_SETS, "shop") == []


@pytest.mark.parametrize("fault", list(PodFault))
async def test_a_broken_workload_keeps_its_old_pods(fault: PodFault) -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 4)
        await mesh.settled()
        mesh.faults.break_workload("shop", "web", fault)
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        found = status(mesh, "web")
        assert whole(found, "readyReplicas") >= 3
        assert 0 < whole(found, "updatedReplicas") < 4
        assert progress(mesh, "web") == "ReplicaSetUpdated"


async def test_a_stuck_rollout_passes_its_deadline() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD)
        mesh.workload("Deployment", "shop", "web", 2, changes={"spec": {"progressDeadlineSeconds": 60}})
        await mesh.settled()
        mesh.faults.break_workload("shop", "web")
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        await clock.advance(timedelta(seconds=59))
        assert progress(mesh, "web") == "ReplicaSetUpdated"
        await clock.advance(timedelta(seconds=2))
        await mesh.settled()
        assert progress(mesh, "web") == "ProgressDeadlineExceeded"


async def test_an_image_that_cannot_be_pulled_blocks_only_new_pods() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 2)
        await mesh.settled()
        mesh.faults.unpullable.add(NEW)
        await mesh.upgrade(NEW)
        found = mesh.cluster.get(DEPLOYMENTS, "linkerd-identity", "linkerd")
        assert whole(found, "status", "readyReplicas") == 1
        waiting = [
            text(one, "state", "waiting", "reason")
            for pod in mesh.pods("linkerd")
            for one in rows(pod, "status", "containerStatuses")
        ]
        assert "ImagePullBackOff" in waiting


async def test_without_its_injector_pods_come_up_without_a_proxy_and_without_an_error() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 2)
        await mesh.settled()
        mesh.faults.injector = InjectorFault.DOWN
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {"": 2}
        assert progress(mesh, "web") == "NewReplicaSetAvailable"
        assert mesh.injector.skipped


async def test_a_pod_may_come_back_with_anchors_that_are_not_the_meshs() -> None:
    async with a_mesh() as mesh:
        mesh.faults.injector = InjectorFault.FOREIGN_BUNDLE
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        assert mesh.installed is not None
        carried = texts(mesh.pods("shop")[0], "metadata", "annotations")["linkerd.io/trust-root-sha256"]
        assert carried != mesh.installed.installation.trust.digest
        assert mesh.proxy_versions("shop") == {OLD: 1}


async def test_a_mesh_starts_only_once() -> None:
    async with a_mesh() as mesh:
        with pytest.raises(RuntimeError, match="started already"):
            mesh.start()


async def test_an_upgrade_needs_an_installation() -> None:
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh:
        with pytest.raises(RuntimeError, match="call install first"):
            await mesh.upgrade(NEW)


async def test_a_new_node_gets_its_daemon_and_a_lost_one_loses_it() -> None:
    async with a_mesh() as mesh:
        mesh.workload("DaemonSet", "shop", "agent")
        await mesh.settled()
        mesh.node("node-9")
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {OLD: 4}
        mesh.delete(NODES, "node-9")
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {OLD: 3}


async def test_a_running_injector_may_read_its_new_certificate() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD)
        mesh.pace = Pace(reload=SECOND)
        mesh.certify(INJECTOR, webhook_pair(INJECTOR.service, clock.now(), quick=True))
        mesh.workload("Pod", "shop", "early")
        await clock.advance(SECOND * 2)
        mesh.workload("Pod", "shop", "late")
        await mesh.settled()
        assert {text(pod, "metadata", "name"): proxy_version_of(pod) for pod in mesh.pods("shop")} == {
            "early": "",
            "late": OLD,
        }


async def test_a_job_runs_once_and_is_done_when_its_pod_is() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Job", "shop", "job")
        await mesh.settled()
        mesh.finish("shop", text(mesh.pods("shop")[0], "metadata", "name"))
        await mesh.settled()
        assert whole(mesh.cluster.get(JOBS, "job", "shop"), "status", "succeeded") == 1
        assert len(mesh.pods("shop")) == 1


async def test_a_highly_available_mesh_refuses_pods_without_its_injector() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD, ha=True)
        assert mesh.proxy_versions("linkerd") == {OLD: 9}
        assert len(mesh.cluster.list(DISRUPTION_BUDGETS, "linkerd")) == 3
        mesh.faults.injector = InjectorFault.DOWN
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        assert mesh.pods("shop") == []
        found = mesh.cluster.list(REPLICA_SETS, "shop")[0]
        assert "failed calling webhook" in text(found, "status", "conditions", 0, "message")
        mesh.faults.injector = None
        await clock.advance(SECOND * 2)
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {OLD: 1}


async def test_a_render_opens_a_window_without_injection_until_the_injector_is_new() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD)
        mesh.pace = Pace(start=SECOND)
        await mesh.upgrade(NEW, wait=False)
        mesh.workload("Pod", "shop", "early")
        await clock.advance(SECOND * 5)
        await mesh.settled()
        mesh.workload("Pod", "shop", "late")
        await clock.advance(SECOND * 5)
        await mesh.settled()
        assert {text(pod, "metadata", "name"): proxy_version_of(pod) for pod in mesh.pods("shop")} == {
            "early": "",
            "late": NEW,
        }


async def test_a_dry_run_is_injected_too() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        mesh.namespace("shop")
        probe: JsonObject = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        answer = await kube.create(PODS, probe, "shop", dry_run=True)
        assert proxy_version_of(answer) == OLD
        assert mesh.pods("shop") == []


async def test_without_the_webhook_configuration_nothing_is_injected() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        await kube.delete(MUTATING_WEBHOOKS, "linkerd-proxy-injector-webhook-config")
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {"": 1}


async def test_a_pinned_workload_keeps_its_proxy() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 1, changes=in_pod({"config.linkerd.io/proxy-version": OLD}))
        await mesh.upgrade(NEW)
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert mesh.proxy_versions("shop") == {OLD: 1}


async def test_the_step_to_native_sidecars_shows_at_each_restart() -> None:
    async with a_mesh("edge-25.10.7") as mesh:
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        assert "linkerd-proxy" in [text(one, "name") for one in rows(mesh.pods("shop")[0], "spec", "containers")]
        await mesh.upgrade(OLD)
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        pod = mesh.pods("shop")[0]
        assert [text(one, "name") for one in rows(pod, "spec", "initContainers")] == ["linkerd-init", "linkerd-proxy"]
        assert is_ready(pod)


async def test_an_upgrade_keeps_trust_and_what_the_user_changed() -> None:
    async with FakeKubernetes() as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        trust = await mesh.install(OLD, overrides={"proxy": {"logLevel": "debug"}})
        uid = text(mesh.cluster.get(CONFIG_MAPS, "linkerd-config", "linkerd"), "metadata", "uid")
        first = opened(mesh.cluster.get(SECRETS, "linkerd-proxy-injector-k8s-tls", "linkerd"))
        await mesh.upgrade(NEW)
        config = mesh.cluster.get(CONFIG_MAPS, "linkerd-config", "linkerd")
        assert text(config, "metadata", "uid") == uid
        assert "logLevel: debug" in text(config, "data", "values")
        roots = mesh.cluster.get(CONFIG_MAPS, "linkerd-identity-trust-roots", "linkerd")
        assert text(roots, "data", "ca-bundle.crt") == trust.anchors
        assert opened(mesh.cluster.get(SECRETS, "linkerd-proxy-injector-k8s-tls", "linkerd")) != first


async def test_a_rotated_bundle_leaves_pods_with_the_old_one_until_they_restart() -> None:
    async with a_mesh() as mesh:
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        assert mesh.installed is not None
        old = mesh.installed.installation.trust
        new = old.with_anchor_added(Trust.for_helm(mesh.kubernetes.clock.now()).anchors)
        await mesh.upgrade(OLD, trust=new)

        def carried() -> str:
            return texts(mesh.pods("shop")[0], "metadata", "annotations")["linkerd.io/trust-root-sha256"]

        assert carried() == old.digest
        mesh.restart("Deployment", "shop", "web", "1")
        await mesh.settled()
        assert carried() == new.digest


async def test_helm_leaves_its_memory_and_no_overrides() -> None:
    async with a_mesh(method=Method.HELM) as mesh:
        await mesh.upgrade(NEW)
        secrets = {text(one, "metadata", "name"): one for one in mesh.cluster.list(SECRETS, "linkerd")}
        assert "linkerd-config-overrides" not in secrets
        states = {name: texts(one, "metadata", "labels")["status"] for name, one in secrets.items() if "helm" in name}
        assert states == {
            "sh.helm.release.v1.linkerd-crds.v1": "superseded",
            "sh.helm.release.v1.linkerd-crds.v2": "deployed",
            "sh.helm.release.v1.linkerd-control-plane.v1": "superseded",
            "sh.helm.release.v1.linkerd-control-plane.v2": "deployed",
        }
        assert mesh.proxy_versions("linkerd") == {NEW: 3}


async def test_pods_that_stop_slowly_are_seen_on_their_way_out() -> None:
    clock = ManualClock()
    async with FakeKubernetes(clock=clock) as kubernetes, SimulatedMesh(kubernetes) as mesh, asyncio.timeout(60):
        await mesh.install(OLD)
        mesh.workload("Deployment", "shop", "web", 1)
        await mesh.settled()
        mesh.pace = Pace(start=SECOND, stop=SECOND)
        mesh.restart("Deployment", "shop", "web", "1")
        leaving = 0
        for _ in range(20):
            await clock.advance(timedelta(milliseconds=250))
            leaving += sum(bool(text(pod, "metadata", "deletionTimestamp")) for pod in mesh.pods("shop"))
        await mesh.settled()
        assert leaving
        assert len(mesh.pods("shop")) == 1


async def test_everything_the_controllers_report_is_seen_by_a_watch() -> None:
    async with a_mesh() as mesh, await Kube.connect(kubeconfig=mesh.kubernetes.kubeconfig()) as kube:
        mesh.workload("Deployment", "shop", "web", 2)
        await mesh.settled()
        seen = await kube.get(DEPLOYMENTS, "web", "shop")
        assert dig(seen, "status", "readyReplicas") == 2
        assert whole(seen, "metadata", "generation") == whole(seen, "status", "observedGeneration")

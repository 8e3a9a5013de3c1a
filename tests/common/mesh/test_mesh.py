"""A mesh read once and all the time: both ways see the same, and neither keeps a secret."""

import asyncio
import base64
from datetime import UTC, datetime

import pytest

from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import Forbidden
from steward.kube.resources import (
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    PODS,
    SECRETS,
    VALIDATING_WEBHOOKS,
    Resource,
)
from steward.linkerd.drifts import drifts
from steward.linkerd.knowledge import shipped
from steward.linkerd.pods import WorkloadRef
from steward.mesh.certificates import gather_certificates
from steward.mesh.gather import gather, gather_ownership
from steward.mesh.view import MeshView
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.faults import EXPIRED, Refuse
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd import manifests
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.values import Method
from tests.services.version_watcher.cluster import pod, put, workload

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KINDS: dict[str, Resource] = {
    each.kind: each
    for each in (CONFIG_MAPS, CRDS, DEPLOYMENTS, MUTATING_WEBHOOKS, NAMESPACES, SECRETS, VALIDATING_WEBHOOKS)
}


def installed(kubernetes: FakeKubernetes, method: Method = Method.CLI, version: str = "edge-26.8.3") -> Trust:
    """Put the stand-in of a control plane there, with its pods."""
    trust = Trust.for_helm(NOW)
    cluster = kubernetes.cluster
    if method is not Method.CLI:
        cluster.create(NAMESPACES, {"metadata": {"name": "linkerd"}})
    objects = manifests.crds(version, method) + manifests.control_plane(version, trust, NOW, method=method)
    if method is not Method.CLI:
        objects = manifests.as_helm_leaves_them(objects, "linkerd-control-plane")
    for body in objects:
        resource = KINDS.get(text(body, "kind"))
        if resource is not None:
            namespace = "linkerd" if resource.namespaced else ""
            cluster.create(resource, body, namespace)
    for component in ("destination", "identity", "proxy-injector"):
        put(cluster, PODS, pod("linkerd", f"linkerd-{component}", "0", version=version, component=component))
    return trust


async def test_a_look_brings_the_whole_mesh(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    trust = installed(fake_kubernetes)
    workload(fake_kubernetes.cluster, "shop", "web", "edge-26.8.3", trust=trust.digest)
    workload(fake_kubernetes.cluster, "shop", "old", "edge-26.6.3", trust=trust.digest)

    found = await gather(kube, secrets=True)

    control_plane = found.control_plane
    assert control_plane is not None
    assert (control_plane.configured, control_plane.running) == ("edge-26.8.3", ("edge-26.8.3",))
    assert control_plane.trust_sha256 == trust.digest
    assert [each.name for each in control_plane.components] == ["destination", "identity", "proxy-injector"]
    assert len(control_plane.crds) == 10
    assert found.ownership is not None
    assert found.ownership.label == "CLI"
    assert found.proxies() == {"edge-26.8.3": 1, "edge-26.6.3": 1}
    assert [each.count for each in drifts(found, shipped())] == [1]
    assert WorkloadRef("Deployment", "shop", "web") in found.workloads


async def test_a_cluster_without_linkerd_has_no_control_plane(kube: Kube) -> None:
    found = await gather(kube)
    assert (found.control_plane, found.ownership) == (None, None)


async def test_helm_is_told_by_its_marks_and_its_releases(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    installed(fake_kubernetes, Method.HELM)
    release: JsonObject = {"owner": "helm", "name": "linkerd-control-plane", "version": "2", "status": "deployed"}
    fake_kubernetes.cluster.create(
        SECRETS, {"metadata": {"name": "sh.helm.release.v1.x.v2", "labels": release}}, "linkerd"
    )

    by_marks = (await gather(kube)).ownership
    by_all = await gather_ownership(kube)

    assert by_marks is not None
    assert by_marks.label == by_all.label == "Helm"
    assert any("revision 2 is deployed" in str(each) for each in by_all.evidence)


async def test_both_installers_at_once_are_a_mixture(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    installed(fake_kubernetes, Method.HELM)
    overrides: JsonObject = {"metadata": {"name": "linkerd-config-overrides"}}
    fake_kubernetes.cluster.create(SECRETS, overrides, "linkerd")

    assert (await gather_ownership(kube)).label == "Mixed"


async def test_without_the_right_to_secrets_the_rest_is_seen(fake_kubernetes: FakeKubernetes) -> None:
    installed(fake_kubernetes)
    rules = [Rule(("get", "list", "watch"), ("",), (each,)) for each in ("pods", "namespaces", "configmaps")]
    rules += [Rule(("list", "watch"), ("apps",), ("deployments", "statefulsets", "daemonsets"))]
    rules += [Rule(("get", "list", "watch"), ("apiextensions.k8s.io",), ("customresourcedefinitions",))]
    config = fake_kubernetes.add_user("watcher", "watcher", rules)
    async with await Kube.connect(kubeconfig=config) as kube:
        assert (await gather(kube)).control_plane is not None
        with pytest.raises(Forbidden):
            await gather(kube, secrets=True)


async def test_a_list_whose_version_expires_half_way_begins_again(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    installed(fake_kubernetes)
    fake_kubernetes.faults.add(EXPIRED, method="GET", path="/api/v1/pods$")
    found = await gather(kube)
    assert len(list(found.every_pod())) == 3


async def test_the_view_sees_what_a_look_sees(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    trust = installed(fake_kubernetes)
    workload(fake_kubernetes.cluster, "shop", "web", "edge-26.6.3", trust=trust.digest)
    view = MeshView(kube)
    task = asyncio.create_task(view.run())
    try:
        await asyncio.wait_for(view.synced(), 20)
        live, once = view.inventory(), await gather(kube)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert live.pods == once.pods
    assert live.workloads == once.workloads
    assert live.namespaces == once.namespaces
    assert live.ownership == once.ownership
    assert live.control_plane is not None
    assert live.control_plane == once.control_plane


async def test_the_view_follows_what_happens(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    trust = installed(fake_kubernetes)
    changed = asyncio.Event()
    view = MeshView(kube, on_change=changed.set)
    task = asyncio.create_task(view.run())
    web = WorkloadRef("Deployment", "shop", "web")

    async def until(pods: int, version: str) -> None:
        async with asyncio.timeout(20):
            while True:
                changed.clear()
                found = view.inventory().pods_of(web)
                if [each.proxy.label for each in found if each.proxy is not None] == [version] * pods:
                    return
                await changed.wait()

    try:
        await asyncio.wait_for(view.synced(), 20)
        workload(fake_kubernetes.cluster, "shop", "web", "edge-26.6.3", trust=trust.digest)
        await until(1, "edge-26.6.3")
        put(fake_kubernetes.cluster, PODS, pod("shop", "web", "0", version="edge-26.8.3"))
        await until(1, "edge-26.8.3")
        await kube.delete(PODS, "web-abc-0", "shop")
        await until(0, "")
        assert web not in view.inventory().pods
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_view_that_is_refused_says_what_it_cannot_read(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    installed(fake_kubernetes)
    fake_kubernetes.faults.add(Refuse(403, "Forbidden", "pods is forbidden"), path="/api/v1/pods$", times=None)
    view = MeshView(kube)
    task = asyncio.create_task(view.run())
    try:
        async with asyncio.timeout(20):
            while not view.problems:
                # Nothing tells of a refusal: look after each answer that the same server gave to somebody else.
                await kube.list(NAMESPACES)
        assert not view.is_synced
        assert any("pods" in each for each in view.problems)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_certificates_of_an_installation_verify(fake_kubernetes: FakeKubernetes, kube: Kube) -> None:
    trust = installed(fake_kubernetes)

    found = await gather_certificates(kube)

    assert found.problems == ()
    assert found.issuer_verifies
    assert [each.agree for each in found.webhooks] == [True, True, True]
    assert all(each.valid_at(NOW) for each in (*found.anchors, *found.issuer))
    secret = trust.issuer.key.splitlines()[1]
    assert secret not in repr(found)


async def test_a_serving_certificate_that_was_changed_behind_the_webhook_does_not_agree(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    installed(fake_kubernetes)
    stranger = Trust.for_cli(NOW).issuer
    data: JsonObject = {"data": {"tls.crt": base64.b64encode(stranger.certificate.encode()).decode()}}
    await kube.merge(SECRETS, "linkerd-proxy-injector-k8s-tls", data, "linkerd")

    found = await gather_certificates(kube)

    assert [each.webhook for each in found.webhooks if not each.agree] == ["linkerd-proxy-injector.linkerd.io"]


async def test_what_is_missing_of_the_certificates_is_a_problem_each(
    fake_kubernetes: FakeKubernetes, kube: Kube
) -> None:
    installed(fake_kubernetes)
    await kube.delete(SECRETS, "linkerd-identity-issuer", "linkerd")
    await kube.delete(MUTATING_WEBHOOKS, "linkerd-proxy-injector-webhook-config")
    await kube.merge(CONFIG_MAPS, "linkerd-identity-trust-roots", {"data": {"ca-bundle.crt": "text"}}, "linkerd")

    found = await gather_certificates(kube)

    assert len(found.problems) == 3
    assert not found.issuer_verifies

"""What the fake API server offers to tests beyond being an API server."""

import asyncio

import pytest

from steward.jsonvalue import JsonObject, rows, text, texts
from steward.kube.client import Kube, KubeOptions
from steward.kube.errors import Forbidden, Invalid, KubeError, ServerUnavailable
from steward.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, REPLICA_SETS
from steward.kube.retries import RetryPolicy
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.admission import AdmissionRequest, Denied
from steward.testing.kubernetes.cluster import ClusterState, Patch
from steward.testing.kubernetes.deletion import Deletion
from steward.testing.kubernetes.faults import Hang, WriteMoment
from steward.testing.kubernetes.refusal import Refusal
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import until

_POD: JsonObject = {
    "metadata": {"name": "web", "namespace": "default", "annotations": {"linkerd.io/inject": "enabled"}},
    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
}


def config_map(name: str) -> JsonObject:
    return {"metadata": {"name": name, "namespace": "default"}}


def inject(request: AdmissionRequest) -> JsonObject | None:
    """A proxy injector of three lines."""
    if texts(request.value, "metadata", "annotations").get("linkerd.io/inject") != "enabled":
        return None
    containers = rows(request.value, "spec", "containers")
    containers.append({"name": "linkerd-proxy", "image": "proxy:1"})
    spec: JsonObject = {**_spec(request.value), "containers": [*containers]}
    return {**request.value, "spec": spec}


def _spec(pod: JsonObject) -> JsonObject:
    spec = pod["spec"]
    assert isinstance(spec, dict)
    return spec


async def test_an_injector_changes_pods_also_in_a_dry_run(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    fake_kubernetes.admit(PODS, inject, name="linkerd-proxy-injector.linkerd.io")
    for dry_run in (True, False):
        made = await kube.create(PODS, _POD, dry_run=dry_run)
        assert [text(one, "name") for one in rows(made, "spec", "containers")] == ["web", "linkerd-proxy"]
    assert len(fake_kubernetes.cluster.list(PODS)) == 1


async def test_a_webhook_that_denies_is_named(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    def deny(_: AdmissionRequest) -> None:
        raise Denied("no pods today")

    fake_kubernetes.admit(PODS, deny, name="policy.example")
    with pytest.raises(Invalid, match=r'admission webhook "policy\.example" denied the request: no pods today'):
        await kube.create(PODS, _POD)
    await kube.create(CONFIG_MAPS, config_map("a"))


async def test_hooks_see_every_write_before_and_after_and_no_dry_run(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    moments: list[tuple[str, str, int]] = []
    fake_kubernetes.on_write(lambda moment: moments.append((moment.stage, moment.method, moment.code)))
    await kube.create(CONFIG_MAPS, config_map("a"), dry_run=True)
    await kube.create(CONFIG_MAPS, config_map("a"))
    await kube.get(CONFIG_MAPS, "a", "default")
    await kube.delete(CONFIG_MAPS, "a", "default")
    assert moments == [("before", "POST", 0), ("after", "POST", 201), ("before", "DELETE", 0), ("after", "DELETE", 200)]
    assert [entry.method for entry in fake_kubernetes.audit] == ["POST", "POST", "DELETE"]


@pytest.mark.parametrize("stage", ["before", "after"])
async def test_a_hook_can_break_the_connection_at_any_write(
    kube: Kube, fake_kubernetes: FakeKubernetes, stage: str
) -> None:
    async def cut(moment: WriteMoment) -> None:
        if moment.stage == stage:
            raise ConnectionResetError

    fake_kubernetes.on_write(cut)
    with pytest.raises(ServerUnavailable) as lost:
        await kube.create(CONFIG_MAPS, config_map("a"))
    assert lost.value.outcome_unknown
    assert (fake_kubernetes.cluster.find(CONFIG_MAPS, "a", "default") is not None) is (stage == "after")


async def test_a_restart_keeps_address_and_state(fake_kubernetes: FakeKubernetes) -> None:
    one_try = KubeOptions(retry=RetryPolicy(attempts=1))
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=one_try) as kube:
        await kube.create(CONFIG_MAPS, config_map("a"))
        address = fake_kubernetes.url
        await fake_kubernetes.stop()
        with pytest.raises(ServerUnavailable):
            await kube.get(CONFIG_MAPS, "a", "default")
        await fake_kubernetes.start()
        assert fake_kubernetes.url == address
        assert await kube.find(CONFIG_MAPS, "a", "default")


async def test_stopping_releases_requests_that_hang(fake_kubernetes: FakeKubernetes) -> None:
    hang = fake_kubernetes.faults.add(Hang())
    one_try = KubeOptions(retry=RetryPolicy(attempts=1))
    async with (
        asyncio.timeout(10),
        await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=one_try) as kube,
    ):
        asking = asyncio.create_task(kube.create(CONFIG_MAPS, config_map("a")))
        await until(lambda: hang.hits == 1)
        await fake_kubernetes.stop()
        with pytest.raises(ServerUnavailable):
            await asking


async def test_users_may_do_what_their_rules_say_and_nothing_else(fake_kubernetes: FakeKubernetes) -> None:
    rules = [Rule(("get", "list", "watch"), ("", "apps")), Rule(("patch",), ("apps",), ("deployments/status",))]
    kubeconfig = fake_kubernetes.add_user("s3cret", "system:serviceaccount:steward:watcher", rules)
    async with await Kube.connect(kubeconfig=kubeconfig) as kube:
        assert (await kube.list(DEPLOYMENTS)).items == []
        with pytest.raises(Forbidden, match='cannot patch resource "deployments" in API group "apps"'):
            await kube.merge(DEPLOYMENTS, "web", {"spec": {}}, "default")
        assert await kube.access("patch", DEPLOYMENTS, "default", subresource="status")
        assert not await kube.access("delete", DEPLOYMENTS, "default")


def test_controllers_of_a_test_work_on_the_state_directly(manual_clock: ManualClock) -> None:
    cluster = ClusterState(clock=manual_clock)
    made = cluster.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"key": "1"}}, "default")
    assert text(made, "metadata", "creationTimestamp") == "2026-06-18T12:00:00Z"
    changed = cluster.patch(CONFIG_MAPS, "a", Patch("merge", {"data": {"key": "2"}}), "default")
    assert texts(changed, "data") == {"key": "2"}
    assert texts(made, "data") == {"key": "1"}, "what was handed out does not change"
    with pytest.raises(Refusal, match='configmaps "b" not found'):
        cluster.get(CONFIG_MAPS, "b", "default")


async def test_graceful_pods_terminate_until_their_kubelet_says_so() -> None:
    async with FakeKubernetes(graceful_pods=True) as fake, await Kube.connect(kubeconfig=fake.kubeconfig()) as kube:
        spec: JsonObject = {**_spec(_POD), "nodeName": "node-a"}
        await kube.create(PODS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
        await kube.delete(PODS, "web", "default")
        assert text(await kube.get(PODS, "web", "default"), "metadata", "deletionTimestamp")
        fake.endpoints.undertaker.delete(PODS, "web", "default", Deletion(grace_seconds=0))
        assert await kube.find(PODS, "web", "default") is None


async def test_a_thousand_dependents_go_with_their_owner(fake_kubernetes: FakeKubernetes) -> None:
    cluster = fake_kubernetes.cluster
    labels: JsonObject = {"app": "web"}
    template: JsonObject = {"metadata": {"labels": labels}, "spec": _spec(_POD)}
    body: JsonObject = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    owner = cluster.create(REPLICA_SETS, body, "default")
    reference: JsonObject = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}
    reference["uid"] = text(owner, "metadata", "uid")
    for number in range(1000):
        metadata: JsonObject = {"name": f"web-{number}", "ownerReferences": [reference]}
        cluster.create(PODS, {"metadata": metadata, "spec": _spec(_POD)}, "default")
    fake_kubernetes.endpoints.undertaker.delete(REPLICA_SETS, "web", "default")
    assert cluster.list(PODS) == []


async def test_bodies_are_bounded(kube: Kube) -> None:
    huge: JsonObject = {**config_map("a"), "data": {"key": "x" * 4_000_000}}
    with pytest.raises(KubeError, match="Request entity too large") as refused:
        await kube.create(CONFIG_MAPS, huge)
    assert refused.value.code == 413

"""The exporter's look at the mesh on a real API server, under a ServiceAccount that has the least rights for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.alerting.core.exported.exposition import Exposition, exposition
from services.alerting.core.exported.samples import Samples
from services.alerting.core.exported.unread import Fact
from services.alerting.edges.mesh_facts import MeshFacts
from steward.jsonvalue import Json, JsonObject
from steward.kube.client import Kube
from steward.mesh.view import MeshView
from steward.testing.cluster.api import Api
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.workloads import MESHED, NOT_MESHED, Fleet, Kind, Namespace, Workload, unique

VERSION = "edge-26.8.3"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ISSUER = "linkerd-identity-issuer"
_WEBHOOKS = ("linkerd-proxy-injector", "linkerd-policy-validator", "linkerd-sp-validator")


def rule(verbs: str, resources: str, group: str = "", *names: str) -> JsonObject:
    found: JsonObject = {
        "verbs": list[Json](verbs.split()),
        "apiGroups": [group],
        "resources": list[Json](resources.split()),
    }
    return {**found, "resourceNames": list[Json](names)} if names else found


EVERYWHERE = (
    rule("list watch", "pods namespaces"),
    rule("list watch", "deployments statefulsets daemonsets", "apps"),
    rule("list watch", "customresourcedefinitions", "apiextensions.k8s.io"),
    rule("list watch", "upgraderuns conformanceruns", "steward.linkerd.io"),
    rule(
        "get",
        "mutatingwebhookconfigurations validatingwebhookconfigurations",
        "admissionregistration.k8s.io",
        *(f"{name}-webhook-config" for name in _WEBHOOKS),
    ),
)
IN_LINKERD = (
    rule("get list watch", "configmaps"),
    rule("get", "secrets", "", _ISSUER, *(f"{name}-k8s-tls" for name in _WEBHOOKS)),
    rule("list", "certificates", "cert-manager.io"),
)


@pytest.fixture
def account(linkerd: Linkerd) -> Iterator[str]:
    """A ServiceAccount in namespace default that may do what the exporter does, where Linkerd is installed."""
    linkerd.by_helm(VERSION)
    name, api = unique("facts"), linkerd.cluster.api
    collections: dict[str, JsonObject] = {
        "/api/v1/namespaces/default/serviceaccounts": {},
        f"{_RBAC}/clusterroles": {"rules": list[Json](EVERYWHERE)},
        f"{_RBAC}/clusterrolebindings": _binding("ClusterRole", name),
        f"{_RBAC}/namespaces/linkerd/roles": {"rules": list[Json](IN_LINKERD)},
        f"{_RBAC}/namespaces/linkerd/rolebindings": _binding("Role", name),
    }
    for collection, body in collections.items():
        api.create(collection, {"metadata": {"name": name}, **body})
    yield name
    for collection in collections:
        api.delete(f"{collection}/{name}")


def _binding(kind: str, name: str) -> JsonObject:
    subject: JsonObject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role: JsonObject = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    return {"roleRef": role, "subjects": [subject]}


def forbid(api: Api, name: str, *kept: JsonObject) -> None:
    """Leave the account with these rights in Linkerd's namespace."""
    api.merge(f"{_RBAC}/namespaces/linkerd/roles/{name}", {"rules": list[Json](kept)})


@asynccontextmanager
async def gathering(kubeconfig: Path) -> AsyncIterator[MeshFacts]:
    """The facts under that identity, once everything was listed."""
    async with await Kube.connect(kubeconfig=kubeconfig) as kube, asyncio.TaskGroup() as tasks:
        view = MeshView(kube)
        facts = MeshFacts(kube, view)
        running = [tasks.create_task(each.run()) for each in (view, facts)]
        try:
            async with asyncio.timeout(60):
                await view.synced()
                # Each look asks the API server, so the lists move on meanwhile.
                while any("not listed yet" in each.message for each in (await facts.look()).unread):
                    pass
            yield facts
        finally:
            for task in running:
                task.cancel()


async def shown(cluster: Cluster, account: str) -> Exposition:
    kubeconfig = await asyncio.to_thread(cluster.kubeconfig_of, "default", account)
    async with gathering(kubeconfig) as facts:
        return exposition(await facts.look(), None)


def values(samples: Samples) -> dict[tuple[str, ...], float]:
    return {each.labels: each.value for each in samples}


async def test_with_the_least_rights_a_real_mesh_is_seen_whole(linkerd: Linkerd, account: str) -> None:
    meshed, plain = unique("meshed"), unique("plain")
    fleet = Fleet(
        (Namespace(meshed, MESHED), Namespace(plain, NOT_MESHED)),
        (Workload(Kind.DEPLOYMENT, meshed, "web", replicas=2), Workload(Kind.DEPLOYMENT, plain, "db")),
    )
    api = linkerd.cluster.api
    await asyncio.to_thread(fleet.create, api)
    await asyncio.to_thread(fleet.until_ready, api)
    try:
        found = await shown(linkerd.cluster, account)
    finally:
        await asyncio.to_thread(fleet.remove, api)

    assert found.unread == ()
    assert values(found.certificates.issuer_agrees) == {(): 1.0}
    assert len(found.certificates.webhook_agrees) == 3
    assert set(values(found.certificates.webhook_agrees).values()) == {1.0}
    assert {each.labels[0] for each in found.certificates.not_after} == {"TrustAnchor", "Issuer", "Webhook"}
    assert set(values(found.replicas.expected)) == {("destination",), ("identity",), ("proxy-injector",)}
    assert values(found.meshed_pods)[(meshed,)] == 2.0
    assert (plain,) not in values(found.unmeshed_pods)


async def test_a_right_that_is_taken_away_is_named_by_what_a_real_api_server_says(
    linkerd: Linkerd, account: str
) -> None:
    await asyncio.to_thread(forbid, linkerd.cluster.api, account, IN_LINKERD[0])
    found = await shown(linkerd.cluster, account)
    rights = {each.right for each in found.unread if each.fact is Fact.CERTIFICATES}
    assert f"get secrets linkerd/{_ISSUER}" in rights
    assert len(rights) == 4
    assert found.certificates.issuer_agrees == found.certificates.webhook_agrees == ()
    assert {each.labels[0] for each in found.certificates.not_after} == {"TrustAnchor"}

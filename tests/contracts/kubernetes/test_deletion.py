"""Deletion: preconditions, finalizers, owners, namespaces, eviction."""

import pytest

from steward.jsonvalue import JsonObject, strings, table, text, texts
from steward.kube.errors import Conflict, EvictionRefused, Forbidden, NotFound
from steward.kube.resources import CONFIG_MAPS, DISRUPTION_BUDGETS, NAMESPACES, PODS
from tests.contracts.kubernetes.subject import Subject


def owned(subject: Subject, name: str, owner: JsonObject, *, blocking: bool = False) -> JsonObject:
    body = subject.config_map(name)
    reference: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": text(owner, "metadata", "name"),
        "uid": text(owner, "metadata", "uid"),
        "blockOwnerDeletion": blocking,
    }
    body["metadata"] = {"name": name, "namespace": subject.namespace, "ownerReferences": [reference]}
    return body


def held(subject: Subject, name: str) -> JsonObject:
    body = subject.config_map(name)
    body["metadata"] = {"name": name, "namespace": subject.namespace, "finalizers": ["contract.example/hold"]}
    return body


async def test_deleting_says_whether_there_was_anything(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    assert await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace)
    assert not await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace)


async def test_preconditions_protect_another_object_of_the_same_name(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    other = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(Conflict, match="the UID in the precondition"):
        await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace, uid=other)
    with pytest.raises(Conflict, match="the ResourceVersion in the precondition"):
        await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace, resource_version="1")
    uid, version = text(made, "metadata", "uid"), text(made, "metadata", "resourceVersion")
    assert await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace, uid=uid, resource_version=version)


async def test_a_finalizer_holds_the_object_until_it_is_taken_off(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, held(subject, "a"))
    assert await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace)
    still = await subject.kube.get(CONFIG_MAPS, "a", subject.namespace)
    assert text(still, "metadata", "deletionTimestamp")
    assert strings(still, "metadata", "finalizers") == ["contract.example/hold"]
    assert await subject.kube.delete(CONFIG_MAPS, "a", subject.namespace), "deleting again changes nothing"
    await subject.kube.merge(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, subject.namespace)
    assert await subject.kube.find(CONFIG_MAPS, "a", subject.namespace) is None


async def test_what_an_object_owns_goes_with_it(subject: Subject) -> None:
    owner = await subject.kube.create(CONFIG_MAPS, subject.config_map("owner"))
    child = await subject.kube.create(CONFIG_MAPS, owned(subject, "child", owner))
    await subject.kube.create(CONFIG_MAPS, owned(subject, "grandchild", child))
    await subject.kube.delete(CONFIG_MAPS, "owner", subject.namespace)
    await subject.gone(CONFIG_MAPS, "child", subject.namespace)
    await subject.gone(CONFIG_MAPS, "grandchild", subject.namespace)


async def test_orphans_stay(subject: Subject) -> None:
    owner = await subject.kube.create(CONFIG_MAPS, subject.config_map("owner"))
    await subject.kube.create(CONFIG_MAPS, owned(subject, "child", owner))
    await subject.kube.delete(CONFIG_MAPS, "owner", subject.namespace, propagation="Orphan")
    await subject.gone(CONFIG_MAPS, "owner", subject.namespace)
    child = await subject.kube.get(CONFIG_MAPS, "child", subject.namespace)
    assert text(child, "metadata", "ownerReferences", 0, "uid") == ""


async def test_a_foreground_deletion_waits_for_what_blocks_it(subject: Subject) -> None:
    owner = await subject.kube.create(CONFIG_MAPS, subject.config_map("owner"))
    child = owned(subject, "child", owner, blocking=True)
    child["metadata"] = {**table(held(subject, "child"), "metadata"), **table(child, "metadata")}
    await subject.kube.create(CONFIG_MAPS, child)
    # The garbage collector learns of owners from its own watch; a foreground deletion asked before that finds none.
    await subject.eventually(lambda: subject.kube.find(CONFIG_MAPS, "child", subject.namespace), bool)
    await subject.kube.delete(CONFIG_MAPS, "owner", subject.namespace, propagation="Foreground")
    await subject.eventually(
        lambda: subject.kube.get(CONFIG_MAPS, "child", subject.namespace),
        lambda found: bool(text(found, "metadata", "deletionTimestamp")),
    )
    waiting = await subject.kube.get(CONFIG_MAPS, "owner", subject.namespace)
    assert strings(waiting, "metadata", "finalizers") == ["foregroundDeletion"]
    await subject.kube.merge(CONFIG_MAPS, "child", {"metadata": {"finalizers": None}}, subject.namespace)
    await subject.gone(CONFIG_MAPS, "child", subject.namespace)
    await subject.gone(CONFIG_MAPS, "owner", subject.namespace)


async def test_a_namespace_takes_its_contents_along_and_accepts_nothing_meanwhile(subject: Subject) -> None:
    name = f"{subject.namespace}-more"
    await subject.kube.create(NAMESPACES, {"metadata": {"name": name}})
    body: JsonObject = {"name": "held", "namespace": name, "finalizers": ["contract.example/hold"]}
    await subject.kube.create(CONFIG_MAPS, {"metadata": body})
    await subject.kube.create(CONFIG_MAPS, {"metadata": {"name": "free", "namespace": name}})
    await subject.kube.delete(NAMESPACES, name)
    terminating = await subject.kube.get(NAMESPACES, name)
    assert text(terminating, "status", "phase") == "Terminating"
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await subject.kube.create(CONFIG_MAPS, {"metadata": {"name": "late", "namespace": name}})
    await subject.gone(CONFIG_MAPS, "free", name)
    await subject.eventually(
        lambda: subject.kube.get(CONFIG_MAPS, "held", name),
        lambda found: bool(text(found, "metadata", "deletionTimestamp")),
    )
    await subject.kube.merge(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, name)
    await subject.gone(NAMESPACES, name)


async def test_the_namespaces_of_the_system_cannot_be_deleted(subject: Subject) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await subject.kube.delete(NAMESPACES, "kube-system")


async def test_a_collection_is_deleted_by_selector(subject: Subject) -> None:
    for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
        await subject.kube.create(PODS, subject.pod(name, app=app))
    await subject.kube.request("DELETE", PODS.path(subject.namespace), query={"labelSelector": "app=web"})
    await subject.gone(PODS, "a", subject.namespace)
    left = await subject.kube.list(PODS, subject.namespace)
    assert [texts(one, "metadata", "labels")["app"] for one in left.items] == ["db"]


async def test_an_eviction_removes_the_pod(subject: Subject) -> None:
    await subject.kube.create(PODS, subject.pod("a"))
    await subject.kube.evict(subject.namespace, "a")
    await subject.gone(PODS, "a", subject.namespace)
    with pytest.raises(NotFound):
        await subject.kube.evict(subject.namespace, "a")


async def test_a_disruption_budget_refuses_an_eviction_and_is_named(subject: Subject) -> None:
    budget: JsonObject = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await subject.kube.create(
        DISRUPTION_BUDGETS, {"metadata": {"name": "web", "namespace": subject.namespace}, "spec": budget}
    )
    await subject.kube.create(PODS, subject.pod("a", app="web"))
    ready: JsonObject = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await subject.kube.merge(PODS, "a", {"status": ready}, subject.namespace, subresource="status")
    if not subject.simulated:
        await subject.eventually(
            lambda: subject.kube.get(DISRUPTION_BUDGETS, "web", subject.namespace),
            lambda found: (
                text(found, "status", "observedGeneration", default="-") != "" and "currentHealthy" in str(found)
            ),
        )
    with pytest.raises(EvictionRefused, match="violate the pod's disruption budget") as refused:
        await subject.kube.evict(subject.namespace, "a")
    assert refused.value.code == 429
    assert "disruption budget web" in text(refused.value.causes[0], "message")
    assert await subject.kube.find(PODS, "a", subject.namespace) is not None

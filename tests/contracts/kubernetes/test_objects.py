"""Creating, reading, replacing: metadata, optimistic concurrency, and the words of each refusal."""

import pytest

from steward.jsonvalue import JsonObject, dig, table, text, texts, whole
from steward.kube.errors import AlreadyExists, Conflict, Invalid, KubeError, NotFound
from steward.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    LEASES,
    NAMESPACES,
    PODS,
    SECRETS,
    Resource,
)
from tests.contracts.kubernetes.subject import Subject


async def test_a_created_object_carries_what_the_server_adds(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="value"))
    assert text(made, "kind") == "ConfigMap"
    assert text(made, "apiVersion") == "v1"
    assert len(text(made, "metadata", "uid")) == 36
    assert text(made, "metadata", "resourceVersion").isdigit()
    assert text(made, "metadata", "creationTimestamp").endswith("Z")
    assert text(made, "metadata", "managedFields", 0, "manager") == "linkerd-steward"
    assert text(made, "metadata", "managedFields", 0, "operation") == "Update"
    assert made == await subject.kube.get(CONFIG_MAPS, "a", subject.namespace)


async def test_creating_twice_is_refused(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists') as refused:
        await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    assert refused.value.code == 409
    assert text(refused.value.status, "details", "kind") == "configmaps"


async def test_a_missing_object_is_not_found(subject: Subject) -> None:
    with pytest.raises(NotFound, match=r'deployments\.apps "no" not found'):
        await subject.kube.get(DEPLOYMENTS, "no", subject.namespace)
    assert await subject.kube.find(DEPLOYMENTS, "no", subject.namespace) is None


async def test_an_unknown_resource_is_not_found(subject: Subject) -> None:
    nowhere = Resource("nowhere.example", "v1", "things", "Thing")
    with pytest.raises(NotFound):
        await subject.kube.list(nowhere)
    assert not await subject.kube.serves(nowhere)
    assert await subject.kube.serves(DEPLOYMENTS)
    assert await subject.kube.serves(PODS)


async def test_a_missing_namespace_is_named(subject: Subject) -> None:
    with pytest.raises(NotFound, match='namespaces "no-such-namespace" not found'):
        await subject.kube.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "no-such-namespace"}})


async def test_names_can_be_generated(subject: Subject) -> None:
    body = subject.config_map("")
    body["metadata"] = {"generateName": "run-", "namespace": subject.namespace}
    first, second = [await subject.kube.create(CONFIG_MAPS, body) for _ in range(2)]
    assert text(first, "metadata", "name").startswith("run-")
    assert text(first, "metadata", "name") != text(second, "metadata", "name")


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254])
async def test_bad_names_are_invalid(subject: Subject, name: str) -> None:
    with pytest.raises(Invalid, match=r"metadata\.name") as refused:
        await subject.kube.create(CONFIG_MAPS, subject.config_map(name))
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")


async def test_bad_labels_are_invalid(subject: Subject) -> None:
    body = subject.config_map("a")
    body["metadata"] = {"name": "a", "namespace": subject.namespace, "labels": {"app": "not a label"}}
    with pytest.raises(Invalid, match=r"metadata\.labels"):
        await subject.kube.create(CONFIG_MAPS, body)


async def test_the_namespace_of_the_body_must_be_that_of_the_path(subject: Subject) -> None:
    with pytest.raises(Invalid, match="does not match the namespace") as refused:
        await subject.kube.create(CONFIG_MAPS, subject.config_map("a"), "default")
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")


async def test_a_resource_version_may_not_be_set_on_creation(subject: Subject) -> None:
    body = subject.config_map("a")
    body["metadata"] = {"name": "a", "namespace": subject.namespace, "resourceVersion": "7"}
    with pytest.raises(KubeError, match="resourceVersion should not be set") as refused:
        await subject.kube.create(CONFIG_MAPS, body)
    assert refused.value.code == 500


async def test_an_older_version_cannot_be_written_back(subject: Subject) -> None:
    old = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    new = await subject.kube.replace(CONFIG_MAPS, {**old, "data": {"key": "2"}})
    assert int(text(new, "metadata", "resourceVersion")) > int(text(old, "metadata", "resourceVersion"))
    with pytest.raises(Conflict, match="the object has been modified; please apply your changes") as refused:
        await subject.kube.replace(CONFIG_MAPS, {**old, "data": {"key": "3"}})
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


async def test_an_object_of_another_uid_cannot_be_replaced(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    body = subject.config_map("a", key="2")
    body["metadata"] = {"name": "a", "namespace": subject.namespace, "uid": "00000000-0000-0000-0000-000000000000"}
    with pytest.raises(Conflict, match="UID in precondition"):
        await subject.kube.replace(CONFIG_MAPS, body)


async def test_a_missing_object_cannot_be_replaced(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.kube.replace(CONFIG_MAPS, subject.config_map("a"))


async def test_a_built_in_kind_may_be_replaced_without_a_version_but_a_lease_may_not(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    replaced = await subject.kube.replace(CONFIG_MAPS, subject.config_map("a", key="2"))
    assert texts(replaced, "data") == {"key": "2"}
    await subject.kube.create(LEASES, {"metadata": {"name": "a", "namespace": subject.namespace}, "spec": {}})
    with pytest.raises(Invalid, match=r"metadata\.resourceVersion.*must be specified for an update"):
        await subject.kube.replace(LEASES, {"metadata": {"name": "a", "namespace": subject.namespace}, "spec": {}})


async def test_writing_the_same_again_makes_no_new_version(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    again = await subject.kube.replace(CONFIG_MAPS, made)
    assert text(again, "metadata", "resourceVersion") == text(made, "metadata", "resourceVersion")


async def test_what_identifies_an_object_cannot_be_changed(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    changed = {**subject.config_map("a", key="2")}
    changed["metadata"] = {
        "name": "a",
        "namespace": subject.namespace,
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "generation": 77,
    }
    after = await subject.kube.replace(CONFIG_MAPS, changed)
    assert text(after, "metadata", "uid") == text(made, "metadata", "uid")
    assert text(after, "metadata", "creationTimestamp") == text(made, "metadata", "creationTimestamp")


async def test_generation_counts_changes_of_the_desired_state_only(subject: Subject) -> None:
    body: JsonObject = {"metadata": {"name": "web", "namespace": subject.namespace}, "spec": {"minAvailable": 1}}
    made = await subject.kube.create(DISRUPTION_BUDGETS, body)
    assert whole(made, "metadata", "generation") == 1
    patch: JsonObject = {"metadata": {"annotations": {"a": "b"}, "labels": {"a": "b"}}}
    annotated = await subject.kube.merge(DISRUPTION_BUDGETS, "web", patch, subject.namespace)
    assert whole(annotated, "metadata", "generation") == 1
    patch = {"spec": {"minAvailable": 2}}
    changed = await subject.kube.merge(DISRUPTION_BUDGETS, "web", patch, subject.namespace)
    assert whole(changed, "metadata", "generation") == 2


async def test_the_generation_of_a_deployment_counts_its_annotations_too(subject: Subject) -> None:
    await subject.kube.create(DEPLOYMENTS, subject.deployment("web"))
    # The deployment controller annotates it, too: wait until it has.
    before = await subject.eventually(
        lambda: subject.kube.get(DEPLOYMENTS, "web", subject.namespace),
        lambda found: subject.simulated or bool(texts(found, "metadata", "annotations")),
    )
    patch: JsonObject = {"metadata": {"labels": {"a": "b"}}}
    labelled = await subject.kube.merge(DEPLOYMENTS, "web", patch, subject.namespace)
    assert whole(labelled, "metadata", "generation") == whole(before, "metadata", "generation")
    patch = {"metadata": {"annotations": {"a": "b"}}}
    annotated = await subject.kube.merge(DEPLOYMENTS, "web", patch, subject.namespace)
    assert whole(annotated, "metadata", "generation") == whole(labelled, "metadata", "generation") + 1


async def test_the_status_is_written_only_through_its_subresource(subject: Subject) -> None:
    body = subject.pod("a")
    body["status"] = {"phase": "Running"}
    made = await subject.kube.create(PODS, body)
    assert text(made, "status", "phase") == "Pending"
    ignored = await subject.kube.merge(PODS, "a", {"status": {"phase": "Running"}}, subject.namespace)
    assert text(ignored, "status", "phase") == "Pending"
    patch: JsonObject = {"metadata": {"labels": {"no": "no"}}, "status": {"phase": "Running"}}
    running = await subject.kube.merge(PODS, "a", patch, subject.namespace, subresource="status")
    assert text(running, "status", "phase") == "Running"
    assert "no" not in texts(running, "metadata", "labels") or subject.simulated is False


async def test_defaults_others_rely_on_are_filled_in(subject: Subject) -> None:
    made = await subject.kube.create(DEPLOYMENTS, subject.deployment("web"))
    assert text(made, "spec", "strategy", "type") == "RollingUpdate"
    assert dig(made, "spec", "strategy", "rollingUpdate", "maxSurge") == "25%"
    secret: JsonObject = {"metadata": {"name": "s", "namespace": subject.namespace}, "stringData": {"a": "b"}}
    made = await subject.kube.create(SECRETS, secret)
    assert texts(made, "data") == {"a": "Yg=="}
    assert "stringData" not in made
    home = await subject.kube.get(NAMESPACES, subject.namespace)
    assert texts(home, "metadata", "labels")["kubernetes.io/metadata.name"] == subject.namespace
    assert text(home, "status", "phase") == "Active"


async def test_a_selector_must_select_its_own_template_and_never_changes(subject: Subject) -> None:
    bad = subject.deployment("web")
    bad["spec"] = {**table(bad, "spec"), "selector": {"matchLabels": {"app": "other"}}}
    with pytest.raises(Invalid, match="`selector` does not match template `labels`"):
        await subject.kube.create(DEPLOYMENTS, bad)
    await subject.kube.create(DEPLOYMENTS, subject.deployment("web"))
    patch: JsonObject = {"spec": {"selector": {"matchLabels": {"app": "web", "new": "one"}}}}
    with pytest.raises(Invalid, match=r"spec\.selector|selector"):
        await subject.kube.merge(DEPLOYMENTS, "web", patch, subject.namespace)


async def test_a_dry_run_answers_but_changes_nothing(subject: Subject) -> None:
    made = await subject.kube.create(PODS, subject.pod("a"), dry_run=True)
    assert text(made, "metadata", "uid")
    assert await subject.kube.find(PODS, "a", subject.namespace) is None
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    tried = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="2"), force=True, dry_run=True)
    assert texts(tried, "data") == {"key": "2"}
    assert texts(await subject.kube.get(CONFIG_MAPS, "a", subject.namespace), "data") == {"key": "1"}
    with pytest.raises(AlreadyExists):
        await subject.kube.create(CONFIG_MAPS, subject.config_map("a"), dry_run=True)


async def test_the_server_says_its_version(subject: Subject) -> None:
    assert (await subject.kube.server_version()).startswith("v1.")


async def test_what_is_not_json_is_refused(subject: Subject) -> None:
    with pytest.raises(Invalid):
        await subject.kube.request("POST", CONFIG_MAPS.path(subject.namespace), body=["not", "an", "object"])


async def test_a_verb_the_resource_does_not_have_is_not_allowed(subject: Subject) -> None:
    with pytest.raises(KubeError) as refused:
        await subject.kube.request("PUT", CONFIG_MAPS.path(subject.namespace), body={})
    assert (refused.value.code, refused.value.reason) == (405, "MethodNotAllowed")

"""JSON patch, merge patch, strategic merge patch."""

import pytest

from steward.jsonvalue import JsonObject, dig, rows, text, texts
from steward.kube.errors import Conflict, Invalid, NotFound
from steward.kube.exchange import STRATEGIC
from steward.kube.resources import CONFIG_MAPS, DEPLOYMENTS
from tests.contracts.kubernetes.subject import Subject


async def test_a_merge_patch_merges_objects_removes_nulls_and_replaces_lists(subject: Subject) -> None:
    await subject.kube.create(DEPLOYMENTS, subject.deployment("web"))
    labels: JsonObject = {"metadata": {"labels": {"app": None, "team": "a"}}}
    patched = await subject.kube.merge(DEPLOYMENTS, "web", labels, subject.namespace)
    assert texts(patched, "metadata", "labels") == {"team": "a"}
    other: JsonObject = {"name": "other", "image": "registry.example/other:1"}
    template: JsonObject = {"spec": {"template": {"spec": {"containers": [other]}}}}
    patched = await subject.kube.merge(DEPLOYMENTS, "web", template, subject.namespace)
    assert [text(one, "name") for one in rows(patched, "spec", "template", "spec", "containers")] == ["other"]


async def test_a_merge_patch_with_an_old_version_conflicts(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    version = text(made, "metadata", "resourceVersion")
    await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "2"}}, subject.namespace, resource_version=version)
    with pytest.raises(Conflict):
        await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "3"}}, subject.namespace, resource_version=version)


async def test_a_patch_that_changes_nothing_makes_no_new_version(subject: Subject) -> None:
    made = await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    same = await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "1"}}, subject.namespace)
    assert text(same, "metadata", "resourceVersion") == text(made, "metadata", "resourceVersion")


async def test_a_patch_of_a_missing_object_is_not_found(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "1"}}, subject.namespace)


async def test_a_json_patch_adds_replaces_removes_and_tests(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", one="1", two="2"))
    patched = await subject.kube.json_patch(
        CONFIG_MAPS,
        "a",
        [
            {"op": "test", "path": "/data/one", "value": "1"},
            {"op": "replace", "path": "/data/one", "value": "eins"},
            {"op": "remove", "path": "/data/two"},
            {"op": "copy", "from": "/data/one", "path": "/data/copy"},
            {"op": "move", "from": "/data/copy", "path": "/data/moved"},
        ],
        subject.namespace,
    )
    assert texts(patched, "data") == {"one": "eins", "moved": "eins"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/one", "value": "2"},
        {"op": "remove", "path": "/data/none"},
    ],
    ids=["failed test", "nothing to remove"],
)
async def test_a_json_patch_that_does_not_fit_is_invalid(subject: Subject, operation: dict[str, str]) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", one="1"))
    with pytest.raises(Invalid) as refused:
        await subject.kube.json_patch(CONFIG_MAPS, "a", [{**operation}], subject.namespace)
    assert refused.value.code == 422


async def test_a_json_patch_replaces_also_what_is_not_there(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", one="1"))
    operation: JsonObject = {"op": "replace", "path": "/data/two", "value": "2"}
    patched = await subject.kube.json_patch(CONFIG_MAPS, "a", [operation], subject.namespace)
    assert texts(patched, "data") == {"one": "1", "two": "2"}


async def test_a_json_patch_must_be_a_list(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", one="1"))
    path = CONFIG_MAPS.path(subject.namespace, "a")
    with pytest.raises(Invalid, match="cannot unmarshal object") as refused:
        await subject.kube.request("PATCH", path, body={"data": {}}, content_type="application/json-patch+json")
    assert refused.value.code == 400


async def test_a_strategic_patch_merges_containers_by_name(subject: Subject) -> None:
    await subject.kube.create(DEPLOYMENTS, subject.deployment("web"))
    path = DEPLOYMENTS.path(subject.namespace, "web")
    containers: list[JsonObject] = [
        {"name": "side", "image": "registry.example/side:1"},
        {"name": "web", "env": [{"name": "A", "value": "1"}]},
    ]
    body: JsonObject = {"spec": {"template": {"spec": {"containers": [*containers]}}}}
    patched = await subject.kube.request("PATCH", path, body=body, content_type=STRATEGIC)
    found = {text(one, "name"): one for one in rows(patched, "spec", "template", "spec", "containers")}
    assert set(found) == {"web", "side"}
    assert text(found["web"], "image") == "registry.example/web:1"
    assert dig(found["web"], "env", 0, "value") == "1"
    gone: JsonObject = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    patched = await subject.kube.request("PATCH", path, body=gone, content_type=STRATEGIC)
    assert [text(one, "name") for one in rows(patched, "spec", "template", "spec", "containers")] == ["web"]


async def test_an_unknown_patch_type_is_unsupported(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a"))
    path = CONFIG_MAPS.path(subject.namespace, "a")
    with pytest.raises(Invalid) as refused:
        await subject.kube.request("PATCH", path, body={}, content_type="application/json")
    assert (refused.value.code, refused.value.reason) == (415, "UnsupportedMediaType")

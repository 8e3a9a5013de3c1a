"""Server-side apply: who owns which field."""

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, text, texts, whole
from steward.kube.errors import Conflict, Invalid, NotFound
from steward.kube.exchange import APPLY
from steward.kube.resources import CONFIG_MAPS, DEPLOYMENTS
from tests.contracts.kubernetes.subject import Subject


def containers(found: JsonObject) -> dict[str, JsonObject]:
    return {text(one, "name"): one for one in rows(found, "spec", "template", "spec", "containers")}


async def test_apply_creates_what_does_not_exist(subject: Subject) -> None:
    made = await subject.kube.apply(DEPLOYMENTS, subject.deployment("web"), manager="ours")
    assert text(made, "metadata", "uid")
    entry = rows(made, "metadata", "managedFields")[0]
    assert (text(entry, "manager"), text(entry, "operation")) == ("ours", "Apply")
    assert dig(entry, "fieldsV1", "f:spec", "f:replicas") == {}
    key = 'k:{"name":"web"}'
    assert dig(entry, "fieldsV1", "f:spec", "f:template", "f:spec", "f:containers", key, "f:image") == {}


async def test_applying_the_same_again_makes_no_new_version(subject: Subject) -> None:
    made = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    again = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    assert text(again, "metadata", "resourceVersion") == text(made, "metadata", "resourceVersion")


async def test_another_managers_field_is_a_conflict_that_names_manager_and_field(subject: Subject) -> None:
    await subject.kube.apply(DEPLOYMENTS, subject.deployment("web"), manager="theirs")
    with pytest.raises(Conflict) as refused:
        await subject.kube.apply(DEPLOYMENTS, subject.deployment("web", "registry.example/web:2"), manager="ours")
    assert 'Apply failed with 1 conflict: conflict with "theirs"' in str(refused.value)
    assert '.spec.template.spec.containers[name="web"].image' in str(refused.value)
    assert refused.value.managers == ['conflict with "theirs"']


async def test_a_field_that_was_written_without_apply_is_owned_too(subject: Subject) -> None:
    await subject.kube.create(CONFIG_MAPS, subject.config_map("a", key="1"))
    with pytest.raises(Conflict, match=r'conflict with "linkerd-steward" using v1.*: \.data\.key'):
        await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="2"), manager="ours")


async def test_force_takes_the_field_over(subject: Subject) -> None:
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1", other="o"), manager="theirs")
    taken = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="2"), manager="ours", force=True)
    assert texts(taken, "data") == {"key": "2", "other": "o"}
    owners = {
        text(entry, "manager"): dig(entry, "fieldsV1", "f:data") for entry in rows(taken, "metadata", "managedFields")
    }
    assert owners["ours"] == {"f:key": {}}
    assert "f:key" not in (owners["theirs"] if isinstance(owners["theirs"], dict) else {})


async def test_equal_values_are_shared_without_conflict(subject: Subject) -> None:
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="theirs")
    shared = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    assert {text(entry, "manager") for entry in rows(shared, "metadata", "managedFields")} == {"theirs", "ours"}
    left = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a"), manager="ours")
    assert texts(left, "data") == {"key": "1"}


async def test_what_is_no_longer_applied_disappears_unless_somebody_else_owns_it(subject: Subject) -> None:
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", mine="1", ours="2"), manager="ours")
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", ours="2"), manager="theirs")
    left = await subject.kube.apply(CONFIG_MAPS, {"metadata": subject.config_map("a")["metadata"]}, manager="ours")
    assert texts(left, "data") == {"ours": "2"}


async def test_lists_with_keys_merge_member_by_member(subject: Subject) -> None:
    await subject.kube.apply(DEPLOYMENTS, subject.deployment("web"), manager="theirs")
    side: JsonObject = {"name": "side", "image": "registry.example/side:1"}
    template: JsonObject = {"spec": {"containers": [side]}}
    body: JsonObject = {"metadata": {"name": "web", "namespace": subject.namespace}, "spec": {"template": template}}
    both = await subject.kube.apply(DEPLOYMENTS, body, manager="ours")
    assert set(containers(both)) == {"web", "side"}
    less: JsonObject = {"metadata": {"name": "web", "namespace": subject.namespace}}
    one = await subject.kube.apply(DEPLOYMENTS, less, manager="ours")
    assert set(containers(one)) == {"web"}


async def test_an_update_takes_ownership_of_what_it_changes(subject: Subject) -> None:
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    await subject.kube.merge(CONFIG_MAPS, "a", {"data": {"key": "2"}}, subject.namespace)
    with pytest.raises(Conflict, match='conflict with "linkerd-steward"'):
        await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="3"), manager="ours")


async def test_a_version_in_the_applied_object_is_a_precondition(subject: Subject) -> None:
    made = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="2"), manager="ours")
    late = subject.config_map("a", key="3")
    late["metadata"] = {
        "name": "a",
        "namespace": subject.namespace,
        "resourceVersion": text(made, "metadata", "resourceVersion"),
    }
    with pytest.raises(Conflict, match="the object has been modified"):
        await subject.kube.apply(CONFIG_MAPS, late, manager="ours")


async def test_apply_asks_for_a_manager(subject: Subject) -> None:
    path = CONFIG_MAPS.path(subject.namespace, "a")
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", **subject.config_map("a")}
    with pytest.raises(Invalid, match="fieldManager"):
        await subject.kube.request("PATCH", path, body=body, content_type=APPLY)


async def test_the_status_is_applied_through_its_own_endpoint(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        where: JsonObject = {"name": "a", "namespace": subject.namespace}
        with pytest.raises(NotFound):
            await subject.kube.apply(
                widgets, {"metadata": where, "status": {"phase": "Ready"}}, manager="ours", subresource="status"
            )
        await subject.kube.apply(widgets, {"metadata": where, "spec": {"color": "Red"}}, manager="ours")
        after = await subject.kube.apply(
            widgets, {"metadata": where, "status": {"phase": "Ready"}}, manager="ours", subresource="status"
        )
        assert text(after, "status", "phase") == "Ready"
        assert whole(after, "metadata", "generation") == 1
        entries = rows(after, "metadata", "managedFields")
        assert {text(entry, "subresource") for entry in entries} == {"", "status"}


async def test_a_field_outside_the_schema_is_invalid_although_the_server_says_500(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        where: JsonObject = {"name": "a", "namespace": subject.namespace}
        body: JsonObject = {"metadata": where, "spec": {"color": "Red", "colour": "Red"}}
        with pytest.raises(Invalid, match=r"spec\.colour: field not declared in schema") as refused:
            await subject.kube.apply(widgets, body, manager="ours")
        assert refused.value.code == 500


async def test_keyed_and_set_lists_of_custom_resources_merge_and_plain_ones_do_not(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        where: JsonObject = {"name": "a", "namespace": subject.namespace}
        part: JsonObject = {"name": "x", "weight": 1}
        first: JsonObject = {"color": "Red", "parts": [part], "tags": ["t"], "list": ["l"]}
        await subject.kube.apply(widgets, {"metadata": where, "spec": first}, manager="theirs")
        more: JsonObject = {"color": "Red", "parts": [{"name": "y", "weight": 2}], "tags": ["u"]}
        both = await subject.kube.apply(widgets, {"metadata": where, "spec": more}, manager="ours")
        assert [text(one, "name") for one in rows(both, "spec", "parts")] == ["x", "y"]
        assert dig(both, "spec", "tags") == ["t", "u"]
        other: JsonObject = {"color": "Red", "list": ["m"]}
        with pytest.raises(Conflict, match=r"\.spec\.list"):
            await subject.kube.apply(widgets, {"metadata": where, "spec": other}, manager="third")


async def test_fields_can_be_handed_to_another_manager_who_then_gives_them_up(subject: Subject) -> None:
    made = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1", old="o"), manager="theirs")
    entries = [{**entry, "manager": "ours"} for entry in rows(made, "metadata", "managedFields")]
    version = text(made, "metadata", "resourceVersion")
    hand_over: JsonObject = {"metadata": {"managedFields": list[Json](entries), "resourceVersion": version}}
    where = text(made, "metadata", "namespace")
    handed = await subject.kube.merge(CONFIG_MAPS, "a", hand_over, where)
    assert [text(entry, "manager") for entry in rows(handed, "metadata", "managedFields")] == ["ours"]
    after = await subject.kube.apply(CONFIG_MAPS, subject.config_map("a", key="1"), manager="ours")
    assert texts(after, "data") == {"key": "1"}

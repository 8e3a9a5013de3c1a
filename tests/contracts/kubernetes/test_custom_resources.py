"""Custom resources: serving, schema, defaults, pruning, status, scale."""

import pytest

from steward.jsonvalue import JsonObject, dig, text, whole
from steward.kube.errors import Conflict, Invalid, NotFound
from steward.kube.exchange import STRATEGIC
from steward.kube.resources import CRDS
from tests.contracts.kubernetes.subject import Subject

_TYPED: JsonObject = {"apiVersion": "contract.example/v1", "kind": "Widget"}


def widget(subject: Subject, spec: JsonObject | None = None) -> JsonObject:
    return {"metadata": {"name": "a", "namespace": subject.namespace}, "spec": {"color": "Red", **(spec or {})}}


async def test_a_definition_is_served_once_established_and_no_longer_when_deleted(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        await subject.kube.create(widgets, widget(subject))
        found = await subject.kube.list(widgets, subject.namespace)
        assert [text(one, "kind") for one in found.items] == ["Widget"]
    await subject.gone(CRDS, str(widgets))
    with pytest.raises(NotFound):
        await subject.kube.get(widgets, "a", subject.namespace)


async def test_cluster_scoped_resources_have_no_namespace(subject: Subject) -> None:
    async with subject.widgets(namespaced=False) as widgets:
        made = await subject.kube.create(widgets, {"metadata": {"name": "a"}, "spec": {"color": "Red"}})
        assert dig(made, "metadata", "namespace") is None
        assert await subject.kube.find(widgets, "a") == made


async def test_defaults_are_filled_in_and_persisted(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        made = await subject.kube.create(widgets, widget(subject))
        assert whole(made, "spec", "size") == 3
        assert whole(made, "metadata", "generation") == 1


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"color": "Blue"}, "spec.color", "Unsupported value"),
        ({"size": 11}, "spec.size", "less than or equal to 10"),
        ({"size": 0}, "spec.size", "greater than or equal to 1"),
        ({"size": "three"}, "spec.size", "must be of type integer"),
        ({"code": "ABC"}, "spec.code", "should match"),
        ({"parts": [{"weight": 1}]}, "spec.parts[0].name", "Required value"),
        ({"parts": [{"name": "x"}, {"name": "x"}]}, "spec.parts[1]", "Duplicate value"),
        ({"tags": ["t", "t"]}, "spec.tags[1]", "Duplicate value"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
async def test_what_breaks_the_schema_is_invalid(subject: Subject, spec: JsonObject, field: str, words: str) -> None:
    async with subject.widgets() as widgets:
        with pytest.raises(Invalid) as refused:
            await subject.kube.create(widgets, widget(subject, spec))
        assert refused.value.code == 422
        assert words in str(refused.value)
        assert field in [text(cause, "field") for cause in refused.value.causes]


async def test_a_missing_required_field_is_named(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        where: JsonObject = {"name": "a", "namespace": subject.namespace}
        with pytest.raises(Invalid, match=r"spec\.color: Required value"):
            await subject.kube.create(widgets, {"metadata": where, "spec": {}})


async def test_strict_validation_refuses_unknown_fields(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        with pytest.raises(Invalid, match=r'strict decoding error: unknown field "spec\.colour"') as refused:
            await subject.kube.create(widgets, widget(subject, {"colour": "Red"}))
        assert refused.value.code == 400


async def test_otherwise_unknown_fields_are_pruned_except_where_they_are_kept(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        body = widget(subject, {"colour": "Red", "anything": {"goes": {"here": 1}}})
        made = await subject.kube.request("POST", widgets.path(subject.namespace), body={**_TYPED, **body})
        assert dig(made, "spec", "colour") is None
        assert dig(made, "spec", "anything", "goes", "here") == 1


async def test_a_replacement_must_name_the_version_it_replaces(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        made = await subject.kube.create(widgets, widget(subject))
        with pytest.raises(Invalid, match=r"metadata\.resourceVersion.*must be specified for an update"):
            await subject.kube.replace(widgets, {**_TYPED, **widget(subject, {"size": 4})})
        changed: JsonObject = {**made, "spec": {"color": "Green"}}
        replaced = await subject.kube.replace(widgets, changed)
        assert (text(replaced, "spec", "color"), whole(replaced, "metadata", "generation")) == ("Green", 2)
        with pytest.raises(Conflict):
            await subject.kube.replace(widgets, changed)


async def test_the_status_is_separate_and_does_not_count_as_a_generation(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        body = widget(subject)
        body["status"] = {"phase": "Ready"}
        made = await subject.kube.create(widgets, body)
        assert "status" not in made
        main = await subject.kube.merge(widgets, "a", {"status": {"phase": "Ready"}}, subject.namespace)
        assert "status" not in main
        patch: JsonObject = {"status": {"phase": "Ready"}, "spec": {"color": "Green"}}
        after = await subject.kube.merge(widgets, "a", patch, subject.namespace, subresource="status")
        assert (text(after, "status", "phase"), text(after, "spec", "color")) == ("Ready", "Red")
        assert whole(after, "metadata", "generation") == 1
        with pytest.raises(Invalid, match="must be of type integer"):
            await subject.kube.merge(
                widgets, "a", {"status": {"count": "many"}}, subject.namespace, subresource="status"
            )


async def test_scale_reads_and_writes_where_the_definition_says(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        await subject.kube.create(widgets, widget(subject))
        scale = await subject.kube.get(widgets, "a", subject.namespace, subresource="scale")
        assert (text(scale, "kind"), whole(scale, "spec", "replicas")) == ("Scale", 3)
        await subject.kube.scale(widgets, "a", subject.namespace, 5)
        assert whole(await subject.kube.get(widgets, "a", subject.namespace), "spec", "size") == 5


async def test_a_strategic_patch_of_a_custom_resource_is_unsupported(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        await subject.kube.create(widgets, widget(subject))
        with pytest.raises(Invalid) as refused:
            await subject.kube.request(
                "PATCH", widgets.path(subject.namespace, "a"), body={"spec": {"size": 4}}, content_type=STRATEGIC
            )
        assert refused.value.code == 415


async def test_a_definition_must_bear_the_name_of_its_resource(subject: Subject) -> None:
    async with subject.widgets() as widgets:
        definition = await subject.kube.get(CRDS, str(widgets))
    wrong: JsonObject = {"metadata": {"name": "wrong.contract.example"}, "spec": definition["spec"]}
    with pytest.raises(Invalid, match=r"must be spec\.names\.plural"):
        await subject.kube.create(CRDS, wrong)

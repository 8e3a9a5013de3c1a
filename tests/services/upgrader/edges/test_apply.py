"""Whose fields an apply takes over, and whose it leaves alone."""

import pytest

from services.upgrader.edges.apply import Applier, Kinds, UnknownKind, taken_over
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, dig, rows, text
from steward.kube.client import Kube
from steward.kube.resources import CONFIG_MAPS

_RENDERED: JsonObject = {"f:metadata": {"f:labels": {"f:linkerd.io/control-plane-ns": {}}}, "f:data": {"f:old": {}}}
_KUBECTL: JsonObject = {
    "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
    "f:data": {"f:other": {}},
}


def _entry(manager: str, operation: str, fields: JsonObject, **more: str) -> JsonObject:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "time": "2026-11-21T10:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


@pytest.mark.parametrize(
    "earlier",
    [
        _entry("kubectl-client-side-apply", "Update", _KUBECTL),
        _entry("kubectl", "Apply", _RENDERED),
        _entry("some-script", "Update", _RENDERED),
    ],
)
def test_the_fields_of_whoever_applied_the_manifests_become_ours(earlier: JsonObject) -> None:
    status = _entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status")
    taken = taken_over([earlier, status], "v1")
    assert taken is not None
    kept, ours = taken
    assert kept == status
    assert (ours["manager"], ours["operation"]) == ("linkerd-steward", "Apply")
    assert ours["fieldsV1"] == earlier["fieldsV1"]


def test_several_earlier_appliers_are_taken_together_with_what_is_ours_already() -> None:
    ours = _entry("linkerd-steward", "Apply", {"f:data": {"f:mine": {}}})
    taken = taken_over([ours, _entry("kubectl", "Apply", _RENDERED), _entry("older", "Update", _KUBECTL)], "v1")
    assert taken is not None
    assert len(taken) == 1
    assert dig(taken[0], "fieldsV1", "f:data") == {"f:mine": {}, "f:old": {}, "f:other": {}}


@pytest.mark.parametrize(
    "others",
    [
        [],
        [_entry("linkerd-steward", "Apply", _RENDERED)],
        [_entry("kubectl-edit", "Update", {"f:data": {"f:by-hand": {}}})],
        [_entry("cert-manager-cainjector", "Update", {"f:webhooks": {}})],
        [_entry("kubelet", "Update", _RENDERED, subresource="status")],
    ],
)
def test_what_others_changed_by_themselves_stays_theirs(others: list[JsonObject]) -> None:
    assert taken_over(others, "v1") is None


async def test_a_key_that_the_new_manifest_does_not_have_goes_and_a_persons_stays(kube: Kube) -> None:
    labels: JsonObject = {"linkerd.io/control-plane-ns": "linkerd"}
    metadata: JsonObject = {"name": "config", "namespace": "default", "labels": labels}
    old: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1", "gone": "1"}}
    await kube.apply(CONFIG_MAPS, old, manager="kubectl")
    person: JsonObject = {"metadata": {"name": "config", "namespace": "default"}, "data": {"note": "keep"}}
    await kube.apply(CONFIG_MAPS, person, manager="a-person")
    applier = Applier(kube, SystemClock(), Kinds(kube))
    await applier.apply([{**old, "data": {"a": "2"}}], "op-1")
    live = await kube.get(CONFIG_MAPS, "config", "default")
    assert live["data"] == {"a": "2", "note": "keep"}
    assert {text(entry, "manager") for entry in rows(live, "metadata", "managedFields")} == {
        "linkerd-steward",
        "a-person",
    }


async def test_a_kind_that_is_not_served_is_named_with_the_remedy(kube: Kube) -> None:
    link: JsonObject = {
        "apiVersion": "multicluster.linkerd.io/v1alpha3",
        "kind": "Link",
        "metadata": {"name": "east", "namespace": "default"},
    }
    with pytest.raises(UnknownKind, match=r"Link default/east cannot be applied: .* does not serve multicluster"):
        await Applier(kube, SystemClock(), Kinds(kube)).apply([link], "op-1")

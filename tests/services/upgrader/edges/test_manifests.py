"""Rendered manifests become objects, in an order in which each finds what it needs."""

from pathlib import Path

import pytest

from services.upgrader.edges.manifests import Identity, in_order, parse_manifests
from steward.errors import ToolError
from steward.jsonvalue import text
from steward.testing.cluster.settings import ClusterTestSettings


@pytest.fixture
def rendered(cluster_settings: ClusterTestSettings) -> Path:
    found = cluster_settings.shared / "linkerd"
    if not found.is_dir():
        pytest.skip(f"no rendered manifests in {found}: set STEWARD_SHARED to the folder that has them")
    return found


@pytest.mark.parametrize("version", ["edge-25.10.7", "edge-26.6.3", "edge-26.8.3"])
def test_what_linkerd_renders_is_read_whole_and_put_in_order(rendered: Path, version: str) -> None:
    crds = parse_manifests((rendered / version / "crds.yaml").read_text(), "linkerd")
    assert len(crds) == 10
    objects = in_order(parse_manifests((rendered / version / "control-plane.yaml").read_text(), "linkerd"))
    kinds = [text(raw, "kind") for raw in objects]
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "MutatingWebhookConfiguration"
    assert kinds.index("ConfigMap") < kinds.index("Deployment") < kinds.index("ValidatingWebhookConfiguration")
    assert kinds.index("ServiceAccount") < kinds.index("ClusterRoleBinding")


def test_what_prune_lists_is_read(recordings: Path) -> None:
    (leftover,) = parse_manifests((recordings / "prune" / "leftover.yaml").read_text(), "linkerd prune")
    assert str(Identity.of(leftover)) == "ConfigMap linkerd/leftover"
    for empty in ("after-upgrade", "before-upgrade-new-cli", "same-version"):
        assert parse_manifests((recordings / "prune" / f"{empty}.yaml").read_text(), "linkerd prune") == ()


def test_the_members_of_a_list_are_objects_of_their_own() -> None:
    output = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n"
    assert [str(Identity.of(raw)) for raw in parse_manifests(output, "x")] == ["Secret a"]


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ("a: [", "no YAML at line"),
        ("key: |\n  -----BEGIN EC PRIVATE KEY-----\n  MHcCAQEE\n bad", "no YAML at line 4"),
        ("just text", "a document that is no object"),
        ("- a\n- b", "a document that is no object"),
        ("apiVersion: v1\nkind: Secret\n", "without apiVersion, kind or name"),
        ("kind: Secret\nmetadata: {name: x}\n", "without apiVersion, kind or name"),
        ("a: &a [*a]\n" + "[" * 5000, "no YAML"),
    ],
)
def test_what_is_no_manifest_is_refused_without_being_quoted(output: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint) as failed:
        parse_manifests(output, "`linkerd upgrade`")
    assert "MHcCAQEE" not in str(failed.value)
    assert str(failed.value).startswith("`linkerd upgrade` wrote")

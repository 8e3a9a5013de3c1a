"""Who installed it: one tool, a mixture with its evidence, or nobody who can be named."""

import pytest

from steward.jsonvalue import JsonObject
from steward.linkerd.ownership import (
    HelmRelease,
    Installers,
    MarkedObject,
    Mixture,
    newest_releases,
    ownership_of,
)
from steward.resources.upgrade_plan import InstallMethod
from tests.common.testing_linkerd.recorded import VERSIONS, documents

HELM = {"meta.helm.sh/release-name": "linkerd-control-plane", "linkerd.io/created-by": "linkerd/helm edge-26.8.3"}
CLI = {"linkerd.io/created-by": "linkerd/cli edge-26.8.3"}
ARGO = {"argocd.argoproj.io/tracking-id": "linkerd:apps/Deployment:linkerd/linkerd-identity"}
RELEASE = HelmRelease("linkerd-control-plane", "linkerd", 3, "deployed")
OVERRIDES = MarkedObject("Secret linkerd/linkerd-config-overrides", {}, {})


def thing(
    annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, name: str = "ConfigMap a"
) -> MarkedObject:
    return MarkedObject(name, labels or {}, annotations or {})


@pytest.mark.parametrize(
    ("objects", "installers", "expected"),
    [
        pytest.param([thing(HELM)], Installers(), "Helm", id="helm by its marks"),
        pytest.param([thing(HELM)], Installers((RELEASE,)), "Helm", id="helm by its release"),
        pytest.param([thing(CLI)], Installers(), "CLI", id="cli by its marks"),
        pytest.param([thing(CLI)], Installers((), OVERRIDES), "CLI", id="cli by its secret"),
        pytest.param([thing(ARGO)], Installers(), "GitOps", id="argo by annotation"),
        pytest.param([thing(labels={"argocd.argoproj.io/instance": "x"})], Installers(), "GitOps", id="argo by label"),
        pytest.param(
            [thing({**ARGO, "linkerd.io/created-by": "linkerd/helm edge-26.8.3"})],
            Installers(()),
            "GitOps",
            id="argo renders the chart",
        ),
        pytest.param(
            [thing(HELM, {"helm.toolkit.fluxcd.io/name": "linkerd"})],
            Installers((RELEASE,)),
            "GitOps",
            id="flux runs helm",
        ),
        pytest.param(
            [thing(CLI, {"kustomize.toolkit.fluxcd.io/name": "linkerd"})],
            Installers((), MarkedObject("Secret x", {"kustomize.toolkit.fluxcd.io/name": "linkerd"}, {})),
            "GitOps",
            id="flux applies what the cli rendered",
        ),
        pytest.param([thing(HELM), thing(CLI)], Installers(), "Mixed", id="two tools"),
        pytest.param([thing({**HELM, **CLI})], Installers(), "Mixed", id="the cli applied over helm"),
        pytest.param([thing(CLI)], Installers((RELEASE,), OVERRIDES), "Mixed", id="a release beside the cli's secret"),
        pytest.param([thing({**ARGO, **HELM})], Installers((RELEASE,)), "Mixed", id="argo took over from helm"),
        pytest.param([thing()], Installers((), None), "Unknown", id="no marks"),
        pytest.param([], Installers(), "Unknown", id="nothing"),
        pytest.param(
            [thing(CLI)],
            Installers((HelmRelease("prometheus", "linkerd", 1, "deployed"),), OVERRIDES),
            "CLI",
            id="a stranger's release",
        ),
        pytest.param(
            [thing(CLI)],
            Installers((HelmRelease("linkerd-crds", "linkerd", 4, "uninstalled"),), OVERRIDES),
            "CLI",
            id="a release that is gone",
        ),
    ],
)
def test_the_owner_follows_from_the_marks(objects: list[MarkedObject], installers: Installers, expected: str) -> None:
    assert ownership_of(objects, installers).label == expected


def test_a_mixture_shows_a_piece_of_evidence_for_each_tool_first() -> None:
    objects = [thing(CLI, name=f"CustomResourceDefinition {number}") for number in range(20)]
    found = ownership_of([*objects, thing(HELM)], Installers())
    assert (found.method, found.mixture) == (None, Mixture.MIXED)
    assert {each.method for each in found.evidence[:2]} == {InstallMethod.HELM, InstallMethod.CLI}
    assert "linkerd-control-plane" in found.message
    assert "linkerd/cli edge-26.8.3" in found.message


def test_the_release_of_the_control_plane_is_named() -> None:
    assert ownership_of([thing(HELM)], Installers()).release == "linkerd-control-plane"


def secret(name: str, revision: str, status: str = "deployed", owner: str = "helm") -> JsonObject:
    labels: JsonObject = {"owner": owner, "name": name, "version": revision, "status": status}
    return {"metadata": {"name": f"sh.helm.release.v1.{name}.v{revision}", "namespace": "linkerd", "labels": labels}}


def test_the_newest_revision_of_each_release_counts() -> None:
    found = newest_releases(
        [
            secret("linkerd-crds", "2"),
            secret("linkerd-crds", "10", "pending-upgrade"),
            secret("linkerd-control-plane", "1"),
            secret("other", "1", owner="someone"),
            secret("bad", "x"),
        ]
    )
    assert [(each.name, each.revision, each.status) for each in found] == [
        ("linkerd-control-plane", 1, "deployed"),
        ("linkerd-crds", 10, "pending-upgrade"),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_real_cli_renders_is_owned_by_the_cli(version: str) -> None:
    rendered = documents("linkerd", version, "control-plane.yaml") + documents("linkerd", version, "crds.yaml")
    objects = [
        MarkedObject.of(each)
        for each in rendered
        if each["kind"] in ("ConfigMap", "Deployment", "CustomResourceDefinition")
    ]
    assert ownership_of(objects, Installers()).method is InstallMethod.CLI

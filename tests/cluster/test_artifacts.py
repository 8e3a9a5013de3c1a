"""Every tier's charts are installed and upgraded by real helm on the real API server."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.version import Version
from steward.testing.cluster.artifacts import VERSIONS, Source, assemble
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import (
    MESHED,
    Fleet,
    Kind,
    Namespace,
    Workload,
    proxy_version,
    rolled_out,
    unique,
)

_LABEL = "linkerd.io/control-plane-ns"
_CONTROL_PLANE = ["linkerd-destination", "linkerd-identity", "linkerd-proxy-injector"]


@pytest.fixture(scope="module", params=[Source.RENDERED, Source.STAND_IN], ids=["rendered", "stand-in"])
def tiered(
    request: pytest.FixtureRequest,
    linkerd: Linkerd,
    cluster_settings: ClusterTestSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Linkerd]:
    """Linkerd with the artifacts of one tier."""
    source: Source = request.param
    directory = tmp_path_factory.mktemp("tier")
    shared = cluster_settings.shared if source is Source.RENDERED else directory / "absent"
    if source is Source.RENDERED and not (shared / "linkerd").is_dir():
        pytest.skip(f"no rendered manifests in {shared / 'linkerd'}: set STEWARD_SHARED")
    settings = replace(cluster_settings, artifacts=None, shared=shared)
    artifacts = assemble(settings, directory / "artifacts", SystemClock().now())

    assert [release.charts_from for release in artifacts.releases] == [source] * len(VERSIONS)

    tier = replace(linkerd, artifacts=artifacts)
    yield tier
    tier.remove()


@pytest.fixture
def apps(tiered: Linkerd) -> Iterator[str]:
    """A namespace whose pods ask for a proxy."""
    namespace = Namespace(unique("apps"), annotations=MESHED)
    fleet = Fleet((namespace,), ())
    fleet.create(tiered.cluster.api)
    yield namespace.name
    fleet.remove(tiered.cluster.api)


def test_helm_installs_and_upgrades_through_all_versions(tiered: Linkerd, apps: str) -> None:
    api = tiered.cluster.api
    probe = Workload(Kind.POD, apps, "probe")
    for version in tiered.artifacts.versions:
        tiered.by_helm(version)

        # Helm has waited for the new pods; the old ones may still be leaving.
        deployments = api.until(
            "the control plane rolled out",
            "/apis/apps/v1/namespaces/linkerd/deployments",
            lambda found: all(rolled_out(one) for one in found),
        )
        assert sorted(text(one, "metadata", "name") for one in deployments) == _CONTROL_PLANE
        assert {_controller_version(one) for one in deployments} == {version}
        assert tiered.config()["linkerdVersion"] == version
        injected = api.request("POST", probe.collection, probe.manifest(), query={"dryRun": "All"})
        assert proxy_version(injected) == version
        assert _has_native_sidecar(injected) is (Version.parse(version) >= Version.parse("edge-26.5.2"))

    releases = {text(row, "name"): row for row in tiered.commands.releases()}
    newest = Version.parse(tiered.artifacts.newest)
    assert text(releases["linkerd-control-plane"], "chart") == f"linkerd-control-plane-{newest.chart}"
    assert text(releases["linkerd-control-plane"], "app_version") == str(newest)
    assert text(releases["linkerd-crds"], "app_version") == ""
    assert text(releases["linkerd-control-plane"], "revision") == str(len(VERSIONS))


def _controller_version(deployment: JsonObject) -> str:
    containers = rows(deployment, "spec", "template", "spec", "containers")
    images = [text(one, "image") for one in containers if "/controller:" in text(one, "image")]
    return images[0].rpartition(":")[2]


def test_the_cli_installs_what_its_check_finds_healthy_and_everything_goes_again(tiered: Linkerd) -> None:
    api, version = tiered.cluster.api, tiered.artifacts.oldest
    tiered.remove()
    tiered.by_cli(version)

    deployments = api.items("/apis/apps/v1/namespaces/linkerd/deployments")
    assert {_controller_version(one) for one in deployments} == {version}
    assert api.find("/api/v1/namespaces/linkerd/secrets/linkerd-config-overrides") is not None
    assert tiered.commands.releases() == []
    checked = json.loads(tiered.commands.run([str(tiered.artifacts[version].linkerd), "check", "-o", "json"]))
    assert checked["success"] is True

    tiered.remove()

    assert api.find("/api/v1/namespaces/linkerd") is None
    assert api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", labels=_LABEL) == []
    assert api.items("/apis/rbac.authorization.k8s.io/v1/clusterroles", labels=_LABEL) == []


def test_what_helm_installs_has_the_objects_that_were_recorded(
    tiered: Linkerd, cluster_settings: ClusterTestSettings
) -> None:
    version = tiered.artifacts.newest
    recording = cluster_settings.shared / "recordings" / "install" / f"{version}.kinds.tsv"
    if not recording.is_file():
        pytest.skip(f"no recording {recording}: set STEWARD_SHARED")
    recorded = {tuple(line.split("\t")[1:4]) for line in recording.read_text().splitlines()[1:]}
    tiered.by_helm(version)

    rendered = yaml.safe_load_all(tiered.commands.helm("get", "manifest", "linkerd-control-plane", "-n", "linkerd"))
    installed = {
        (text(one, "kind"), text(one, "metadata", "namespace"), text(one, "metadata", "name")) for one in rendered
    }
    assert installed == recorded - {("Namespace", "", "linkerd"), ("Secret", "linkerd", "linkerd-config-overrides")}


def test_each_render_makes_other_webhook_certificates_and_keeps_the_identity(tiered: Linkerd) -> None:
    tiered.by_helm(tiered.artifacts.newest)
    first = _certificates(tiered)

    tiered.by_helm(tiered.artifacts.newest)
    second = _certificates(tiered)

    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    hooks = tiered.cluster.api.items("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
    bundles = {text(hook, "clientConfig", "caBundle") for one in hooks for hook in rows(one, "webhooks")}
    assert bundles == {second["linkerd-proxy-injector-k8s-tls"]}
    assert text(tiered.config(), "identityTrustAnchorsPEM") == tiered.trust.anchors


def _certificates(tiered: Linkerd) -> dict[str, str]:
    secrets = tiered.cluster.api.items("/api/v1/namespaces/linkerd/secrets")
    return {
        text(secret, "metadata", "name"): text(secret, "data", "tls.crt")
        for secret in secrets
        if text(secret, "type") == "kubernetes.io/tls"
    }


def _has_native_sidecar(pod: JsonObject) -> bool:
    return any(text(one, "name") == "linkerd-proxy" for one in rows(pod, "spec", "initContainers"))

"""Every tier's charts are installed and upgraded by real helm on the real API server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text
from steward.linkerd.version import Version
from steward.testing.cluster.artifacts import VERSIONS, Source, assemble
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import rolled_out

_CONTROL_PLANE = ["linkerd-destination", "linkerd-identity", "linkerd-proxy-injector"]


@pytest.fixture(params=[Source.RENDERED, Source.STAND_IN], ids=["rendered", "stand-in"])
def tiered(
    request: pytest.FixtureRequest, linkerd: Linkerd, cluster_settings: ClusterTestSettings, tmp_path: Path
) -> Iterator[Linkerd]:
    """Linkerd with the artifacts of one tier."""
    source: Source = request.param
    shared = cluster_settings.shared if source is Source.RENDERED else tmp_path / "absent"
    if source is Source.RENDERED and not (shared / "linkerd").is_dir():
        pytest.skip(f"no rendered manifests in {shared / 'linkerd'}: set STEWARD_SHARED")
    settings = replace(cluster_settings, artifacts=None, shared=shared)
    artifacts = assemble(settings, tmp_path / "artifacts", SystemClock().now())

    assert [release.charts_from for release in artifacts.releases] == [source] * len(VERSIONS)

    tier = replace(linkerd, artifacts=artifacts)
    yield tier
    tier.remove()


def test_helm_installs_and_upgrades_through_all_versions(tiered: Linkerd) -> None:
    api = tiered.cluster.api
    for version in tiered.artifacts.versions:
        tiered.by_helm(version)

        deployments = api.items("/apis/apps/v1/namespaces/linkerd/deployments")
        assert sorted(text(one, "metadata", "name") for one in deployments) == _CONTROL_PLANE
        assert all(rolled_out(one) for one in deployments)
        assert {_controller_version(one) for one in deployments} == {version}
        assert tiered.config()["linkerdVersion"] == version

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

"""Tests of what is deployed: by reading it, by rendering it, and on a real API server."""

import pytest

from steward.jsonvalue import JsonObject
from steward.testing.cluster.fixtures import (
    artifacts,
    binaries,
    cluster_settings,
    control_plane,
    linkerd,
    scenario_cluster,
    trust,
)
from steward.testing.cluster.settings import ClusterTestSettings
from tests.deploy.kustomize import KubectlMissing, kubectl, objects, rendered

__all__ = [
    "artifacts",
    "binaries",
    "cluster_settings",
    "control_plane",
    "linkerd",
    "scenario_cluster",
    "trust",
]


@pytest.fixture(scope="session")
def renderer(cluster_settings: ClusterTestSettings) -> None:
    """kubectl, without which nothing can be rendered; a machine of CI always has it."""
    try:
        kubectl()
    except KubectlMissing as missing:
        if cluster_settings.ci:
            raise
        pytest.skip(str(missing))


@pytest.fixture(params=["development", "production"], scope="session")
def overlay(request: pytest.FixtureRequest, renderer: None) -> list[JsonObject]:
    """The objects of each overlay in turn."""
    del renderer
    return objects(rendered(request.param))

"""Pytest fixtures for tests on a real API server. A conftest.py imports those it wants, which makes them its own."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.testing.cluster import binaries as toolbox
from steward.testing.cluster.artifacts import Artifacts, assemble, describe
from steward.testing.cluster.binaries import Binaries, GoMissing
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster, ControlPlane, GivenCluster
from steward.testing.cluster.injector import Injector
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.linkerd.certificates import Trust

_NODES = 4
_NUMBERS = itertools.count(1)


def header() -> list[str]:
    """Which cluster and which Linkerd the tests take, for `pytest_report_header`."""
    settings = ClusterTestSettings.from_environment()
    where = f"the one of KUBECONFIG={settings.kubeconfig}" if settings.kubeconfig else "throwaway control plane"
    return [f"test cluster: {where}", f"linkerd artifacts: {describe(settings)}"]


@pytest.fixture(scope="session")
def cluster_settings() -> ClusterTestSettings:
    """What the environment says about the test cluster."""
    return ClusterTestSettings.from_environment()


@pytest.fixture(scope="session")
def binaries(cluster_settings: ClusterTestSettings) -> Binaries:
    """helm, kubectl and the control plane's binaries, built if they are not in the cache."""
    try:
        return toolbox.build(cluster_settings)
    except GoMissing as missing:
        if cluster_settings.ci:
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def control_plane(
    cluster_settings: ClusterTestSettings, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One cluster for all tests that leave it as they found it."""
    yield from _cluster(cluster_settings, binaries, tmp_path_factory)


@pytest.fixture(scope="module")
def scenario_cluster(
    cluster_settings: ClusterTestSettings, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster of the module's own: four seconds are less than cleaning up after a mesh."""
    yield from _cluster(cluster_settings, binaries, tmp_path_factory)


@pytest.fixture
def breakable_control_plane(
    cluster_settings: ClusterTestSettings, binaries: Binaries, tmp_path: Path
) -> Iterator[ControlPlane]:
    """A throwaway cluster of the test's own, whose components it may kill."""
    if cluster_settings.kubeconfig:
        pytest.skip(f"kills components of the control plane, which are not ours in {cluster_settings.kubeconfig}")
    with ControlPlane(binaries, tmp_path / "cluster", nodes=_NODES) as started:
        yield started


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """An empty namespace of the test's own."""
    name = f"steward-test-{next(_NUMBERS)}"
    collection = "/api/v1/namespaces"
    control_plane.api.create(collection, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    accounts = f"{collection}/{name}/serviceaccounts"
    control_plane.api.until("its ServiceAccount", accounts, lambda items: len(items) > 0)
    yield name
    control_plane.api.delete(f"{collection}/{name}")


@pytest.fixture(scope="session")
def artifacts(cluster_settings: ClusterTestSettings, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """CLI and charts of every version, in the layout that `STEWARD_LINKERD_ARTIFACTS` has."""
    return assemble(cluster_settings, tmp_path_factory.mktemp("artifacts"), SystemClock().now())


@pytest.fixture(scope="session")
def trust() -> Trust:
    """Trust anchors and an issuer, as a careful person makes them."""
    return Trust.for_helm(SystemClock().now())


@pytest.fixture(scope="module")
def linkerd(
    scenario_cluster: Cluster,
    binaries: Binaries,
    artifacts: Artifacts,
    trust: Trust,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Linkerd]:
    """A cluster with the Gateway API and no Linkerd yet: `linkerd.by_helm(version)` or `linkerd.by_cli(version)`."""
    with _stage(scenario_cluster, binaries, artifacts, trust, tmp_path_factory.mktemp("linkerd")) as stage:
        yield stage


@pytest.fixture
def fresh_linkerd(
    cluster_settings: ClusterTestSettings,
    binaries: Binaries,
    artifacts: Artifacts,
    trust: Trust,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Linkerd]:
    """The same for one test alone."""
    directory = tmp_path_factory.mktemp("linkerd")
    with (
        contextmanager(_cluster)(cluster_settings, binaries, tmp_path_factory) as cluster,
        _stage(cluster, binaries, artifacts, trust, directory) as stage,
    ):
        yield stage


@contextmanager
def _stage(
    cluster: Cluster, binaries: Binaries, artifacts: Artifacts, trust: Trust, directory: Path
) -> Iterator[Linkerd]:
    commands = Commands(binaries, cluster.kubeconfig, directory)
    commands.install_gateway_api()
    with Injector(cluster.access) as injector:
        linkerd = Linkerd(cluster, commands, artifacts, injector, trust, directory)
        yield linkerd
        if not cluster.throwaway:
            linkerd.remove()


def _cluster(settings: ClusterTestSettings, binaries: Binaries, paths: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = paths.mktemp("cluster")
    if settings.kubeconfig:
        given = GivenCluster(settings.kubeconfig, binaries, directory)
        yield given
        given.stop()
        return
    with ControlPlane(binaries, directory / "control-plane", nodes=_NODES) as started:
        yield started

"""Pytest fixtures for tests on a real API server. A conftest.py imports those it wants, which makes them its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.testing.cluster import binaries as toolbox
from steward.testing.cluster.artifacts import Artifacts, assemble, describe
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster, ControlPlane, GivenCluster
from steward.testing.cluster.injector import Injector
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import unique
from steward.testing.linkerd.certificates import Trust
from steward.testing.toolboxes.toolbox import GoMissing

_NODES = 4
_GRACE = timedelta(seconds=15)


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
    name = unique("steward-test")
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
    cluster_settings: ClusterTestSettings,
    scenario_cluster: Cluster,
    binaries: Binaries,
    artifacts: Artifacts,
    trust: Trust,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Linkerd]:
    """A cluster with the Gateway API and no Linkerd yet: `linkerd.by_helm(version)` or `linkerd.by_cli(version)`."""
    commands = Commands(binaries, scenario_cluster.kubeconfig, tmp_path_factory.mktemp("linkerd"))
    with _stage(scenario_cluster, commands, artifacts, trust, cluster_settings) as stage:
        yield stage


@pytest.fixture
def breakable_linkerd(
    cluster_settings: ClusterTestSettings,
    breakable_control_plane: ControlPlane,
    binaries: Binaries,
    artifacts: Artifacts,
    trust: Trust,
    tmp_path: Path,
) -> Iterator[Linkerd]:
    """The same on a cluster of the test's own, whose components it may kill."""
    commands = Commands(binaries, breakable_control_plane.kubeconfig, tmp_path)
    with _stage(breakable_control_plane, commands, artifacts, trust, cluster_settings) as stage:
        yield stage


@contextmanager
def _stage(
    cluster: Cluster, commands: Commands, artifacts: Artifacts, trust: Trust, settings: ClusterTestSettings
) -> Iterator[Linkerd]:
    if not cluster.throwaway and cluster.api.find("/api/v1/namespaces/linkerd") is not None:
        pytest.fail(
            f"the cluster of {settings.kubeconfig} has a namespace `linkerd`: the tests install a Linkerd of their own "
            "and remove it again, so name a cluster without one"
        )
    had_gateway_api = commands.has_gateway_api()
    if not had_gateway_api:
        commands.install_gateway_api()
    # On a cluster of somebody else's, somebody else may be about to run the real controllers.
    grace = timedelta(0) if cluster.throwaway else _GRACE
    with Injector(cluster.access, stand_in=not settings.real_injector, grace=grace) as injector:
        linkerd = Linkerd(cluster, commands, artifacts, injector, trust, commands.home)
        yield linkerd
        if not cluster.throwaway:
            linkerd.remove()
            if not had_gateway_api:
                commands.remove_gateway_api()


def _cluster(settings: ClusterTestSettings, binaries: Binaries, paths: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = paths.mktemp("cluster")
    if settings.kubeconfig:
        given = GivenCluster(settings.kubeconfig, binaries, directory)
        yield given
        given.stop()
        return
    with ControlPlane(binaries, directory / "control-plane", nodes=_NODES) as started:
        yield started

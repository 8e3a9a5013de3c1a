"""The pytest plugin: real parts and honest fakes as fixtures. Installed with the extra `testing`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.testing.clock import ManualClock
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd.feed import ReleaseFeed
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.monitoring.debian import NotOffered
from steward.testing.monitoring.mail import SmtpSink
from steward.testing.monitoring.operator import operator_definitions as definitions_of
from steward.testing.monitoring.tools import Generation, MonitoringTools
from steward.testing.monitoring.tools import monitoring_tools as gathered
from steward.testing.monitoring.webhooks import WebhookSink
from steward.testing.nats import NatsCluster, NatsServer
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.toolbox import GoMissing


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()


@pytest_asyncio.fixture
async def fake_kubernetes() -> AsyncIterator[FakeKubernetes]:
    """A simulated cluster of its own for each test: `steward.testing.kubernetes.server`."""
    async with FakeKubernetes() as kubernetes:
        yield kubernetes


@pytest_asyncio.fixture
async def kube(fake_kubernetes: FakeKubernetes) -> AsyncIterator[Kube]:
    """The simulated cluster through the client that services use, as its administrator."""
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig()) as client:
        yield client


@pytest_asyncio.fixture
async def simulated_mesh(fake_kubernetes: FakeKubernetes) -> AsyncIterator[SimulatedMesh]:
    """Controllers and an injector over `fake_kubernetes`, nothing installed yet: `steward.testing.linkerd.mesh`."""
    async with SimulatedMesh(fake_kubernetes) as mesh:
        yield mesh


@pytest_asyncio.fixture
async def release_feed() -> AsyncIterator[ReleaseFeed]:
    """Version document, release notes, Helm index and downloads on loopback: `steward.testing.linkerd.feed`."""
    async with ReleaseFeed() as feed:
        yield feed


@pytest_asyncio.fixture
async def nats_server() -> AsyncIterator[NatsServer]:
    """A NATS server of its own for each test, with JetStream and an empty store: `steward.testing.nats`."""
    async with NatsServer() as server:
        yield server


@pytest_asyncio.fixture
async def nats_cluster() -> AsyncIterator[NatsCluster]:
    """Three NATS servers that replicate to one another."""
    async with NatsCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def monitoring_tools() -> MonitoringTools:
    """Current Prometheus, promtool, Alertmanager and amtool: `steward.testing.monitoring`.

    They are built if the cache does not have them, which takes minutes. Without Go the test is skipped, in CI it fails.
    """
    settings = ToolboxSettings.from_environment()
    try:
        return gathered(settings)
    except GoMissing as missing:
        if settings.ci:
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def old_monitoring_tools() -> MonitoringTools:
    """The same four of Debian 12, the oldest that are supported. Where apt does not offer them the test is skipped."""
    try:
        return gathered(ToolboxSettings.from_environment(), Generation.OLD)
    except NotOffered as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="session", params=list(Generation), ids=str)
def each_monitoring_tools(request: pytest.FixtureRequest) -> MonitoringTools:
    """The current four and the old four, one after the other."""
    fixture = {Generation.CURRENT: "monitoring_tools", Generation.OLD: "old_monitoring_tools"}[request.param]
    found: MonitoringTools = request.getfixturevalue(fixture)
    return found


@pytest.fixture(scope="session")
def operator_definitions() -> tuple[JsonObject, ...]:
    """The definitions of PrometheusRule and AlertmanagerConfig; without Go the test is skipped."""
    settings = ToolboxSettings.from_environment()
    try:
        return definitions_of(settings, "prometheusrules", "alertmanagerconfigs")
    except GoMissing as missing:
        if settings.ci:
            raise
        pytest.skip(str(missing))


@pytest_asyncio.fixture
async def webhook_sink() -> AsyncIterator[WebhookSink]:
    """A place on loopback that takes JSON posts and answers as it is told: `steward.testing.monitoring.webhooks`."""
    async with WebhookSink() as sink:
        yield sink


@pytest_asyncio.fixture
async def smtp_sink() -> AsyncIterator[SmtpSink]:
    """A place on loopback that takes mail, without encryption or password: `steward.testing.monitoring.mail`."""
    async with SmtpSink() as sink:
        yield sink

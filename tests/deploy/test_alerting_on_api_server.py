"""Alerting and its Prometheus on a real API server, with no rights but those of deploy/."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from services.alerting.settings import (
    AlertingGroup,
    AlertmanagerSettings,
    FilesSettings,
    PrometheusSettings,
    TempoSettings,
    WebhookSettings,
)
from steward.jsonvalue import texts
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.nats import free_ports
from tests.deploy.installed import HOME, grant
from tests.deploy.scraped import Api, adjusted, found_by, label_names, pages_of, serving
from tests.deploy.scraped_mesh import NAMESPACES, Pod
from tests.deploy.test_scrapes import EXPECTED, OLD, SIMULATED, mesh

pytestmark = [pytest.mark.cluster, pytest.mark.monitoring]

ACCOUNT = "alerting"
PATIENCE = 120.0
STEWARD = "/apis/steward.linkerd.io/v1alpha1/namespaces"
NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
NOT_ON_THIS_WAY = {"get apiservices", "create events", "patch events"}
"""viz is not installed here, and nothing goes wrong."""


def _namespaces(cluster: Cluster, *names: str) -> None:
    for name in names:
        if cluster.api.find(f"/api/v1/namespaces/{name}") is None:
            cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})


@pytest.fixture
def pods(scenario_cluster: Cluster, renderer: None, request: pytest.FixtureRequest) -> Iterator[list[Pod]]:
    """Pods of a mesh, with addresses on loopback; and the rights of deploy/."""
    del renderer
    found = mesh(request.param, 20 + (request.param == OLD))
    api = scenario_cluster.api
    _namespaces(scenario_cluster, *NAMESPACES)
    grant(scenario_cluster)
    for pod in found:
        collection = f"/api/v1/namespaces/{pod.namespace}/pods"
        api.create(collection, pod.manifest())
        api.merge(f"{collection}/{pod.name}/status", {"status": pod.status()})
    yield found
    for pod in found:
        api.request("DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", query={"gracePeriodSeconds": "0"})


@pytest.mark.parametrize("pods", [OLD, SIMULATED], indirect=True)
async def test_prometheus_finds_the_mesh_and_reads_the_api_servers_page_with_the_token_of_its_pod(
    scenario_cluster: Cluster, binaries: Binaries, monitoring_tools: MonitoringTools, pods: list[Pod], tmp_path: Path
) -> None:
    kubeconfig = scenario_cluster.kubeconfig_of(HOME, ACCOUNT)
    access = Kubeconfig.read(kubeconfig, binaries.path("kubectl"))
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text(access.token)
    authority.write_text(access.authority)
    document = yaml.safe_load(adjusted(Api(kubeconfig, token, authority), tmp_path))
    # The API server of the tests listens on loopback, which no EndpointSlice may hold: it is named here.
    (job,) = (each for each in document["scrape_configs"] if each["job_name"] == "apiserver")
    named = {"__meta_kubernetes_service_name": "kubernetes", "__meta_kubernetes_endpointslice_port_name": "https"}
    job["static_configs"] = [{"targets": [urlsplit(access.server).netloc], "labels": named}]
    names = {pod.address: pod.name for pod in pods}
    async with (
        serving(pages_of(pods)),
        Prometheus(monitoring_tools, PrometheusOptions(document=yaml.safe_dump(document))) as prometheus,
    ):
        found = await found_by(prometheus, len(EXPECTED))
        labels = {(job, names[host], port): texts(each, "labels") for (job, host, port), each in found.items()}
        assert set(labels) == set(EXPECTED)
        for place, each in labels.items():
            assert {name: value for name, value in each.items() if name not in ("job", "instance")} == EXPECTED[place]
        assert [name for name in await label_names(prometheus) if name.startswith("exported_")] == []
        async with asyncio.timeout(PATIENCE):
            while not (up := await prometheus.query('up{job="apiserver"}')):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.2)  # noqa: TID251 - Prometheus says nothing of its own accord
        assert [each.value for each in up] == [1], (
            "the page is read with the right to it and the name of its certificate"
        )
        assert "forbidden" not in prometheus.log


def _group(prometheus: Prometheus, alertmanager: Alertmanager, folder: Path) -> AlertingGroup:
    (port,) = free_ports(1)
    token = folder / "token"
    token.write_text("agreed\n")
    return AlertingGroup(
        prometheus=PrometheusSettings(url=prometheus.url),
        alertmanager=AlertmanagerSettings(url=alertmanager.url),
        files=FilesSettings(
            rules=folder / "rules",
            alertmanager=Path(alertmanager.configuration_file).parent,
            secrets=folder / "secrets",
            good=folder / "good",
        ),
        webhook=WebhookSettings(port=port, token_file=token),
        tempo=TempoSettings(settle=timedelta(milliseconds=200), look_again=timedelta(seconds=1)),
    )

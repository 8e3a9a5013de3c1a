"""Alerting and its Prometheus on a real API server, with no rights but those of deploy/."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.alerting.metrics import METRICS
from services.alerting.service import serve
from services.alerting.settings import (
    AlertingGroup,
    AlertingSettings,
    AlertmanagerSettings,
    FilesSettings,
    PrometheusSettings,
    TempoSettings,
    WebhookSettings,
)
from steward.jsonvalue import JsonObject, rows, text, texts
from steward.resources import KINDS
from steward.resources.definitions import definition
from steward.service.health import Health
from steward.service.runtime import lent
from steward.service.settings import ClusterSettings, LeaseSettings, LogSettings
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually
from steward.testing.nats import free_ports
from tests.deploy.deployed_nats import deployed_nats
from tests.deploy.installed import HOME, grant, refusals
from tests.deploy.rightful import Account
from tests.deploy.rights import unused
from tests.deploy.scraped import Api, adjusted, found_by, label_names, pages_of, serving
from tests.deploy.scraped_mesh import NAMESPACES, Pod
from tests.deploy.test_scrapes import EXPECTED, OLD, SIMULATED, mesh

pytestmark = [pytest.mark.cluster, pytest.mark.monitoring]

ACCOUNT = "alerting"
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
    # The API server of the tests listens on loopback, which no EndpointSlice may hold: it is found, and then moved.
    (job,) = (each for each in document["scrape_configs"] if each["job_name"] == "apiserver")
    job["relabel_configs"].append({"target_label": "__address__", "replacement": urlsplit(access.server).netloc})
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
        up = await eventually("scrape of the API server", lambda: prometheus.query('up{job="apiserver"}'))
        assert [each.value for each in up] == [1], "it takes the right to the page, and the name of the certificate"
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
            alertmanager=folder / "routes",
            secrets=folder / "secrets",
            good=folder / "good",
        ),
        webhook=WebhookSettings(port=port, token_file=token),
        tempo=TempoSettings(settle=timedelta(milliseconds=200), look_again=timedelta(seconds=1)),
    )


async def _serve(settings: AlertingSettings) -> None:
    async with lent("alerting", settings, METRICS, registry=CollectorRegistry(), health=Health()) as chassis:
        await serve(chassis)


def _define(cluster: Cluster) -> None:
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for kind in KINDS:
        wanted = yaml.safe_load(yaml.safe_dump(definition(kind)))
        cluster.api.apply(f"{collection}/{text(wanted, 'metadata', 'name')}", wanted)
    established = {"type": "Established", "status": "True"}.items()
    cluster.api.until(
        "definitions established",
        collection,
        lambda found: all(
            any(established <= condition.items() for condition in rows(each, "status", "conditions")) for each in found
        ),
    )


def _ask(cluster: Cluster) -> None:
    """A policy and a channel, as people make them."""
    api = cluster.api
    secret: JsonObject = {"metadata": {"name": "alert-channels"}, "stringData": {"hook": "http://127.0.0.1:9/hook"}}
    api.create(f"/api/v1/namespaces/{HOME}/secrets", secret)
    head: JsonObject = {"apiVersion": "steward.linkerd.io/v1alpha1"}
    rule: JsonObject = {"name": "AlwaysSo", "expr": "vector(1)", "severity": "warning"}
    policy: JsonObject = {"metadata": {"name": "mine"}, "spec": {"controlPlane": {}, "rules": [rule]}}
    api.create(f"{STEWARD}/{HOME}/alertpolicies", {**head, "kind": "AlertPolicy", **policy})
    reference: JsonObject = {"name": "alert-channels", "key": "hook"}
    channel: JsonObject = {"metadata": {"name": "hook"}, "spec": {"webhook": {"urlFrom": reference}}}
    api.create(f"{STEWARD}/{HOME}/alertchannels", {**head, "kind": "AlertChannel", **channel})


def _in_force(found: list[JsonObject]) -> bool:
    return len(found) == 1 and any(
        text(each, "type") == "InForce" and text(each, "status") == "True"
        for each in rows(found[0], "status", "conditions")
    )


@pytest.mark.usefixtures("renderer")
async def test_the_service_uses_every_right_that_it_was_given_and_is_refused_nothing(
    linkerd: Linkerd, monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    cluster = linkerd.cluster
    await asyncio.to_thread(linkerd.by_cli, linkerd.artifacts.versions[-1])
    for prepare in (_define, grant, _ask):
        await asyncio.to_thread(prepare, cluster)
    before = await asyncio.to_thread(refusals, linkerd.commands)
    account = Account(cluster, linkerd.commands.binaries.path("kubectl"), ACCOUNT)
    routes, rules = tmp_path / "routes/alertmanager.yml", tmp_path / "rules"
    for folder in (routes.parent, rules):
        folder.mkdir()
    routes.write_text(NOBODY)
    async with (
        deployed_nats(tmp_path) as nats,
        Alertmanager(monitoring_tools, routes) as alertmanager,
        Prometheus(monitoring_tools, PrometheusOptions(rules=rules)) as prometheus,
        account.watched(tmp_path) as kubeconfig,
    ):
        settings = AlertingSettings(
            bus=nats.as_user(ACCOUNT),
            cluster=ClusterSettings(kubeconfig=kubeconfig),
            lease=LeaseSettings(duration=timedelta(seconds=10)),
            log=LogSettings(level="error"),
            alerting=_group(prometheus, alertmanager, tmp_path),
        )
        serving_it = asyncio.create_task(_serve(settings))
        try:
            for plural in ("alertpolicies", "alertchannels"):
                path = f"{STEWARD}/{HOME}/{plural}"
                await asyncio.to_thread(cluster.api.until, f"{plural} in force", path, _in_force)
        finally:
            serving_it.cancel()
            await asyncio.wait([serving_it])
    assert await asyncio.to_thread(refusals, linkerd.commands) - before == {}
    for role, namespace in (
        ("linkerd-steward-alerting", ""),
        ("linkerd-steward-alerting", "linkerd"),
        ("linkerd-steward-alerting-certificates", "linkerd"),
        ("linkerd-steward-alerting-channels", HOME),
    ):
        left = unused(ACCOUNT, role, namespace, account.acts) - NOT_ON_THIS_WAY
        assert left == set(), f"{role} in {namespace or 'the whole cluster'}"

"""What the shipped Prometheus scrapes of a mesh, with which labels and rights: the real one, on a simulated cluster."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.together import MEMBERS
from steward.alerting.families import Exposer, catalogue
from steward.alerting.monitoring import ScrapeKind, ScrapeProfile
from steward.alerting.promql import Matcher, selector
from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text, texts
from steward.kube.resources import ENDPOINT_SLICES, NAMESPACES, PODS, SERVICES
from steward.service.chassis_metrics import ChassisMetrics
from steward.testing.kubernetes.server import FakeKubernetes
from steward.testing.linkerd import manifests
from steward.testing.linkerd.certificates import Trust
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Amtool, Promtool
from steward.testing.monitoring.waiting import eventually
from steward.testing.nats import free_ports
from tests.common.testing_linkerd.recorded import VERSIONS, documents
from tests.deploy import scraped_mesh
from tests.deploy.rights import granted
from tests.deploy.scraped import SHIPPED, Api, adjusted, found_by, label_names, pages_of, serving, shipped
from tests.deploy.scraped_mesh import Pod, addressed, as_until_2_18, control_plane, extensions, others

ROLE = "linkerd-steward-alerting-scrapes"
PROFILE = ScrapeProfile(ScrapeKind.STEWARD)
_API_SERVER = """\
# TYPE apiserver_request_total counter
apiserver_request_total{resource="pods"} 9
# TYPE apiserver_admission_webhook_fail_open_count counter
apiserver_admission_webhook_fail_open_count{name="linkerd-proxy-injector.linkerd.io",type="admitting"} 1
apiserver_admission_webhook_fail_open_count{name="somebody.example",type="admitting"} 1
"""
_PLACED = re.compile(r"_\(([a-z|_]+)\)$")


def proxy(namespace: str, pod: str, **labels: str) -> dict[str, str]:
    return {"namespace": namespace, "pod": pod, "control_plane_ns": "linkerd", **labels}


def of_linkerd(workload: str) -> dict[str, str]:
    return proxy("linkerd", f"{workload}-0", deployment=workload, workload_ns="linkerd")


EXPECTED: dict[tuple[str, str, int], Mapping[str, str]] = {
    ("linkerd-proxy", "linkerd-identity-0", 4191): of_linkerd("linkerd-identity"),
    ("linkerd-proxy", "linkerd-destination-0", 4191): of_linkerd("linkerd-destination"),
    ("linkerd-proxy", "linkerd-proxy-injector-0", 4191): of_linkerd("linkerd-proxy-injector"),
    ("linkerd-proxy", "metrics-api-0", 4191): proxy("linkerd-viz", "metrics-api-0"),
    ("linkerd-proxy", "prometheus-0", 4191): proxy("linkerd-viz", "prometheus-0"),
    ("linkerd-proxy", "controller-0", 4191): proxy("linkerd-multicluster", "controller-0"),
    ("linkerd-proxy", "web-0", 4191): proxy("shop", "web-0", deployment="web", workload_ns="shop"),
    ("linkerd-proxy", "db-0", 4191): proxy("shop", "db-0", statefulset="db", workload_ns="shop"),
    ("linkerd-proxy", "import-0", 4191): proxy("shop", "import-0", k8s_job="import", workload_ns="shop"),
    ("linkerd-controller", "linkerd-identity-0", 9990): {"component": "identity", "pod": "linkerd-identity-0"},
    ("linkerd-controller", "linkerd-destination-0", 9996): {"component": "destination", "pod": "linkerd-destination-0"},
    ("linkerd-controller", "linkerd-destination-0", 9997): {
        "component": "sp-validator",
        "pod": "linkerd-destination-0",
    },
    ("linkerd-controller", "linkerd-destination-0", 9990): {"component": "policy", "pod": "linkerd-destination-0"},
    ("linkerd-controller", "linkerd-proxy-injector-0", 9995): {
        "component": "proxy-injector",
        "pod": "linkerd-proxy-injector-0",
    },
    ("linkerd-controller", "metrics-api-0", 9995): {"component": "metrics-api", "pod": "metrics-api-0"},
    ("linkerd-multicluster-controller", "controller-0", 9999): {"component": "controller", "pod": "controller-0"},
    ("linkerd-steward", "upgrader-0", 9464): {"pod": "upgrader-0"},
}
"""Job, pod and port of everything that must be scraped, and nothing else may be; with the labels of its series."""


pytestmark = pytest.mark.monitoring

OLD, SIMULATED = "2.18", "simulated"


def mesh(linkerd: str, network: int) -> list[Pod]:
    """Pods of a Linkerd: a recorded one, the simulated one, or that with the names which its ports once had."""
    if linkerd in VERSIONS:
        pods = control_plane(documents("linkerd", linkerd, "control-plane.yaml"))
    else:
        now = SystemClock().now()
        pods = control_plane(manifests.control_plane(VERSIONS[0], Trust.for_helm(now), now))
    old = linkerd == OLD
    return addressed([*(as_until_2_18(pods) if old else pods), *extensions(old=old), *others()], network)


@asynccontextmanager
async def scraping(
    tools: MonitoringTools, pods: list[Pod], folder: Path
) -> AsyncIterator[tuple[Prometheus, FakeKubernetes]]:
    """The shipped Prometheus with its own rights on a simulated cluster with these pods."""
    (port,) = free_ports(1)
    async with FakeKubernetes() as kubernetes, serving({**pages_of(pods), ("127.0.0.1", port): _API_SERVER}):
        cluster = kubernetes.cluster
        for name in scraped_mesh.NAMESPACES:
            cluster.create(NAMESPACES, {"metadata": {"name": name}})
        for pod in pods:
            cluster.create(PODS, pod.manifest())
            cluster.set_status(PODS, pod.name, pod.status(), pod.namespace)
        where: JsonObject = {"name": "kubernetes", "namespace": "default"}
        cluster.create(SERVICES, {"metadata": where, "spec": {"ports": [{"name": "https", "port": 443}]}})
        cluster.create(
            ENDPOINT_SLICES,
            {
                "metadata": {**where, "labels": {"kubernetes.io/service-name": "kubernetes"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"]}],
                "ports": [{"name": "https", "port": port}],
            },
        )
        rules = [each.simulated() for each in granted("alerting") if each.role == ROLE]
        kubeconfig = kubernetes.add_user("token-of-prometheus", "prometheus", rules)
        document = adjusted(Api(kubeconfig), folder)
        async with Prometheus(tools, PrometheusOptions(document=document)) as prometheus:
            yield prometheus, kubernetes


@pytest.mark.parametrize(("network", "linkerd"), list(enumerate([OLD, SIMULATED, *VERSIONS])))
async def test_every_proxy_and_controller_is_scraped_with_the_labels_that_alerts_are_written_for(
    monitoring_tools: MonitoringTools, tmp_path: Path, linkerd: str, network: int
) -> None:
    pods = mesh(linkerd, network)
    names = {pod.address: pod.name for pod in pods}
    async with scraping(monitoring_tools, pods, tmp_path) as (prometheus, kubernetes):
        found = await found_by(prometheus, len(EXPECTED))
        labels = {(job, names[host], port): texts(each, "labels") for (job, host, port), each in found.items()}
        assert set(labels) == set(EXPECTED)
        for place, each in labels.items():
            assert {name: value for name, value in each.items() if name not in ("job", "instance")} == EXPECTED[place]
        assert [text(each, "lastError") for each in found.values() if text(each, "health") != "up"] == []
        assert [name for name in await label_names(prometheus) if name.startswith("exported_")] == []
        assert {each for each in kubernetes.access.attempts if not each.allowed} == set()


async def test_series_are_those_that_the_profile_of_this_configuration_asks_for(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    pods = mesh(SIMULATED, 9)

    async def count(metric: str, *matchers: Matcher) -> int:
        return len(await prometheus.query(selector(metric, *matchers)))

    async with scraping(monitoring_tools, pods, tmp_path) as (prometheus, _):
        await found_by(prometheus, len(EXPECTED))
        expected = {job: sum(each[0] == job for each in EXPECTED) for job, _, _ in EXPECTED}
        assert await count("up", PROFILE.proxies) == expected["linkerd-proxy"]
        assert await count("up", PROFILE.controllers) == expected["linkerd-controller"]
        assert await count("up", PROFILE.exporter) == expected["linkerd-steward"]
        # What a metric says of itself stays its own, whatever labels the pod has.
        own = Matcher.equal(PROFILE.own_namespace, "shop")
        assert await count("own_label", PROFILE.controllers, own) == expected["linkerd-controller"]
        assert await count("own_label", PROFILE.exporter, own) == expected["linkerd-steward"]
        of_pages = [Matcher.equal(label, "own") for label in ("version", "error", "tls")]
        assert await count("page", PROFILE.proxies, *of_pages) == expected["linkerd-proxy"]


async def test_of_the_api_server_only_what_becomes_of_linkerds_webhooks_is_kept(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    async with scraping(monitoring_tools, [], tmp_path) as (prometheus, _):
        query = selector("apiserver_admission_webhook_fail_open_count")
        kept = await eventually("page of the API server", lambda: prometheus.query(query))
        assert [each.labels["name"] for each in kept] == ["linkerd-proxy-injector.linkerd.io"]
        (up,) = await prometheus.query(selector("up", PROFILE.api_server))
        assert up.value == 1
        assert await prometheus.query("apiserver_request_total") == ()


async def test_the_configurations_that_are_shipped_load(
    monitoring_tools: MonitoringTools, each_monitoring_tools: MonitoringTools
) -> None:
    verdict = await Promtool(monitoring_tools).check_config(SHIPPED.read_text(), syntax_only=True)
    assert verdict.ok, verdict.output
    first = SHIPPED.with_name("alertmanager.yml").read_text()
    verdict = await Amtool(each_monitoring_tools).check_config(first)
    assert verdict.ok, verdict.output


_EXPOSERS = {
    "linkerd-proxy": {Exposer.PROXY},
    "linkerd-controller": {
        Exposer.DESTINATION, Exposer.IDENTITY, Exposer.POLICY, Exposer.PROXY_INJECTOR, Exposer.SP_VALIDATOR,
        Exposer.VIZ,
    },
    "linkerd-multicluster-controller": {Exposer.SERVICE_MIRROR},
    "apiserver": {Exposer.API_SERVER},
    "linkerd-steward": {Exposer.STEWARD},
    "prometheus": {Exposer.PROMETHEUS},
    "alertmanager": {Exposer.ALERTMANAGER},
}  # fmt: skip


def given_by(job: JsonObject) -> set[str]:
    """The labels that relabelling gives to targets of a job."""
    named = {text(each, "target_label") for each in rows(job, "relabel_configs")} - {""}
    for each in rows(job, "relabel_configs"):
        if text(each, "action") == "labelmap":
            choice = _PLACED.search(text(each, "regex"))
            assert choice is not None, "labels are named one by one, or somebody else's would come along"
            named |= set(choice[1].split("|"))
    return named


def test_no_label_of_a_target_displaces_a_label_of_any_metric_on_its_page() -> None:
    jobs = {text(each, "job_name"): each for each in rows(shipped(), "scrape_configs")}
    assert set(jobs) == set(_EXPOSERS)
    for name, job in jobs.items():
        families = [
            family
            for family in catalogue().families.values()
            if any(exposure.by in _EXPOSERS[name] for exposure in family.exposures)
        ]
        own = {label for family in families for label in (*family.labels, *family.also)}
        if name == "linkerd-steward":
            metrics = [each for one in MEMBERS for each in (*ChassisMetrics.of(one.name).all(), *one.metrics)]
            own |= {label for metric in metrics for label in metric.labels}
        assert given_by(job) & own == set(), name


def test_nothing_is_taken_from_the_clock_of_somebody_else_or_from_labels_of_a_page() -> None:
    for job in rows(shipped(), "scrape_configs"):
        assert job.get("honor_timestamps") is False, text(job, "job_name")
        assert "honor_labels" not in job

"""A configuration that discovers its targets from Kubernetes runs against a real API server."""

import json
from pathlib import Path

import pytest

from steward.jsonvalue import JsonObject, rows, texts
from steward.testing.cluster.control_plane import Cluster
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from steward.testing.monitoring.waiting import eventually

pytestmark = pytest.mark.monitoring

_FOUND = "__meta_kubernetes_service_name"


def _discovering(kubeconfig: Path) -> str:
    discovery: JsonObject = {"role": "service", "kubeconfig_file": str(kubeconfig)}
    # What is discovered is the question; nothing of it is scraped.
    nothing: JsonObject = {"source_labels": [_FOUND], "regex": ".*", "action": "drop"}
    job: JsonObject = {"job_name": "services", "kubernetes_sd_configs": [discovery], "relabel_configs": [nothing]}
    return json.dumps({"scrape_configs": [job]})


async def test_prometheus_discovers_the_services_of_the_cluster(
    control_plane: Cluster, monitoring_tools: MonitoringTools
) -> None:
    document = _discovering(control_plane.kubeconfig)
    verdict = await Promtool(monitoring_tools).check_config(document)
    assert verdict.ok, verdict.output

    async with Prometheus(monitoring_tools, PrometheusOptions(document=document)) as prometheus:

        async def discovered() -> set[str]:
            dropped = rows(await prometheus.get("/api/v1/targets", {"state": "dropped"}), "data", "droppedTargets")
            return {texts(target, "discoveredLabels").get(_FOUND, "") for target in dropped}

        assert "kubernetes" in await eventually("service", discovered)

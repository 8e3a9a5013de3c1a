"""The prometheus-operator's kinds, and whether they are installed."""

from steward.jsonvalue import rows, text
from steward.kube.client import Kube
from steward.kube.errors import NotFound
from steward.kube.resources import Resource

_GROUP = "monitoring.coreos.com"
PROMETHEUS_RULES = Resource(_GROUP, "v1", "prometheusrules", "PrometheusRule")
ALERTMANAGER_CONFIGS = Resource(_GROUP, "v1alpha1", "alertmanagerconfigs", "AlertmanagerConfig")
OURS = "app.kubernetes.io/managed-by=linkerd-steward"


async def served(kube: Kube, resource: Resource) -> bool:
    """Whether the API server has this kind; discovery is open to all who may speak to it."""
    try:
        answer = await kube.request("GET", f"/apis/{resource.group}/{resource.version}")
    except NotFound:
        return False
    return any(text(each, "name") == resource.plural for each in rows(answer, "resources"))

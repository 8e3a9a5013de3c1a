"""The prometheus-operator's kinds, and whether they are installed."""

from services.alerting.core.operator_documents import OURS as LABEL
from steward.kube.resources import Resource

_GROUP = "monitoring.coreos.com"
PROMETHEUS_RULES = Resource(_GROUP, "v1", "prometheusrules", "PrometheusRule")
ALERTMANAGER_CONFIGS = Resource(_GROUP, "v1alpha1", "alertmanagerconfigs", "AlertmanagerConfig")
KINDS = (PROMETHEUS_RULES, ALERTMANAGER_CONFIGS)
OURS = "=".join(LABEL)
"""A selector."""

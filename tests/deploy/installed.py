"""deploy/ on a real API server: its rights alone, and what the API server refused for want of one."""

import re
from collections import Counter
from http import HTTPStatus

from steward.cli.connection import NAMESPACE as HOME
from steward.jsonvalue import JsonObject, text, whole
from steward.testing.cluster.api import MERGE, Api, ApiRefused
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.workloads import Kind, Workload, unique
from tests.deploy.kustomize import objects, rendered

__all__ = ["ACCOUNTS", "HOME", "grant", "refusals", "until_guarded"]

ACCOUNTS = ("version-watcher", "upgrader")
_RBAC, _ADMISSION = "/apis/rbac.authorization.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1"
_POLICIES = f"{_ADMISSION}/validatingadmissionpolicies"
_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{}}/rolebindings",
    "ValidatingAdmissionPolicy": _POLICIES,
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}
_REQUESTS = re.compile(r'^apiserver_request_total{(?P<labels>[^}]*code="403"[^}]*)} (?P<count>\S+)$', re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_ATTEMPTS = 2000


def grant(cluster: Cluster) -> None:
    """Put the accounts, their rights and the guard-rails there; namespace `linkerd` must exist."""
    parts = objects(rendered("development"))
    for kind, collection in _COLLECTIONS.items():
        for part in parts:
            if text(part, "kind") == kind:
                path = collection.format(text(part, "metadata", "namespace"))
                cluster.api.apply(f"{path}/{text(part, 'metadata', 'name')}", part)
    cluster.api.until("policies were checked", _POLICIES, lambda found: all(map(_is_checked, found)))


def until_guarded(cluster: Cluster, upgrader: Api) -> None:
    """Return when the API server applies the guard-rails: it does so a moment after they were stored."""
    trial = Workload(Kind.DEPLOYMENT, "default", unique("guarded"), replicas=0)
    cluster.api.create(trial.collection, trial.manifest())
    try:
        for _ in range(_ATTEMPTS):
            try:
                upgrader.request("PATCH", trial.path, {"spec": {"replicas": 1}}, kind=MERGE, query={"dryRun": "All"})
            except ApiRefused as refused:
                if refused.status == HTTPStatus.FORBIDDEN:
                    return
        raise AssertionError("the guard-rails are not in force")
    finally:
        cluster.api.delete(trial.path)


def _is_checked(policy: JsonObject) -> bool:
    return whole(policy, "status", "observedGeneration") == whole(policy, "metadata", "generation")


def refusals(commands: Commands) -> Counter[str]:
    """How often the API server answered 403 so far, by `VERB resource.group scope`, from its own metrics."""
    counted: Counter[str] = Counter()
    for found in _REQUESTS.finditer(commands.kubectl("get", "--raw", "/metrics")):
        labels = dict(_LABEL.findall(found["labels"]))
        resource = "/".join(filter(None, (labels["resource"], labels["subresource"])))
        counted[f"{labels['verb']} {resource}.{labels['group']} {labels['scope']}"] += int(float(found["count"]))
    return counted

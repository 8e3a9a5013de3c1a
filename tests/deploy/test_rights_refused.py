"""Each ServiceAccount is refused what it does not need, by a real API server that was given deploy/."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from steward.jsonvalue import JsonObject, flag
from steward.testing.cluster.api import MERGE, Api, ApiRefused
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.workloads import Fleet, Kind, Namespace, Workload, unique
from tests.deploy.installed import HOME, grant, until_guarded

pytestmark = pytest.mark.cluster
DRY = {"dryRun": "All"}


@dataclass(frozen=True, slots=True)
class Ask:
    """An act, as the API server's authorizer sees it."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    def review(self, account: str) -> JsonObject:
        plural, _, group = self.resource.partition(".")
        resource, _, subresource = plural.partition("/")
        attributes: JsonObject = {
            "verb": self.verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        spec: JsonObject = {
            "user": f"system:serviceaccount:{HOME}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"],
            "resourceAttributes": attributes,
        }
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verb, self.resource, self.namespace, self.name)))


RBAC, ADMISSION, STEWARD = "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "steward.linkerd.io"
NEITHER_MAY = (
    Ask("get", "secrets", "default"),
    Ask("list", "secrets"),
    Ask("get", "secrets", HOME, "steward-nats-users"),
    Ask("delete", "pods", "default"),
    Ask("create", "pods/exec", "default"),
    Ask("create", "pods/eviction", "default"),
    Ask("delete", "namespaces", "", "linkerd"),
    Ask("patch", "namespaces", "", "default"),
    Ask("patch", "nodes"),
    Ask("delete", "deployments.apps", "default"),
    Ask("delete", "customresourcedefinitions.apiextensions.k8s.io", "", "servers.policy.linkerd.io"),
    Ask("patch", "customresourcedefinitions.apiextensions.k8s.io", "", "upgraderuns.steward.linkerd.io"),
    Ask("create", f"mutatingwebhookconfigurations.{ADMISSION}"),
    Ask("delete", f"validatingadmissionpolicies.{ADMISSION}", "", "linkerd-steward-pods"),
    Ask("escalate", f"clusterroles.{RBAC}", "", "linkerd-steward-upgrader"),
    Ask("bind", f"clusterroles.{RBAC}", "", "cluster-admin"),
    Ask("patch", f"clusterrolebindings.{RBAC}", "", "linkerd-steward-upgrader"),
    Ask("impersonate", "serviceaccounts", "kube-system"),
    Ask("create", "serviceaccounts/token", HOME, "upgrader"),
    Ask("patch", f"releasecatalogs.{STEWARD}", "", "default"),
    Ask("patch", f"upgradeplans.{STEWARD}", "", "linkerd-within-2.20"),
    Ask("patch", f"upgradepolicies.{STEWARD}", "", "default"),
    Ask("delete", f"upgradepolicies.{STEWARD}", "", "default"),
    Ask("update", "leases.coordination.k8s.io", "kube-system", "kube-scheduler"),
)
NOT_FOR = {
    "version-watcher": (
        Ask("get", "secrets", "linkerd", "linkerd-identity-issuer"),
        Ask("get", "configmaps", "default"),
        Ask("patch", "deployments.apps", "default"),
        Ask("create", "pods", "default"),
        Ask("update", "leases.coordination.k8s.io", HOME, "upgrader"),
        Ask("create", f"upgraderuns.{STEWARD}"),
        Ask("create", "events.events.k8s.io", "shop"),
    ),
    "upgrader": (
        Ask("list", "configmaps"),
        Ask("get", "configmaps", "default"),
        Ask("patch", "secrets", "default"),
        Ask("update", "leases.coordination.k8s.io", HOME, "version-watcher"),
        Ask("update", f"releasecatalogs/status.{STEWARD}", "", "default"),
        Ask("create", f"clusterroles.{RBAC}"),
        Ask("patch", f"mutatingwebhookconfigurations.{ADMISSION}", "", "somebody-elses"),
        Ask("escalate", f"roles.{RBAC}", "linkerd", "linkerd-steward-upgrader"),
        Ask("patch", f"roles.{RBAC}", HOME, "upgrader"),
    ),
    "alerting": (
        Ask("list", "secrets", "linkerd"),
        Ask("get", "secrets", "linkerd", "linkerd-config-overrides"),
        Ask("get", "secrets", HOME, "steward-alertmanager"),
        Ask("get", "secrets", "shop", "alert-channels"),
        Ask("get", "configmaps", "default"),
        Ask("create", "pods", "default"),
        Ask("patch", "deployments.apps", "default"),
        Ask("patch", f"alertpolicies.{STEWARD}", HOME, "linkerd"),
        Ask("patch", f"alertchannels.{STEWARD}", HOME, "mesh-team"),
        Ask("create", f"upgraderuns.{STEWARD}"),
        Ask("patch", f"mutatingwebhookconfigurations.{ADMISSION}", "", "linkerd-proxy-injector-webhook-config"),
        Ask("list", "endpointslices.discovery.k8s.io"),
        Ask("get", "nodes/metrics"),
        Ask("get", "nodes/proxy"),
        Ask("update", "leases.coordination.k8s.io", HOME, "upgrader"),
    ),
}


@pytest.fixture(scope="module")
def given(scenario_cluster: Cluster, renderer: None) -> Cluster:
    """A cluster with the rights, and the namespace that they need."""
    del renderer
    if scenario_cluster.api.find("/api/v1/namespaces/linkerd") is None:
        scenario_cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "linkerd"}})
    grant(scenario_cluster)
    return scenario_cluster


@pytest.fixture(scope="module")
def upgrader(given: Cluster, binaries: Binaries) -> Iterator[Api]:
    """The API server as upgrader."""
    access = Kubeconfig.read(given.kubeconfig_of(HOME, "upgrader"), binaries.path("kubectl"))
    with Api(access) as api:
        until_guarded(given, api)
        yield api


@pytest.mark.parametrize("account", NOT_FOR)
def test_an_account_may_not_do_what_its_service_never_does(given: Cluster, account: str) -> None:
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    allowed = [
        str(ask)
        for ask in (*NEITHER_MAY, *NOT_FOR[account])
        if flag(given.api.create(reviews, ask.review(account)), "status", "allowed")
    ]
    assert allowed == []


def test_the_reviews_would_tell_what_is_allowed(given: Cluster) -> None:
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    for ask in (
        Ask("patch", "deployments.apps", "default"),
        Ask("escalate", f"clusterroles.{RBAC}", "", "linkerd-policy"),
    ):
        assert flag(given.api.create(reviews, ask.review("upgrader")), "status", "allowed"), str(ask)


def _refused(api: Api, method: str, path: str, body: JsonObject | None = None, **query: str) -> str:
    kind = MERGE if method == "PATCH" else "application/json"
    with pytest.raises(ApiRefused) as refused:
        api.request(method, path, body, kind=kind, query=query)
    assert refused.value.status == 403, str(refused.value)
    return str(refused.value)


def test_upgrader_cannot_give_itself_more(upgrader: Api) -> None:
    all_rights: JsonObject = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/linkerd"
    more = _refused(upgrader, "POST", f"{roles}/roles", {"metadata": {"name": "more"}, "rules": [all_rights]})
    assert "attempting to grant RBAC permissions not currently held" in more
    _refused(upgrader, "PATCH", f"{roles}/roles/linkerd-steward-upgrader", {"rules": [all_rights]})
    binding: JsonObject = {
        "metadata": {"name": "more"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "upgrader", "namespace": HOME}],
    }
    _refused(upgrader, "POST", f"{roles}/rolebindings", binding)
    cluster = "/apis/rbac.authorization.k8s.io/v1"
    _refused(upgrader, "PATCH", f"{cluster}/clusterroles/linkerd-steward-upgrader", {"rules": [all_rights]})
    _refused(upgrader, "POST", f"{cluster}/clusterrolebindings", binding)


def test_upgrader_restarts_workloads_and_changes_nothing_else_of_them(given: Cluster, upgrader: Api) -> None:
    namespace = unique("guarded")
    web = Workload(Kind.DEPLOYMENT, namespace, "web")
    fleet = Fleet((Namespace(namespace),), (web,))
    fleet.create(given.api)
    marker: JsonObject = {"metadata": {"annotations": {"steward.linkerd.io/proxy-target": "edge-26.8.3/0/0"}}}
    upgrader.merge(web.path, {"spec": {"template": marker}})
    pause: JsonObject = {"containers": [{"name": "app", "image": "miner:latest"}]}
    said = _refused(upgrader, "PATCH", web.path, {"spec": {"template": {"spec": pause}}})
    assert "may change annotations of a pod template" in said
    assert "may not scale" in _refused(upgrader, "PATCH", web.path, {"spec": {"replicas": 0}})
    # What others do is not looked at.
    given.api.merge(web.path, {"spec": {"replicas": 1}})
    fleet.remove(given.api)


def test_upgrader_creates_pods_as_dry_runs_and_never_to_run(upgrader: Api, given: Cluster) -> None:
    pods = "/api/v1/namespaces/default/pods"
    pod: JsonObject = {
        "metadata": {"generateName": "probe-"},
        "spec": {"containers": [{"name": "probe", "image": "registry.k8s.io/pause:3.10"}]},
    }
    upgrader.request("POST", pods, pod, query=DRY)
    assert "only as a dry run" in _refused(upgrader, "POST", pods, pod)
    assert [each for each in given.api.items(pods) if "probe-" in str(each)] == []

import pytest

from steward.jsonvalue import Json, JsonObject, text
from steward.kube.resources import NAMESPACES, PODS
from steward.testing.dataplane.control.kinds import NETWORK_POLICIES
from steward.testing.dataplane.control.world import World
from steward.testing.dataplane.firewall import Firewall
from steward.testing.kubernetes.cluster import ClusterState
from tests.common.testing.dataplane.control.objects import thing

WEB, CM, CU = "10.42.0.1", "10.42.0.2", "10.42.0.3"


def policy(spec: JsonObject) -> JsonObject:
    selects: JsonObject = {"podSelector": {"matchLabels": {"app": "web"}}}
    return thing("networking.k8s.io/v1", "NetworkPolicy", "p", {**selects, **spec})


def allowed(spec: JsonObject, source: str, port: int = 8080) -> bool:
    """Whether a pod, or an address that is no pod's, reaches a port of `web` under one policy."""
    cluster = ClusterState()
    for namespace in ("shop", "yard"):
        cluster.create(NAMESPACES, {"metadata": {"name": namespace, "labels": {"team": namespace}}})
    pods = {}
    for ip, app, namespace in ((WEB, "web", "shop"), (CM, "cm", "shop"), (CU, "cu", "yard")):
        ports: list[Json] = [{"name": "http", "containerPort": 8080}]
        container: JsonObject = {"name": "app", "image": "x", "ports": ports}
        body: JsonObject = {"metadata": {"name": app, "labels": {"app": app}}, "spec": {"containers": [container]}}
        cluster.create(PODS, body, namespace)
        pods[ip] = cluster.get(PODS, app, namespace)
    cluster.create(NETWORK_POLICIES, policy(spec), "shop")
    assert text(pods[WEB], "metadata", "name") == "web"
    return Firewall(World(cluster)).lets(pods.get(source), source, pods[WEB], WEB, port)


@pytest.mark.parametrize(
    ("spec", "through"),
    [
        ({"policyTypes": ["Ingress"]}, ""),
        ({"ingress": [{}]}, "cm cu host"),
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, "cm"),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}]}, ""),
        ({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "yard"}}}]}]}, "cu"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.42.0.0/24", "except": ["10.42.0.3/32"]}}]}]}, "cm"),
        ({"ingress": [{"ports": [{"port": 8080}]}]}, "cm cu host"),
        ({"ingress": [{"ports": [{"port": "http"}]}]}, "cm cu host"),
        ({"ingress": [{"ports": [{"port": 8000, "endPort": 8100}]}]}, "cm cu host"),
        ({"ingress": [{"ports": [{"port": 4143}]}]}, ""),
    ],
)
def test_a_policy_lets_in_whom_it_names(spec: JsonObject, through: str) -> None:
    sources = {"cm": CM, "cu": CU, "host": "192.0.2.1"}
    assert " ".join(name for name, ip in sources.items() if allowed(spec, ip)) == through


def test_a_pod_that_may_say_nothing_reaches_nobody() -> None:
    assert not allowed({"podSelector": {"matchLabels": {"app": "cm"}}, "policyTypes": ["Egress"]}, CM)
    assert allowed({"podSelector": {"matchLabels": {"app": "cm"}}, "policyTypes": ["Egress"]}, "192.0.2.1")

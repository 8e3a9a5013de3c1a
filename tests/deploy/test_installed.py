"""deploy/ on a real API server, installed as its README says: accepted, restricted, running, and gone again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from steward.cli.connection import NAMESPACE
from steward.jsonvalue import JsonObject, dig, rows, text, whole
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.workloads import unique
from tests.deploy.kustomize import DEPLOY, OVERLAYS, REPOSITORY
from tests.documentation.blocks import Block, blocks

pytestmark = pytest.mark.cluster
README = blocks(DEPLOY / "README.md")
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OURS = "app.kubernetes.io/part-of=linkerd-steward"
_IN_PAIRS = ("conformance", "upgrader", "version-watcher")
_AT_ALERTING = ("Tell somebody", "With the Prometheus operator", "With a Prometheus of its own", "What must be opened")


class Shell:
    """bash, as whoever follows the README has it."""

    def __init__(self, cluster: Cluster, binaries: Binaries, home: Path) -> None:
        self._environment = {
            "PATH": f"{binaries.directory}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "KUBECONFIG": str(cluster.kubeconfig),
            "HOME": str(home),
        }

    def run(self, script: str) -> str:
        """Run to the end; what it said on standard error is returned."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=REPOSITORY,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stderr


@pytest.fixture(scope="module")
def shell(scenario_cluster: Cluster, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A cluster with what the README asks for before: Linkerd's namespace, PodMonitors, volumes."""
    api = scenario_cluster.api
    if api.find("/api/v1/namespaces/linkerd") is None:
        api.create("/api/v1/namespaces", {"metadata": {"name": "linkerd"}})
    if api.find(f"{CRDS}/podmonitors.monitoring.coreos.com") is None:
        api.create(CRDS, _POD_MONITORS)
    return Shell(scenario_cluster, binaries, tmp_path_factory.mktemp("home"))


def under(heading: str, language: str = "bash") -> list[Block]:
    found = [block for block in README if (block.heading, block.language) == (heading, language)]
    assert found, f"deploy/README.md has no {language} block under {heading!r}"
    return found


@pytest.fixture
def volumes(scenario_cluster: Cluster) -> Iterator[None]:
    """What a storage class would make: a volume for each that asks, under names that no earlier test had."""
    paths = [f"/api/v1/persistentvolumes/{unique('volume')}" for _ in range(3)]
    for path in paths:
        volume: JsonObject = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": path.rpartition("/")[2]},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": "/nowhere"},
            },
        }
        scenario_cluster.api.apply(path, volume)
    yield
    for path in paths:
        scenario_cluster.api.delete(path)


def _until_running(cluster: Cluster, overlay: str) -> None:
    """Three servers and pairs of services in production, one of each else; alerting is always one."""
    production = overlay == "production"
    deployed = dict.fromkeys(_IN_PAIRS, 2 if production else 1) | ({"alerting": 1} if production else {})
    stateful = {"nats": 3 if production else 1} | ({} if production else {"alerting": 1})
    for kind, ready, wanted in (
        ("deployments", "availableReplicas", deployed),
        ("statefulsets", "readyReplicas", stateful),
    ):
        cluster.api.until(f"{kind} ready", f"{APPS}/{kind}", partial(_are, ready, wanted))


def _are(member: str, wanted: dict[str, int], found: list[JsonObject]) -> bool:
    return {text(each, "metadata", "name"): whole(each, "status", member) for each in found} == wanted


def _is_gone(cluster: Cluster) -> None:
    api = cluster.api
    api.until(
        "namespace gone",
        "/api/v1/namespaces",
        lambda found: NAMESPACE not in {text(each, "metadata", "name") for each in found},
    )
    for path in (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/rbac.authorization.k8s.io/v1/roles",
        "/apis/rbac.authorization.k8s.io/v1/rolebindings",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    ):
        assert [text(each, "metadata", "name") for each in api.items(path, labels=OURS)] == [], path
    api.until(
        "definitions gone", CRDS, lambda found: not [each for each in found if "steward" in text(each, "spec", "group")]
    )


@pytest.mark.usefixtures("volumes")
@pytest.mark.parametrize("way", [0, 1], ids=["by the command line", "with kustomize"])
def test_the_readme_leads_to_a_running_installation_and_back(shell: Shell, scenario_cluster: Cluster, way: int) -> None:
    script = under("Install")[way].text
    # Nobody runs behind these pods, so there is nothing for `check` to find well.
    said = shell.run("\n".join(line for line in script.splitlines() if line != "linkerd-steward check"))
    assert "violate PodSecurity" not in said
    assert "Warning" not in said
    _until_running(scenario_cluster, "production")
    _assert_every_pod_was_admitted(scenario_cluster)
    nodes = [
        text(pod, "spec", "nodeName")
        for pod in scenario_cluster.api.items(
            f"/api/v1/namespaces/{NAMESPACE}/pods", labels="app.kubernetes.io/name=nats"
        )
    ]
    assert len(set(nodes)) == 3

    if way == 0:
        _assert_the_other_commands_work(shell, scenario_cluster)
    shell.run(under("Remove")[0].text)
    _is_gone(scenario_cluster)


def _assert_every_pod_was_admitted(cluster: Cluster) -> None:
    """A pod that breaks the namespace's standard is refused to its controller, which says so in an Event."""
    events = cluster.api.items(f"/api/v1/namespaces/{NAMESPACE}/events")
    assert [text(each, "message") for each in events if text(each, "reason") == "FailedCreate"] == []
    namespace = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}")
    assert dig(namespace, "metadata", "labels", "pod-security.kubernetes.io/enforce") == "restricted"
    bad: JsonObject = {
        "metadata": {"generateName": "bad-"},
        "spec": {"containers": [{"name": "bad", "image": "pause", "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(Exception, match="violates PodSecurity"):
        cluster.api.create(f"/api/v1/namespaces/{NAMESPACE}/pods", bad)


def _assert_the_other_commands_work(shell: Shell, cluster: Cluster) -> None:
    shell.run(under("Settings")[0].text)
    _until_running(cluster, "production")
    (container,) = rows(cluster.api.get(f"{APPS}/deployments/upgrader"), "spec", "template", "spec", "containers")
    assert rows(container, "envFrom")
    before = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/steward-nats-users")
    shell.run(under("NATS")[0].text)
    after = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/steward-nats-users")
    assert dig(before, "data", "upgrader") != dig(after, "data", "upgrader")
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "acme"}})
    shell.run(under("Let others subscribe")[0].text)
    copied = cluster.api.get("/api/v1/namespaces/acme/secrets/steward-nats")
    assert dig(copied, "data", "password") == dig(after, "data", "subscriber")
    _assert_alerting_is_set_up_as_shown(shell, cluster)
    for name in ("acme", "linkerd-viz"):
        cluster.api.delete(f"/api/v1/namespaces/{name}")


def _assert_alerting_is_set_up_as_shown(shell: Shell, cluster: Cluster) -> None:
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "linkerd-viz"}})
    ask = "kubectl auth can-i get secrets/{} --namespace {} --as system:serviceaccount:linkerd-steward:alerting"
    for name, namespace in (("alert-channels", "acme"), ("tap-k8s-tls", "linkerd-viz")):
        shell.run(f"! {ask.format(name, namespace)}")
    for heading in _AT_ALERTING:
        for block in under(heading):
            shell.run(block.text)
    for name, namespace in (
        ("alert-channels", "acme"),
        ("alert-channels", NAMESPACE),
        ("tap-k8s-tls", "linkerd-viz"),
        ("linkerd-identity-issuer", "linkerd"),
    ):
        shell.run(ask.format(name, namespace))
    for name, namespace in (("something-else", "acme"), ("steward-nats-users", NAMESPACE)):
        shell.run(f"! {ask.format(name, namespace)}")
    (channel,) = under("Tell somebody", "yaml")
    shell.run(f"kubectl apply -f - <<'EOF'\n{channel.text}EOF\n")
    _until_running(cluster, "production")


@pytest.mark.usefixtures("volumes")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_accepted_as_a_dry_run_and_twice_for_real(
    shell: Shell, scenario_cluster: Cluster, overlay: str
) -> None:
    shell.run("kubectl apply --server-side -k deploy/crds")
    kinds = "releasecatalogs,upgradeplans,upgradepolicies,conformancesuites,alertpolicies"
    shell.run(f"until kubectl get {kinds}; do sleep 0.2; done")
    shell.run("kubectl create namespace linkerd-steward")
    apply = f"kubectl apply --server-side --force-conflicts -k deploy/overlays/{overlay}"
    shell.run(f"{apply} --dry-run=server")
    shell.run(apply)
    assert "Warning" not in shell.run(apply)
    shell.run("linkerd-steward install --passwords | kubectl apply -f -")
    _until_running(scenario_cluster, overlay)
    shell.run("linkerd-steward uninstall | kubectl delete -f -")
    _is_gone(scenario_cluster)


_POD_MONITORS: JsonObject = {
    "metadata": {"name": "podmonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {
            "kind": "PodMonitor",
            "listKind": "PodMonitorList",
            "plural": "podmonitors",
            "singular": "podmonitor",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["podMetricsEndpoints", "selector"],
                                "properties": {
                                    "selector": {
                                        "type": "object",
                                        "properties": {
                                            "matchLabels": {
                                                "type": "object",
                                                "additionalProperties": {"type": "string"},
                                            }
                                        },
                                    },
                                    "podMetricsEndpoints": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "properties": {
                                                "port": {"type": "string"},
                                                "interval": {"type": "string"},
                                                "honorLabels": {"type": "boolean"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}

"""The throwaway control plane is a real one, can be broken on purpose, and leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from steward.jsonvalue import JsonObject, rows, text, texts
from steward.testing.cluster.api import Api, ApiRefused, NotInTime
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster, ControlPlane
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import Fleet, Kind, Namespace, Workload
from steward.testing.processes import ProcessFailed

_CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


def test_it_says_which_kubernetes_it_is_and_helm_understands_it(
    control_plane: Cluster, binaries: Binaries, tmp_path: Path
) -> None:
    commands = Commands(binaries, control_plane.kubeconfig, tmp_path)

    # helm compares a chart's kubeVersion with this; a build without its version stamped in says v0.0.0.
    assert text(control_plane.api.get("/version"), "gitVersion").startswith("v1.")
    assert commands.helm("version", "--short").startswith("v3.")
    assert commands.helm("list", "--all-namespaces", "--short") == ""


def test_nodes_stand_in_zones_and_pods_get_ready(control_plane: Cluster, namespace: str) -> None:
    api = control_plane.api
    workload = Workload(Kind.DEPLOYMENT, namespace, "web", replicas=6)
    api.create(workload.collection, workload.manifest())
    Fleet((Namespace(namespace),), (workload,)).until_ready(api)

    nodes = {text(node, "metadata", "name"): node for node in api.items("/api/v1/nodes")}
    pods = api.items(f"/api/v1/namespaces/{namespace}/pods")
    assert len(pods) == workload.replicas
    assert {text(pod, "spec", "nodeName") for pod in pods} <= nodes.keys()
    if not control_plane.throwaway:
        return
    zones = {texts(node, "metadata", "labels")["topology.kubernetes.io/zone"] for node in nodes.values()}
    assert len(zones) > 1


def test_a_service_account_has_the_rights_that_it_was_given_and_no_more(
    control_plane: Cluster, binaries: Binaries, namespace: str
) -> None:
    api, group = control_plane.api, "rbac.authorization.k8s.io"
    api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "reader"}})
    role: JsonObject = {
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
    }
    binding: JsonObject = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    api.create(f"/apis/{group}/v1/namespaces/{namespace}/roles", role)
    api.create(f"/apis/{group}/v1/namespaces/{namespace}/rolebindings", binding)

    access = Kubeconfig.read(control_plane.kubeconfig_of(namespace, "reader"), binaries.path("kubectl"))
    with Api(access) as reader:
        assert [text(one, "metadata", "name") for one in reader.items(_CONFIG_MAPS.format(namespace))]
        with pytest.raises(ApiRefused) as refused:
            reader.items(f"/api/v1/namespaces/{namespace}/secrets")

    assert refused.value.status == 403


def test_waiting_for_what_never_comes_says_what_is_there(control_plane: Cluster, namespace: str) -> None:
    control_plane.api.create(_CONFIG_MAPS.format(namespace), {"metadata": {"name": "lonely"}})

    with pytest.raises(NotInTime, match=r"three config maps.*lonely"):
        control_plane.api.until(
            "three config maps",
            _CONFIG_MAPS.format(namespace),
            lambda items: len(items) > 2,
            within=timedelta(seconds=0.5),
        )


def test_a_killed_api_server_comes_back_with_everything_it_had(breakable_control_plane: ControlPlane) -> None:
    api, collection = breakable_control_plane.api, _CONFIG_MAPS.format("default")
    api.create(collection, {"metadata": {"name": "kept"}})

    breakable_control_plane.kill("kube-apiserver")

    assert not breakable_control_plane.running()["kube-apiserver"]
    assert not api.ready()

    breakable_control_plane.revive("kube-apiserver")

    assert api.find(f"{collection}/kept") is not None
    assert all(breakable_control_plane.running().values())


def test_a_killed_controller_manager_is_missed_until_it_is_revived(breakable_control_plane: ControlPlane) -> None:
    api = breakable_control_plane.api
    breakable_control_plane.kill("kube-controller-manager", signal.SIGTERM)
    workload = Workload(Kind.DEPLOYMENT, "default", "late")
    api.create(workload.collection, workload.manifest())

    assert api.items("/api/v1/namespaces/default/pods") == []

    breakable_control_plane.revive("kube-controller-manager")

    Fleet((Namespace("default"),), (workload,)).until_ready(api)


def test_a_component_that_runs_is_not_started_twice(breakable_control_plane: ControlPlane) -> None:
    with pytest.raises(ProcessFailed, match="etcd already runs"):
        breakable_control_plane.revive("etcd")


def test_nothing_outlives_a_test_run_that_is_killed(
    binaries: Binaries, cluster_settings: ClusterTestSettings, tmp_path: Path
) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", _START_AND_WAIT, str(binaries.directory), str(tmp_path / "cluster")],
        stdout=subprocess.PIPE,
        text=True,
        env=cluster_settings.child_environment(PYTHONPATH=os.pathsep.join(sys.path)),
    )
    with started:
        assert started.stdout is not None
        handles = [os.pidfd_open(int(pid)) for pid in started.stdout.readline().split()]
        started.kill()
    try:
        assert len(handles) == 5
        for handle in handles:
            # A pidfd can be read when its process has ended.
            assert _ends(handle)
    finally:
        for handle in handles:
            os.close(handle)


def test_a_cluster_that_a_command_left_running_is_found_and_stopped_by_another(
    binaries: Binaries, cluster_settings: ClusterTestSettings, tmp_path: Path
) -> None:
    directory = tmp_path / "cluster"
    command = [sys.executable, "-m", "steward.testing.cluster"]
    environment = cluster_settings.child_environment(PYTHONPATH=os.pathsep.join(sys.path))

    def run(*arguments: str) -> str:
        argv = [*command, *arguments, "--directory", str(directory)]
        return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout

    assert f"export KUBECONFIG={directory}/admin.kubeconfig" in run("up", "--nodes", "1")
    try:
        status = run("status")
        assert {line.split()[1] for line in status.splitlines() if line.startswith(("etcd", "kube", "kwok"))} == {
            "running"
        }
        attached = ControlPlane.attach(binaries, directory)
        assert len(rows(attached.api.get("/api/v1/nodes"), "items")) == 1
        attached.api.close()
    finally:
        run("down")

    assert not any(ControlPlane.attach(binaries, directory).running().values())


_START_AND_WAIT = """
import signal, sys
from pathlib import Path
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.control_plane import ControlPlane

cluster = ControlPlane(Binaries(Path(sys.argv[1])), Path(sys.argv[2]), nodes=1).start()
print(*(cluster.pid(name) for name in cluster.running()), flush=True)
signal.pause()
"""


def _ends(handle: int) -> bool:
    return bool(select.select([handle], [], [], 10)[0])

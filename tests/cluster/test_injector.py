"""The injector's double, called by the real API server, does to pods what the real one was recorded doing."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta

import pytest
import yaml

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, strings, table, text, texts
from steward.testing.cluster.api import ApiRefused
from steward.testing.cluster.control_plane import ControlPlane
from steward.testing.cluster.injector import Injector
from steward.testing.cluster.installation import Linkerd
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.cluster.workloads import (
    MESHED,
    NOT_MESHED,
    Fate,
    Fleet,
    Kind,
    Namespace,
    Workload,
    mixed_fleet,
    pinned,
    proxy_version,
    unique,
)
from steward.testing.linkerd.certificates import webhook_pair

_TRUST_HASH = "linkerd.io/trust-root-sha256"


@pytest.fixture(scope="module")
def installed(linkerd: Linkerd) -> Linkerd:
    """Linkerd at its newest version."""
    linkerd.by_helm(linkerd.artifacts.newest)
    return linkerd


@pytest.fixture
def mesh(installed: Linkerd) -> Iterator[Linkerd]:
    """The same, with its injector up before and after the test."""
    yield installed
    installed.injector.reload_delay = timedelta(0)
    installed.injector.up()


@pytest.fixture
def double(mesh: Linkerd) -> Injector:
    """The injector's double, for tests of what only a double does on request."""
    if mesh.injector.real:
        pytest.skip("a real injector answers on this cluster: it has no switches")
    return mesh.injector


@pytest.fixture
def apps(mesh: Linkerd) -> Iterator[Fleet]:
    """A meshed namespace with one workload of each kind that the injector tells apart."""
    name = unique("apps")
    fleet = Fleet(
        (Namespace(name, annotations=MESHED),),
        (
            Workload(Kind.DEPLOYMENT, name, "web"),
            Workload(Kind.STATEFUL_SET, name, "store"),
            Workload(Kind.DAEMON_SET, name, "agent"),
            Workload(Kind.JOB, name, "job"),
            Workload(Kind.POD, name, "bare"),
            Workload(Kind.DEPLOYMENT, name, "off", pod_annotations=NOT_MESHED),
            Workload(Kind.DEPLOYMENT, name, "host", replicas=1, host_network=True),
            pinned(name, "pinned", mesh.artifacts.oldest),
        ),
    )
    fleet.create(mesh.cluster.api)
    fleet.until_ready(mesh.cluster.api)
    yield fleet
    fleet.remove(mesh.cluster.api)


def test_each_kind_of_pod_gets_the_proxy_it_should(mesh: Linkerd, apps: Fleet) -> None:
    newest, oldest = mesh.artifacts.newest, mesh.artifacts.oldest
    proxies = {
        workload.name: {proxy_version(pod) for pod in apps.pods(mesh.cluster.api, workload)}
        for workload in apps.workloads
    }

    assert proxies == {
        "web": {newest},
        "store": {newest},
        "agent": {newest},
        "job": {newest},
        "bare": {newest},
        "off": {""},
        "host": {""},
        "pinned": {oldest},
    }


def test_an_injected_pod_has_the_shape_of_a_recorded_one(
    mesh: Linkerd, apps: Fleet, cluster_settings: ClusterTestSettings
) -> None:
    recording = cluster_settings.shared / "recordings" / "pods" / f"injected-{mesh.artifacts.newest}.yaml"
    if not recording.is_file():
        pytest.skip(f"no recording {recording}: set STEWARD_SHARED")
    recorded = rows(yaml.safe_load(recording.read_text()), "items")[0]
    injected = apps.pods(mesh.cluster.api, apps.workloads[0])[0]

    assert _shape(injected) == _shape(recorded)
    assert _environment(injected) <= _environment(recorded)


def test_pods_created_while_the_injector_is_down_come_up_without_a_proxy(
    mesh: Linkerd, double: Injector, apps: Fleet
) -> None:
    double.down()

    assert _proxies_after_restart(mesh, apps) == {""}


def test_a_foreign_certificate_leaves_pods_without_a_proxy_until_the_right_one_is_back(
    mesh: Linkerd, double: Injector, apps: Fleet
) -> None:
    foreign = webhook_pair("linkerd-proxy-injector", SystemClock().now())
    double.show(foreign.certificate, foreign.key)

    assert _proxies_after_restart(mesh, apps) == {""}

    double.up()

    assert _proxies_after_restart(mesh, apps) == {mesh.artifacts.newest}


def test_a_late_reload_opens_the_window_that_a_helm_upgrade_really_has(
    mesh: Linkerd, double: Injector, apps: Fleet
) -> None:
    double.reload_delay = timedelta(hours=1)

    mesh.commands.helm_linkerd(mesh.artifacts[mesh.artifacts.newest].charts, mesh.values_file())

    assert _proxies_after_restart(mesh, apps) == {""}


def test_a_dry_run_is_answered_and_told_apart(mesh: Linkerd, double: Injector, apps: Fleet) -> None:
    probe = Workload(Kind.POD, apps.namespaces[0].name, "probe")

    shown = mesh.cluster.api.request("POST", probe.collection, probe.manifest(), query={"dryRun": "All"})

    assert proxy_version(shown) == mesh.artifacts.newest
    assert mesh.cluster.api.find(probe.path) is None
    assert (double.judgements[-1].name, double.judgements[-1].dry_run) == ("probe", True)


def test_a_second_injector_keeps_out_of_the_way_of_the_first(mesh: Linkerd, double: Injector) -> None:
    secret = mesh.cluster.api.get("/api/v1/namespaces/linkerd/secrets/linkerd-proxy-injector-k8s-tls")
    with Injector(mesh.cluster.access) as second:
        second.until_settled(b64decode(text(secret, "data", "tls.crt")).decode())

        assert second.real
        assert not double.real


def test_with_failure_policy_fail_the_validators_decide_whether_linkerds_objects_may_be_written(
    mesh: Linkerd, double: Injector, apps: Fleet
) -> None:
    mesh.by_helm(mesh.artifacts.newest, {"webhookFailurePolicy": "Fail"})
    profiles = f"/apis/linkerd.io/v1alpha2/namespaces/{apps.namespaces[0].name}/serviceprofiles"
    profile: JsonObject = {
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {"name": "web.apps.svc.cluster.local"},
        "spec": {"routes": []},
    }
    double.down()
    with pytest.raises(ApiRefused, match="failed calling webhook"):
        mesh.cluster.api.create(profiles, profile)

    double.up()
    mesh.cluster.api.create(profiles, profile)

    assert double.judgements[-1].webhook == "linkerd-sp-validator"
    mesh.by_helm(mesh.artifacts.newest)


def test_the_double_goes_on_after_the_api_server_was_away(
    breakable_control_plane: ControlPlane, breakable_linkerd: Linkerd
) -> None:
    linkerd, oldest = breakable_linkerd, breakable_linkerd.artifacts.oldest
    linkerd.by_helm(oldest)
    breakable_control_plane.kill("kube-apiserver")
    breakable_control_plane.revive("kube-apiserver")

    # The certificate of this installation is new: the double has to see the Secret change.
    linkerd.by_helm(oldest)
    fleet = Fleet((Namespace("apps", annotations=MESHED),), (Workload(Kind.DEPLOYMENT, "apps", "web"),))
    fleet.create(linkerd.cluster.api)
    fleet.until_ready(linkerd.cluster.api)

    assert {proxy_version(pod) for pod in fleet.pods(linkerd.cluster.api, fleet.workloads[0])} == {oldest}


def test_the_whole_fleet_comes_up_meshed(mesh: Linkerd) -> None:
    fleet = mixed_fleet(unique(""))
    fleet.create(mesh.cluster.api)
    try:
        fleet.until_ready(mesh.cluster.api)
        asking = fleet.of(Fate.UPGRADED)
        versions = {proxy_version(pod) for workload in asking for pod in fleet.pods(mesh.cluster.api, workload)}

        assert len(asking) == 20
        assert versions == {mesh.artifacts.newest}
    finally:
        fleet.remove(mesh.cluster.api)


def _proxies_after_restart(mesh: Linkerd, apps: Fleet) -> set[str]:
    web = apps.workloads[0]
    # `kubectl rollout restart` writes the time, and refuses to write the same second twice.
    metadata: JsonObject = {"annotations": {"testing.steward.linkerd.io/restart": unique("restart")}}
    mesh.cluster.api.merge(web.path, {"spec": {"template": {"metadata": metadata}}})
    apps.until_ready(mesh.cluster.api)
    return {proxy_version(pod) for pod in apps.pods(mesh.cluster.api, web)}


def _shape(pod: JsonObject) -> dict[str, object]:
    """What an injected pod is recognised by, without what belongs to one pod or one installation."""
    annotations = texts(pod, "metadata", "annotations")
    labels = texts(pod, "metadata", "labels")
    proxies = [
        one
        for part in ("initContainers", "containers")
        for one in rows(pod, "spec", part)
        if text(one, "name").startswith("linkerd-")
    ]
    return {
        "annotations": {key: value for key, value in annotations.items() if "linkerd.io" in key and key != _TRUST_HASH},
        "labels": sorted(key for key in labels if "linkerd.io" in key),
        "containers": [
            {
                "name": text(one, "name"),
                "image": text(one, "image"),
                "restart": text(one, "restartPolicy"),
                "ports": [text(port, "name") for port in rows(one, "ports")],
                "mounts": sorted(_own_mounts(one)),
                "args": [*strings(one, "args")] if text(one, "name") == "linkerd-proxy" else [],
                "probes": sorted(key for key in table(one) if key.endswith("Probe")),
            }
            for one in proxies
        ],
        "volumes": sorted(
            text(volume, "name") for volume in rows(pod, "spec", "volumes") if "linkerd" in text(volume, "name")
        ),
    }


def _own_mounts(container: JsonObject) -> list[str]:
    """Where volumes of the injector's are mounted; the token of the API is the API server's affair."""
    mounts = [text(mount, "mountPath") for mount in rows(container, "volumeMounts")]
    return [path for path in mounts if not path.endswith("kubernetes.io/serviceaccount")]


def _environment(pod: JsonObject) -> set[str]:
    """The variables of the proxy. The double sets those that somebody reads from outside, and no others."""
    containers = [*rows(pod, "spec", "initContainers"), *rows(pod, "spec", "containers")]
    proxy = next(one for one in containers if text(one, "name") == "linkerd-proxy")
    return {text(variable, "name") for variable in rows(proxy, "env")}

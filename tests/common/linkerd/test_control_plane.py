"""The control plane as configured and as it runs; an unreadable configuration is a problem, not an empty one."""

import hashlib

import pytest

from steward.jsonvalue import JsonObject
from steward.linkerd.control_plane import Sighting, read_control_plane, trim_crd
from steward.linkerd.injection import webhook_selects
from steward.linkerd.mesh_config import MeshConfig, UnreadableConfig, parse_config
from steward.linkerd.pods import PodFacts, trim
from steward.linkerd.workloads import WorkloadFacts, trim_namespace, trim_workload
from tests.common.linkerd.objects import deployment, namespace, pod
from tests.common.testing_linkerd.recorded import VERSIONS, documents, path

COMPONENT = "linkerd.io/control-plane-component"


def config_map(values: str) -> JsonObject:
    return {
        "metadata": {"name": "linkerd-config", "uid": "install-1", "creationTimestamp": "2026-08-21T10:00:00Z"},
        "data": {"values": values},
    }


def parsed(values: str) -> MeshConfig:
    return parse_config(config_map(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("linkerdVersion: edge-26.8.3", "edge-26.8.3"),
        ('linkerdVersion: edge-26.8.3\nproxy: {image: {version: ""}}', "edge-26.8.3"),
        ("linkerdVersion: edge-26.8.3\nproxy: {image: {version: edge-26.8.4}}", "edge-26.8.4"),
    ],
)
def test_new_pods_get_the_version_of_the_proxy_else_that_of_linkerd(values: str, expected: str) -> None:
    assert parsed(values).proxy_version == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("", "no key 'values'"),
        ("{", "not YAML"),
        ("- a", "not a mapping"),
        ("clusterDomain: cluster.local", "no linkerdVersion"),
        ("linkerdVersion: 26", "no linkerdVersion"),
        ("a: " + "[" * 5000, "not YAML: nested more than 64 levels deep"),
        ("x" * 1_100_000, "more than Kubernetes stores"),
    ],
)
def test_what_cannot_be_read_says_why(values: str, words: str) -> None:
    with pytest.raises(UnreadableConfig, match=words):
        parsed(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [("", 0), ("controllerReplicas: 3", 3), ("controllerReplicas: three", 0), ("controllerReplicas: -1", 0)],
)
def test_the_configured_replicas_are_told_where_the_values_say_them(values: str, expected: int) -> None:
    assert parsed(f"linkerdVersion: edge-26.8.3\n{values}").controller_replicas == expected


def test_no_key_material_is_ever_kept() -> None:
    values = "linkerdVersion: edge-26.8.3\nidentity: {issuer: {tls: {crtPEM: public, keyPEM: s3cr3t}}}"
    assert "s3cr3t" not in repr(parsed(values))


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_values_of_every_version_are_read(version: str) -> None:
    values = path("recordings", "install", f"{version}.linkerd-config.values.yaml").read_text()
    config = parsed(values)
    assert (config.version, config.proxy_version) == (version, version)
    assert config.native_sidecar is (version != "edge-25.10.7")
    assert (config.heartbeat, config.cni, config.high_availability, config.external_ca) == (True, False, False, False)
    assert config.proxy_image == "cr.l5d.io/linkerd/proxy"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("linkerdVersion: edge-26.5.1", False),
        ("linkerdVersion: edge-26.5.2", True),
        ("linkerdVersion: edge-26.8.3\nproxy: {nativeSidecar: false}", False),
        ("linkerdVersion: edge-25.1.1\nproxy: {nativeSidecar: true}", True),
        ("linkerdVersion: enterprise-2.20.1", None),
        ("{", None),
    ],
)
def test_native_sidecars_are_as_configured_else_as_the_version_has_them(values: str, expected: bool | None) -> None:
    found = read_control_plane(Sighting("linkerd", config_map(values), None, (), ()))
    assert found is not None
    assert found.native_sidecar is expected


def component(name: str, version: str) -> WorkloadFacts:
    return trim_workload(
        deployment(f"linkerd-{name}", "linkerd", labels={COMPONENT: name}, image=f"host:5000/controller:{version}")
    )


def component_pod(name: str, version: str, number: int = 0, phase: str = "Running") -> PodFacts:
    raw = pod(
        f"linkerd-{name}-abc-{number}",
        "linkerd",
        owner=("ReplicaSet", f"linkerd-{name}-abc"),
        labels={COMPONENT: name},
        phase=phase,
    )
    raw["spec"] = {"containers": [{"name": name, "image": f"host:5000/controller:{version}"}]}
    return trim(raw)


def test_a_control_plane_that_rolls_runs_two_versions_and_is_none_of_them() -> None:
    found = read_control_plane(
        Sighting(
            "linkerd",
            config_map("linkerdVersion: edge-26.8.3"),
            None,
            (component("destination", "edge-26.8.3"), component("identity", "edge-26.8.3")),
            (
                component_pod("destination", "edge-26.6.3", 0),
                component_pod("destination", "edge-26.8.3", 1),
                component_pod("identity", "edge-26.8.3"),
                component_pod("identity", "edge-25.1.1", 1, phase="Failed"),
            ),
        )
    )
    assert found is not None
    assert found.running == ("edge-26.6.3", "edge-26.8.3")
    assert found.version is None
    identity, destination = found.component("identity"), found.component("destination")
    assert identity is not None
    assert destination is not None
    assert (identity.settled_on, destination.settled_on, destination.intended) == ("edge-26.8.3", "", "edge-26.8.3")


def test_a_control_plane_whose_configuration_is_gone_is_still_there_and_says_so() -> None:
    found = read_control_plane(Sighting("linkerd", None, None, (component("identity", "edge-26.8.3"),), ()))
    assert found is not None
    assert (found.config, found.configured) == (None, "")
    assert "does not exist" in found.problem


def test_where_nothing_is_there_is_no_control_plane() -> None:
    assert read_control_plane(Sighting("linkerd", None, None, (), ())) is None


def test_the_trust_hash_is_that_of_the_exact_bytes() -> None:
    bundle = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
    roots: JsonObject = {"data": {"ca-bundle.crt": bundle}}
    found = read_control_plane(Sighting("linkerd", config_map("linkerdVersion: edge-26.8.3"), roots, (), ()))
    assert found is not None
    assert found.trust_sha256 == hashlib.sha256(bundle.encode()).hexdigest()
    assert found.install_uid == "install-1"


@pytest.mark.parametrize(
    ("name", "labels", "selected"),
    [
        ("shop", {}, True),
        ("kube-system", {}, False),
        ("cert-manager", {}, False),
        ("shop", {"config.linkerd.io/admission-webhooks": "disabled"}, False),
    ],
)
def test_the_injector_is_not_called_for_exempt_namespaces(name: str, labels: dict[str, str], selected: bool) -> None:
    values = """
linkerdVersion: edge-26.8.3
proxyInjector:
  namespaceSelector:
    matchExpressions:
    - {key: config.linkerd.io/admission-webhooks, operator: NotIn, values: [disabled]}
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, cert-manager]}
"""
    found = read_control_plane(Sighting("linkerd", config_map(values), None, (), ()))
    assert found is not None
    assert webhook_selects(trim_namespace(namespace(name, labels=labels)), found) is selected


def test_the_crds_tell_their_chart_and_their_versions() -> None:
    for version in VERSIONS:
        facts = [trim_crd(each) for each in documents("linkerd", version, "crds.yaml")]
        assert len(facts) == 10
        servers = next(each for each in facts if each.name == "servers.policy.linkerd.io")
        assert servers.served[-1] == "v1beta3"
        assert (servers.chart, servers.created_by) == ("linkerd-crds-0.0.0-undefined", f"linkerd/cli {version}")

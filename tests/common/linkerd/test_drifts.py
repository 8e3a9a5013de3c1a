"""How a mesh differs from its own configuration, pod by pod, and what is none of its business."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.events.versions import DriftKind
from steward.jsonvalue import JsonObject
from steward.linkerd.control_plane import ControlPlane, Sighting, read_control_plane
from steward.linkerd.drifts import Difference, Judge, PodVerdict, differences, drifts, fingerprint
from steward.linkerd.injection import NotMeshed
from steward.linkerd.inventory import Inventory, Seen
from steward.linkerd.knowledge import shipped
from steward.linkerd.pods import WorkloadRef, trim
from steward.linkerd.workloads import trim_namespace, trim_workload
from tests.common.linkerd.objects import deployment, namespace, pod

NOW = datetime(2026, 8, 22, tzinfo=UTC)
PROXY = "cr.l5d.io/linkerd/proxy"
BUNDLE = "bundle"
INJECT = {"linkerd.io/inject": "enabled"}
SELECTOR = """
proxyInjector:
  namespaceSelector:
    matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]
"""


@dataclass
class Mesh:
    """A mesh of pods, each in the namespace and of the workload that it names."""

    pods: list[JsonObject]
    version: str = "edge-26.8.3"
    values: str = SELECTOR
    annotations: dict[str, str] = field(default_factory=lambda: dict(INJECT))
    labels: dict[str, str] = field(default_factory=dict)
    template: dict[str, str] = field(default_factory=dict)
    known_workload: bool = True

    @property
    def inventory(self) -> Inventory:
        pods = tuple(trim(each) for each in self.pods)
        names = {each.namespace for each in pods} | {"shop"}
        config: JsonObject = {
            "data": {"values": f"linkerdVersion: {self.version}\nproxy: {{nativeSidecar: true}}\n{self.values}"}
        }
        roots: JsonObject = {"data": {"ca-bundle.crt": BUNDLE}}
        control_plane = read_control_plane(Sighting("linkerd", config, roots, (), ()))
        workloads = (trim_workload(deployment(template=self.template)),) if self.known_workload else ()
        namespaces = tuple(
            trim_namespace(namespace(each, annotations=self.annotations, labels=self.labels)) for each in names
        )
        return Inventory.of(NOW, control_plane, None, Seen(namespaces, workloads, pods))

    @property
    def verdict(self) -> PodVerdict:
        inventory = self.inventory
        (only,) = inventory.every_pod()
        return Judge(inventory, _known(inventory.control_plane), shipped()).verdict(only)

    @property
    def kinds(self) -> set[str]:
        return {each.value for each in self.verdict.kinds}


def _known(control_plane: ControlPlane | None) -> ControlPlane:
    assert control_plane is not None
    return control_plane


def meshed(version: str = "edge-26.8.3", **more: object) -> JsonObject:
    arguments: dict[str, object] = {
        "labels": {"linkerd.io/control-plane-ns": "linkerd"},
        "proxy": f"{PROXY}:{version}",
        **more,
    }
    return pod(**arguments)  # type: ignore[arg-type]  # the parameters of `pod`


@pytest.mark.parametrize(
    ("mesh", "kinds"),
    [
        pytest.param(Mesh([meshed()]), set(), id="as it would be made now"),
        pytest.param(Mesh([meshed("edge-26.8.3-fips")]), set(), id="a suffix that Linkerd ignores"),
        pytest.param(Mesh([meshed("edge-26.6.3")]), {"StaleProxy"}, id="an older proxy"),
        pytest.param(Mesh([meshed("edge-25.10.7")]), {"StaleProxy"}, id="one logical version behind"),
        pytest.param(Mesh([meshed("edge-25.4.4")]), {"StaleProxy", "VersionSkew"}, id="two logical versions behind"),
        pytest.param(Mesh([meshed("edge-26.9.1")]), {"StaleProxy", "VersionSkew"}, id="ahead of the control plane"),
        pytest.param(Mesh([meshed("main")]), {"StaleProxy"}, id="a tag that is no version"),
        pytest.param(Mesh([meshed(proxy=f"{PROXY}@sha256:{'a' * 64}")]), {"UnknownProxy"}, id="a digest and no note"),
        pytest.param(Mesh([meshed(native=False)]), {"SidecarMode"}, id="an ordinary container"),
        pytest.param(
            Mesh([meshed(native=False)], template={"config.linkerd.io/proxy-enable-native-sidecar": "false"}),
            set(),
            id="an ordinary container that people asked for",
        ),
        pytest.param(
            Mesh([meshed(annotations={"linkerd.io/trust-root-sha256": "f" * 64})]),
            {"ForeignTrust"},
            id="another bundle",
        ),
        pytest.param(Mesh([pod()]), {"MissingProxy"}, id="no proxy though the namespace asks"),
        pytest.param(
            Mesh([pod(annotations=INJECT)], annotations={}), {"MissingProxy"}, id="no proxy though the pod asks"
        ),
        pytest.param(Mesh([pod()], annotations={"linkerd.io/inject": "ingress"}), {"MissingProxy"}, id="ingress"),
        pytest.param(
            Mesh([meshed("edge-26.6.3")], template={"config.linkerd.io/proxy-version": "edge-26.6.3"}),
            set(),
            id="pinned by its template",
        ),
        pytest.param(
            Mesh([meshed("edge-26.6.3")], annotations={**INJECT, "config.linkerd.io/proxy-version": "edge-26.6.3"}),
            set(),
            id="pinned by its namespace",
        ),
        pytest.param(
            Mesh([meshed("edge-26.6.3", annotations={"config.linkerd.io/proxy-version": "edge-26.6.3"})]),
            {"StaleProxy"},
            id="a pin that is gone from the template",
        ),
        pytest.param(
            Mesh(
                [meshed("edge-26.6.3", annotations={"config.linkerd.io/proxy-version": "edge-26.6.3"})],
                known_workload=False,
            ),
            set(),
            id="pinned, and its template is not known",
        ),
        pytest.param(
            Mesh([meshed("edge-26.8.3")], template={"config.linkerd.io/proxy-version": "edge-26.6.3"}),
            {"StaleProxy"},
            id="newer than its pin",
        ),
        pytest.param(
            Mesh([meshed("edge-25.4.4")], template={"config.linkerd.io/proxy-version": "edge-25.4.4"}),
            {"VersionSkew"},
            id="a pin does not make it supported",
        ),
        pytest.param(
            Mesh([meshed("edge-26.6.3")], values="proxy: {image: {version: edge-26.6.3}}\n"),
            set(),
            id="another proxy by the values",
        ),
    ],
)
def test_a_pod_differs_by_what_its_successor_would_be(mesh: Mesh, kinds: set[str]) -> None:
    assert mesh.verdict.skipped is None
    assert mesh.kinds == kinds


@pytest.mark.parametrize(
    ("mesh", "reason"),
    [
        pytest.param(Mesh([pod()], annotations={}), NotMeshed.NOT_ASKED_FOR, id="nobody asked"),
        pytest.param(Mesh([pod(annotations={"linkerd.io/inject": "disabled"})]), NotMeshed.OPTED_OUT, id="opted out"),
        pytest.param(
            Mesh([pod(annotations={"linkerd.io/inject": "yes"})]), NotMeshed.OPTED_OUT, id="a word nobody knows"
        ),
        pytest.param(Mesh([pod(hostNetwork=True)]), NotMeshed.HOST_NETWORK, id="host network"),
        pytest.param(Mesh([pod(containers=("app", "istio-proxy"))]), NotMeshed.FOREIGN_SIDECAR, id="another mesh"),
        pytest.param(Mesh([meshed("edge-25.1.1", phase="Succeeded")]), NotMeshed.FINISHED, id="done"),
        pytest.param(Mesh([pod(phase="Failed")]), NotMeshed.FINISHED, id="evicted"),
        pytest.param(
            Mesh([meshed("edge-25.1.1", namespace="linkerd")]), NotMeshed.CONTROL_PLANE, id="the control plane"
        ),
        pytest.param(
            Mesh([meshed("edge-25.1.1", labels={"linkerd.io/control-plane-ns": "linkerd-b"})]),
            NotMeshed.OTHER_CONTROL_PLANE,
            id="another control plane",
        ),
        pytest.param(
            Mesh([pod(namespace="kube-system")]), NotMeshed.NAMESPACE_EXEMPT, id="a namespace that the webhook skips"
        ),
        pytest.param(
            Mesh([pod()], labels={"config.linkerd.io/admission-webhooks": "disabled"}),
            NotMeshed.NAMESPACE_EXEMPT,
            id="a namespace without webhooks",
        ),
    ],
)
def test_what_is_none_of_the_meshs_business_is_skipped_with_its_reason(mesh: Mesh, reason: NotMeshed) -> None:
    assert mesh.verdict.skipped is reason
    assert mesh.kinds == set()


def test_without_a_trust_bundle_nobody_can_tell_foreign_trust() -> None:
    found = Mesh([meshed(annotations={"linkerd.io/trust-root-sha256": "f" * 64})])
    inventory = found.inventory
    assert inventory.control_plane is not None
    blind = ControlPlane(
        **{**{name: getattr(inventory.control_plane, name) for name in ControlPlane.__slots__}, "trust_sha256": ""}
    )
    (only,) = inventory.every_pod()
    assert Judge(inventory, blind, shipped()).verdict(only).as_expected


def test_without_a_readable_configuration_there_is_no_difference() -> None:
    inventory = Mesh([meshed("edge-25.1.1"), pod("b")], version="{").inventory
    assert differences(inventory, shipped()) == []


def test_a_drift_names_at_most_ten_and_counts_all() -> None:
    pods = [meshed("edge-26.6.3", name=f"web-abc-{number:02}") for number in range(25)]
    (drift,) = drifts(Mesh(pods).inventory, shipped())
    assert (drift.kind, drift.count, len(drift.examples)) == (DriftKind.STALE_PROXY, 25, 10)
    assert drift.examples[0] == "shop/web-abc-00"
    assert drift.message.startswith("25 pods of 1 workload run another proxy")


def test_a_control_plane_that_runs_something_else_than_configured_has_drifted() -> None:
    component = {"linkerd.io/control-plane-component": "identity"}
    own = pod("linkerd-identity-abc-1", "linkerd", owner=("ReplicaSet", "linkerd-identity-abc"), labels=component)
    own["spec"] = {"containers": [{"name": "identity", "image": "c:edge-26.6.3"}]}
    config: JsonObject = {"data": {"values": "linkerdVersion: edge-26.8.3"}}
    workload = trim_workload(deployment("linkerd-identity", "linkerd", labels=component))
    control_plane = read_control_plane(Sighting("linkerd", config, None, (workload,), (trim(own),)))
    (drift,) = drifts(Inventory.of(NOW, control_plane, None, Seen((), (workload,), (trim(own),))), shipped())
    assert (drift.kind, drift.examples) == (DriftKind.CONTROL_PLANE_VERSION, ("linkerd/linkerd-identity",))


def test_pods_that_nobody_can_restart_are_listed_by_their_owner() -> None:
    pods = [
        meshed(),
        meshed(name="bare", owner=None),
        meshed(name="backup-28371234-x", owner=("Job", "backup-28371234")),
    ]
    assert set(Mesh(pods).inventory.unsupported()) == {
        WorkloadRef("Pod", "shop", "bare"),
        WorkloadRef("CronJob", "shop", "backup"),
    }


def test_pins_are_reported_and_are_no_drift() -> None:
    pinned = Mesh([meshed("edge-26.6.3")], template={"config.linkerd.io/proxy-version": "edge-26.6.3"})
    assert pinned.inventory.pinned() == {WorkloadRef("Deployment", "shop", "web"): "edge-26.6.3"}
    assert pinned.verdict.pinned
    assert pinned.verdict.as_expected
    assert Mesh([meshed()]).inventory.pinned() == {}
    assert Mesh([pod()], template={"config.linkerd.io/proxy-version": "edge-26.6.3"}).inventory.pinned() == {}


def test_proxies_are_counted_by_version_and_those_nobody_can_tell_too() -> None:
    pods = [
        meshed(),
        meshed("edge-26.6.3", name="b"),
        meshed(name="c"),
        meshed(proxy=f"p@sha256:{'a' * 64}", name="d"),
        pod("e"),
    ]
    assert Mesh(pods).inventory.proxies() == {"edge-26.8.3": 2, "edge-26.6.3": 1, "": 1}


DIFFERENCES = st.lists(
    st.builds(
        Difference, st.sampled_from(DriftKind), st.sampled_from("abc"), st.sampled_from("xy"), st.text(max_size=3)
    ),
    max_size=12,
)


@given(DIFFERENCES, st.integers())
def test_a_fingerprint_knows_no_order_and_no_number_of_pods(found: list[Difference], seed: int) -> None:
    again = [*found, *found]
    Random(seed).shuffle(again)
    assert fingerprint(again) == fingerprint(found)
    assert bool(fingerprint(found)) == bool(found)


@given(DIFFERENCES, DIFFERENCES)
def test_other_differences_have_another_fingerprint(one: list[Difference], other: list[Difference]) -> None:
    def essence(found: list[Difference]) -> set[tuple[str, str, str]]:
        return {(each.kind.value, each.subject, each.detail) for each in found}

    assert (fingerprint(one) == fingerprint(other)) == (essence(one) == essence(other))


def test_a_stale_pod_that_is_replaced_by_another_stale_pod_is_no_news() -> None:
    first, second = (Mesh([meshed("edge-26.6.3", name=name)]).inventory for name in ("web-abc-1", "web-abc-2"))
    assert fingerprint(differences(first, shipped())) == fingerprint(differences(second, shipped()))

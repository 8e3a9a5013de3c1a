"""What is kept of a pod: its owner, its proxy, and what people asked for."""

import json
import sys
from datetime import UTC, datetime

import pytest

from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.linkerd.marks import Inject
from steward.linkerd.pods import WorkloadRef, trim
from steward.linkerd.version import Version
from tests.common.linkerd.objects import pod
from tests.common.testing_linkerd.recorded import documents, path

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (("ReplicaSet", "web-abc"), {}, ("Deployment", "web")),
        (("ReplicaSet", "web-abc"), {"pod-template-hash": "xyz"}, ("ReplicaSet", "web-abc")),
        (("ReplicaSet", "odd"), {"linkerd.io/proxy-deployment": "web"}, ("Deployment", "web")),
        (
            ("ReplicaSet", "web-r1"),
            {"pod-template-hash": "", "rollouts-pod-template-hash": "r1"},
            ("Rollout", "web"),
        ),
        (("StatefulSet", "db"), {}, ("StatefulSet", "db")),
        (("DaemonSet", "agent"), {}, ("DaemonSet", "agent")),
        (("Job", "backup-28371234"), {}, ("CronJob", "backup")),
        (("Job", "backup"), {}, ("Job", "backup")),
        (("Job", "x"), {"linkerd.io/proxy-cronjob": "backup"}, ("CronJob", "backup")),
        (("Cluster", "pg"), {}, ("Cluster", "pg")),
        (None, {}, ("Pod", "web-abc-1")),
    ],
)
def test_the_owner_is_what_a_person_would_restart(
    owner: tuple[str, str] | None, labels: dict[str, str], expected: tuple[str, str]
) -> None:
    found = trim(pod(owner=owner, labels=labels)).workload
    assert found == WorkloadRef(expected[0], "shop", expected[1])


@pytest.mark.parametrize(
    ("image", "noted", "version", "label"),
    [
        ("cr.l5d.io/linkerd/proxy:edge-26.8.3", "edge-26.6.3", "edge-26.8.3", "edge-26.8.3"),
        ("host:18080/linkerd/proxy", "edge-26.8.3", "edge-26.8.3", "edge-26.8.3"),
        (f"host:5000/proxy@{SHA}", "edge-26.8.3", "edge-26.8.3", "edge-26.8.3"),
        (f"host:5000/proxy:edge-26.6.3@{SHA}", "edge-26.8.3", "edge-26.6.3", "edge-26.6.3"),
        ("host:5000/proxy:edge-26.8.3-fips", "", "edge-26.8.3", "edge-26.8.3"),
        ("host:5000/proxy:main", "edge-26.8.3", "edge-26.8.3", "edge-26.8.3"),
        ("host:5000/proxy:main", "", None, "main"),
        (f"host:5000/proxy@{SHA}", "", None, ""),
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_the_version_of_a_proxy_is_that_of_its_image_else_the_noted_one(
    image: str, noted: str, version: str | None, label: str, native: bool
) -> None:
    found = trim(pod(proxy=image, native=native, annotations={"linkerd.io/proxy-version": noted})).proxy
    assert found is not None
    assert (found.version, found.label, found.native) == (Version.maybe(version), label, native)


def test_a_digest_is_kept() -> None:
    found = trim(pod(proxy=f"host:5000/proxy:edge-26.6.3@{SHA}")).proxy
    assert found is not None
    assert found.image.digest == SHA


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, None),
        ({"linkerd.io/inject": "enabled"}, Inject.ENABLED),
        ({"linkerd.io/inject": "ingress"}, Inject.INGRESS),
        ({"linkerd.io/inject": "disabled"}, Inject.DISABLED),
        ({"linkerd.io/inject": "true"}, Inject.DISABLED),
    ],
)
def test_a_word_that_the_injector_does_not_know_injects_nothing(
    annotations: dict[str, str], expected: Inject | None
) -> None:
    assert trim(pod(annotations=annotations)).inject is expected


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, None),
        ({"config.linkerd.io/proxy-enable-native-sidecar": "false"}, False),
        ({"config.alpha.linkerd.io/proxy-enable-native-sidecar": "true"}, True),
        (
            {
                "config.linkerd.io/proxy-enable-native-sidecar": "true",
                "config.beta.linkerd.io/proxy-enable-native-sidecar": "false",
            },
            True,
        ),
    ],
)
def test_the_most_stable_annotation_of_native_sidecars_wins(annotations: dict[str, str], expected: bool | None) -> None:
    assert trim(pod(annotations=annotations)).native_wish is expected


def test_why_a_container_does_not_start_is_kept() -> None:
    raw = pod()
    waiting: Json = [{"name": "app", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    table(raw, "status")["containerStatuses"] = waiting
    assert trim(raw).problem == "ImagePullBackOff"


def test_a_pod_that_no_node_takes_says_so() -> None:
    raw = pod(phase="Pending")
    table(raw, "status")["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    found = trim(raw)
    assert (found.problem, found.ready) == ("Unschedulable", False)


@pytest.mark.parametrize(
    "raw",
    [{}, {"metadata": None, "spec": [], "status": 7}, {"metadata": {"labels": {"a": 1}, "ownerReferences": "x"}}],
)
def test_an_object_of_any_shape_is_trimmed(raw: JsonObject) -> None:
    assert trim(raw).proxy is None


def test_what_many_pods_have_in_common_is_one_object() -> None:
    first, second = (trim(pod(name, proxy="cr.l5d.io/linkerd/proxy:edge-26.8.3")) for name in ("a", "b"))
    assert first.proxy is second.proxy
    assert first.workload is second.workload
    assert first.namespace is second.namespace


def test_a_trimmed_pod_is_small() -> None:
    found = trim(pod(proxy="cr.l5d.io/linkerd/proxy:edge-26.8.3"))
    own = sys.getsizeof(found) + sys.getsizeof(found.name) + sys.getsizeof(found.uid) + sys.getsizeof(found.created_at)
    assert own < 600


@pytest.mark.parametrize(
    ("file", "version", "native"),
    [
        ("pods/injected-edge-26.6.3.yaml", "edge-26.6.3", True),
        ("pods/injected-edge-26.8.3.yaml", "edge-26.8.3", True),
        ("step219/pod-edge-25.10.7.yaml", "edge-25.10.7", False),
        ("step219/pod-after-restart-26.6.3.yaml", "edge-26.6.3", True),
    ],
)
def test_recorded_pods_of_the_real_injector_are_read(file: str, version: str, native: bool) -> None:
    pods = [trim(each) for each in documents("recordings", *file.split("/"))]
    assert pods
    for found in pods:
        assert found.proxy is not None
        assert (str(found.proxy.version), found.proxy.native) == (version, native)
        assert found.workload == WorkloadRef("Deployment", "app1", "web")
        assert len(found.proxy.trust) == 64
        assert found.ready
        assert found.proxy_ready
        assert found.mesh == "linkerd"


def test_recorded_pods_of_every_kind_have_their_owner() -> None:
    recorded: Json = json.loads(path("recordings", "pods", "workload-kinds.json").read_text())
    found = {}
    for row in rows({"pods": recorded}, "pods"):
        metadata: JsonObject = {**table(row, "metadata"), "namespace": "x1"}
        raw: JsonObject = {
            "metadata": metadata,
            "spec": {"initContainers": row["init"], "containers": row["containers"]},
            "status": {"phase": row["phase"]},
        }
        found[text(metadata, "name")] = trim(raw)
    kinds = {each.workload.kind for each in found.values()}
    assert {"Pod", "Job", "DaemonSet", "StatefulSet"} <= kinds
    assert found["cjnow-dtv6x"].finished
    pinned = [each for each in found.values() if each.pin_version]
    assert pinned
    assert all(each.proxy is not None and str(each.proxy.version) == each.pin_version for each in pinned)


def test_the_time_of_creation_is_a_time() -> None:
    assert trim(pod()).created_at == datetime(2026, 8, 21, 10, tzinfo=UTC)


def test_the_address_is_empty_before_there_is_one() -> None:
    raw = pod()
    assert trim(raw).address == ""
    assert trim({**raw, "status": {"podIP": "10.0.0.7"}}).address == "10.0.0.7"

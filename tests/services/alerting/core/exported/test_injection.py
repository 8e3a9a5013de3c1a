"""Who has a proxy and who should have one: the injector's rules, applied to what runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.core.exported.injection import meshed_pods, pods_of, unmeshed_pods
from services.alerting.core.exported.samples import Samples
from steward.linkerd.inventory import Inventory
from steward.linkerd.pods import PodFacts
from steward.linkerd.workloads import NamespaceFacts
from tests.services.alerting.meshes import NOW, mesh, namespace, pod


def by_namespace(samples: Samples) -> dict[str, float]:
    return {each.labels[0]: each.value for each in samples}


def unmeshed(*parts: PodFacts | NamespaceFacts) -> dict[str, float]:
    return by_namespace(unmeshed_pods(pods_of(mesh(*parts))))


@pytest.mark.parametrize("place", ["init", "container"])
def test_a_proxy_counts_wherever_it_is(place: str) -> None:
    pods = pods_of(mesh(namespace("shop", "enabled"), pod("shop", "web", proxy=place)))
    assert by_namespace(meshed_pods(pods)) == {"shop": 1.0}
    assert by_namespace(unmeshed_pods(pods)) == {"shop": 0.0}, "a series that says so, so that an alert can end"


@pytest.mark.parametrize("wish", ["enabled", "ingress"])
def test_a_pod_that_was_to_have_a_proxy_and_runs_without_is_counted(wish: str) -> None:
    assert unmeshed(namespace("shop", wish), pod("shop", "web")) == {"shop": 1.0}
    assert unmeshed(namespace("shop"), pod("shop", "web", inject=wish)) == {"shop": 1.0}


@pytest.mark.parametrize(
    ("asked", "of_the_pod"), [("", ""), ("disabled", ""), ("enabled", "disabled"), ("yes", ""), ("enabled", "true")]
)
def test_a_pod_that_nobody_wants_in_the_mesh_is_not_counted(asked: str, of_the_pod: str) -> None:
    assert unmeshed(namespace("shop", asked), pod("shop", "web", inject=of_the_pod)) == {}


def test_a_pod_in_the_network_of_its_node_is_never_injected() -> None:
    assert unmeshed(namespace("shop", "enabled"), pod("shop", "web", hostNetwork=True)) == {}


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Pending", "Unknown", ""])
def test_only_what_runs_is_counted(phase: str) -> None:
    """Job pods that completed, pods that were evicted, pods that wait for a node."""
    parts = (namespace("shop", "enabled"), pod("shop", "job", phase=phase, owner="Job"))
    assert unmeshed(*parts) == {}
    meshed = pod("shop", "web", proxy="init", phase=phase)
    assert meshed_pods(pods_of(mesh(namespace("shop", "enabled"), meshed))) == ()


def test_a_running_job_without_its_proxy_is_counted() -> None:
    assert unmeshed(namespace("shop", "enabled"), pod("shop", "job", owner="Job")) == {"shop": 1.0}


def test_a_pod_that_is_being_deleted_is_over() -> None:
    gone = pod("shop", "web", deleted="2026-08-22T00:00:00Z")
    assert unmeshed(namespace("shop", "enabled"), gone) == {}


def test_another_meshs_sidecar_keeps_the_injector_away() -> None:
    foreign = pod("shop", "web", containers=[{"name": "istio-proxy"}])
    assert unmeshed(namespace("shop", "enabled"), foreign) == {}


def test_a_namespace_that_the_webhook_does_not_select_has_nothing_to_miss() -> None:
    exempt = namespace("shop", "enabled", {"config.linkerd.io/admission-webhooks": "disabled"})
    assert unmeshed(exempt, pod("shop", "web")) == {}
    assert unmeshed(namespace("kube-system", "enabled"), pod("kube-system", "dns", inject="enabled")) == {}


def test_where_nobody_knows_what_the_webhook_selects_kubernetes_own_namespaces_are_left_out() -> None:
    parts = (
        namespace("kube-system", "enabled"),
        pod("kube-system", "dns"),
        namespace("shop", "enabled"),
        pod("shop", "web"),
    )
    assert by_namespace(unmeshed_pods(pods_of(mesh(*parts, values=None)))) == {"shop": 1.0}


def test_the_control_plane_is_meshed_and_never_missed() -> None:
    own = pod("linkerd", "identity", proxy="container", labels={"linkerd.io/control-plane-component": "identity"})
    bare = pod("linkerd", "heartbeat", labels={"linkerd.io/control-plane-component": "heartbeat"})
    pods = pods_of(mesh(namespace("linkerd", "disabled"), own, bare))
    assert by_namespace(meshed_pods(pods)) == {"linkerd": 1.0}
    assert by_namespace(unmeshed_pods(pods)) == {"linkerd": 0.0}


def test_pods_of_another_control_plane_are_that_ones_business() -> None:
    other = pod("shop", "web", proxy="init", labels={"linkerd.io/control-plane-ns": "linkerd-two"})
    assert pods_of(mesh(namespace("shop", "enabled"), other)).meshed == ()


def test_without_a_control_plane_nothing_is_said() -> None:
    nothing = Inventory(NOW, None, None, {}, {}, mesh(namespace("shop", "enabled"), pod("shop", "web")).pods)
    assert unmeshed_pods(pods_of(nothing)) == ()


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["", "init", "container"])), max_size=12))
def test_every_running_pod_of_a_meshed_namespace_is_counted_once(pods: list[tuple[str, str]]) -> None:
    parts = [pod(where, f"pod-{number}", proxy=proxy) for number, (where, proxy) in enumerate(pods)]
    found = pods_of(mesh(namespace("a", "enabled"), namespace("b", "ingress"), *parts))
    assert len(found.meshed) == sum(bool(proxy) for _, proxy in pods)
    assert len(found.unmeshed) == sum(not proxy for _, proxy in pods)
    shown = by_namespace(unmeshed_pods(found))
    assert set(shown) == {where for where, _ in pods}
    assert sum(shown.values()) == len(found.unmeshed)

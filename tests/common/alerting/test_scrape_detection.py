"""Which profile a Prometheus has, told by what it scrapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.monitoring import ScrapeKind, ScrapeProfile
from steward.alerting.scrape_detection import Detected, detect
from steward.alerting.targets import fits, targets_in
from steward.jsonvalue import JsonObject
from tests.services.alerting.core.prometheus import answer, read, recorded, target

PROXY = {"pod_container_name": "linkerd-proxy"}
IDENTITY = {"pod_container_name": "identity", "pod_label_linkerd_io_control_plane_component": "identity"}
JOBS = ["linkerd-proxy", "linkerd-controller", "linkerd/linkerd-proxy", "mesh", "linkerd-steward", "kubelet", ""]


def proxies(job: str, count: int = 1, *, up: int | None = None) -> list[JsonObject]:
    healths = ["up"] * (count if up is None else up)
    return [
        target(job, pod=f"web-{number}", namespace="shop", discovered=PROXY, health=health)
        for number, health in enumerate(healths + ["down"] * (count - len(healths)))
    ]


def controller(job: str, **labels: str) -> JsonObject:
    return target(job, labels={"component": "identity", **labels}, discovered=IDENTITY, address="10.0.0.9:9990")


def detected(*targets: JsonObject, wished: ScrapeKind | None = None) -> Detected:
    return detect(read(*targets), wished=wished)


def test_vizs_prometheus_is_told_by_its_jobs() -> None:
    found = detect(targets_in(recorded("viz")))
    assert found.profile == ScrapeProfile(ScrapeKind.VIZ)
    assert found.reason == "VizFound"
    assert found.message == (
        "Viz: 2 of 4 proxies up under job linkerd-proxy; 1 of 1 controllers up under job linkerd-controller"
    )


def test_pod_monitors_are_told_by_their_jobs_and_displace_the_namespace_of_metrics() -> None:
    found = detect(targets_in(recorded("pod-monitor")))
    assert found.profile == ScrapeProfile(ScrapeKind.POD_MONITOR, own_namespace="exported_namespace")
    assert found.reason == "PodMonitorFound"


def test_a_prometheus_that_federates_the_mesh_is_told_by_what_it_asks_for() -> None:
    found = detect(targets_in(recorded("federation")))
    assert (found.profile.kind, found.reason) == (ScrapeKind.FEDERATION, "Federated")
    assert "federate" in found.message


def test_the_configuration_of_steward_is_told_by_the_job_of_steward() -> None:
    found = detected(*proxies("linkerd-proxy"), controller("linkerd-controller"), target("linkerd-steward"))
    assert found.profile.kind is ScrapeKind.STEWARD
    assert str(found.profile.exporter) == 'job=~"linkerd-steward"'


def test_jobs_of_other_names_are_told_by_the_containers_behind_them() -> None:
    found = detected(*proxies("mesh.proxies", 2), controller("mesh/control", namespace="linkerd"))
    profile = found.profile
    assert (profile.kind, found.reason) == (ScrapeKind.CUSTOM, "CustomFound")
    assert str(profile.proxies) == r'job=~"mesh\\.proxies"'
    assert str(profile.controllers) == 'job=~"mesh/control"'
    assert profile.own_namespace == "exported_namespace"


def test_controllers_without_the_label_component_are_pointed_out() -> None:
    found = detected(*proxies("mesh"), target("control", discovered=IDENTITY))
    assert "1 controllers have no label component: alerts that tell them apart stay blind" in found.message


@pytest.mark.parametrize("own", [{}, {"namespace": "linkerd"}])
def test_a_namespace_on_the_target_displaces_the_metrics_own_whoever_configured_it(own: dict[str, str]) -> None:
    found = detected(*proxies("linkerd-proxy"), controller("linkerd-controller", **own))
    assert found.profile.own_namespace == ("exported_namespace" if own else "namespace")


def test_a_mesh_that_is_scraped_twice_is_counted_once_by_whoever_sees_more_of_it() -> None:
    found = detected(
        *proxies("linkerd-proxy", 1),
        controller("linkerd-controller"),
        *proxies("linkerd/linkerd-proxy", 3),
        controller("linkerd/linkerd-controller", namespace="linkerd"),
    )
    profile = found.profile
    assert (profile.kind, found.reason) == (ScrapeKind.POD_MONITOR, "SeveralFound")
    assert fits(profile.proxies, {"job": "linkerd/linkerd-proxy"})
    assert not fits(profile.proxies, {"job": "linkerd-proxy"})
    assert not fits(profile.controllers, {"job": "linkerd-controller"})
    assert profile.own_namespace == "exported_namespace"
    assert "Viz scrapes the same mesh and is left out, or everything would count twice" in found.message


def test_of_two_the_one_that_was_asked_for_is_taken() -> None:
    targets = (*proxies("linkerd-proxy", 1), *proxies("linkerd/linkerd-proxy", 3))
    found = detected(*targets, wished=ScrapeKind.VIZ)
    assert found.profile.kind is ScrapeKind.VIZ
    assert not fits(found.profile.proxies, {"job": "linkerd/linkerd-proxy"})


def test_what_was_asked_for_wins_over_what_it_looks_like_and_both_are_told() -> None:
    found = detected(*proxies("mesh"), wished=ScrapeKind.VIZ)
    assert (found.profile, found.reason) == (ScrapeProfile(ScrapeKind.VIZ), "Asked")
    assert "it was asked for, and the targets look like Custom" in found.message


@pytest.mark.parametrize("targets", [[], [target("kubelet")], [target("node", discovered={"pod_container_name": "x"})]])
def test_where_nothing_of_the_mesh_is_scraped_that_is_what_is_said(targets: list[JsonObject]) -> None:
    found = detected(*targets)
    assert found.reason == "MeshNotScraped"
    assert found.message == (
        f"none of {len(targets)} active targets is a proxy or a controller of Linkerd: nothing of the mesh is scraped"
    )


def test_the_api_server_and_the_exporter_are_found_under_whatever_job_they_have() -> None:
    server = target("masters", discovered={"service_name": "kubernetes", "namespace": "default"})
    own = target(
        "linkerd-steward/alerting",
        discovered={"pod_label_app_kubernetes_io_name": "alerting", "pod_container_name": "alerting"},
    )
    found = detected(*proxies("linkerd-proxy"), server, own)
    assert str(found.profile.api_server) == 'job=~"masters"'
    assert str(found.profile.exporter) == 'job=~"linkerd-steward/alerting"'


@given(
    st.lists(
        st.builds(
            target,
            st.sampled_from(JOBS),
            pool=st.sampled_from(["", "podMonitor/linkerd/linkerd-proxy/0"]),
            health=st.sampled_from(["up", "down", "unknown"]),
            discovered=st.sampled_from([None, PROXY, IDENTITY]),
        ),
        max_size=8,
    ),
    st.none() | st.sampled_from(list(ScrapeKind)),
)
def test_any_targets_have_a_profile_with_a_reason(targets: list[JsonObject], wished: ScrapeKind | None) -> None:
    found = detect(targets_in(answer(*targets)), wished=wished)
    assert found.reason.isalpha()
    assert found.message
    assert wished is None or found.profile.kind is wished
    assert detect(reversed(targets_in(answer(*targets))), wished=wished) == found

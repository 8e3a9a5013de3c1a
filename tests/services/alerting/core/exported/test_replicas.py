"""The replicas of the control plane: what it is configured for, and what is ready."""

import pytest

from services.alerting.core.exported.replicas import ReplicaGauges, replica_gauges
from steward.linkerd.workloads import WorkloadFacts
from tests.services.alerting.meshes import VALUES, component, control_plane

HIGHLY_AVAILABLE = VALUES.replace("controllerReplicas: 1", "controllerReplicas: 3")


def replicas(*components: WorkloadFacts, values: str | None = VALUES) -> tuple[dict[str, float], dict[str, float]]:
    found = replica_gauges(control_plane(values, components))
    return {each.labels[0]: each.value for each in found.expected}, {each.labels[0]: each.value for each in found.ready}


def test_each_component_says_what_it_should_have_and_has() -> None:
    expected, ready = replicas(
        component("destination", desired=3, ready=2),
        component("identity", desired=3, ready=3),
        component("proxy-injector", desired=3, ready=0),
        values=HIGHLY_AVAILABLE,
    )
    assert expected == {"destination": 3, "identity": 3, "proxy-injector": 3}
    assert ready == {"destination": 2, "identity": 3, "proxy-injector": 0}


@pytest.mark.parametrize(("values", "most"), [(VALUES, 1.0), (HIGHLY_AVAILABLE, 3.0), (None, 1.0)])
def test_a_component_that_was_scaled_down_by_hand_is_missed(values: str | None, most: float) -> None:
    expected, ready = replicas(component("identity", desired=0, ready=0), values=values)
    assert (expected["identity"], ready["identity"]) == (most, 0.0)


def test_a_component_that_was_scaled_up_is_expected_whole() -> None:
    assert replicas(component("destination", desired=5, ready=5))[0]["destination"] == 5.0


def test_a_component_whose_deployment_is_gone_is_missed() -> None:
    expected, ready = replicas(component("identity"))
    assert expected == {"destination": 1, "identity": 1, "proxy-injector": 1}
    assert ready == {"destination": 0, "identity": 1, "proxy-injector": 0}


def test_where_linkerd_is_not_installed_nothing_is_expected() -> None:
    assert replica_gauges(None) == ReplicaGauges()

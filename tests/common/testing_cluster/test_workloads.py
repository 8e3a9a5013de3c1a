"""The fleet of the journeys: twenty workloads to upgrade, and a case of each that must be left alone or reported."""

from collections import Counter

import pytest

from steward.jsonvalue import JsonObject, text
from steward.testing.cluster.workloads import ROLLING, Fate, Kind, Workload, mixed_fleet, proxy_version, rolled_out


def test_twenty_workloads_of_three_kinds_ask_to_be_upgraded() -> None:
    asking = mixed_fleet().of(Fate.UPGRADED)

    assert Counter(workload.kind for workload in asking) == {
        Kind.DEPLOYMENT: 12,
        Kind.STATEFUL_SET: 5,
        Kind.DAEMON_SET: 3,
    }
    assert {workload.kind for workload in asking} == set(ROLLING)


def test_two_fleets_share_no_name() -> None:
    one, other = mixed_fleet("-1"), mixed_fleet("-2")

    assert not {workload.path for workload in one.workloads} & {workload.path for workload in other.workloads}
    assert {workload.namespace for workload in one.workloads} == {namespace.name for namespace in one.namespaces}


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_place_in_the_api(kind: Kind) -> None:
    workload = Workload(kind, "shop", "web")

    assert workload.path.startswith(("/api/v1/namespaces/shop/", "/apis/"))
    assert text(workload.manifest(), "kind") == kind.value


_DEPLOYMENT: JsonObject = {
    "metadata": {"generation": 2},
    "spec": {"replicas": 2},
    "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2},
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"readyReplicas": 1}, False),
        ({"replicas": 3}, False),
    ],
    ids=["complete", "not observed", "not updated", "not ready", "an old pod left"],
)
def test_a_rollout_is_complete_only_when_nothing_is_missing_or_left_over(status: JsonObject, *, expected: bool) -> None:
    before = _DEPLOYMENT["status"]
    assert isinstance(before, dict)

    assert rolled_out({**_DEPLOYMENT, "status": {**before, **status}}) is expected


@pytest.mark.parametrize("part", ["initContainers", "containers"])
def test_the_proxy_is_found_as_sidecar_of_either_kind(part: str) -> None:
    pod: JsonObject = {"spec": {part: [{"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge-26.8.3"}]}}

    assert proxy_version(pod) == "edge-26.8.3"
    assert proxy_version({"spec": {}}) == ""

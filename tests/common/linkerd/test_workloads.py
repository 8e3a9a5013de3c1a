"""What is kept of workloads and namespaces, and which wish of people wins."""

import pytest

from steward.jsonvalue import JsonObject, table
from steward.linkerd.marks import kept
from steward.linkerd.workloads import trim_namespace, trim_workload, wish
from tests.common.linkerd.objects import deployment, namespace

KEY = "steward.linkerd.io/proxy-upgrade"


@pytest.mark.parametrize(
    ("workload", "in_namespace", "expected"),
    [
        (({"a": "x"}, {}), ({}, {}), None),
        (({}, {}), ({KEY: "Auto"}, {}), "Auto"),
        (({}, {}), ({}, {KEY: "Auto"}), "Auto"),
        (({}, {}), ({KEY: "Manual"}, {KEY: "Auto"}), "Manual"),
        (({KEY: "Disabled"}, {}), ({KEY: "Auto"}, {}), "Disabled"),
        (({}, {KEY: "Disabled"}), ({KEY: "Auto"}, {}), "Disabled"),
        (({KEY: "Auto"}, {KEY: "Disabled"}), ({}, {}), "Auto"),
    ],
)
def test_the_workload_wins_over_the_namespace_and_annotations_over_labels(
    workload: tuple[dict[str, str], dict[str, str]],
    in_namespace: tuple[dict[str, str], dict[str, str]],
    expected: str | None,
) -> None:
    facts = trim_workload(deployment(annotations=workload[0], labels=workload[1]))
    around = trim_namespace(namespace(annotations=in_namespace[0], labels=in_namespace[1]))
    assert wish(KEY, facts, around) == expected


def test_only_marks_that_decide_something_are_kept() -> None:
    marks = {
        "linkerd.io/inject": "enabled",
        "config.linkerd.io/proxy-version": "edge-26.8.3",
        "steward.linkerd.io/order": "1",
        "meta.helm.sh/release-name": "r",
        "helm.toolkit.fluxcd.io/name": "r",
        "argocd.argoproj.io/tracking-id": "t",
        "app.kubernetes.io/managed-by": "Helm",
        "kubectl.kubernetes.io/last-applied-configuration": "{}" * 10_000,
        "notlinkerd.io/inject": "enabled",
        "linkerd.io": "no slash",
        "app": "web",
    }
    assert set(marks) - set(kept(marks)) == {
        "kubectl.kubernetes.io/last-applied-configuration",
        "notlinkerd.io/inject",
        "linkerd.io",
        "app",
    }


@pytest.mark.parametrize(
    ("kind", "spec", "status", "settled"),
    [
        ("Deployment", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, True),
        ("Deployment", {"replicas": 2}, {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, False),
        ("Deployment", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, False),
        ("Deployment", {}, {}, False),
        ("Deployment", {"replicas": 0}, {}, True),
        ("StatefulSet", {"replicas": 1}, {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, True),
        (
            "DaemonSet",
            {},
            {
                "desiredNumberScheduled": 3,
                "updatedNumberScheduled": 3,
                "numberAvailable": 3,
                "currentNumberScheduled": 3,
            },
            True,
        ),
    ],
)
def test_a_workload_has_settled_when_every_pod_is_of_its_template(
    kind: str, spec: JsonObject, status: JsonObject, settled: bool
) -> None:
    assert (
        trim_workload(deployment(kind=kind, spec=spec, status={"observedGeneration": 2, **status})).settled is settled
    )


def test_a_template_that_the_controller_has_not_seen_has_not_settled() -> None:
    status: JsonObject = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert not trim_workload(deployment(status=status)).settled


def test_what_makes_a_restart_useless_is_seen() -> None:
    paused = trim_workload(deployment(spec={"paused": True}))
    on_delete = trim_workload(deployment(kind="StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}}))
    held = trim_workload(deployment(kind="StatefulSet", spec={"updateStrategy": {"rollingUpdate": {"partition": 3}}}))
    raw = deployment()
    table(raw, "spec", "template", "spec")["containers"] = [{"name": "linkerd-proxy", "image": "p"}]
    assert (paused.paused, on_delete.strategy, held.partition, trim_workload(raw).manual_proxy) == (
        True,
        "OnDelete",
        3,
        True,
    )


def test_a_rollout_that_was_given_up_says_why() -> None:
    condition: JsonObject = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert trim_workload(deployment(status={"conditions": [condition]})).stalled == "ProgressDeadlineExceeded"


def test_a_selector_is_written_as_the_api_server_takes_it() -> None:
    spec: JsonObject = {
        "selector": {
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["x", "y"]},
                {"key": "d", "operator": "DoesNotExist"},
            ],
        }
    }
    assert trim_workload(deployment(spec=spec)).selector == "a=1,b=2,c in (x,y),!d"

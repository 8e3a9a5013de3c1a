"""Namespaces, workloads and pods as an API server lists them, in a mesh whose upgrade is all but done."""

from steward.jsonvalue import JsonObject
from steward.linkerd import marks

TARGET = "edge-26.6.3"
TRUST = "a" * 64
RESTARTING = frozenset({7})
"""Workloads whose new pods are not ready yet."""
_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_DAWN = "2026-06-18T12:00:00Z"


def namespace_object(number: int) -> JsonObject:
    """A namespace that asks for proxies and for their upgrade."""
    return {
        "metadata": {
            "name": f"team-{number}",
            "labels": {"kubernetes.io/metadata.name": f"team-{number}", "team": f"t{number}"},
            "annotations": {marks.INJECT: "enabled", marks.PROXY_UPGRADE: "Auto"},
        }
    }


def workload_object(number: int, space: int, marker: str) -> JsonObject:
    """A workload that was restarted by the run."""
    kind, replicas = _kind(number), _replicas(number)
    ready = 0 if number in RESTARTING else replicas
    labels: JsonObject = {"app": f"app-{number}", "app.kubernetes.io/part-of": "shop"}
    counted: JsonObject = {
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    if kind == "DaemonSet":
        counted = {
            "desiredNumberScheduled": replicas,
            "currentNumberScheduled": replicas,
            "updatedNumberScheduled": replicas,
            "numberReady": ready,
            "numberAvailable": ready,
        }
    return {
        "kind": kind,
        "metadata": {
            "name": f"app-{number}",
            "namespace": f"team-{space}",
            "uid": f"uid-{number}",
            "resourceVersion": str(1000 + number),
            "generation": 2,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": f"app-{number}"}},
            "template": {
                "metadata": {"labels": labels, "annotations": {marks.PROXY_TARGET: marker}},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
            },
        },
        "status": {"observedGeneration": 2, **counted},
    }


def pod_objects(number: int, space: int, marker: str) -> list[JsonObject]:
    """Its pods, with the target's proxy as a native sidecar."""
    return [_pod(number, space, marker, index) for index in range(_replicas(number))]


def _pod(number: int, space: int, marker: str, index: int) -> JsonObject:
    kind, revision = _kind(number), f"{number:08x}"
    owner = f"app-{number}-{revision}" if kind == "Deployment" else f"app-{number}"
    ready = number not in RESTARTING
    hash_label = "pod-template-hash" if kind == "Deployment" else "controller-revision-hash"
    reference: JsonObject = {
        "kind": "ReplicaSet" if kind == "Deployment" else kind,
        "name": owner,
        "controller": True,
    }
    return {
        "metadata": {
            "name": f"{owner}-{index}",
            "namespace": f"team-{space}",
            "uid": f"uid-{number}-{index}",
            "creationTimestamp": _DAWN,
            "labels": {"app": f"app-{number}", hash_label: revision, marks.CONTROL_PLANE_NS: "linkerd"},
            "annotations": {
                marks.PROXY_VERSION: TARGET,
                marks.TRUST_ROOT: TRUST,
                marks.INJECT: "enabled",
                marks.PROXY_TARGET: marker,
            },
            "ownerReferences": [reference],
        },
        "spec": {
            "nodeName": f"node-{number % 100}",
            "initContainers": [
                {"name": "linkerd-init", "image": f"cr.l5d.io/linkerd/proxy:{TARGET}"},
                {"name": marks.PROXY_CONTAINER, "image": f"cr.l5d.io/linkerd/proxy:{TARGET}"},
            ],
            "containers": [{"name": "app", "image": "registry.example/app:1"}],
        },
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "initContainerStatuses": [{"name": marks.PROXY_CONTAINER, "ready": ready, "state": {"running": {}}}],
        },
    }


def _kind(number: int) -> str:
    return _KINDS[number % len(_KINDS)]


def _replicas(number: int) -> int:
    return 1 + number % 3

"""Objects of a cluster as the API server gives them, with only what a test is about."""

from steward.jsonvalue import Json, JsonObject


def pod(
    name: str = "web-abc-1",
    namespace: str = "shop",
    *,
    owner: tuple[str, str] | None = ("ReplicaSet", "web-abc"),
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    proxy: str | None = None,
    native: bool = True,
    containers: tuple[str, ...] = ("app",),
    phase: str = "Running",
    **spec: Json,
) -> JsonObject:
    """A pod of a Deployment `web`, without a proxy unless an image of one is given."""
    kinds = {"ReplicaSet": "apps/v1", "Job": "batch/v1"}
    references: list[Json] = (
        []
        if owner is None
        else [{"apiVersion": kinds.get(owner[0], "apps/v1"), "kind": owner[0], "name": owner[1], "controller": True}]
    )
    own: list[Json] = [{"name": each, "image": "example/app:1"} for each in containers]
    init: list[Json] = []
    if proxy is not None:
        (init if native else own).append({"name": "linkerd-proxy", "image": proxy})
    marks: JsonObject = {"pod-template-hash": "abc", **(labels or {})}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "labels": marks,
            "annotations": dict(annotations or {}),
            "ownerReferences": references,
            "creationTimestamp": "2026-08-21T10:00:00Z",
        },
        "spec": {"containers": own, "initContainers": init, **spec},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def deployment(
    name: str = "web",
    namespace: str = "shop",
    *,
    kind: str = "Deployment",
    annotations: dict[str, str] | None = None,
    template: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    image: str = "example/app:1",
    spec: JsonObject | None = None,
    status: JsonObject | None = None,
) -> JsonObject:
    """A Deployment, or another kind with the same shape."""
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "generation": 2,
            "annotations": dict(annotations or {}),
            "labels": dict(labels or {}),
        },
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"annotations": dict(template or {})},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **(spec or {}),
        },
        "status": status or {"observedGeneration": 2},
    }


def namespace(
    name: str = "shop", *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> JsonObject:
    """A namespace."""
    return {
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": dict(annotations or {}), "labels": dict(labels or {})},
    }

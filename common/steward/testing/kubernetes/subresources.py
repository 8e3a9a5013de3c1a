"""Scale and eviction."""

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, texts, whole
from steward.kube.resources import DISRUPTION_BUDGETS, PODS
from steward.testing.kubernetes.cluster import ClusterState, Intent, Patch
from steward.testing.kubernetes.deletion import Deletion, Undertaker
from steward.testing.kubernetes.kinds import Kind, ScalePaths
from steward.testing.kubernetes.patches import merge_patched
from steward.testing.kubernetes.refusal import Finding, Refusal, no_such_path
from steward.testing.kubernetes.selectors import selects


def scale_of(kind: Kind, value: JsonObject) -> JsonObject:
    """The Scale object of a scalable one."""
    paths = _paths(kind)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata: JsonObject = {name: member for name, member in table(value, "metadata").items() if name in kept}
    selector = ",".join(
        f"{key}={wanted}" for key, wanted in texts(value, *paths.selector.split("."), "matchLabels").items()
    )
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": whole(value, *paths.spec.split("."))},
        "status": {"replicas": whole(value, *paths.status.split(".")), "selector": selector},
    }


def rescaled(cluster: ClusterState, kind: Kind, value: JsonObject, patch: Json, intent: Intent) -> JsonObject:
    """The Scale after merging `patch` into it."""
    wanted = merge_patched(scale_of(kind, value), patch)
    inner: Json = dig(wanted, "spec", "replicas")
    for step in reversed(_paths(kind).spec.split(".")):
        inner = {step: inner}
    version = text(wanted, "metadata", "resourceVersion")
    body: JsonObject = {**(inner if isinstance(inner, dict) else {}), "metadata": {"resourceVersion": version}}
    name, namespace = text(value, "metadata", "name"), text(value, "metadata", "namespace")
    changed = cluster.patch(
        kind.resource, name, Patch("merge", body), namespace, Intent(intent.manager, intent.dry_run)
    )
    return scale_of(kind, changed)


def evicted(cluster: ClusterState, undertaker: Undertaker, pod: JsonObject, how: Deletion) -> JsonObject:
    """Delete the pod if every disruption budget over it allows one more to go."""
    labels, namespace = texts(pod, "metadata", "labels"), text(pod, "metadata", "namespace")
    for budget in cluster.list(DISRUPTION_BUDGETS, namespace):
        if selects(table(budget, "spec", "selector"), labels) and _allowed(cluster, budget) < 1:
            raise _protected(budget)
    undertaker.delete(PODS, text(pod, "metadata", "name"), namespace, how)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _allowed(cluster: ClusterState, budget: JsonObject) -> int:
    stated = dig(budget, "status", "disruptionsAllowed")
    if isinstance(stated, int):
        return stated
    covered = [
        pod
        for pod in cluster.list(PODS, text(budget, "metadata", "namespace"))
        if selects(table(budget, "spec", "selector"), texts(pod, "metadata", "labels"))
    ]
    healthy = sum(_is_ready(pod) for pod in covered)
    least = dig(budget, "spec", "minAvailable")
    if least is not None:
        return healthy - _count(least, len(covered))
    return healthy - (len(covered) - _count(dig(budget, "spec", "maxUnavailable"), len(covered)))


def _count(value: Json, of: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return -(-of * int(value[:-1]) // 100)
    return value if isinstance(value, int) else 0


def _is_ready(pod: JsonObject) -> bool:
    return any(
        text(condition, "type") == "Ready" and text(condition, "status") == "True"
        for condition in rows(pod, "status", "conditions")
    )


def _protected(budget: JsonObject) -> Refusal:
    name = text(budget, "metadata", "name")
    cause = Finding("", "DisruptionBudget", f"The disruption budget {name} does not allow evictions of more pods now")
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return Refusal(429, "TooManyRequests", message, details={"causes": [cause.cause()]})


def _paths(kind: Kind) -> ScalePaths:
    if kind.scale is None:
        raise no_such_path()
    return kind.scale

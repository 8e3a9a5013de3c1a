"""Which pods go when a node is drained of a probe's own: those of one node, and never all that there are."""

from collections import Counter
from collections.abc import Mapping, Sequence

from steward.jsonvalue import JsonObject, text, texts


def drained(pods: Sequence[JsonObject]) -> tuple[str, tuple[JsonObject, ...]]:
    """The node that has most of the pods, and those pods; no node and none where all of them are on one."""
    standing = [pod for pod in pods if text(pod, "spec", "nodeName") and not text(pod, "metadata", "deletionTimestamp")]
    nodes = Counter(text(pod, "spec", "nodeName") for pod in standing)
    if len(nodes) < 2:
        return "", ()
    node = max(sorted(nodes), key=lambda each: nodes[each])
    return node, tuple(pod for pod in standing if text(pod, "spec", "nodeName") == node)


def is_of(pod: JsonObject, owner: Mapping[str, str]) -> bool:
    """Whether a pod carries the labels of a run: what lives in its namespaces and does not is somebody else's."""
    return bool(owner) and owner.items() <= texts(pod, "metadata", "labels").items()

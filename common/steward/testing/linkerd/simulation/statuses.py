"""What the simulated controllers write into objects of their own: statuses and revision numbers."""

from steward.jsonvalue import JsonObject, table
from steward.kube.resources import Resource
from steward.testing.kubernetes.cluster import ClusterState


def write_status(cluster: ClusterState, resource: Resource, name: str, status: JsonObject, namespace: str = "") -> None:
    """Overlay the members of `status`; nothing happens where nothing differs, or where the object is gone.

    Straight into the store: the controllers' own entries in `managedFields` interest nobody and would take most of the
    time that a thousand pods need.
    """
    found = cluster.find(resource, name, namespace)
    if found is None:
        return
    before = table(found, "status")
    after: JsonObject = {key: value for key, value in {**before, **status}.items() if value is not None}
    if after != before:
        cluster.put(cluster.kinds.of(resource), {**found, "metadata": dict(table(found, "metadata")), "status": after})


def write_annotation(cluster: ClusterState, resource: Resource, value: JsonObject, key: str, number: str) -> JsonObject:
    """Set one annotation as the real controllers do: with the status, so that the generation does not count it."""
    metadata = table(value, "metadata")
    changed: JsonObject = {**metadata, "annotations": {**table(metadata, "annotations"), key: number}}
    return cluster.put(cluster.kinds.of(resource), {**value, "metadata": changed})

"""Meshes as inventories, with only what a test is about."""

from datetime import UTC, datetime

from steward.jsonvalue import Json, JsonObject
from steward.linkerd import marks
from steward.linkerd.control_plane import ControlPlane, Sighting, read_control_plane
from steward.linkerd.inventory import Inventory, Seen
from steward.linkerd.pods import PodFacts, trim
from steward.linkerd.workloads import NamespaceFacts, WorkloadFacts, trim_namespace, trim_workload
from steward.testing.linkerd.objects import thing
from steward.yamlvalue import parse_yaml

NOW = datetime(2026, 8, 22, tzinfo=UTC)
VALUES = """\
linkerdVersion: edge-26.8.3
controllerReplicas: 1
proxyInjector:
  namespaceSelector:
    matchExpressions:
    - {key: config.linkerd.io/admission-webhooks, operator: NotIn, values: [disabled]}
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, cert-manager]}
"""


def pod(
    namespace: str,
    name: str,
    *,
    proxy: str = "",
    inject: str = "",
    phase: str = "Running",
    labels: dict[str, str] | None = None,
    owner: str = "ReplicaSet",
    address: str = "",
    deleted: str = "",
    **spec: Json,
) -> PodFacts:
    """A running pod; `proxy` is `init` or `container` for where its proxy is, else it has none."""
    container: JsonObject = {"name": marks.PROXY_CONTAINER, "image": "cr.l5d.io/linkerd/proxy:edge-26.8.3"}
    metadata: JsonObject = {
        "namespace": namespace,
        "name": name,
        "labels": {**({marks.CONTROL_PLANE_NS: "linkerd"} if proxy else {}), **(labels or {})},
        "annotations": {marks.INJECT: inject} if inject else {},
        "ownerReferences": [{"kind": owner, "name": f"{name}-abc", "controller": True}],
    }
    if deleted:
        metadata["deletionTimestamp"] = deleted
    return trim(
        {
            "metadata": metadata,
            "spec": {
                "initContainers": [container] if proxy == "init" else [],
                "containers": [{"name": "app"}, *([container] if proxy == "container" else [])],
                **spec,
            },
            "status": {"phase": phase, "podIP": address},
        }
    )


def namespace(name: str, inject: str = "", labels: dict[str, str] | None = None) -> NamespaceFacts:
    """A namespace."""
    own: JsonObject = {"kubernetes.io/metadata.name": name, **(labels or {})}
    annotations: JsonObject = {marks.INJECT: inject} if inject else {}
    return trim_namespace({"metadata": {"name": name, "labels": own, "annotations": annotations}})


def component(name: str, *, desired: int = 1, ready: int = 1) -> WorkloadFacts:
    """A Deployment of the control plane."""
    body = thing("apps/v1", "Deployment", f"linkerd-{name}")
    metadata: JsonObject = {"name": f"linkerd-{name}", "namespace": "linkerd", "labels": {marks.COMPONENT: name}}
    return trim_workload(
        {**body, "metadata": metadata, "spec": {"replicas": desired}, "status": {"readyReplicas": ready}}
    )


def control_plane(
    values: str | None = VALUES, components: tuple[WorkloadFacts, ...] | None = None
) -> ControlPlane | None:
    """The control plane; without values linkerd-config is gone."""
    workloads = components
    if workloads is None:
        workloads = tuple(component(name) for name in ("destination", "identity", "proxy-injector"))
    config: JsonObject | None = {"metadata": {"name": "linkerd-config"}, "data": {"values": values}} if values else None
    return read_control_plane(Sighting("linkerd", config, None, workloads, ()))


def mesh(*parts: PodFacts | NamespaceFacts, values: str | None = VALUES) -> Inventory:
    """What is seen of the mesh."""
    assert values is None or isinstance(parse_yaml(values), dict)
    return Inventory.of(
        NOW,
        control_plane(values),
        None,
        Seen(
            namespaces=tuple(each for each in parts if isinstance(each, NamespaceFacts)),
            pods=tuple(each for each in parts if isinstance(each, PodFacts)),
        ),
    )

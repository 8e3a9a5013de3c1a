"""A small cluster with a mesh, made of plain objects, in the simulated API server."""

import hashlib
from collections.abc import Callable
from functools import cache

import yaml

from steward.jsonvalue import Json, JsonObject, table, text
from steward.kube.resources import CONFIG_MAPS, CRDS, DEPLOYMENTS, NAMESPACES, PODS, Resource
from steward.resources import ReleaseCatalog
from steward.resources.definitions import definition
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.store import copied

BUNDLE = "-----BEGIN CERTIFICATE-----\nbundle\n-----END CERTIFICATE-----\n"
TRUST = hashlib.sha256(BUNDLE.encode()).hexdigest()


@cache
def _catalog_definition() -> str:
    return yaml.safe_dump(definition(ReleaseCatalog))


def serve_catalogs(cluster: ClusterState) -> None:
    """Install the CustomResourceDefinition of ReleaseCatalog."""
    cluster.create(CRDS, yaml.safe_load(_catalog_definition()))


def install(cluster: ClusterState, version: str, *, native: bool = True) -> None:
    """A control plane of `version`, without anything that does not matter here."""
    if cluster.find(NAMESPACES, "linkerd") is None:
        cluster.create(NAMESPACES, named("Namespace", "linkerd"))
    values = yaml.safe_dump(
        {
            "linkerdVersion": version,
            "proxy": {"image": {"version": ""}, "nativeSidecar": native},
            "disableHeartBeat": False,
        }
    )
    put(cluster, CONFIG_MAPS, config_map("linkerd-config", {"values": values}))
    put(cluster, CONFIG_MAPS, config_map("linkerd-identity-trust-roots", {"ca-bundle.crt": BUNDLE}))
    for component in ("destination", "identity", "proxy-injector"):
        put(cluster, DEPLOYMENTS, deployment("linkerd", f"linkerd-{component}", component=component, version=version))
        put(cluster, PODS, pod("linkerd", f"linkerd-{component}", "0", version=version, component=component))


def put(cluster: ClusterState, resource: Resource, body: JsonObject) -> None:
    """Create or replace an object, its status too."""
    name, namespace = text(body, "metadata", "name"), text(body, "metadata", "namespace")
    found = cluster.find(resource, name, namespace)
    if found is None:
        cluster.create(resource, body, namespace)
    else:
        metadata = {**table(found, "metadata"), **table(body, "metadata")}
        cluster.replace(resource, {**copied(body), "metadata": metadata})
    if table(body, "status"):
        cluster.set_status(resource, name, table(body, "status"), namespace)


def named(kind: str, name: str, **metadata: Json) -> JsonObject:
    """An object with a name and nothing else."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}


def config_map(name: str, data: dict[str, str]) -> JsonObject:
    """A ConfigMap of the control plane."""
    body = named("ConfigMap", name, namespace="linkerd", annotations={"linkerd.io/created-by": "linkerd/cli x"})
    return {**body, "data": dict(data)}


def namespace(name: str, *, inject: str | None = "enabled", **labels: str) -> JsonObject:
    """A namespace, meshed unless told otherwise."""
    annotations: JsonObject = {"linkerd.io/inject": inject} if inject is not None else {}
    return named("Namespace", name, annotations=annotations, labels=dict(labels))


def deployment(
    where: str, name: str, *, component: str = "", version: str = "", annotations: dict[str, str] | None = None
) -> JsonObject:
    """A Deployment with one container."""
    labels: JsonObject = {"linkerd.io/control-plane-component": component} if component else {"app": name}
    image = f"cr.l5d.io/linkerd/controller:{version}" if component else "example/app:1"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": where, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": dict(annotations or {})},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }


def pod(
    where: str,
    owner: str,
    suffix: str,
    *,
    version: str | None,
    component: str = "",
    native: bool = True,
    trust: str = TRUST,
    annotations: dict[str, str] | None = None,
    registry: str = "cr.l5d.io/linkerd",
    phase: str = "Running",
) -> JsonObject:
    """A pod of a Deployment; with `version` it has a proxy."""
    labels: JsonObject = {"pod-template-hash": "abc"}
    noted: JsonObject = dict(annotations or {})
    image = f"{registry}/controller:{version}" if component else "example/app:1"
    containers: list[Json] = [{"name": "app", "image": image}]
    init: list[Json] = []
    if component:
        labels["linkerd.io/control-plane-component"] = component
    if version is not None:
        labels["linkerd.io/control-plane-ns"] = "linkerd"
        noted |= {"linkerd.io/trust-root-sha256": trust}
        (init if native else containers).append({"name": "linkerd-proxy", "image": f"{registry}/proxy:{version}"})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{owner}-abc-{suffix}",
            "namespace": where,
            "labels": labels,
            "annotations": noted,
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{owner}-abc", "uid": "u", "controller": True}
            ],
        },
        "spec": {"containers": containers, "initContainers": init},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def workload(cluster: ClusterState, where: str, name: str, version: str | None, **more: object) -> None:
    """A Deployment with one pod, in a namespace that is made where it is missing."""
    if cluster.find(NAMESPACES, where) is None:
        cluster.create(NAMESPACES, namespace(where))
    put(cluster, DEPLOYMENTS, deployment(where, name))
    make: Callable[..., JsonObject] = pod
    put(cluster, PODS, make(where, name, "0", version=version, **more))

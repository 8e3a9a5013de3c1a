"""A mesh as discovery sees it: pods of the control plane, of extensions, of people and of Steward, on loopback."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from steward.jsonvalue import JsonObject, rows, text, texts, whole

Ports = tuple[tuple[str, int], ...]
Containers = tuple[tuple[str, Ports], ...]
"""Name and ports of each."""

PROXY: tuple[str, Ports] = ("linkerd-proxy", (("linkerd-proxy", 4143), ("linkerd-admin", 4191)))
NAMESPACES = ("linkerd", "linkerd-viz", "linkerd-multicluster", "shop", "linkerd-steward")
_MESHED = {"linkerd.io/control-plane-ns": "linkerd"}


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod, with what of it discovery looks at."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(hash=False)
    containers: Containers
    sidecars: Containers = ()
    """Init containers that stay."""
    phase: str = "Running"
    address: str = ""

    def manifest(self) -> JsonObject:
        """As it is created. No scheduler knows it, so that nobody but the test gives it an address."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": dict(self.labels)},
            "spec": {
                "schedulerName": "nobody",
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "automountServiceAccountToken": False,
                "containers": [_container(*each) for each in self.containers],
                "initContainers": [{**_container(*each), "restartPolicy": "Always"} for each in self.sidecars],
            },
        }

    def status(self) -> JsonObject:
        """What a kubelet would say of it."""
        return {"phase": self.phase, "podIP": self.address, "podIPs": [{"ip": self.address}]}


def addressed(pods: Iterable[Pod], network: int) -> list[Pod]:
    """Each with an address of its own; another network for another test, and for another run at the same time."""
    of_run = 64 + os.getpid() % 128
    return [replace(pod, address=f"127.{of_run}.{network}.{number}") for number, pod in enumerate(pods, start=1)]


def control_plane(manifest: Iterable[JsonObject]) -> list[Pod]:
    """A pod of each Deployment of a rendered manifest."""
    return [
        Pod(
            namespace="linkerd",
            name=f"{text(each, 'metadata', 'name')}-0",
            labels=texts(each, "spec", "template", "metadata", "labels"),
            containers=_containers(rows(each, "spec", "template", "spec", "containers")),
            sidecars=_containers(
                one
                for one in rows(each, "spec", "template", "spec", "initContainers")
                if text(one, "restartPolicy") == "Always"
            ),
        )
        for each in manifest
        if text(each, "kind") == "Deployment"
    ]


def as_until_2_18(pods: Iterable[Pod]) -> list[Pod]:
    """The same with the name that every controller's admin port had until edge-25.6.3 (linkerd2, 148fd1c16)."""

    def renamed(ports: Ports) -> Ports:
        return tuple(("admin-http" if _is_admin(name) else name, number) for name, number in ports)

    return [replace(pod, containers=tuple((name, renamed(ports)) for name, ports in pod.containers)) for pod in pods]


def extensions(*, old: bool) -> list[Pod]:
    """viz and multicluster, with the names that their admin ports had until 2.18 or have since."""
    admin, mirror = ("admin-http", "admin-http") if old else ("admin", "ctrl-admin")
    viz = {**_MESHED, "linkerd.io/extension": "viz"}
    multicluster = {**_MESHED, "linkerd.io/extension": "multicluster", "component": "controller"}
    return [
        Pod("linkerd-viz", "metrics-api-0", viz, (PROXY, ("metrics-api", (("http", 8085), (admin, 9995))))),
        Pod("linkerd-viz", "prometheus-0", viz, (PROXY, ("prometheus", ((admin, 9090),)))),
        Pod("linkerd-multicluster", "controller-0", multicluster, (PROXY, ("controller", ((mirror, 9999),)))),
    ]


def others() -> list[Pod]:
    """Pods of people, whose labels could displace a metric's own and whose ports only look like ours; and Steward's."""
    meshed = {**_MESHED, "linkerd.io/workload-ns": "shop"}
    hostile = {
        "version": "v9", "namespace": "elsewhere", "pod": "other", "error": "none", "tls": "maybe", "le": "1",
        "job": "mine", "instance": "here", "direction": "up", "linkerd.io/anything": "else",
    }  # fmt: skip
    service = {"app.kubernetes.io/component": "service"}
    return [
        Pod(
            "shop",
            "web-0",
            {**hostile, **meshed, "linkerd.io/proxy-deployment": "web"},
            (("web", (("http", 8080), ("web-admin", 9996))),),
            (PROXY,),
        ),
        Pod("shop", "db-0", {**meshed, "linkerd.io/proxy-statefulset": "db"}, (PROXY, ("db", (("sql", 5432),)))),
        Pod("shop", "import-0", {**meshed, "linkerd.io/proxy-job": "import"}, (PROXY, ("import", ()))),
        Pod("shop", "over-0", {**meshed, "linkerd.io/proxy-job": "over"}, (PROXY,), phase="Succeeded"),
        Pod("shop", "plain-0", {"app": "plain"}, (("plain", (("admin-http", 9995),)),)),
        Pod("linkerd-steward", "upgrader-0", service, (("upgrader", (("metrics", 9464), ("health", 8080))),)),
        Pod("linkerd-steward", "nats-0", {}, (("nats", (("metrics", 7777),)),)),
    ]


def _is_admin(port: str) -> bool:
    return port.endswith("-admin") and port != "linkerd-admin"


def _container(name: str, ports: Ports) -> JsonObject:
    listed: list[JsonObject] = [{"name": port, "containerPort": number} for port, number in ports]
    security: JsonObject = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": name, "image": "registry.example/nothing:1", "ports": [*listed], "securityContext": security}


def _containers(found: Iterable[JsonObject]) -> Containers:
    return tuple(
        (text(each, "name"), tuple((text(port, "name"), whole(port, "containerPort")) for port in rows(each, "ports")))
        for each in found
    )

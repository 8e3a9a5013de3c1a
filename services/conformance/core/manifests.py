"""The objects of a run: two namespaces that cost little and go by themselves, and the cast in them.

The namespaces carry a default inbound policy of their own, so that the cast is reachable under a cluster-wide deny too:
probes, kubelet and scraper alike. Whatever closes a port is the probe's own object, on a port of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.conformance.core.safety import (
    EXPIRES,
    PREFIX,
    ROLE,
    ROLES,
    RUN_UID,
    expiry,
    namespace_name,
    owner_labels,
)
from services.conformance.core.stage import ON_NODE, PORTS, SPARE_PORTS, Port
from steward.jsonvalue import Json, JsonObject
from steward.kube.mesh_resources import NETWORK_POLICIES
from steward.kube.resources import (
    CONFORMANCE_RUNS,
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from steward.linkerd import marks
from steward.resources.conformance_suite import Footprint

RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", "LimitRange")
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)

MESH, PLAIN = ROLES
CAST_PODS = 10
"""cm, cn, three of sm, sp, two of ss; cu and su."""
ADMIN_PORT = 4191
TAP_PORT = 4190
ACCESS = "agent-access"

_DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
_SKIP_OUTBOUND = "config.linkerd.io/skip-outbound-ports"
_SKIP_INBOUND = "config.linkerd.io/skip-inbound-ports"
_OPAQUE = "config.linkerd.io/opaque-ports"
_SMALL_PROXY = {
    "config.linkerd.io/proxy-cpu-request": "10m",
    "config.linkerd.io/proxy-memory-request": "24Mi",
    "config.linkerd.io/proxy-memory-limit": "128Mi",
}
_UID = 65532


@dataclass(frozen=True, slots=True)
class Access:
    """How agents reach NATS. The password goes into a Secret of the run, and nowhere else."""

    servers: tuple[str, ...]
    ports: tuple[int, ...]
    cluster: str
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Production:
    """Everything that the objects of a run follow from."""

    run: str
    run_uid: str
    prefix: str
    ttl_seconds: int
    image: str
    access: Access
    footprint: Footprint
    priority_class: str = ""
    node_names: tuple[str, ...] = ()
    cni: bool = False

    @property
    def owner(self) -> dict[str, str]:
        """The labels of everything that the run makes."""
        return owner_labels(self.run, self.run_uid)

    def namespace(self, role: str) -> str:
        """`mesh` or `plain`."""
        return namespace_name(self.prefix, self.run_uid, role)

    @property
    def spare_pods(self) -> int:
        """How many pods probes may add to the cast."""
        return max(0, self.footprint.max_pods - CAST_PODS - len(self.node_names))


@dataclass(frozen=True, slots=True)
class _Part:
    """One workload of the cast."""

    name: str
    role: str
    account: str
    app: str
    replicas: int = 1
    version: str = ""
    spare_ports: bool = False
    ordered: bool = False
    node: str = ""


_CAST = (
    _Part("cm", MESH, "probe-client", "cm"),
    _Part("cn", MESH, "probe-other", "cn"),
    _Part("v1", MESH, "probe-server", "sm", 2, version="v1"),
    _Part("v2", MESH, "probe-server", "sm", version="v2"),
    _Part("sp", MESH, "probe-server", "sp", spare_ports=True),
    _Part("ss", MESH, "probe-server", "ss", 2, ordered=True),
    _Part("cu", PLAIN, "probe-client", "cu"),
    _Part("su", PLAIN, "probe-server", "su"),
)


def namespaces(made: Production, now: datetime) -> tuple[JsonObject, ...]:
    """Both namespaces. They belong to the run, so that Kubernetes itself deletes them when the run is deleted."""
    owner: JsonObject = {
        "apiVersion": CONFORMANCE_RUNS.api_version,
        "kind": CONFORMANCE_RUNS.kind,
        "name": made.run,
        "uid": made.run_uid,
        "blockOwnerDeletion": False,
    }
    found: list[JsonObject] = []
    for role in ROLES:
        annotations: JsonObject = {PREFIX: made.prefix, EXPIRES: expiry(now, made.ttl_seconds)}
        if role == MESH:
            annotations |= {marks.INJECT: "enabled", _DEFAULT_POLICY: "all-unauthenticated"}
        else:
            annotations |= {marks.INJECT: "disabled"}
        labels: JsonObject = {**made.owner, ROLE: role, **_pod_security(role, cni=made.cni)}
        metadata: JsonObject = {
            "name": made.namespace(role),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        }
        found.append({"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, "metadata": metadata})
    return tuple(found)


def _pod_security(role: str, *, cni: bool) -> JsonObject:
    """Our pods meet the strictest standard. Linkerd's init container does not, where there is no CNI plugin."""
    level = "restricted" if role == PLAIN or cni else "privileged"
    key = "pod-security.kubernetes.io"
    return {f"{key}/enforce": level, f"{key}/warn": "restricted" if level == "restricted" else "privileged"}


def furniture(made: Production) -> tuple[JsonObject, ...]:
    """What keeps the namespaces small and to themselves."""
    found: list[JsonObject] = []
    for role in ROLES:
        found += [
            _object(made, role, RESOURCE_QUOTAS, "probes", {"spec": {"hard": _quota(made, role)}}),
            _object(made, role, LIMIT_RANGES, "probes", {"spec": {"limits": [_container_limits()]}}),
            _object(made, role, NETWORK_POLICIES, "probes", {"spec": _network(made)}),
        ]
        accounts = dict.fromkeys(part.account for part in _CAST if part.role == role)
        found += [
            _object(made, role, SERVICE_ACCOUNTS, name, {"automountServiceAccountToken": False}) for name in accounts
        ]
        if made.access.password:
            credentials: JsonObject = {
                "STEWARD_BUS__USER": made.access.user,
                "STEWARD_BUS__PASSWORD": made.access.password,
                "STEWARD_BUS__INBOX_PREFIX": f"_INBOX_{made.access.user}",
            }
            found.append(_object(made, role, SECRETS, ACCESS, {"type": "Opaque", "stringData": credentials}))
    return tuple(found)


def _quota(made: Production, role: str) -> JsonObject:
    """Both namespaces may use what probes may add; the cap on the sum is the schedule's."""
    own = 2 if role == PLAIN else CAST_PODS - 2 + len(made.node_names)
    pods = own + made.spare_pods
    share = pods / max(1, made.footprint.max_pods + made.spare_pods)
    return {
        "pods": str(pods),
        "requests.cpu": f"{max(200, round(made.footprint.cpu_millis * share))}m",
        "requests.memory": f"{max(256, round(made.footprint.memory_mebibytes * share))}Mi",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
        "persistentvolumeclaims": "0",
    }


def _container_limits() -> JsonObject:
    return {
        "type": "Container",
        "defaultRequest": {"cpu": "10m", "memory": "24Mi"},
        "default": {"memory": "256Mi"},
    }


def _network(made: Production) -> JsonObject:
    """From the probes themselves; metrics, and tap, whose caller the proxy itself looks at, from anywhere.

    What leaves is Linkerd's, DNS', NATS' and the probes'.
    """
    open_to_all: list[Json] = [{"protocol": "TCP", "port": port} for port in (TAP_PORT, ADMIN_PORT)]
    return {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"namespaceSelector": {"matchLabels": {RUN_UID: made.run_uid}}}]},
            {"ports": open_to_all},
        ],
    }


def cast(made: Production) -> tuple[JsonObject, ...]:
    """The actors, and the Services in front of them."""
    parts = [*_CAST, *_on_nodes(made.node_names)]
    found = [_workload(made, part) for part in parts]
    for name, role, selects in _SERVICES:
        found.append(_service(made, name, role, selects))
    return tuple(found)


_SERVICES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("sm", MESH, {"app": "sm"}),
    ("v1", MESH, {"app": "sm", "version": "v1"}),
    ("v2", MESH, {"app": "sm", "version": "v2"}),
    ("sp", MESH, {"app": "sp"}),
    ("ss", MESH, {"app": "ss"}),
    ("su", PLAIN, {"app": "su"}),
)


def actors(node_names: Iterable[str] = ()) -> dict[str, int]:
    """How many pods each actor should have."""
    wanted: dict[str, int] = {}
    for part in (*_CAST, *_on_nodes(tuple(node_names))):
        wanted[part.app] = wanted.get(part.app, 0) + part.replicas
    return wanted


def _on_nodes(names: tuple[str, ...]) -> tuple[_Part, ...]:
    return tuple(
        _Part(f"{ON_NODE}{number}", MESH, "probe-client", f"{ON_NODE}{number}", node=name)
        for number, name in enumerate(names)
    )


def _workload(made: Production, part: _Part) -> JsonObject:
    labels: dict[str, str] = {"app": part.app, **({"version": part.version} if part.version else {})}
    template: JsonObject = {
        "metadata": {"labels": {**made.owner, **labels}, "annotations": dict(_annotations(made, part))},
        "spec": _pod(made, part),
    }
    spec: JsonObject = {
        "replicas": part.replicas,
        "selector": {"matchLabels": dict(labels)},
        "template": template,
    }
    if part.ordered:
        spec |= {"serviceName": part.name, "podManagementPolicy": "Parallel"}
        return _object(made, part.role, STATEFUL_SETS, part.name, {"spec": spec})
    return _object(made, part.role, DEPLOYMENTS, part.name, {"spec": spec})


def _annotations(made: Production, part: _Part) -> dict[str, str]:
    if part.role == PLAIN:
        return {}
    return {
        _SKIP_OUTBOUND: ",".join(str(port) for port in made.access.ports),
        _SKIP_INBOUND: str(PORTS[Port.SKIPPED]),
        _OPAQUE: str(PORTS[Port.OPAQUE]),
        **_SMALL_PROXY,
    }


def _pod(made: Production, part: _Part) -> JsonObject:
    pod: JsonObject = {
        "serviceAccountName": part.account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(made, part)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "128Mi"}}],
    }
    if made.priority_class:
        pod["priorityClassName"] = made.priority_class
    if part.node:
        pod["nodeSelector"] = {"kubernetes.io/hostname": part.node}
    return pod


def _container(made: Production, part: _Part) -> JsonObject:
    container: JsonObject = {
        "name": "exerciser",
        "image": made.image,
        "args": ["python", "-m", "services.conformance.exerciser"],
        "env": _environment(made, part),
        "ports": [{"name": str(port), "containerPort": number} for port, number in _listening()],
        # A path that no probe calls: the proxy lets everybody through to whatever the kubelet asks for.
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": PORTS[Port.HTTP]},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    if made.access.password:
        container["envFrom"] = [{"secretRef": {"name": ACCESS}}]
    return container


def _listening() -> list[tuple[Port, int]]:
    return [(port, number) for port, number in PORTS.items() if port is not Port.LOOPBACK]


def _environment(made: Production, part: _Part) -> list[Json]:
    fixed = {
        "STEWARD_BUS__SERVERS": ",".join(made.access.servers),
        "STEWARD_BUS__CLUSTER": made.access.cluster,
        "STEWARD_EXERCISER__RUN": made.run_uid,
        "STEWARD_EXERCISER__ACTOR": part.app,
        "STEWARD_EXERCISER__SPARE_PORTS": "true" if part.spare_ports else "false",
    }
    fields = {
        "STEWARD_EXERCISER__POD": "metadata.name",
        "STEWARD_EXERCISER__NODE": "spec.nodeName",
        "STEWARD_EXERCISER__POD_IP": "status.podIP",
    }
    found: list[Json] = [{"name": name, "value": value} for name, value in fixed.items()]
    found += [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    return found


def _service(made: Production, name: str, role: str, selects: Mapping[str, str]) -> JsonObject:
    numbers = [(str(port), number) for port, number in _listening()]
    if name == "sp":
        numbers += [(f"spare-{number}", number) for number in SPARE_PORTS]
    ports: list[Json] = [
        {"name": port, "port": number, "targetPort": number, "protocol": "TCP"} for port, number in numbers
    ]
    spec: JsonObject = {"selector": dict(selects), "ports": ports}
    if name == "ss":
        spec["clusterIP"] = "None"
    made_service = _object(made, role, SERVICES, name, {"spec": spec})
    metadata = made_service["metadata"]
    if role == MESH and isinstance(metadata, dict):
        metadata["annotations"] = {_OPAQUE: str(PORTS[Port.OPAQUE])}
    return made_service


def _object(made: Production, role: str, resource: Resource, name: str, content: JsonObject) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": made.namespace(role), "labels": dict(made.owner)}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def echo_template(made: Production) -> JsonObject:
    """The pod template of an echo server with a proxy and every port, for pods that a probe adds to the cast."""
    part = _Part("echo", MESH, "probe-server", "echo", spare_ports=True)
    return {"metadata": {"annotations": dict(_annotations(made, part))}, "spec": _pod(made, part)}


def everything(made: Production, now: datetime) -> tuple[JsonObject, ...]:
    """All objects of a run, in the order in which they are made: what a dry run prints."""
    return (*namespaces(made, now), *furniture(made), *cast(made))

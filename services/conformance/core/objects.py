"""Manifests of what probes apply. Every one carries the run's owner labels, and lives in a namespace of the run."""

from collections.abc import Iterable, Mapping, Sequence

from services.conformance.core.stage import PORTS, Port, Stage
from steward.jsonvalue import Json, JsonObject, table, text
from steward.kube import mesh_resources as mesh
from steward.kube.resources import DEPLOYMENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS, SERVICES, Resource

OPAQUE_PORTS = "config.linkerd.io/opaque-ports"
INJECT = "linkerd.io/inject"


def manifest(stage: Stage, resource: Resource, name: str, spec: JsonObject | None = None) -> JsonObject:
    """Any object, in the meshed namespace of the run (see `placed`)."""
    metadata: JsonObject = {"name": name, "labels": dict(stage.owner)}
    if resource.namespaced:
        metadata["namespace"] = stage.meshed
    made: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return made if spec is None else made | {"spec": spec}


def placed(thing: JsonObject, namespace: str) -> JsonObject:
    """The same object in another namespace of the run."""
    return thing | {"metadata": table(thing, "metadata") | {"namespace": namespace}}


def annotated(thing: JsonObject, **annotations: str) -> JsonObject:
    """The same object with more annotations; written `annotated(service, **{"retry.linkerd.io/http": "5xx"})`."""
    metadata = table(thing, "metadata")
    return thing | {"metadata": metadata | {"annotations": table(metadata, "annotations") | dict(annotations)}}


def labelled(thing: JsonObject, **labels: str) -> JsonObject:
    """The same object with more labels."""
    metadata = table(thing, "metadata")
    return thing | {"metadata": metadata | {"labels": table(metadata, "labels") | dict(labels)}}


def name_of(thing: JsonObject) -> str:
    """Its name."""
    return text(thing, "metadata", "name")


def service_port(port: Port | int, *, target: Port | int | None = None, app_protocol: str = "") -> JsonObject:
    """One port of a Service. Of a named port the number is known; `target` where the pods listen elsewhere."""
    number = _number(port)
    made: JsonObject = {
        "name": str(port) if isinstance(port, Port) else f"port-{number}",
        "port": number,
        "targetPort": _number(port if target is None else target),
        "protocol": "TCP",
    }
    return made | {"appProtocol": app_protocol} if app_protocol else made


def service(stage: Stage, name: str, selects: Mapping[str, str], *ports: JsonObject) -> JsonObject:
    """A Service of a probe's own, before pods of the cast: its annotations and routes disturb nobody else."""
    return manifest(stage, SERVICES, name, {"selector": dict(selects), "ports": list(ports)})


def headless(thing: JsonObject) -> JsonObject:
    """The same Service without an address of its own."""
    return thing | {"spec": table(thing, "spec") | {"clusterIP": "None"}}


def all_ports(*, without: Iterable[Port] = (Port.LOOPBACK,)) -> tuple[JsonObject, ...]:
    """Every port that an echo server has."""
    skipped = frozenset(without)
    return tuple(service_port(port) for port in PORTS if port not in skipped)


def _number(port: Port | int) -> int:
    return PORTS[port] if isinstance(port, Port) else port


def backend(service_name: str, port: Port | int, *, weight: int | None = None, namespace: str = "") -> JsonObject:
    """A Service to which a route sends."""
    made: JsonObject = {"kind": "Service", "group": "", "name": service_name, "port": _number(port)}
    if namespace:
        made["namespace"] = namespace
    return made if weight is None else made | {"weight": weight}


def rule(*backends: JsonObject, matches: Sequence[JsonObject] = (), **more: Json) -> JsonObject:
    """One rule of a route; `more` may be `filters`, `timeouts`."""
    made: JsonObject = dict(more)
    if backends:
        made["backendRefs"] = list(backends)
    if matches:
        made["matches"] = list(matches)
    return made


def path_match(value: str, kind: str = "PathPrefix") -> JsonObject:
    """Matches a path: `Exact`, `PathPrefix` or `RegularExpression`."""
    return {"path": {"type": kind, "value": value}}


def header_match(name: str, value: str, kind: str = "Exact") -> JsonObject:
    """Matches a header."""
    return {"headers": [{"type": kind, "name": name, "value": value}]}


def parent(kind: str, name: str, port: Port | int | None = None) -> JsonObject:
    """What a route is attached to: a `Service`, a `Server` or an `EgressNetwork`."""
    group = "" if kind == "Service" else "policy.linkerd.io"
    made: JsonObject = {"group": group, "kind": kind, "name": name}
    return made if port is None else made | {"port": _number(port)}


def http_route(stage: Stage, name: str, attached: JsonObject, *rules: JsonObject) -> JsonObject:
    """An HTTPRoute of the Gateway API."""
    return manifest(stage, mesh.HTTP_ROUTES, name, {"parentRefs": [attached], "rules": list(rules)})


def policy_http_route(stage: Stage, name: str, attached: JsonObject, *rules: JsonObject) -> JsonObject:
    """Linkerd's own HTTPRoute, which clusters without the Gateway API have too."""
    return manifest(stage, mesh.POLICY_HTTP_ROUTES, name, {"parentRefs": [attached], "rules": list(rules)})


def grpc_route(stage: Stage, name: str, attached: JsonObject, *rules: JsonObject) -> JsonObject:
    """A GRPCRoute of the Gateway API."""
    return manifest(stage, mesh.GRPC_ROUTES, name, {"parentRefs": [attached], "rules": list(rules)})


def raw_route(stage: Stage, resource: Resource, name: str, attached: JsonObject, *rules: JsonObject) -> JsonObject:
    """A TLSRoute or a TCPRoute."""
    return manifest(stage, resource, name, {"parentRefs": [attached], "rules": list(rules)})


def for_hosts(route: JsonObject, *hosts: str) -> JsonObject:
    """The same route for these host names only."""
    return route | {"spec": table(route, "spec") | {"hostnames": list(hosts)}}


def server(stage: Stage, name: str, selects: Mapping[str, str], port: Port | int, **more: Json) -> JsonObject:
    """A Server before one port of the pods that have the labels; `more` may be `proxyProtocol`, `accessPolicy`."""
    spec: JsonObject = {"podSelector": {"matchLabels": dict(selects)}, "port": _number(port)}
    return manifest(stage, mesh.SERVERS, name, spec | dict(more))


def authorization_policy(stage: Stage, name: str, target: JsonObject, *authentications: JsonObject) -> JsonObject:
    """Who may reach a target (see `reference`): whoever meets all of the authentications."""
    spec: JsonObject = {"targetRef": target, "requiredAuthenticationRefs": list(authentications)}
    return manifest(stage, mesh.AUTHORIZATION_POLICIES, name, spec)


def reference(thing: JsonObject) -> JsonObject:
    """How one policy object names another, in the same namespace."""
    group = text(thing, "apiVersion").rpartition("/")[0]
    return {"group": group, "kind": text(thing, "kind"), "name": name_of(thing)}


def account_reference(account: str) -> JsonObject:
    """A ServiceAccount as an authentication."""
    return {"kind": SERVICE_ACCOUNTS.kind, "name": account}


def namespace_reference(namespace: str) -> JsonObject:
    """A whole namespace as the target of a policy."""
    return {"kind": NAMESPACES.kind, "name": namespace}


def mesh_tls(stage: Stage, name: str, *identities: str) -> JsonObject:
    """Clients that show one of these identities (`*` any of the mesh)."""
    return manifest(stage, mesh.MESH_TLS_AUTHENTICATIONS, name, {"identities": list(identities)})


def mesh_tls_of(stage: Stage, name: str, *accounts: str) -> JsonObject:
    """Clients that run as one of these ServiceAccounts."""
    spec: JsonObject = {"identityRefs": [account_reference(account) for account in accounts]}
    return manifest(stage, mesh.MESH_TLS_AUTHENTICATIONS, name, spec)


def network_authentication(stage: Stage, name: str, *cidrs: str, without: Iterable[str] = ()) -> JsonObject:
    """Clients from these networks."""
    excluded = list(without)
    networks: list[Json] = [{"cidr": cidr} | ({"except": list(excluded)} if excluded else {}) for cidr in cidrs]
    return manifest(stage, mesh.NETWORK_AUTHENTICATIONS, name, {"networks": networks})


def rate_limit(stage: Stage, name: str, target: JsonObject, **limits: Json) -> JsonObject:
    """Requests a second and pod; limits are `total=10`, `identity=2`, `overrides=[…]`."""
    spec: JsonObject = {"targetRef": target}
    for scope, limit in limits.items():
        spec[scope] = {"requestsPerSecond": limit} if isinstance(limit, int) else limit
    return manifest(stage, mesh.RATE_LIMITS, name, spec)


def service_profile(stage: Stage, service_name: str, *routes: JsonObject, **more: Json) -> JsonObject:
    """A ServiceProfile; its name must be the full name of the Service. `more` may be `retryBudget`."""
    spec: JsonObject = {"routes": list(routes)}
    return manifest(stage, mesh.SERVICE_PROFILES, stage.service(service_name), spec | dict(more))


def egress_network(stage: Stage, name: str, policy: str, *cidrs: str) -> JsonObject:
    """What leaves the cluster, or goes to these networks: `Allow` or `Deny`."""
    spec: JsonObject = {"trafficPolicy": policy}
    if cidrs:
        spec["networks"] = [{"cidr": cidr} for cidr in cidrs]
    return manifest(stage, mesh.EGRESS_NETWORKS, name, spec)


def bare_pod(stage: Stage, name: str, *, inject: str = "enabled") -> JsonObject:
    """A pod that is only ever tried, never made: what admission does to it is what is wanted."""
    spec: JsonObject = {
        "containers": [{"name": "app", "image": stage.image or "none", "securityContext": _confined()}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10_001, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return annotated(manifest(stage, PODS, name, spec), **{INJECT: inject})


def echo(stage: Stage, name: str, annotations: Mapping[str, str] | None = None, *, replicas: int = 1) -> JsonObject:
    """A Deployment of echo servers of a probe's own, `app: <name>`, with more annotations on its pods."""
    template = table(stage.template, "metadata")
    metadata: JsonObject = {
        "labels": {**stage.owner, "app": name},
        "annotations": table(template, "annotations") | dict(annotations or {}),
    }
    pod: JsonObject = {"metadata": metadata, "spec": table(stage.template, "spec")}
    return deployment(stage, name, pod, replicas=replicas)


def deployment(stage: Stage, name: str, pod: JsonObject, *, replicas: int = 1) -> JsonObject:
    """A Deployment of pods made from a `pod_template`."""
    spec: JsonObject = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return manifest(stage, DEPLOYMENTS, name, spec)


def _confined() -> JsonObject:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }

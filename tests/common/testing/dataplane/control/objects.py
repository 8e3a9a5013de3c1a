"""Objects of Linkerd and of the Gateway API, as short as tests want them."""

from steward.jsonvalue import Json, JsonObject, rows

POLICY = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"


def thing(api: str, kind: str, name: str, spec: JsonObject, namespace: str = "shop", **annotations: str) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": namespace, "annotations": dict[str, Json](annotations)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def route(name: str, *rules: JsonObject, to: str = "web", namespace: str = "shop", **more: Json) -> JsonObject:
    kind = str(more.pop("kind", "HTTPRoute"))
    port = more.pop("port", 80)
    for one in rules:
        for backend in rows(one, "backendRefs"):
            backend["port"] = port
    version = "v1alpha2" if kind in ("TLSRoute", "TCPRoute") else "v1"
    parent: JsonObject = {"group": "core", "kind": "Service", "name": to, "namespace": "shop", "port": port}
    spec: JsonObject = {"parentRefs": [more.pop("parent", parent)], "rules": list[Json](rules), **more}
    return thing(f"{GATEWAY}/{version}", kind, name, spec, namespace)


def rule(*backends: str, path: str = "/", **more: Json) -> JsonObject:
    """`backends` are `name:weight`."""
    references: list[Json] = []
    for one in backends:
        name, _, weight = one.partition(":")
        references.append({"name": name, "port": 80, "weight": int(weight or 1)})
    match: Json = {"path": {"type": "PathPrefix", "value": path}}
    return {"matches": [match], "backendRefs": references, **more}


def server(name: str, app: str = "web", port: Json = 8080, **more: Json) -> JsonObject:
    spec: JsonObject = {"podSelector": {"matchLabels": {"app": app}}, "port": port, **more}
    return thing(f"{POLICY}/v1beta3", "Server", name, spec)


def authorization(name: str, kind: str, target: str, *required: JsonObject) -> JsonObject:
    group = "core" if kind == "Namespace" else GATEWAY if kind == "GRPCRoute" else POLICY
    spec: JsonObject = {
        "targetRef": {"group": group, "kind": kind, "name": target},
        "requiredAuthenticationRefs": list[Json](required),
    }
    return thing(f"{POLICY}/v1alpha1", "AuthorizationPolicy", name, spec)


def mesh_tls(name: str, *identities: str, accounts: tuple[str, ...] = ()) -> JsonObject:
    references: list[Json] = [{"kind": "ServiceAccount", "name": one} for one in accounts]
    spec: JsonObject = {"identities": list[Json](identities)} if identities else {"identityRefs": references}
    return thing(f"{POLICY}/v1alpha1", "MeshTLSAuthentication", name, spec)


def network(name: str, cidr: str, *holes: str) -> JsonObject:
    spec: JsonObject = {"networks": [{"cidr": cidr, "except": list[Json](holes)}]}
    return thing(f"{POLICY}/v1alpha1", "NetworkAuthentication", name, spec)


def ref(kind: str, name: str) -> JsonObject:
    return {"group": "" if kind == "ServiceAccount" else POLICY, "kind": kind, "name": name}


def egress(policy: str, *cidrs: str, namespace: str = "shop", name: str = "out") -> JsonObject:
    spec: JsonObject = {"trafficPolicy": policy}
    if cidrs:
        spec["networks"] = [{"cidr": cidr} for cidr in cidrs]
    return thing(f"{POLICY}/v1alpha1", "EgressNetwork", name, spec, namespace)


def rate_limit(name: str, target: str, **limits: Json) -> JsonObject:
    reference: JsonObject = {"group": POLICY, "kind": "Server", "name": target}
    return thing(f"{POLICY}/v1alpha1", "HTTPLocalRateLimitPolicy", name, {"targetRef": reference, **limits})

"""The proxy container and its init container, as the injector and the control-plane charts render them."""

from collections.abc import Sequence
from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject, flag, rows, table, text
from steward.testing.linkerd.values import NAMESPACE, ProxyValues

PROXY = "linkerd-proxy"
INIT = "linkerd-init"
VALIDATOR = "linkerd-network-validator"
TRUST_ROOTS = "linkerd-identity-trust-roots"
INGRESS_MODE = "LINKERD2_PROXY_INGRESS_MODE"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How one particular proxy is to look."""

    image: str
    init_image: str
    native: bool
    inbound_ports: Sequence[int] = ()
    require_tls_ports: Sequence[int] = ()
    anchors: str | None = None
    """The bundle, as injected pods carry it; None refers to the ConfigMap, as the control plane's own pods do."""
    at_home: str = ""
    """Name of the control-plane component whose pod this is: its proxy reaches its own container on localhost."""

    @property
    def waits_after_start(self) -> bool:
        """Only a classic sidecar needs the hook that holds the application back; identity's must not have it."""
        return not self.native and self.at_home != "identity"


def proxy_container(wanted: Wanted, values: ProxyValues) -> JsonObject:
    """The container `linkerd-proxy`."""
    admin = values.number("ports", "admin", default=4191)
    inbound = values.number("ports", "inbound", default=4143)
    container: JsonObject = {
        "name": PROXY,
        "image": wanted.image,
        "imagePullPolicy": text(values.values, "imagePullPolicy", default="IfNotPresent"),
        "env": environment(wanted, values),
        "livenessProbe": {"httpGet": {"path": "/live", "port": admin}, "initialDelaySeconds": 10, "timeoutSeconds": 1},
        "ports": [{"containerPort": inbound, "name": PROXY}, {"containerPort": admin, "name": "linkerd-admin"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": admin}, "initialDelaySeconds": 2, "timeoutSeconds": 1},
        "resources": _resources(values),
        "securityContext": _security(values.number("uid", default=2102), drops_all=bool(wanted.at_home)),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"mountPath": "/var/run/linkerd/identity/end-entity", "name": "linkerd-identity-end-entity"},
            {"mountPath": "/var/run/secrets/tokens", "name": "linkerd-identity-token"},
        ],
    }
    if wanted.native:
        container["restartPolicy"] = "Always"
        container["startupProbe"] = {
            "httpGet": {"path": "/ready", "port": admin},
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "failureThreshold": values.number("startupProbe", "failureThreshold", default=120),
        }
    elif wanted.waits_after_start:
        await_command: Json = ["/usr/lib/linkerd/linkerd-await", "--timeout=2m", f"--port={admin}"]
        container["lifecycle"] = {"postStart": {"exec": {"command": await_command}}}
    return container


def init_container(wanted: Wanted, values: ProxyValues) -> JsonObject:
    """The container `linkerd-init`, which redirects the pod's traffic to the proxy."""
    subnets = text(values.values, "proxyInit", "skipSubnets")
    skipped = "443,6443" if wanted.at_home else text(values.values, "proxyInit", "ignoreOutboundPorts")
    container: JsonObject = {
        "name": INIT,
        "image": wanted.init_image,
        "imagePullPolicy": text(values.values, "imagePullPolicy", default="IfNotPresent"),
        "args": [
            "--firewall-bin-path",
            "iptables-nft",
            "--firewall-save-bin-path",
            "iptables-nft-save",
            "--ipv6=false",
            "--incoming-proxy-port",
            str(values.number("ports", "inbound", default=4143)),
            "--outgoing-proxy-port",
            str(values.number("ports", "outbound", default=4140)),
            "--proxy-uid",
            str(values.number("uid", default=2102)),
            "--inbound-ports-to-ignore",
            f"4190,4191,{text(values.values, 'proxyInit', 'ignoreInboundPorts')}",
            "--outbound-ports-to-ignore",
            skipped,
            *(("--subnets-to-ignore", subnets) if subnets else ()),
        ],
        "resources": {},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
            "privileged": flag(values.values, "proxyInit", "privileged"),
            "readOnlyRootFilesystem": True,
            "runAsGroup": 65534,
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"mountPath": "/run", "name": "linkerd-proxy-init-xtables-lock"}],
    }
    if wanted.init_image == wanted.image:
        container["command"] = ["/usr/lib/linkerd/linkerd2-proxy-init"]
    return container


def network_container(wanted: Wanted, values: ProxyValues) -> JsonObject:
    """What comes before the proxy: who redirects the pod's traffic, or sees that the CNI plugin did."""
    return validator_container(wanted, values) if values.cni else init_container(wanted, values)


def validator_container(wanted: Wanted, values: ProxyValues) -> JsonObject:
    """The container `linkerd-network-validator`, which ends with an error unless the pod's traffic is redirected."""
    settings = table(values.values, "networkValidator")
    outbound = values.number("ports", "outbound", default=4140)
    return {
        "name": VALIDATOR,
        "image": wanted.image,
        "imagePullPolicy": text(values.values, "imagePullPolicy", default="IfNotPresent"),
        "command": ["/usr/lib/linkerd/linkerd2-network-validator"],
        "args": [
            "--log-format",
            text(settings, "logFormat", default="plain"),
            "--log-level",
            text(settings, "logLevel", default="debug"),
            "--connect-addr",
            text(settings, "connectAddr") or "1.1.1.1:20001",
            "--listen-addr",
            text(settings, "listenAddr") or f"0.0.0.0:{outbound}",
            "--timeout",
            text(settings, "timeout", default="10s"),
        ],
        "resources": {},
        "securityContext": dict(table(settings, "securityContext")),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def volumes(values: ProxyValues) -> list[Json]:
    """The volumes that these containers mount."""
    token: Json = {"path": "linkerd-identity-token", "expirationSeconds": 86400, "audience": "identity.l5d.io"}
    lock: list[Json] = [] if values.cni else [{"name": "linkerd-proxy-init-xtables-lock", "emptyDir": {}}]
    return [
        *lock,
        {"name": "linkerd-identity-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}},
    ]


def environment(wanted: Wanted, values: ProxyValues) -> list[Json]:
    """The variables of the proxy that say where it finds the control plane, whom it trusts and what it serves."""
    domain = text(values.values, "clusterDomain", default="cluster.local")
    networks = text(values.values, "clusterNetworks")
    identity = f"serviceaccount.identity.{NAMESPACE}.{text(values.values, 'identityTrustDomain', default=domain)}"
    addresses = _addresses(wanted.at_home, domain)
    plain = {
        "_pod_containerName": PROXY,
        "LINKERD2_PROXY_CORES": "1",
        "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED": _truth(values, "enableShutdownEndpoint"),
        "LINKERD2_PROXY_LOG": values.word("logLevel"),
        "LINKERD2_PROXY_LOG_FORMAT": values.word("logFormat"),
        "LINKERD2_PROXY_DESTINATION_SVC_ADDR": addresses["destination"],
        "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS": networks,
        "LINKERD2_PROXY_POLICY_SVC_ADDR": addresses["policy"],
        "LINKERD2_PROXY_POLICY_WORKLOAD": '{"ns":"$(_pod_ns)", "pod":"$(_pod_name)"}\n',
        "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY": values.word("defaultInboundPolicy"),
        "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS": networks,
        "LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT": values.word("inboundConnectTimeout"),
        "LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT": values.word("outboundConnectTimeout"),
        "LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT": values.word("outboundDiscoveryCacheUnusedTimeout"),
        "LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT": values.word("inboundDiscoveryCacheUnusedTimeout"),
        "LINKERD2_PROXY_CONTROL_LISTEN_ADDR": f"0.0.0.0:{values.number('ports', 'control', default=4190)}",
        "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": f"0.0.0.0:{values.number('ports', 'admin', default=4191)}",
        "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": f"127.0.0.1:{values.number('ports', 'outbound', default=4140)}",
        "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": f"0.0.0.0:{values.number('ports', 'inbound', default=4143)}",
        "LINKERD2_PROXY_OUTBOUND_METRICS_HOSTNAME_LABELS": _truth(values, "metrics", "hostnameLabels"),
        "LINKERD2_PROXY_INBOUND_PORTS": _numbers(wanted.inbound_ports),
        "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION": values.word("opaquePorts"),
        "LINKERD2_PROXY_IDENTITY_DIR": "/var/run/linkerd/identity/end-entity",
        "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": "/var/run/secrets/tokens/linkerd-identity-token",
        "LINKERD2_PROXY_IDENTITY_SVC_ADDR": addresses["identity"],
        "LINKERD2_PROXY_IDENTITY_LOCAL_NAME": f"$(_pod_sa).$(_pod_ns).{identity}",
        "LINKERD2_PROXY_IDENTITY_SVC_NAME": f"linkerd-identity.{NAMESPACE}.{identity}",
        "LINKERD2_PROXY_DESTINATION_SVC_NAME": f"linkerd-destination.{NAMESPACE}.{identity}",
        "LINKERD2_PROXY_POLICY_SVC_NAME": f"linkerd-destination.{NAMESPACE}.{identity}",
    }
    if access_log := values.word("accessLog"):
        plain["LINKERD2_PROXY_ACCESS_LOG"] = access_log
    if grace := values.word("shutdownGracePeriod"):
        plain["LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD"] = grace
    if flag(values.values, "proxy", "isIngress"):
        plain[INGRESS_MODE] = "true"
    if wanted.require_tls_ports:
        plain["LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS"] = _numbers(wanted.require_tls_ports)
    found: list[Json] = [_field(name, path) for name, path in _DOWNWARD]
    found += [{"name": name, "value": value} for name, value in plain.items()]
    found.append(_anchors(wanted.anchors))
    return [*found, *rows(values.values, "proxy", "additionalEnv")]


_DOWNWARD = (
    ("_pod_name", "metadata.name"),
    ("_pod_ns", "metadata.namespace"),
    ("_pod_uid", "metadata.uid"),
    ("_pod_ip", "status.podIP"),
    ("_pod_nodeName", "spec.nodeName"),
    ("_pod_sa", "spec.serviceAccountName"),
)


def _field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _anchors(bundle: str | None) -> Json:
    name = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"
    if bundle is not None:
        return {"name": name, "value": bundle}
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": TRUST_ROOTS, "key": "ca-bundle.crt"}}}


def _addresses(at_home: str, domain: str) -> dict[str, str]:
    """Where the three services of the control plane are for a proxy in the pod of component `at_home`."""

    def at(component: str, service: str, port: int) -> str:
        host = "localhost." if component == at_home else f"{service}.{NAMESPACE}.svc.{domain}."
        return f"{host}:{port}"

    return {
        "destination": at("destination", "linkerd-dst-headless", 8086),
        "policy": at("destination", "linkerd-policy", 8090),
        "identity": at("identity", "linkerd-identity-headless", 8080),
    }


def _truth(values: ProxyValues, *path: str) -> str:
    return "true" if flag(values.values, "proxy", *path) else "false"


def _resources(values: ProxyValues) -> JsonObject:
    asked: JsonObject = {}
    for kind in ("requests", "limits"):
        found: JsonObject = {
            resource: amount
            for resource in ("cpu", "memory")
            if (amount := values.word("resources", resource, kind.removesuffix("s")))
        }
        if found:
            asked[kind] = found
    return asked


def _numbers(ports: Sequence[int]) -> str:
    return ",".join(str(port) for port in sorted(set(ports)))


def _security(uid: int, *, drops_all: bool) -> JsonObject:
    context: JsonObject = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if drops_all:
        context["capabilities"] = {"drop": ["ALL"]}
    return context

"""Where a probe plays: the actors of a run, their addresses, and what is known of mesh and cluster."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from steward.jsonvalue import JsonObject
from steward.linkerd.version import Version


class Need(StrEnum):
    """What a probe cannot do without. What is missing makes it unsupported or not applicable, never failed."""

    GATEWAY_HTTP_ROUTE = "GatewayHTTPRoute"
    GATEWAY_GRPC_ROUTE = "GatewayGRPCRoute"
    GATEWAY_TLS_ROUTE = "GatewayTLSRoute"
    GATEWAY_TCP_ROUTE = "GatewayTCPRoute"
    POLICY_HTTP_ROUTE = "PolicyHTTPRoute"
    SERVER_POLICY = "ServerPolicy"
    SERVICE_PROFILE = "ServiceProfile"
    RATE_LIMIT = "RateLimit"
    EGRESS_NETWORK = "EgressNetwork"
    EXTERNAL_WORKLOAD = "ExternalWorkload"
    TRAFFIC_SPLIT = "TrafficSplit"
    VIZ = "Viz"
    TWO_NODES = "TwoNodes"
    TWO_ZONES = "TwoZones"
    DUAL_STACK = "DualStack"
    IPV6 = "IPv6"
    CNI_PLUGIN = "CNIPlugin"
    INIT_CONTAINER = "InitContainer"
    NATIVE_SIDECAR = "NativeSidecar"
    PROMETHEUS = "Prometheus"
    INGRESS = "Ingress"
    TLS_APP_PROTOCOL = "TLSAppProtocol"
    URL_REWRITE = "URLRewrite"
    POD_LOGS = "PodLogs"
    ZONE_AWARE_BALANCER = "ZoneAwareBalancer"


@dataclass(frozen=True, slots=True)
class Timings:
    """Linkerd's defaults that proofs are measured against (`linkerd2-proxy`, `app/src/env.rs`)."""

    failfast: timedelta = timedelta(seconds=3)
    detect: timedelta = timedelta(seconds=10)
    discovery_idle: timedelta = timedelta(seconds=5)
    propagation: timedelta = timedelta(seconds=30)
    settle: timedelta = timedelta(seconds=60)
    accrual_penalty: timedelta = timedelta(seconds=1)
    slack: timedelta = timedelta(milliseconds=500)


class Port(StrEnum):
    """Names of the ports on which every echo server listens. `Stage.port` has their numbers."""

    HTTP = "http"
    H2C = "h2c"
    GRPC = "grpc"
    WEBSOCKET = "websocket"
    TCP = "tcp"
    SERVER_FIRST = "server-first"
    OPAQUE = "opaque"
    TLS = "tls"
    SKIPPED = "skipped"
    OTLP = "otlp"
    LOOPBACK = "loopback"


PORTS: dict[Port, int] = {
    Port.HTTP: 8080,
    Port.H2C: 8081,
    Port.GRPC: 8082,
    Port.WEBSOCKET: 8083,
    Port.TCP: 8084,
    Port.SERVER_FIRST: 8085,
    Port.OPAQUE: 8086,
    Port.TLS: 8443,
    Port.SKIPPED: 9999,
    Port.OTLP: 4317,
    Port.LOOPBACK: 8090,
}
"""`loopback` listens on 127.0.0.1 inside the pod only; `opaque` is server-first, declared opaque on pod and Service;
`otlp` collects the spans that proxies tell."""
ON_NODE = "cm-node-"
"""The client of the first of the nodes that a suite names is the actor `cm-node-0`, and so on."""
SPARE_PORTS = range(8100, 8140)
"""HTTP/1.1 ports of the actor `sp`: a probe that needs a Server takes one of its own, so that no two meet."""


@dataclass(frozen=True, slots=True)
class Place:
    """One pod of an actor, as the cluster has it now."""

    pod: str
    namespace: str
    ip: str
    node: str = ""
    zone: str = ""
    proxy: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """The cast is the same in every run. With a proxy, in the namespace `meshed`:

    - `cm` client (ServiceAccount probe-client), `cn` a second one (probe-other)
    - `sm` echo servers: `v1` (2 pods) and `v2` (1 pod), all labelled app=sm
    - `sp` echo server with spare ports, for inbound policies
    - `ss` StatefulSet of two with a headless Service

    Without, in `plain`: `cu` client, `su` echo server. Services `sm`, `v1`, `v2`, `sp`, `su`, `ss` have every port.
    """

    run: str
    meshed: str
    plain: str
    owner: dict[str, str]
    linkerd: Version | None = None
    linkerd_namespace: str = "linkerd"
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    image: str = ""
    places: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    has: frozenset[Need] = frozenset()
    timings: Timings = field(default_factory=Timings)
    nodes: tuple[str, ...] = ()
    """The nodes that the suite names: each has a client of its own, an actor `cm-node-<number>`."""
    template: JsonObject = field(default_factory=dict)
    """The pod template of an echo server with a proxy and spare ports, for pods that a probe adds: `objects.echo`."""

    def service(self, name: str, namespace: str = "") -> str:
        """The full name of a Service; of the meshed namespace where none is given (`su` and `cu` live in plain)."""
        home = namespace or (self.plain if name in ("su", "cu") else self.meshed)
        return f"{name}.{home}.svc.{self.cluster_domain}"

    def identity(self, account: str, namespace: str = "") -> str:
        """The identity that a proxy with this ServiceAccount shows."""
        return (
            f"{account}.{namespace or self.meshed}.serviceaccount.identity.{self.linkerd_namespace}.{self.trust_domain}"
        )

    def pods(self, actor: str) -> tuple[Place, ...]:
        """The pods of an actor; empty where it has none yet."""
        return self.places.get(actor, ())

"""What this mesh on this cluster has: what is missing makes a feature unsupported or not applicable, never failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.conformance.core.probe import Probe
from services.conformance.core.stage import Need
from steward.conformance.results import Capability
from steward.linkerd.knowledge import Knowledge
from steward.linkerd.version import Version

_CRDS: Mapping[Need, str] = {
    Need.GATEWAY_HTTP_ROUTE: "httproutes.gateway.networking.k8s.io",
    Need.GATEWAY_GRPC_ROUTE: "grpcroutes.gateway.networking.k8s.io",
    Need.GATEWAY_TLS_ROUTE: "tlsroutes.gateway.networking.k8s.io",
    Need.GATEWAY_TCP_ROUTE: "tcproutes.gateway.networking.k8s.io",
    Need.POLICY_HTTP_ROUTE: "httproutes.policy.linkerd.io",
    Need.SERVER_POLICY: "servers.policy.linkerd.io",
    Need.SERVICE_PROFILE: "serviceprofiles.linkerd.io",
    Need.RATE_LIMIT: "httplocalratelimitpolicies.policy.linkerd.io",
    Need.EGRESS_NETWORK: "egressnetworks.policy.linkerd.io",
    Need.EXTERNAL_WORKLOAD: "externalworkloads.workload.linkerd.io",
    Need.TRAFFIC_SPLIT: "trafficsplits.split.smi-spec.io",
}
CRD_NEEDS = frozenset(_CRDS)
_OF_MESH = frozenset(
    {
        Need.POLICY_HTTP_ROUTE,
        Need.SERVER_POLICY,
        Need.SERVICE_PROFILE,
        Need.RATE_LIMIT,
        Need.EGRESS_NETWORK,
        Need.EXTERNAL_WORKLOAD,
        Need.URL_REWRITE,
    }
)
_MISSING: Mapping[Need, str] = {
    Need.VIZ: "the extension viz is not installed",
    Need.TWO_NODES: "the cluster has no two nodes that take pods",
    Need.TWO_ZONES: "the nodes are not in two zones (label topology.kubernetes.io/zone)",
    Need.DUAL_STACK: "pods have no two address families",
    Need.IPV6: "pods have no IPv6 address",
    Need.CNI_PLUGIN: "redirection is set up by an init container, not by Linkerd's CNI plugin",
    Need.INIT_CONTAINER: "redirection is set up by Linkerd's CNI plugin, not by an init container",
    Need.NATIVE_SIDECAR: "proxies are not native sidecars here",
    Need.PROMETHEUS: "no Prometheus is known: tell the service where it is",
    Need.INGRESS: "no meshed ingress is known: tell the service where it is",
    Need.TLS_APP_PROTOCOL: "this release knows no appProtocol linkerd.io/tls",
    Need.URL_REWRITE: "Linkerd's routes do not rewrite paths",
    Need.POD_LOGS: "we may not read logs of pods: add the component conformance-logs",
    Need.ZONE_AWARE_BALANCER: "zone-aware balancing is a part of the enterprise releases only",
}
_FIRST_TLS_APP_PROTOCOL = (2, 19)


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """What preflight found."""

    kubernetes_version: str = ""
    linkerd: Version | None = None
    crds: frozenset[str] = frozenset()
    """Names of the definitions that are established."""
    nodes: int = 0
    zones: int = 0
    proxies: tuple[str, ...] = ()
    families: frozenset[int] = frozenset({4})
    """IP versions of the pods."""
    cni: bool = False
    native_sidecar: bool | None = None
    viz: bool = False
    prometheus: bool = False
    ingress: bool = False
    priority_class: bool = False
    pod_logs: bool = False
    """Whether we may read what containers write."""
    linkerd_namespace: str = "linkerd"
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    problems: tuple[str, ...] = field(default=())
    """Why nothing may be begun: rights, quotas, a mesh that is not there."""


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a feature is there, and why not."""

    capability: Capability
    reason: str = "Supported"
    message: str = ""


def logical(text: str) -> tuple[int, int]:
    """`2.17` as numbers, so that 2.9 is older than 2.20."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def has(seen: ClusterSeen, knowledge: Knowledge) -> frozenset[Need]:
    """Everything that probes may need and that is there."""
    named = knowledge.logical_of(seen.linkerd) if seen.linkerd else None
    simple = {
        Need.VIZ: seen.viz,
        Need.TWO_NODES: seen.nodes >= 2,
        Need.TWO_ZONES: seen.zones >= 2,
        Need.DUAL_STACK: seen.families >= {4, 6},
        Need.IPV6: 6 in seen.families,
        Need.CNI_PLUGIN: seen.cni,
        Need.INIT_CONTAINER: not seen.cni,
        Need.NATIVE_SIDECAR: seen.native_sidecar is True,
        Need.PROMETHEUS: seen.prometheus,
        Need.INGRESS: seen.ingress,
        Need.POD_LOGS: seen.pod_logs,
        Need.ZONE_AWARE_BALANCER: seen.linkerd is not None and seen.linkerd.channel == "enterprise",
        Need.TLS_APP_PROTOCOL: named is not None and logical(named) >= _FIRST_TLS_APP_PROTOCOL,
    }
    found = {need for need, there in simple.items() if there}
    return frozenset(found | {need for need, crd in _CRDS.items() if crd in seen.crds})


def capability(probe: Probe, seen: ClusterSeen, knowledge: Knowledge) -> Has:
    """Whether the probe can be tried on this mesh."""
    by_version = _by_version(probe, seen, knowledge)
    if by_version is not None:
        return by_version
    there = has(seen, knowledge)
    for need in probe.needs:
        if need not in there:
            crd = _CRDS.get(need)
            message = f"there is no definition {crd}" if crd else _MISSING.get(need, f"{need} is missing")
            kind = Capability.UNSUPPORTED if need in _OF_MESH else Capability.NOT_APPLICABLE
            return Has(kind, f"No{need}", message)
    return Has(Capability.SUPPORTED)


def _by_version(probe: Probe, seen: ClusterSeen, knowledge: Knowledge) -> Has | None:
    named = knowledge.logical_of(seen.linkerd) if seen.linkerd else None
    if named is None:
        return None
    if probe.since and logical(named) < logical(probe.since):
        return Has(Capability.UNSUPPORTED, "TooOld", f"since Linkerd {probe.since}; this is {named} ({seen.linkerd})")
    if probe.until and logical(named) > logical(probe.until):
        return Has(
            Capability.NOT_APPLICABLE, "NoMore", f"until Linkerd {probe.until}; this is {named} ({seen.linkerd})"
        )
    return None

"""Handles of the resources that configure a mesh: Linkerd's own, and those of the Gateway API that it understands."""

from steward.kube.resources import Resource

_POLICY = "policy.linkerd.io"
_GATEWAY = "gateway.networking.k8s.io"

SERVERS = Resource(_POLICY, "v1beta3", "servers", "Server")
AUTHORIZATION_POLICIES = Resource(_POLICY, "v1alpha1", "authorizationpolicies", "AuthorizationPolicy")
MESH_TLS_AUTHENTICATIONS = Resource(_POLICY, "v1alpha1", "meshtlsauthentications", "MeshTLSAuthentication")
NETWORK_AUTHENTICATIONS = Resource(_POLICY, "v1alpha1", "networkauthentications", "NetworkAuthentication")
SERVER_AUTHORIZATIONS = Resource(_POLICY, "v1beta1", "serverauthorizations", "ServerAuthorization")
RATE_LIMITS = Resource(_POLICY, "v1alpha1", "httplocalratelimitpolicies", "HTTPLocalRateLimitPolicy")
EGRESS_NETWORKS = Resource(_POLICY, "v1alpha1", "egressnetworks", "EgressNetwork")
POLICY_HTTP_ROUTES = Resource(_POLICY, "v1beta3", "httproutes", "HTTPRoute")

HTTP_ROUTES = Resource(_GATEWAY, "v1", "httproutes", "HTTPRoute")
GRPC_ROUTES = Resource(_GATEWAY, "v1", "grpcroutes", "GRPCRoute")
TLS_ROUTES = Resource(_GATEWAY, "v1alpha2", "tlsroutes", "TLSRoute")
TCP_ROUTES = Resource(_GATEWAY, "v1alpha2", "tcproutes", "TCPRoute")

SERVICE_PROFILES = Resource("linkerd.io", "v1alpha2", "serviceprofiles", "ServiceProfile")
EXTERNAL_WORKLOADS = Resource("workload.linkerd.io", "v1beta1", "externalworkloads", "ExternalWorkload")
TRAFFIC_SPLITS = Resource("split.smi-spec.io", "v1alpha1", "trafficsplits", "TrafficSplit")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")

MESH_RESOURCES = (
    SERVERS,
    AUTHORIZATION_POLICIES,
    MESH_TLS_AUTHENTICATIONS,
    NETWORK_AUTHENTICATIONS,
    SERVER_AUTHORIZATIONS,
    RATE_LIMITS,
    EGRESS_NETWORKS,
    POLICY_HTTP_ROUTES,
    HTTP_ROUTES,
    GRPC_ROUTES,
    TLS_ROUTES,
    TCP_ROUTES,
    SERVICE_PROFILES,
    EXTERNAL_WORKLOADS,
    NETWORK_POLICIES,
)

"""The resources that the simulated control plane reads beside Kubernetes' own."""

from steward.kube.resources import Resource

_POLICY = "policy.linkerd.io"
_GATEWAY = "gateway.networking.k8s.io"

SERVERS = Resource(_POLICY, "v1beta3", "servers", "Server")
SERVER_AUTHORIZATIONS = Resource(_POLICY, "v1beta1", "serverauthorizations", "ServerAuthorization")
AUTHORIZATION_POLICIES = Resource(_POLICY, "v1alpha1", "authorizationpolicies", "AuthorizationPolicy")
MESH_TLS = Resource(_POLICY, "v1alpha1", "meshtlsauthentications", "MeshTLSAuthentication")
NETWORKS = Resource(_POLICY, "v1alpha1", "networkauthentications", "NetworkAuthentication")
RATE_LIMITS = Resource(_POLICY, "v1alpha1", "httplocalratelimitpolicies", "HTTPLocalRateLimitPolicy")
EGRESS_NETWORKS = Resource(_POLICY, "v1alpha1", "egressnetworks", "EgressNetwork")
POLICY_HTTP_ROUTES = Resource(_POLICY, "v1beta3", "httproutes", "HTTPRoute")
HTTP_ROUTES = Resource(_GATEWAY, "v1", "httproutes", "HTTPRoute")
GRPC_ROUTES = Resource(_GATEWAY, "v1", "grpcroutes", "GRPCRoute")
TLS_ROUTES = Resource(_GATEWAY, "v1alpha2", "tlsroutes", "TLSRoute")
TCP_ROUTES = Resource(_GATEWAY, "v1alpha2", "tcproutes", "TCPRoute")
SERVICE_PROFILES = Resource("linkerd.io", "v1alpha2", "serviceprofiles", "ServiceProfile")
EXTERNAL_WORKLOADS = Resource("workload.linkerd.io", "v1beta1", "externalworkloads", "ExternalWorkload")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")

ROUTES = (POLICY_HTTP_ROUTES, HTTP_ROUTES, GRPC_ROUTES, TLS_ROUTES, TCP_ROUTES)
HTTP = (POLICY_HTTP_ROUTES, HTTP_ROUTES)
POLICIES = (
    SERVERS,
    SERVER_AUTHORIZATIONS,
    AUTHORIZATION_POLICIES,
    MESH_TLS,
    NETWORKS,
    RATE_LIMITS,
    EGRESS_NETWORKS,
    *ROUTES,
)
"""What the policy controller validates and indexes."""

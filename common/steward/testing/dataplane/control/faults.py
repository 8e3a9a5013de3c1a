"""What can be broken in the control plane, each by itself. Scopes name the client's pod unless said otherwise."""

from steward.testing.dataplane.faults import Fault

DESTINATION_DOWN = Fault("destination-down", "no destination controller answers: known targets go on, new ones hang")
POLICY_DOWN = Fault("policy-down", "no policy controller answers: policies do not change, new targets hang")
IDENTITY_DOWN = Fault("identity-down", "no certificate is issued or renewed")

STALE_ENDPOINTS = Fault("stale-endpoints", "proxies are told of no change of endpoints")
STALE_REPLICA = Fault("stale-replica", "one destination replica (scope: its pod) answers with old endpoints")
NEW_PODS_MISSING = Fault("new-pods-missing", "pods that became ready since (scope: those pods) are no endpoints")
REMOVED_PODS_STAY = Fault("removed-pods-stay", "pods that are gone since remain endpoints")
NO_IDENTITY_OF_ENDPOINTS = Fault("no-identity-of-endpoints", "endpoints (scope: those pods) are told without identity")
ZONE_HINTS_IGNORED = Fault("zone-hints-ignored", "endpoints of other zones are told in spite of hints")
LOCAL_POLICY_IGNORED = Fault("local-policy-ignored", "endpoints of other nodes are told in spite of the Local policy")
HEADLESS_ANSWERS_ALL = Fault("headless-answers-all", "the name of one pod of a StatefulSet stands for all its pods")
OPAQUE_IGNORED = Fault("opaque-ignored", "opaque ports, declared or default, are told as ordinary ones")
APP_PROTOCOL_IGNORED = Fault("app-protocol-ignored", "the appProtocol of a Service's port is not looked at")
UNDEFINED_PORT_OPEN = Fault("undefined-port-open", "ports that a Service does not have lead to its pods")
EXTERNAL_WORKLOADS_IGNORED = Fault("external-workloads-ignored", "ExternalWorkloads are no endpoints")
EXTERNAL_SLICES_MISSING = Fault("external-slices-missing", "nobody writes slices of ExternalWorkloads (scope: those)")
EXTERNAL_READINESS_IGNORED = Fault("external-readiness-ignored", "ExternalWorkloads (scope: those) stay as (un)ready")
EXTERNAL_PORTS_WRONG = Fault("external-ports-wrong", "slices of ExternalWorkloads (scope: those) have other ports")

ROUTE_STATUS_ABSENT = Fault("route-status-absent", "no status is written on routes")
ROUTE_STATUS_WRONG = Fault("route-status-wrong", "routes are Accepted=False although they are in force")
ROUTES_IGNORED = Fault("routes-ignored", "no route of a Service is told")
WEIGHTS_IGNORED = Fault("weights-ignored", "all backends of a rule are told with the same weight")
CONSUMER_ROUTES_FOR_ALL = Fault("consumer-routes-for-all", "routes of a client's namespace are told to everybody")
ANNOTATIONS_IGNORED = Fault("annotations-ignored", "retries, timeouts and accrual asked by annotation are not told")
PROFILES_IGNORED = Fault("profiles-ignored", "ServiceProfiles are not told")
EGRESS_IGNORED = Fault("egress-ignored", "EgressNetworks are not told")
POLICY_STALE = Fault("policy-stale", "proxies are told of no change of routes and inbound policies")

DEFAULT_POLICY_DENIES = Fault("default-policy-denies", "pods let in nobody but kubelet where no Server says more")
DEFAULT_POLICY_IGNORED = Fault("default-policy-ignored", "the default inbound policy of a pod is all-unauthenticated")
AUTHORIZATIONS_IGNORED = Fault("authorizations-ignored", "servers are told without their AuthorizationPolicies")
SERVERS_IGNORED = Fault("servers-ignored", "Servers are not told: only the default policy is in force")
RATE_LIMITS_IGNORED = Fault("rate-limits-ignored", "HTTPLocalRateLimitPolicies are not told")
INBOUND_ROUTES_IGNORED = Fault("inbound-routes-ignored", "routes on Servers are not told")
AUDIT_IGNORED = Fault("audit-ignored", "what is only to be audited is denied")
INVALID_ACCEPTED = Fault("invalid-accepted", "the validating webhook accepts objects that it should refuse")

CONTROLLER_SILENT = Fault("controller-silent", "the controllers of a pod (scope) never answer a request for metrics")

FOREIGN_ISSUER = Fault("foreign-issuer", "leaves are issued by an issuer of another anchor")
EXPIRED_LEAVES = Fault("expired-leaves", "the leaf in use has expired")
NO_RENEWAL = Fault("no-renewal", "leaves are not renewed in time")

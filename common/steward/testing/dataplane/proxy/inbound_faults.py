"""How the inbound half of a proxy, its trust and its admin server can be wrong, each by itself.

Leaves that expired or are not renewed are faults of the control plane: `control/faults.py`.
"""

from steward.testing.dataplane.faults import Fault

CLIENT_ID_MISSING = Fault("inbound-client-id-missing", "no l5d-client-id is given to the application")
FORGED_CLIENT_ID_KEPT = Fault("inbound-forged-client-id-kept", "an l5d-client-id that a client sent is passed on")
AUTHORIZATION_IGNORED = Fault("inbound-authorization-ignored", "everybody may do everything")
AUTHORIZATION_DENIES_ALL = Fault("inbound-authorization-denies-all", "nobody may do anything")
ROUTE_AUTHORIZATION_IGNORED = Fault("inbound-route-authorization-ignored", "routes of a Server are open to everybody")
NETWORKS_IGNORED = Fault("inbound-networks-ignored", "authorizations fit clients of every network")
IDENTITIES_IGNORED = Fault("inbound-identities-ignored", "authorizations fit clients of every identity, or of none")
UNKNOWN_ROUTE_ALLOWED = Fault("inbound-unknown-route-allowed", "a request that no route takes passes")
AUDIT_DENIES = Fault("inbound-audit-denies", "what should only be noted is denied")
RATE_LIMIT_IGNORED = Fault("inbound-rate-limit-ignored", "no request is ever too many")
RATE_LIMIT_STRICT = Fault("inbound-rate-limit-strict", "a tenth of the rate is too many already")
RATE_LIMIT_SHARED = Fault("inbound-rate-limit-shared", "all identities share one limit, overrides have no effect")
RATE_LIMIT_OVERRIDES_IGNORED = Fault("inbound-rate-limit-overrides-ignored", "no identity has a limit of its own")
TCP_DENIAL_IGNORED = Fault("inbound-tcp-denial-ignored", "connections that are denied pass")
REVOKED_KEPT = Fault("inbound-revoked-kept", "connections stay open when their policy is revoked")
OPEN_RELAY = Fault("inbound-open-relay", "whoever reaches the outbound port from outside is relayed")
FILTERS_IGNORED = Fault("inbound-filters-ignored", "filters of a Server's routes have no effect")
TLS_LABELS_WRONG = Fault("inbound-tls-labels-wrong", "metrics call mutual TLS a connection without identity")
DETECTION_BROKEN = Fault("inbound-detection-broken", "HTTP without a proxy in front is taken for bytes")
BLOCKED = Fault("inbound-4143-blocked", "nothing reaches port 4143, as under a NetworkPolicy")
SHUTDOWN_ABORTS = Fault("inbound-shutdown-aborts", "requests that are under way at the end are cut off")
ERROR_STATUS_WRONG = Fault("inbound-error-status-wrong", "a closed port of the application is answered with 503")
GRPC_REFUSED_AS_HTTP = Fault("inbound-grpc-refused-as-http", "calls of gRPC are refused with a status of HTTP")
PROTOCOL_NOT_RESTORED = Fault("inbound-protocol-not-restored", "the application gets HTTP/2 where HTTP/1.1 was asked")
TLS_NOT_PASSED = Fault("inbound-tls-not-passed", "TLS of applications is closed instead of passed on")
ADMIN_REFUSES = Fault("admin-refuses", "scrapes are refused although the policy allows them")
ADMIN_OPEN = Fault("admin-open", "scrapes are answered although the policy forbids them")
ADMIN_NOT_READY = Fault("admin-not-ready", "the proxy says that it is not ready")
ANCHORS_DRIFTED = Fault("identity-anchors-drifted", "the proxy trusts another anchor than the mesh")
CIPHER_OLD = Fault("identity-cipher-old", "neither AES-256 nor a post-quantum key exchange is offered")
ACCESS_LOG_OTHER_FORMAT = Fault("access-log-other-format", "json is written for apache, and the other way round")
ACCESS_LOG_MISSING = Fault("access-log-missing", "no line is written for a request")

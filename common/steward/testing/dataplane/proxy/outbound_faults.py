"""Everything that can be broken about the outbound half of a proxy, one behaviour at a time.

What the control plane tells wrongly is declared in `control/faults.py`, wrong figures in `metric_faults.py`.
"""

from steward.testing.dataplane.faults import Fault

# How a connection is taken
DETECT_TOO_LONG = Fault("detect-too-long", "protocol detection waits three times as long as it should")
OPAQUE_AS_HTTP = Fault("opaque-as-http", "connections to opaque ports are searched for HTTP")
HTTP_AS_OPAQUE = Fault("http-as-opaque", "HTTP is carried as bytes: no routes, no balancing of requests")
SERVER_FIRST_BROKEN = Fault("server-first-broken", "a connection on which the client says nothing is closed")
HALF_CLOSE_LOST = Fault("half-close-lost", "a connection is closed whole when one side has finished")
CONNECTIONS_CUT = Fault("connections-cut", "every connection is reset when endpoints change")
TCP_CORRUPTED = Fault("tcp-corrupted", "bytes of opaque connections are changed on the way back")
UNDEFINED_PORT_HANGS = Fault("undefined-port-hangs", "a port that the Service does not define accepts and says nothing")

# Whom it believes
PLAINTEXT_TO_MESHED = Fault("plaintext-to-meshed", "connections to meshed pods do without TLS")
FORGED_IDENTITY_PASSES = Fault("forged-identity-passes", "a server may have any name that the anchor vouches for")
REQUIRE_ID_IGNORED = Fault("require-id-ignored", "l5d-require-id is not looked at")
REQUIRE_ID_REFUSED = Fault("require-id-refused", "l5d-require-id refuses also the identity that was asked for")
HANDSHAKES_FAIL = Fault("handshakes-fail", "no connection to a meshed pod comes about")

# Where a request goes
ROUTES_STALE = Fault("routes-stale", "changes of routes are not taken over")
NO_ROUTE_IGNORED = Fault("no-route-ignored", "requests that no rule matches go to the Service itself")
ROUTES_NOT_FOUND = Fault("routes-not-found", "requests are answered 404 although a rule of a route matches")
PATH_IGNORED = Fault("path-ignored", "path matches of routes are not looked at")
METHOD_IGNORED = Fault("method-ignored", "method matches of routes are not looked at")
HEADER_MATCHES_IGNORED = Fault("header-matches-ignored", "header matches of routes are not looked at")
QUERY_MATCHES_IGNORED = Fault("query-matches-ignored", "query matches of routes are not looked at")
HOSTS_IGNORED = Fault("hosts-ignored", "hostnames of routes are not looked at")
WEIGHTS_EVEN = Fault("weights-even", "backends get the same share whatever their weights")
FIRST_BACKEND_ONLY = Fault("first-backend-only", "the first backend of a rule gets everything")
FILTERS_IGNORED = Fault("filters-ignored", "header filters of routes change nothing")
RESPONSE_FILTERS_IGNORED = Fault("response-filters-ignored", "response header filters of routes change nothing")
REDIRECT_IGNORED = Fault("redirect-ignored", "redirect filters are passed over")
MISSING_BACKEND_HANGS = Fault("missing-backend-hangs", "a backend that does not exist gives no answer")
OVERRIDE_IGNORED = Fault("override-ignored", "in ingress mode l5d-dst-override is not looked at, and goes on")
OVERRIDE_HEEDED = Fault("override-heeded", "l5d-dst-override is obeyed where there is no ingress mode")
EGRESS_ALLOWED = Fault("egress-allowed", "what an EgressNetwork denies goes out")
EGRESS_DENIED = Fault("egress-denied", "what may go out is denied")
PROFILE_IGNORED = Fault("profile-ignored", "a ServiceProfile has no effect in the proxy")
DISCOVERY_KEPT = Fault("discovery-kept", "what is known about an address is never asked anew")

# Which endpoint gets it
NO_BALANCING = Fault("no-balancing", "one endpoint gets everything")
MESHED_PREFERRED = Fault("meshed-preferred", "endpoints without a proxy get nothing while there are others")
NO_EWMA = Fault("no-ewma", "a slow endpoint gets its full share")
NO_PENALTY = Fault("no-penalty", "failures do not make an endpoint less liked although that was asked for")
NO_ACCRUAL = Fault("no-accrual", "no breaker ever opens")
BREAKER_NEVER_CLOSES = Fault("breaker-never-closes", "an endpoint whose breaker opened is never tried again")
BREAKER_HASTY = Fault("breaker-hasty", "a breaker opens at the first failure")
NO_FAILFAST = Fault("no-failfast", "requests wait without end for an endpoint")
FAILFAST_FOR_EVER = Fault("failfast-for-ever", "failing fast does not end when an endpoint is ready again")

# Trying again and giving up
NO_RETRIES = Fault("no-retries", "nothing is tried again")
RETRIES_WITHOUT_BODY = Fault("retries-without-body", "requests that have a body are not tried again")
RETRY_LIMIT_IGNORED = Fault("retry-limit-ignored", "requests are tried three times as often as allowed")
RETRY_BUDGET_IGNORED = Fault("retry-budget-ignored", "retries of a ServiceProfile have no budget")
NO_TIMEOUTS = Fault("no-timeouts", "no timeout ever fires")
TIMEOUTS_HALVED = Fault("timeouts-halved", "timeouts fire after half of their time")
HEADER_OVERRIDES_HEEDED = Fault("header-overrides-heeded", "l5d-timeout and l5d-retry-* work where not allowed")

# What is carried
H2_DOWNGRADED = Fault("h2-downgraded", "HTTP/2 requests reach the server as HTTP/1.1")
GRPC_TRAILERS_DROPPED = Fault("grpc-trailers-dropped", "responses of gRPC arrive without trailers")
UPGRADE_LOST = Fault("upgrade-lost", "upgrades to WebSocket are not passed on")
STREAMS_BUFFERED = Fault("streams-buffered", "a streamed response is held back until it is complete")
BODY_CORRUPTED = Fault("body-corrupted", "large response bodies are changed on the way")
PROXY_ERROR_MISSING = Fault("proxy-error-missing", "own errors carry no l5d-proxy-error")
OWN_STATUS_WRONG = Fault("own-status-wrong", "own errors all have status 500")
SLOW = Fault("slow", "every request is held back for a while")

# What is said about it
TLS_LABEL_WRONG = Fault("outbound-tls-label-wrong", "connections with TLS are counted as without")
ROUTE_LABELS_WRONG = Fault("route-labels-wrong", "all requests are counted under the default route")

"""What the simulated control plane tells the simulated proxies, as frozen values: the seam between the two.

`control/` makes these from the objects of the fake Kubernetes API; `proxy/` acts on them and reads no object itself.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

Labels = tuple[tuple[str, str], ...]


class Protocol(StrEnum):
    """How a proxy treats a port."""

    DETECT = "detect"
    HTTP1 = "http/1"
    HTTP2 = "http/2"
    GRPC = "grpc"
    OPAQUE = "opaq"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Meta:
    """A Kubernetes object as metrics name it (`parent_*`, `route_*`, `backend_*`, `srv_*`, `authz_*`)."""

    group: str
    kind: str
    name: str
    namespace: str = ""
    port: int = 0
    section: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a target. `identity` None: it has no proxy that we could speak TLS with.

    Only an ExternalWorkload has a `server_name`: its identity is a URI, which cannot be asked for by itself.
    """

    ip: str
    port: int
    identity: str | None = None
    opaque: bool = False
    h2: bool = False
    weight: int = 10_000
    zone: str = ""
    node: str = ""
    labels: Labels = ()
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """Exact or regular expression."""

    name: str
    value: str
    regex: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """When a rule applies; every member that is given must fit. For gRPC the path is `/service/method`."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    method: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[HeaderMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """Of requests or of responses."""

    set: Labels = ()
    add: Labels = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answered by the proxy itself."""

    scheme: str = ""
    hostname: str = ""
    port: int = 0
    path: str = ""
    path_prefix: str = ""
    status: int = 302


@dataclass(frozen=True, slots=True)
class Retry:
    """`statuses` for HTTP (first, last), `codes` for gRPC."""

    statuses: tuple[tuple[int, int], ...] = ()
    codes: tuple[int, ...] = ()
    limit: int = 1
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """None: no limit."""

    request: timedelta | None = None
    response: timedelta | None = None
    idle: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a share of the requests goes. `missing` is the message of one that does not exist."""

    meta: Meta
    endpoints: tuple[Endpoint, ...] = ()
    weight: int = 1
    authority: str = ""
    requests: HeaderChange | None = None
    missing: str = ""
    forbidden: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a route; the first match of the most specific kind wins."""

    matches: tuple[Match, ...] = ()
    backends: tuple[Backend, ...] = ()
    requests: HeaderChange | None = None
    responses: HeaderChange | None = None
    redirect: Redirect | None = None
    retry: Retry | None = None
    timeouts: Timeouts = Timeouts()
    allow_headers: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTPRoute or GRPCRoute, or the default that the controller makes where there is none."""

    meta: Meta
    rules: tuple[Rule, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsecutiveAccrual:
    """Opens an endpoint after that many failures in a row."""

    failures: int = 7
    min_penalty: timedelta = timedelta(seconds=1)
    max_penalty: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RateAccrual:
    """Opens an endpoint whose success rate falls below the threshold within a window."""

    threshold: float
    window: timedelta
    min_requests: int
    count_429: bool = False
    min_penalty: timedelta = timedelta(seconds=1)
    max_penalty: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ProfileRoute:
    """A route of a ServiceProfile. `failures` are (first, last, is_failure) of its response classes."""

    name: str
    path_regex: str = ""
    method: str = ""
    retryable: bool = False
    timeout: timedelta | None = None
    failures: tuple[tuple[int, int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A ServiceProfile: where it is in force, routes of the target are not."""

    authority: str
    routes: tuple[ProfileRoute, ...] = ()
    retry_ratio: float = 0.2
    min_retries_per_second: int = 10
    overrides: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True)
class OutboundTarget:
    """What a proxy is told about an address that its application dialled."""

    parent: Meta
    authority: str
    protocol: Protocol = Protocol.DETECT
    http_routes: tuple[Route, ...] = ()
    grpc_routes: tuple[Route, ...] = ()
    opaque_routes: tuple[Route, ...] = ()
    default: Backend | None = None
    accrual: ConsecutiveAccrual | RateAccrual | None = None
    penalize_failures: bool = False
    profile: Profile | None = None
    egress_denied: bool = False
    undefined_port: bool = False
    balance: bool = True
    """False for a single pod that was dialled by its own address."""


@dataclass(frozen=True, slots=True)
class Network:
    """Who may come from where."""

    cidr: str
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorization:
    """Both the networks and the identities must fit. `identities` None: none is asked; `*` any; `*.x` a suffix."""

    meta: Meta
    networks: tuple[Network, ...] = (Network("0.0.0.0/0"), Network("::/0"))
    identities: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class InboundRoute:
    """A route attached to a Server, with authorizations of its own."""

    meta: Meta
    matches: tuple[Match, ...]
    authorizations: tuple[Authorization, ...] = ()
    requests: HeaderChange | None = None
    redirect: Redirect | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests a second and proxy; `overrides` maps an identity to its own number."""

    meta: Meta
    total: int = 0
    identity: int = 0
    overrides: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class InboundServer:
    """What a proxy is told about one port of its own pod."""

    meta: Meta
    protocol: Protocol = Protocol.DETECT
    routes: tuple[InboundRoute, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    rate_limit: RateLimit | None = None
    audit: bool = False
    detect: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What the injector set in the environment of one proxy, read from the pod."""

    pod: str
    namespace: str
    ip: str
    version: str
    node: str = ""
    zone: str = ""
    account: str = "default"
    owner: Labels = ()
    skip_inbound: frozenset[int] = frozenset()
    skip_outbound: frozenset[int] = frozenset()
    opaque_ports: frozenset[int] = frozenset()
    trust_anchors: str = ""
    metrics_hostname_labels: bool = False
    access_log: str = ""
    native_sidecar: bool = True
    trace_collector: str = ""
    trace_identity: str = ""
    """Who the collector must prove to be; a proxy that is told nobody exports nothing."""
    ingress: bool = False
    environment: Labels = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the proxies wait; tests scale it down together with `Timings` of the probes."""

    failfast: timedelta = timedelta(seconds=3)
    inbound_failfast: timedelta = timedelta(seconds=1)
    detect: timedelta = timedelta(seconds=10)
    discovery_idle: timedelta = timedelta(seconds=5)
    propagation: timedelta = timedelta(milliseconds=20)
    metrics_idle: timedelta = timedelta(minutes=10)
    leaf_lifetime: timedelta = timedelta(hours=24)
    span_batch: timedelta = timedelta(seconds=5)
    """How long spans are gathered before they are exported together."""

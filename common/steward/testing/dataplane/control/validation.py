"""The validating webhooks: what the API server refuses because Linkerd's controllers say so."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

from steward.jsonvalue import JsonObject, dig, rows, strings, table, text, whole
from steward.kube.resources import NAMESPACES, VALIDATING_WEBHOOKS, Resource
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.authorizations import DEFAULTS
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import SERVERS, SERVICE_PROFILES
from steward.testing.dataplane.control.world import World, labels_of, name_of
from steward.testing.dataplane.faults import Faults
from steward.testing.kubernetes.admission import AdmissionRequest, Denied
from steward.testing.kubernetes.selectors import selects
from steward.testing.linkerd.webhooks import POLICY_VALIDATOR, PROFILE_VALIDATOR

_TARGETS = ("Server", "HTTPRoute", "GRPCRoute", "Namespace")
_AUTHENTICATIONS = ("MeshTLSAuthentication", "NetworkAuthentication", "ServiceAccount")
_PROTOCOLS = ("", "unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS")


class Validator:
    """Asked by the fake API server about objects of Linkerd, while a controller is there to answer."""

    def __init__(self, world: World, faults: Faults, is_up: Callable[[], bool]) -> None:
        self._world = world
        self._faults = faults
        self._is_up = is_up

    def admit(self, request: AdmissionRequest) -> JsonObject | None:
        """No opinion, or a refusal."""
        hook = PROFILE_VALIDATOR if request.resource.kind == SERVICE_PROFILES.kind else POLICY_VALIDATOR
        configuration = self._world.find(VALIDATING_WEBHOOKS, hook.configuration)
        entry = next(iter(rows(configuration or {}, "webhooks")), None)
        if request.subresource or entry is None or not self._is_asked(entry, request.namespace):
            return None
        if not self._is_up():
            if text(entry, "failurePolicy") == "Fail":
                raise Denied("failed calling webhook: no endpoints available for service", code=500)
            return None
        place = Client(pod=name_of(request.value), namespace=request.namespace)
        if not self._faults.on(broken.INVALID_ACCEPTED, place):
            for problem in self._problems(request):
                raise Denied(problem, code=403)
        return None

    def _is_asked(self, entry: JsonObject, namespace: str) -> bool:
        home = self._world.find(NAMESPACES, namespace)
        return home is not None and selects(table(entry, "namespaceSelector"), labels_of(home))

    def _problems(self, request: AdmissionRequest) -> Iterator[str]:
        if request.resource.kind == SERVERS.kind:
            yield from self._twin(request)
        check = _CHECKS.get(request.resource.kind)
        if check is not None:
            yield from check(request.value)

    def _twin(self, request: AdmissionRequest) -> Iterator[str]:
        selector, port = table(request.value, "spec", "podSelector"), dig(request.value, "spec", "port")
        for other in self._world.all(SERVERS, request.namespace):
            same = table(other, "spec", "podSelector") == selector and dig(other, "spec", "port") == port
            if same and name_of(other) != name_of(request.value):
                yield "identical server spec already exists"


def _server(value: JsonObject) -> Iterator[str]:
    spec = table(value, "spec")
    if ("podSelector" in spec) == ("externalWorkloadSelector" in spec):
        yield "invalid server: exactly one of podSelector and externalWorkloadSelector must be given"
    port = spec.get("port")
    if not (isinstance(port, str) and port) and not 0 < whole(spec, "port") < 65536:
        yield f"invalid port: {port!r}"
    if text(spec, "proxyProtocol") not in _PROTOCOLS:
        yield f"invalid proxyProtocol: {text(spec, 'proxyProtocol')!r}"
    if text(spec, "accessPolicy", default="deny") not in DEFAULTS:
        yield f"invalid accessPolicy: {text(spec, 'accessPolicy')!r}"


def _authorization_policy(value: JsonObject) -> Iterator[str]:
    target = text(value, "spec", "targetRef", "kind")
    if target not in _TARGETS:
        yield f"invalid targetRef kind: {target or 'none'}"
    kinds = [text(one, "kind") for one in rows(value, "spec", "requiredAuthenticationRefs")]
    for kind in kinds:
        if kind not in _AUTHENTICATIONS:
            yield f"unsupported authentication kind(s): {kind}"
    if sum(kind != "NetworkAuthentication" for kind in kinds) > 1:
        yield "only a single MeshTLSAuthentication or ServiceAccount may be set"
    if kinds.count("NetworkAuthentication") > 1:
        yield "only a single NetworkAuthentication may be set"


def _mesh_tls(value: JsonObject) -> Iterator[str]:
    if not strings(value, "spec", "identities") and not rows(value, "spec", "identityRefs"):
        yield "at least one of identities and identityRefs must be given"


def _networks(value: JsonObject) -> Iterator[str]:
    declared = rows(value, "spec", "networks")
    if not declared and text(value, "kind") == "NetworkAuthentication":
        yield "at least one network must be given"
    for one in declared:
        for cidr in (text(one, "cidr"), *strings(one, "except")):
            if not _is_network(cidr):
                yield f"invalid network: {cidr!r}"


def _egress(value: JsonObject) -> Iterator[str]:
    if text(value, "spec", "trafficPolicy") not in ("Allow", "Deny"):
        yield f"invalid trafficPolicy: {text(value, 'spec', 'trafficPolicy')!r}"
    yield from _networks(value)


def _rate_limit(value: JsonObject) -> Iterator[str]:
    spec = table(value, "spec")
    if text(spec, "targetRef", "kind") != SERVERS.kind:
        yield f"invalid targetRef kind: {text(spec, 'targetRef', 'kind') or 'none'}"
    limits = [one for one in (spec.get("total"), spec.get("identity"), *rows(spec, "overrides")) if one is not None]
    if not limits:
        yield "at least one of total, identity and overrides must be given"
    if any(whole(one, "requestsPerSecond") < 1 for one in limits):
        yield "requestsPerSecond must be greater than zero"


def _route(value: JsonObject) -> Iterator[str]:
    for rule in rows(value, "spec", "rules"):
        for match in rows(rule, "matches"):
            path = text(match, "path", "value", default="/")
            if text(match, "path", "type", default="PathPrefix") != "RegularExpression" and not path.startswith("/"):
                yield f"HttpPathMatch paths must be absolute (begin with `/`); {path!r} is not"


def _profile(value: JsonObject) -> Iterator[str]:
    for route in rows(value, "spec", "routes"):
        if not text(route, "name"):
            yield "ServiceProfile has a route with no name"
        if not table(route, "condition"):
            yield f"ServiceProfile has a route {text(route, 'name')!r} with no condition"


_CHECKS: dict[str, Callable[[JsonObject], Iterator[str]]] = {
    "Server": _server,
    "AuthorizationPolicy": _authorization_policy,
    "MeshTLSAuthentication": _mesh_tls,
    "NetworkAuthentication": _networks,
    "EgressNetwork": _egress,
    "HTTPLocalRateLimitPolicy": _rate_limit,
    "HTTPRoute": _route,
    "ServiceProfile": _profile,
}


def validated(served: list[Resource]) -> list[Resource]:
    """Which of the served resources the webhooks are asked about."""
    return [one for one in served if one.kind in _CHECKS and ("linkerd" in one.group or "gateway" in one.group)]


def _is_network(cidr: str) -> bool:
    try:
        ip_network(cidr, strict=False)
    except ValueError:
        return False
    return True

"""What routes change on the way: headers of requests and responses, redirects, paths."""

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import V1, calling, front, until
from services.conformance.core.known_causes.outbound import ladder
from services.conformance.core.objects import backend, http_route, parent, path_match, rule
from services.conformance.core.orders import Call, Headers, Reply
from services.conformance.core.outbound import routed
from services.conformance.core.probe import Probe, check
from services.conformance.core.proofs import (
    all_ok,
    header_present,
    seen_by_server,
    server_saw,
    server_saw_none,
    status_is,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Calls, Pages, Step
from services.conformance.core.targets import CLIENT, header_map
from steward.conformance.results import AssertionResult, Tier
from steward.jsonvalue import Json, JsonObject

REQUEST = "p-request-headers"
RESPONSE = "p-response-headers"
REDIRECT = "p-redirect"
REWRITE = "p-rewrite"
SET, ADDED, REMOVED = "x-probe-set", "x-probe-added", "x-probe-removed"
LOCATION = "https://elsewhere.invalid:8443/moved"


def changes(kind: str, **named: Json) -> JsonObject:
    """A filter: `changes("RequestHeaderModifier", set=[…], remove=[…])`."""
    return {"type": kind, kind[0].lower() + kind[1:]: dict(named)}


def _header(name: str, value: str) -> JsonObject:
    return {"name": name, "value": value}


def _route(stage: Stage, name: str, *rules: JsonObject) -> tuple[JsonObject, ...]:
    return front(stage, name, V1), http_route(stage, name, parent("Service", name, Port.HTTP), *rules)


def _ask(stage: Stage, name: str, path: str = "/", headers: Headers = (), times: int = 10) -> Call:
    return calling(stage, name, path, times=times).model_copy(update={"headers": headers})


def _request_objects(stage: Stage) -> tuple[JsonObject, ...]:
    changed = changes(
        "RequestHeaderModifier", set=[_header(SET, "set")], add=[_header(ADDED, "added")], remove=[REMOVED]
    )
    return _route(stage, REQUEST, rule(backend(REQUEST, Port.HTTP), filters=[changed]))


def _request(stage: Stage) -> tuple[Step, ...]:
    sent = ((SET, "client"), (ADDED, "client"), (REMOVED, "client"), ("x-probe-kept", "client"))
    return (
        until(
            stage,
            "effect",
            _ask(stage, REQUEST, times=1),
            lambda reply: seen_by_server(reply, SET) == "set",
            "the header",
        ),
        Pages("before", CLIENT),
        Calls("changed", CLIENT, _ask(stage, REQUEST, headers=sent)),
        Pages("after", CLIENT),
    )


def _request_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("changed")
    added = {value for reply in replies for value in _all_seen(reply, ADDED)}
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        all_ok("every request is answered", replies),
        server_saw("a header is set", replies, SET, "set"),
        check("one is added to what the client sent", expected=["added", "client"], observed=sorted(added)),
        server_saw_none("one is removed", replies, REMOVED),
        server_saw("others stay", replies, "x-probe-kept", "client"),
    )


def _all_seen(reply: Reply, header: str) -> tuple[str, ...]:
    """Every value of a header that the server saw; several may stand in one line."""
    if reply.echo is None:
        return ()
    lines = [value for name, value in reply.echo.headers if name.lower() == header]
    return tuple(part.strip() for line in lines for part in line.split(","))


def _response_objects(stage: Stage) -> tuple[JsonObject, ...]:
    changed = changes("ResponseHeaderModifier", set=[_header(SET, "set")], remove=["retry-after"])
    return _route(stage, RESPONSE, rule(backend(RESPONSE, Port.HTTP), filters=[changed]))


def _response(stage: Stage) -> tuple[Step, ...]:
    return (
        until(
            stage,
            "effect",
            _ask(stage, RESPONSE, times=1),
            lambda reply: header_map(reply.headers).get(SET) == "set",
            "the header",
        ),
        Pages("before", CLIENT),
        Calls("changed", CLIENT, _ask(stage, RESPONSE, "/?retry-after=7")),
        Pages("after", CLIENT),
    )


def _response_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("changed")
    left = [reply for reply in replies if "retry-after" in header_map(reply.headers)]
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        all_ok("every request is answered", replies),
        header_present("a header is set", replies, SET, containing="set"),
        check("one that the server sent is removed", expected=0, observed=len(left)),
    )


def _redirect_objects(stage: Stage) -> tuple[JsonObject, ...]:
    elsewhere = changes("RequestRedirect", scheme="https", hostname="elsewhere.invalid", port=8443, statusCode=301)
    moved = rule(matches=(path_match("/moved"),), filters=[elsewhere])
    return _route(stage, REDIRECT, moved, rule(backend(REDIRECT, Port.HTTP)))


def _redirect(stage: Stage) -> tuple[Step, ...]:
    call = _ask(stage, REDIRECT, "/moved", times=1)
    return (
        until(stage, "effect", call, lambda reply: reply.status == 301, "301"),
        Pages("before", CLIENT),
        Calls("moved", CLIENT, _ask(stage, REDIRECT, "/moved")),
        Calls("stayed", CLIENT, _ask(stage, REDIRECT, "/stayed")),
        Pages("after", CLIENT),
    )


def _redirect_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("moved")
    locations = {header_map(reply.headers).get("location", "") for reply in replies}
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        status_is("what is moved is redirected", replies, 301),
        check("to scheme, host and port of the filter", expected={LOCATION}, observed=locations),
        header_present("by the proxy, which says so", replies, "l5d-proxy-error", containing="redirected"),
        all_ok("other paths are answered", evidence.replies("stayed")),
    )


def _rewrite_objects(stage: Stage) -> tuple[JsonObject, ...]:
    full: JsonObject = {"type": "ReplaceFullPath", "replaceFullPath": "/there"}
    rewritten: JsonObject = {"type": "URLRewrite", "urlRewrite": {"path": full}}
    return _route(stage, REWRITE, rule(backend(REWRITE, Port.HTTP), filters=[rewritten]))


def _path_seen(reply: Reply) -> str:
    return reply.echo.path if reply.echo is not None else ""


def _rewrite(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", _ask(stage, REWRITE, "/here", times=1), lambda r: _path_seen(r) == "/there", "/there"),
        Pages("before", CLIENT),
        Calls("rewritten", CLIENT, _ask(stage, REWRITE, "/here")),
        Pages("after", CLIENT),
    )


def _rewrite_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    seen = {_path_seen(reply) for reply in evidence.replies("rewritten")}
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        check("the server sees the path of the filter", expected={"/there"}, observed=seen),
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="route.request-headers",
        claim="A route sets, adds and removes headers of requests.",
        tier=Tier.TRAFFIC,
        objects=_request_objects,
        steps=_request,
        proof=_request_holds,
        diagnosis=Scene(service=REQUEST).steps,
        causes=ladder("the route", REQUEST, lambda stage: (routed(stage, REQUEST, REQUEST),), route=REQUEST),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
    Probe(
        id="route.response-headers",
        claim="A route sets and removes headers of responses.",
        tier=Tier.DEPTH,
        objects=_response_objects,
        steps=_response,
        proof=_response_holds,
        diagnosis=Scene(service=RESPONSE).steps,
        causes=ladder("the route", RESPONSE, lambda stage: (routed(stage, RESPONSE, RESPONSE),), route=RESPONSE),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
    Probe(
        id="route.redirect",
        claim="A route redirects, with the scheme, host, port and status that it names.",
        tier=Tier.TRAFFIC,
        objects=_redirect_objects,
        steps=_redirect,
        proof=_redirect_holds,
        diagnosis=Scene(service=REDIRECT).steps,
        causes=ladder("the route", REDIRECT, lambda stage: (routed(stage, REDIRECT, REDIRECT),), route=REDIRECT),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
    Probe(
        id="route.rewrite",
        claim="A route rewrites paths (which Linkerd does not support as of 2.20).",
        tier=Tier.DEPTH,
        objects=_rewrite_objects,
        steps=_rewrite,
        proof=_rewrite_holds,
        diagnosis=Scene(service=REWRITE).steps,
        causes=ladder("the route", REWRITE, lambda stage: (routed(stage, REWRITE, REWRITE),), route=REWRITE),
        needs=(Need.GATEWAY_HTTP_ROUTE, Need.URL_REWRITE),
    ),
)

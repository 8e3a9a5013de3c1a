"""ServiceProfiles: their routes and counters, retries and timeouts, and that they win over routes.

A proxy goes by a profile from the moment at which it builds a target anew, which an idle target is after some seconds.
Whoever waits for a profile therefore has to call seldom, or it waits for ever.
"""

from dataclasses import replace
from datetime import timedelta

from services.conformance.core.controls import FAILURES_SEEN
from services.conformance.core.diagnosis import PROFILE as WHY_PROFILE
from services.conformance.core.diagnosis import PROFILES as WHY_PROFILES
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.fronts import V1, V2, by, calling, failing_until, front, until
from services.conformance.core.known_causes import COMMON
from services.conformance.core.known_causes.outbound import done_in_vain, mentions, not_done
from services.conformance.core.known_causes.reading import cautious, objects_of
from services.conformance.core.objects import backend, http_route, name_of, parent, rule, service_profile
from services.conformance.core.orders import Reply
from services.conformance.core.outbound import around, profiled, routed
from services.conformance.core.probe import Cause, Probe
from services.conformance.core.proofs import (
    Maker,
    Series,
    all_are,
    all_ok,
    counter_grew_by,
    counter_stood_still,
    header_present,
    made_by,
    seen_by_server,
    status_is,
    together,
    took,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Applied, Calls, Pages, Step, Until, Wait
from services.conformance.core.targets import CLIENT
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import Json, JsonObject

CANONICAL = "l5d-dst-canonical"
ROUTES, RETRIES, TIMEOUTS, PRECEDENCE, NONE = "p-sp-routes", "p-sp-retries", "p-sp-timeout", "p-sp-wins", "p-sp-none"
BUDGET: JsonObject = {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"}
LIMIT = timedelta(milliseconds=300)
CALLS = 5
BOUND = timedelta(seconds=90)


def _profile_route(name: str, path: str, **more: Json) -> JsonObject:
    made: JsonObject = {"name": name, "condition": {"method": "GET", "pathRegex": path}}
    return made | dict(more)


def _profiled(reply: Reply) -> bool:
    return seen_by_server(reply, CANONICAL) is not None


def _in_force(stage: Stage, name: str) -> Until:
    """Wait until the proxy has built the target with its profile: one call for each time that it was idle."""
    seldom = stage.timings.discovery_idle * 1.5
    asked = until(stage, "effect", calling(stage, name, timeout=5), _profiled, f"the header {CANONICAL}", consecutive=1)
    return replace(asked, every=seldom, bound=max(asked.bound, seldom * 3))


def _shown(stage: Stage, evidence: Evidence) -> AssertionResult:
    bound = max(stage.timings.propagation, stage.timings.discovery_idle * 4.5)
    return within("the profile is in force", evidence.effect("effect"), bound)


def _routes_objects(stage: Stage) -> tuple[JsonObject, ...]:
    teapots: list[Json] = [{"condition": {"status": {"min": 418, "max": 418}}, "isFailure": True}]
    profile = service_profile(
        stage,
        ROUTES,
        _profile_route("GET one", "/one"),
        _profile_route("GET teapot", "/teapot", responseClasses=teapots),
    )
    return front(stage, ROUTES), profile


def _routes(stage: Stage) -> tuple[Step, ...]:
    return (
        _in_force(stage, ROUTES),
        Pages("before", CLIENT),
        Calls("one", CLIENT, calling(stage, ROUTES, "/one", times=CALLS)),
        Calls("teapot", CLIENT, calling(stage, ROUTES, Wishes(status=418).on("/teapot"), times=CALLS)),
        Calls("neither", CLIENT, calling(stage, ROUTES, "/neither", times=CALLS)),
        Pages("after", CLIENT),
    )


def _routes_hold(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    one = profiled(stage, ROUTES, "route_request_total", route="GET one")
    actual = profiled(stage, ROUTES, "route_actual_request_total", route="GET one")
    failed = profiled(stage, ROUTES, "route_response_total", route="GET teapot", classification="failure")
    every = profiled(stage, ROUTES, "route_request_total")
    return together(
        lambda: (
            _shown(stage, evidence),
            all_ok("requests of a route are answered", evidence.replies("one")),
            status_is("and those with an answer that counts as failed", evidence.replies("teapot"), 418),
        ),
        lambda: (
            counter_grew_by("the route counts its requests", around(evidence), one, CALLS),
            counter_grew_by("and its attempts", around(evidence), actual, CALLS),
            counter_grew_by("a response class makes a 418 a failure", around(evidence), failed, CALLS),
            counter_grew_by("what no route matches is counted too", around(evidence), every, 3 * CALLS),
        ),
    )


def _retries_objects(stage: Stage) -> tuple[JsonObject, ...]:
    routes = (_profile_route("GET again", "/again", isRetryable=True), _profile_route("GET once", "/once"))
    return front(stage, RETRIES, V2), service_profile(stage, RETRIES, *routes, retryBudget=BUDGET)


def _retries(stage: Stage) -> tuple[Step, ...]:
    return (
        _in_force(stage, RETRIES),
        Pages("before", CLIENT),
        Calls("again", CLIENT, calling(stage, RETRIES, failing_until(1, "/again"), times=CALLS)),
        Calls("once", CLIENT, calling(stage, RETRIES, failing_until(1, "/once"), times=CALLS)),
        Pages("after", CLIENT),
    )


def _retries_hold(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    again = evidence.replies("again")

    def attempts(route: str) -> Series:
        return profiled(stage, RETRIES, "route_actual_request_total", route=route)

    return together(
        lambda: (
            _shown(stage, evidence),
            all_ok("a retryable route hides one failure", again),
            all_are("the server saw two attempts", again, "attempt 2", lambda reply: _attempt(reply) == 2),
            status_is("another route does not", evidence.replies("once"), 503),
        ),
        lambda: (
            counter_grew_by("attempts are counted", around(evidence), attempts("GET again"), 2 * CALLS),
            counter_grew_by("and none that was not made", around(evidence), attempts("GET once"), CALLS),
        ),
    )


def _attempt(reply: Reply) -> int:
    return reply.echo.attempt if reply.echo is not None else 0


def _timeout_objects(stage: Stage) -> tuple[JsonObject, ...]:
    slow = _profile_route("GET slow", "/slow", timeout=f"{LIMIT.total_seconds() * 1000:.0f}ms")
    return front(stage, TIMEOUTS), service_profile(stage, TIMEOUTS, slow)


def _timeout(stage: Stage) -> tuple[Step, ...]:
    slow = Wishes(delay=LIMIT * 4)
    return (
        _in_force(stage, TIMEOUTS),
        Pages("before", CLIENT),
        Calls("slow", CLIENT, calling(stage, TIMEOUTS, slow.on("/slow"), times=2)),
        Calls("patient", CLIENT, calling(stage, TIMEOUTS, slow.on("/patient"))),
        Pages("after", CLIENT),
    )


def _timeout_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    slow = evidence.replies("slow")
    return (
        _shown(stage, evidence),
        status_is("a slow answer is given up", slow, 504),
        made_by("by the proxy of the client", slow, Maker.CLIENT_PROXY),
        header_present("which says why", slow, "l5d-proxy-error", containing="timeout"),
        took("at the limit", slow, LIMIT * 0.9, LIMIT + stage.timings.slack),
        all_ok("a route without a timeout waits", evidence.replies("patient")),
    )


def _precedence_objects(stage: Stage) -> tuple[JsonObject, ...]:
    route = http_route(stage, PRECEDENCE, parent("Service", PRECEDENCE, Port.HTTP), rule(backend("v2", Port.HTTP)))
    return front(stage, PRECEDENCE, V1), route


def _precedence(stage: Stage) -> tuple[Step, ...]:
    profile = service_profile(stage, PRECEDENCE, _profile_route("GET any", "/.*"))
    idle = stage.timings.discovery_idle * 1.6
    return (
        until(stage, "route", calling(stage, PRECEDENCE), by(stage, "v2"), "answers of v2"),
        Applied("profile", (profile,)),
        Wait("idle", idle, "a proxy goes by a profile only when it builds an idle target anew"),
        _in_force(stage, PRECEDENCE),
        Pages("before", CLIENT),
        Calls("both", CLIENT, calling(stage, PRECEDENCE, times=40)),
        Pages("after", CLIENT),
    )


def _precedence_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("both")
    return together(
        lambda: (
            within("the route is in force at first", evidence.effect("route"), stage.timings.propagation),
            _shown(stage, evidence),
            all_ok("every request is answered", replies),
            all_are("by the Service's own pods, not the backend's", replies, "200 from v1", by(stage, "v1")),
        ),
        lambda: (
            counter_grew_by(
                "counted for the profile",
                around(evidence),
                profiled(stage, PRECEDENCE, "route_request_total"),
                40,
            ),
            counter_stood_still("and not for the route", around(evidence), routed(stage, PRECEDENCE, PRECEDENCE)),
        ),
    )


def _no_object(name: str) -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        if WHY_PROFILES not in evidence:
            return None
        found = sorted(name_of(each) for each in objects_of(evidence, WHY_PROFILES))
        return None if stage.service(name) in found else f"ServiceProfiles here: {', '.join(found) or 'none'}"

    return Cause(
        code="SP_NAME",
        rung=Rung.OBJECT,
        seen=cautious(seen),
        message="There is no ServiceProfile with the full name of the Service.",
        expected="a ServiceProfile named <service>.<namespace>.svc.<cluster domain>",
        disproof="kubectl lists it in the namespace of the Service.",
        remedy="Name the ServiceProfile by the Service's full name, with the cluster's own domain.",
        command="kubectl get serviceprofiles -n <namespace>",
    )


def _not_told(name: str) -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        answer = evidence.told(WHY_PROFILE)
        if isinstance(answer, NotTold) or not answer.answers:
            return None
        silent = sorted(replica for replica, each in answer.answers.items() if not mentions(each, "routes"))
        return f"the profile of {stage.service(name)} has no routes, says {', '.join(silent)}" if silent else None

    return Cause(
        code="CP_STALE",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message="Destination does not tell the proxies of the ServiceProfile.",
        expected="the profile of the Service has the routes of the ServiceProfile",
        disproof="`linkerd diagnostics profile` of the Service shows them.",
        remedy="Restart linkerd-destination; look at its log and at the API server's throttling.",
        command="linkerd diagnostics profile <service>.<namespace>.svc.cluster.local:<port>",
    )


def _causes(name: str) -> tuple[Cause, ...]:
    def counters(stage: Stage) -> tuple[Series, ...]:
        return (profiled(stage, name, "route_request_total"),)

    what = "the ServiceProfile"
    return (_no_object(name), *COMMON, _not_told(name), not_done(what, "", counters), done_in_vain(what, counters))


PROBES: tuple[Probe, ...] = (
    Probe(
        id="sp.routes",
        claim="A ServiceProfile counts by its routes, and its response classes say what is a failure.",
        tier=Tier.DEPTH,
        objects=_routes_objects,
        steps=_routes,
        proof=_routes_hold,
        control=FAILURES_SEEN,
        diagnosis=Scene(service=ROUTES).steps,
        causes=_causes(ROUTES),
        needs=(Need.SERVICE_PROFILE,),
        bound=BOUND,
    ),
    Probe(
        id="sp.retry-budget",
        claim="A ServiceProfile retries the requests of its retryable routes, and no others.",
        tier=Tier.DEPTH,
        objects=_retries_objects,
        steps=_retries,
        proof=_retries_hold,
        diagnosis=Scene(service=RETRIES).steps,
        causes=_causes(RETRIES),
        needs=(Need.SERVICE_PROFILE,),
        bound=BOUND,
    ),
    Probe(
        id="sp.timeout",
        claim="A ServiceProfile gives up a request when the time of its route is over.",
        tier=Tier.DEPTH,
        objects=_timeout_objects,
        steps=_timeout,
        proof=_timeout_holds,
        diagnosis=Scene(service=TIMEOUTS).steps,
        causes=_causes(TIMEOUTS),
        needs=(Need.SERVICE_PROFILE,),
        bound=BOUND,
    ),
    Probe(
        id="sp.precedence",
        claim="A ServiceProfile wins over the HTTPRoute of the same Service, once an idle target is built anew.",
        tier=Tier.DEPTH,
        objects=_precedence_objects,
        steps=_precedence,
        proof=_precedence_holds,
        diagnosis=Scene(service=PRECEDENCE).steps,
        causes=_causes(PRECEDENCE),
        needs=(Need.SERVICE_PROFILE, Need.GATEWAY_HTTP_ROUTE),
        bound=BOUND,
    ),
)

"""Timeouts, by annotation and by route: the client's proxy gives up at the limit and says why."""

from datetime import timedelta

from services.conformance.core.controls import SLOWNESS_SEEN
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import V2, calling, front, until
from services.conformance.core.known_causes.outbound import ladder
from services.conformance.core.objects import backend, http_route, parent, rule
from services.conformance.core.orders import Call, Reply
from services.conformance.core.outbound import around
from services.conformance.core.probe import Control, Probe, check
from services.conformance.core.proofs import (
    Maker,
    Series,
    all_are,
    all_ok,
    all_ok_within,
    growth,
    header_present,
    made_by,
    status_is,
    together,
    took,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Calls, Pages, Step
from services.conformance.core.targets import CLIENT
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.jsonvalue import JsonObject

LIMIT = timedelta(milliseconds=250)
SLOW = Wishes(delay=LIMIT * 6)
WRITTEN = f"{LIMIT.total_seconds() * 1000:.0f}ms"
CALLS = 5
ROUTE, IDLE, NONE = "p-timeout-route", "p-timeout-idle", "p-timeout-none"


def _by_error(stage: Stage, service: str, error: str) -> Series:
    """Attempts that the client's proxy gave up."""
    return Series(
        "outbound_http_route_backend_response_statuses_total",
        {"parent_name": service, "parent_namespace": stage.meshed, "error": error},
    )


def _late(reply: Reply) -> bool:
    return reply.status == 504


def _steps(stage: Stage, name: str) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, name, SLOW.on()), _late, "504"),
        Pages("before", CLIENT),
        Calls("slow", CLIENT, calling(stage, name, SLOW.on(), times=CALLS)),
        Calls("quick", CLIENT, calling(stage, name, times=CALLS)),
        Pages("after", CLIENT),
    )


def _holds(stage: Stage, evidence: Evidence, name: str, said: str, *errors: str) -> tuple[AssertionResult, ...]:
    slow = evidence.replies("slow")

    def counted() -> tuple[AssertionResult, ...]:
        seen = sum(growth(around(evidence), _by_error(stage, name, error)) for error in errors)
        return (check(f"and counts it as {' or '.join(errors)}", expected=len(slow), observed=round(seen)),)

    def answers() -> tuple[AssertionResult, ...]:
        return _given_up(stage, evidence, said)

    return together(answers, counted)


def _given_up(stage: Stage, evidence: Evidence, said: str) -> tuple[AssertionResult, ...]:
    slow = evidence.replies("slow")
    return (
        within("the limit shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        status_is("a slow answer is given up", slow, 504),
        made_by("by the proxy of the client", slow, Maker.CLIENT_PROXY),
        header_present("which says why", slow, "l5d-proxy-error", containing=said),
        took("at the limit", slow, LIMIT * 0.9, LIMIT + stage.timings.slack * 2),
        all_ok_within("a quick answer arrives", evidence.replies("quick"), LIMIT),
    )


def _annotated(which: str, said: str, errors: tuple[str, ...], tier: Tier, control: Control | None = None) -> Probe:
    name = f"p-timeout-{which}"

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        return (front(stage, name, V2, annotations={f"timeout.linkerd.io/{which}": WRITTEN}),)

    return Probe(
        id=f"timeout.{which}",
        claim=f"A Service with a {which} timeout has slow answers given up at that limit.",
        tier=tier,
        objects=objects,
        steps=lambda stage: _steps(stage, name),
        proof=lambda stage, evidence: _holds(stage, evidence, name, said, *errors),
        control=control,
        diagnosis=Scene(service=name).steps,
        causes=ladder(f"the {which} timeout", which, lambda stage: tuple(_by_error(stage, name, e) for e in errors)),
        since="2.16",
    )


def _route_objects(stage: Stage) -> tuple[JsonObject, ...]:
    limits: JsonObject = {"request": WRITTEN}
    limited = rule(backend(ROUTE, Port.HTTP), timeouts=limits)
    return front(stage, ROUTE, V2), http_route(stage, ROUTE, parent("Service", ROUTE, Port.HTTP), limited)


def _stream(stage: Stage, every: timedelta) -> Call:
    return calling(stage, IDLE, Wishes(stream=4, every=every).on())


def _cut(reply: Reply) -> bool:
    """The answer began and did not come to its end."""
    return reply.trouble is not None


def _idle(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", _stream(stage, LIMIT * 3), _cut, "an answer that breaks off", consecutive=1),
        Pages("before", CLIENT),
        Calls("silent", CLIENT, _stream(stage, LIMIT * 3)),
        Calls("steady", CLIENT, _stream(stage, LIMIT / 4)),
        Calls("late", CLIENT, calling(stage, IDLE, SLOW.on())),
        Pages("after", CLIENT),
    )


def _idle_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    silent = evidence.replies("silent")
    return (
        within("the limit shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        all_are("an answer that falls silent is cut", silent, "cut", _cut),
        took("before its next piece", silent, LIMIT * 0.9, LIMIT * 3),
        all_ok_within("one that goes on is not", evidence.replies("steady"), LIMIT),
        all_ok("nor one that is slow to begin", evidence.replies("late")),
    )


PROBES: tuple[Probe, ...] = (
    _annotated("request", "request timeout", ("REQUEST_TIMEOUT",), Tier.TRAFFIC, SLOWNESS_SEEN),
    _annotated("response", "timeout", ("RESPONSE_STREAM_TIMEOUT", "RESPONSE_HEADERS_TIMEOUT"), Tier.DEPTH),
    Probe(
        id="timeout.route",
        claim="A rule of an HTTPRoute with a timeout has slow answers given up at that limit.",
        tier=Tier.DEPTH,
        objects=_route_objects,
        steps=lambda stage: _steps(stage, ROUTE),
        proof=lambda stage, evidence: _holds(stage, evidence, ROUTE, "request timeout", "REQUEST_TIMEOUT"),
        diagnosis=Scene(service=ROUTE).steps,
        causes=ladder(
            "the timeout", "request", lambda stage: (_by_error(stage, ROUTE, "REQUEST_TIMEOUT"),), route=ROUTE
        ),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
    Probe(
        id="timeout.idle",
        claim="A Service with an idle timeout has answers cut that fall silent, and no others.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, IDLE, V2, annotations={"timeout.linkerd.io/idle": WRITTEN}),),
        steps=_idle,
        proof=_idle_holds,
        diagnosis=Scene(service=IDLE).steps,
        causes=ladder("the idle timeout", "idle", lambda stage: (_by_error(stage, IDLE, "IDLE_TIMEOUT"),)),
        since="2.16",
    ),
)

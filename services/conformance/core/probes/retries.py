"""Retries by annotation: that they are made, that they end, and that clients cannot ask for them by themselves."""

from datetime import timedelta

from services.conformance.core.controls import FAILURES_SEEN
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.fronts import V2, calling, failing_until, front, known, until
from services.conformance.core.known_causes import COMMON, DATAPATH
from services.conformance.core.known_causes.outbound import ladder, mentions
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.objects import annotated, backend, grpc_route, parent, rule, service_port
from services.conformance.core.orders import EACH_CALL, Call, Headers, Protocol, Reply
from services.conformance.core.outbound import around, retries
from services.conformance.core.probe import Cause, Probe
from services.conformance.core.proofs import (
    all_are,
    all_ok,
    counter_grew_by,
    good,
    grpc_is,
    status_is,
    together,
    took,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Calls, OutboundPolicy, Pages, Step
from services.conformance.core.targets import CLIENT, at_service, number
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject

HTTP, LIMIT, GRPC, SLOW, HEADERS, NONE = (
    "p-retry",
    "p-retry-limit",
    "p-retry-grpc",
    "p-retry-timeout",
    "p-retry-headers",
    "p-retry-none",
)
ALLOWED = "allowL5dRequestHeaders"
CALLS = 10
PATIENCE = timedelta(milliseconds=400)
DELAY = timedelta(seconds=1)
ON_5XX = {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "1"}


def attempt(reply: Reply) -> int:
    """Which of the attempts that its server saw was answered."""
    return reply.echo.attempt if reply.echo is not None else 0


def _second(reply: Reply) -> bool:
    return good(reply) and attempt(reply) == 2


def _http(stage: Stage) -> tuple[Step, ...]:
    once = calling(stage, HTTP, failing_until(1))
    posted = once.model_copy(update={"method": "POST", "body_bytes": 512, "times": 3})
    return (
        until(stage, "effect", once, _second, "the second attempt's answer"),
        Pages("before", CLIENT),
        Calls("retried", CLIENT, once.model_copy(update={"times": CALLS})),
        Calls("posted", CLIENT, posted),
        Pages("after", CLIENT),
    )


def _http_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("retried") + evidence.replies("posted")
    made = len(replies)
    return together(
        lambda: (
            within("the annotation shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_ok("no client sees the failure, not even with a body", replies),
            all_are("the server saw two attempts of each", replies, "attempt 2", lambda reply: attempt(reply) == 2),
        ),
        lambda: (
            counter_grew_by(
                "the proxy counts the retries",
                around(evidence),
                retries(stage, HTTP, "requests"),
                made,
            ),
            counter_grew_by("and their successes", around(evidence), retries(stage, HTTP, "successes"), made),
        ),
    )


def _limit(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, LIMIT, failing_until(1)), _second, "the second attempt's answer"),
        Pages("before", CLIENT),
        Calls("exhausted", CLIENT, calling(stage, LIMIT, failing_until(5), times=CALLS)),
        Pages("after", CLIENT),
    )


def _limit_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("exhausted")
    return together(
        lambda: (
            within("the annotation shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            status_is("what goes on failing fails", replies, 503),
            all_are("after two attempts", replies, "attempt 2", lambda reply: attempt(reply) == 2),
        ),
        lambda: (
            counter_grew_by(
                "the limit is counted",
                around(evidence),
                retries(stage, LIMIT, "limit_exceeded"),
                len(replies),
            ),
        ),
    )


def _grpc_objects(stage: Stage) -> tuple[JsonObject, ...]:
    route = grpc_route(stage, GRPC, parent("Service", GRPC, Port.GRPC), rule(backend(GRPC, Port.GRPC)))
    limits = {"retry.linkerd.io/grpc": "unavailable", "retry.linkerd.io/limit": "1"}
    port = service_port(Port.GRPC, app_protocol="kubernetes.io/h2c")
    return front(stage, GRPC, V2, port), annotated(route, **limits)


def _grpc_call(stage: Stage, times: int) -> Call:
    target = at_service(stage, GRPC, Port.GRPC)
    return Call(target=target, protocol=Protocol.GRPC, path=failing_until(1), times=times)


def _grpc(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", _grpc_call(stage, 1), _second, "the second attempt's answer"),
        Pages("before", CLIENT),
        Calls("retried", CLIENT, _grpc_call(stage, CALLS)),
        Pages("after", CLIENT),
    )


def _grpc_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("retried")
    successes = retries(stage, GRPC, "successes", protocol="grpc")
    return together(
        lambda: (
            within("the annotation shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            grpc_is("no client sees the failure", replies, 0),
            all_are("the server saw two attempts of each", replies, "attempt 2", lambda reply: attempt(reply) == 2),
        ),
        lambda: (counter_grew_by("the proxy counts the successes", around(evidence), successes, len(replies)),),
    )


def _slow_objects(stage: Stage) -> tuple[JsonObject, ...]:
    limits = {
        "retry.linkerd.io/http": "5xx",
        "retry.linkerd.io/limit": "2",
        "retry.linkerd.io/timeout": f"{PATIENCE.total_seconds() * 1000:.0f}ms",
    }
    return (front(stage, SLOW, V2, annotations=limits),)


def _slow(stage: Stage) -> tuple[Step, ...]:
    slow = Wishes(delay=DELAY, id=EACH_CALL).on()
    return (
        until(stage, "effect", calling(stage, SLOW, failing_until(1)), _second, "the second attempt's answer"),
        Pages("before", CLIENT),
        Calls("slow", CLIENT, calling(stage, SLOW, slow, times=2)),
        Pages("after", CLIENT),
    )


def _slow_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("slow")
    took_at_least = PATIENCE * 2 + DELAY
    return together(
        lambda: (
            within("the annotation shows on traffic", evidence.effect("effect"), stage.timings.propagation),
            all_ok("the last attempt is waited for", replies),
            took("two attempts given up, the third answered", replies, took_at_least * 0.95, took_at_least * 1.5),
        ),
        lambda: (
            counter_grew_by(
                "two retries each are counted",
                around(evidence),
                retries(stage, SLOW, "requests"),
                2 * len(replies),
            ),
        ),
    )


def _ask(stage: Stage, path: str, headers: Headers, times: int = 3) -> Call:
    return calling(stage, HEADERS, path, times=times).model_copy(update={"headers": headers})


def _headers(stage: Stage) -> tuple[Step, ...]:
    slow = Wishes(delay=PATIENCE * 2).on()
    return (
        known(stage, HEADERS),
        OutboundPolicy("policy", stage.meshed, f"{stage.service(HEADERS)}:{number(Port.HTTP)}"),
        Pages("before", CLIENT),
        Calls("retry", CLIENT, _ask(stage, failing_until(1), (("l5d-retry-http", "5xx"), ("l5d-retry-limit", "1")))),
        Calls("timeout", CLIENT, _ask(stage, slow, (("l5d-timeout", "200ms"),))),
        Pages("after", CLIENT),
    )


def _headers_hold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    retried, slow = evidence.replies("retry"), evidence.replies("timeout")
    answer = evidence.told("policy")
    told = () if isinstance(answer, NotTold) else tuple(answer.answers.values())
    if any(mentions(each, ALLOWED) for each in told):
        return (
            all_ok("clients may ask for retries here, and get them", retried),
            status_is("and for timeouts", slow, 504),
        )
    return (
        status_is("clients may not ask for retries here, and get none", retried, 503),
        all_ok("nor for timeouts", slow),
    )


def _heeded(_stage: Stage, evidence: Evidence) -> str | None:
    answer = evidence.told("policy")
    if isinstance(answer, NotTold) or any(mentions(each, ALLOWED) for each in answer.answers.values()):
        return None
    changed = [reply for reply in evidence.replies("retry") if good(reply)]
    changed += [reply for reply in evidence.replies("timeout") if not good(reply)]
    return f"{len(changed)} requests were treated as their headers asked" if changed else None


_HEEDED = Cause(
    code="HEADERS_HEEDED",
    rung=Rung.PROXY,
    seen=cautious(_heeded),
    message="Clients change retries and timeouts by headers, though the control plane does not allow it.",
    expected="l5d-retry-* and l5d-timeout are ignored",
    disproof="The outbound policy has allowL5dRequestHeaders, or the headers change nothing.",
    remedy="Restart the clients; see whether the policy controller runs with --allow-l5d-request-headers.",
    command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
)

PROBES: tuple[Probe, ...] = (
    Probe(
        id="retry.http",
        claim="A Service that asks for retries of 5xx hides a failure from its clients.",
        tier=Tier.TRAFFIC,
        objects=lambda stage: (front(stage, HTTP, V2, annotations=ON_5XX),),
        steps=_http,
        proof=_http_holds,
        control=FAILURES_SEEN,
        diagnosis=Scene(service=HTTP).steps,
        causes=ladder("the retries", "retry", lambda stage: (retries(stage, HTTP, "requests"),)),
        since="2.16",
    ),
    Probe(
        id="retry.limit",
        claim="Retries end at their limit.",
        tier=Tier.TRAFFIC,
        objects=lambda stage: (front(stage, LIMIT, V2, annotations=ON_5XX),),
        steps=_limit,
        proof=_limit_holds,
        diagnosis=Scene(service=LIMIT).steps,
        causes=ladder("the retries", "retry", lambda stage: (retries(stage, LIMIT, "limit_exceeded"),)),
        since="2.16",
    ),
    Probe(
        id="retry.grpc",
        claim="A GRPCRoute that asks for retries of Unavailable hides a failure from its clients.",
        tier=Tier.TRAFFIC,
        objects=_grpc_objects,
        steps=_grpc,
        proof=_grpc_holds,
        diagnosis=Scene(service=GRPC, port=Port.GRPC).steps,
        causes=ladder("the retries", "retry", lambda stage: (retries(stage, GRPC, "requests", protocol="grpc"),)),
        needs=(Need.GATEWAY_GRPC_ROUTE,),
        since="2.16",
    ),
    Probe(
        id="retry.timeout",
        claim="An attempt that takes too long is given up and made again; the last one is waited for.",
        tier=Tier.DEPTH,
        objects=_slow_objects,
        steps=_slow,
        proof=_slow_holds,
        diagnosis=Scene(service=SLOW).steps,
        causes=ladder("the retries", "retry", lambda stage: (retries(stage, SLOW, "requests"),)),
        since="2.16",
    ),
    Probe(
        id="retry.headers",
        claim="Clients ask for retries and timeouts by headers only where the control plane allows it.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, HEADERS, V2),),
        steps=_headers,
        proof=_headers_hold,
        diagnosis=Scene(service=HEADERS).steps,
        causes=(_HEEDED, *COMMON, DATAPATH),
        since="2.16",
    ),
)

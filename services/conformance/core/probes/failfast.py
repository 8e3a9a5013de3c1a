"""Failing fast: what a balancer answers that has no endpoint, and how soon it is well again."""

from dataclasses import replace
from datetime import timedelta

from services.conformance.core.controls import CLOSED_IS_CLOSED
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.fronts import EVERY, NOBODY, calling, front, known, until
from services.conformance.core.known_causes import COMMON, CP_STALE, DATAPATH
from services.conformance.core.known_causes.outbound import done_in_vain
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.orders import Reply, Trouble
from services.conformance.core.outbound import around, failed
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import (
    Maker,
    all_ok,
    counter_grew,
    good,
    made_by,
    status_is,
    tally,
    together,
    told,
    within,
)
from services.conformance.core.slices import bare_service, unmeshed_endpoint
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Destinations, Pages, Step, Unless
from services.conformance.core.targets import CLIENT
from services.conformance.core.told import endpoints_told
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung

UNREACHABLE, SHED, EMPTY = "p-unreachable", "p-shed", "p-zero"
TOLD_OF_NOBODY = "told-of-nobody"


def failing_fast(reply: Reply) -> bool:
    """The answer of a balancer that waited in vain for an endpoint."""
    return reply.status == 504 and "fail-fast" in told(reply)


def failfast_is_timely(stage: Stage, replies: tuple[Reply, ...]) -> AssertionResult:
    """The first refusal took as long as a balancer waits."""
    low, high = stage.timings.failfast * 0.8, stage.timings.failfast * 1.5 + stage.timings.slack
    spent = [reply.seconds for reply in replies if failing_fast(reply)]
    ok = bool(spent) and low.total_seconds() <= spent[0] <= high.total_seconds()
    return check(
        "the first request is given up after the time to fail fast",
        expected=f"504, fail-fast, after {low.total_seconds():g} s to {high.total_seconds():g} s",
        observed=f"{spent[0]:.2f} s" if spent else tally(replies),
        ok=ok,
    )


def _failfast(stage: Stage) -> tuple[Step, ...]:
    patient = calling(stage, UNREACHABLE, timeout=stage.timings.failfast.total_seconds() * 3 + 2)
    return (
        Pages("before", CLIENT),
        until(stage, "first", patient, failing_fast, "504, fail-fast", consecutive=1),
        Calls("next", CLIENT, calling(stage, UNREACHABLE, times=5)),
        Applied("repaired", (unmeshed_endpoint(stage, UNREACHABLE, Port.HTTP),)),
        until(stage, "recovered", calling(stage, UNREACHABLE, timeout=5), good, "an answer"),
        Pages("after", CLIENT),
    )


def _failfast_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    first = evidence.effect("first")
    return together(
        lambda: (
            within("requests without a reachable endpoint are given up", first, stage.timings.propagation),
            failfast_is_timely(stage, first.replies),
            status_is("the next are refused at once", evidence.replies("next"), 503),
            made_by("by the proxy of the client", evidence.replies("next"), Maker.CLIENT_PROXY),
            within("an endpoint that can be reached ends it", evidence.effect("recovered"), stage.timings.propagation),
        ),
        lambda: (
            counter_grew("which counts that it failed fast", around(evidence), failed("failfast")),
            counter_grew("and what it refused", around(evidence), failed("loadshed"), 5),
        ),
    )


def _shed(stage: Stage) -> tuple[Step, ...]:
    patience = stage.timings.failfast.total_seconds() * 3 + 2
    burst = calling(stage, SHED, times=240, timeout=patience).model_copy(update={"concurrency": 240, "keep": False})
    return (
        Pages("before", CLIENT),
        Calls("burst", CLIENT, burst),
        Calls("afterwards", CLIENT, calling(stage, "sm", times=10)),
        Pages("after", CLIENT),
    )


def _shed_holds(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("burst")
    return together(
        lambda: (
            status_is("a burst that nobody can take is refused", replies, 503, 504),
            made_by("by the proxy of the client", replies, Maker.CLIENT_PROXY),
            all_ok("other targets are answered at once", evidence.replies("afterwards")),
        ),
        lambda: (
            counter_grew("which sheds what it cannot hold", around(evidence), failed("loadshed")),
            check("and lives on", expected=_starts(evidence, "before"), observed=_starts(evidence, "after")),
        ),
    )


def _starts(evidence: Evidence, step: str) -> str:
    started = {pod: page.total("process_start_time_seconds") for pod, page in evidence.pages(step).items()}
    return ", ".join(f"{pod} since {at:.0f}" for pod, at in sorted(started.items()))


def _zero(stage: Stage) -> tuple[Step, ...]:
    patient = calling(stage, EMPTY, timeout=stage.timings.failfast.total_seconds() * 3 + 2)
    first = until(stage, "first", patient, failing_fast, "504, fail-fast", consecutive=1)
    return (
        known(stage, EMPTY),
        Pages("before", CLIENT),
        Applied("emptied", (front(stage, EMPTY, NOBODY),)),
        first,
        # When it is explained there are endpoints again. Where it fails fast nothing comes between the calls: a proxy
        # soon forgets a target that nobody calls, and what is forgotten fails fast anew.
        Unless("told", first, (Destinations(TOLD_OF_NOBODY, f"{stage.service(EMPTY)}:{PORTS[Port.HTTP]}"),)),
        Calls("next", CLIENT, calling(stage, EMPTY, times=5)),
        Applied("filled", (front(stage, EMPTY, EVERY),)),
        until(stage, "recovered", calling(stage, EMPTY, timeout=5), good, "an answer"),
        Pages("after", CLIENT),
    )


def _hangs(_stage: Stage, evidence: Evidence) -> str | None:
    first = evidence.effect("first")
    hung = [reply for reply in first.replies if reply.trouble is Trouble.TIMED_OUT]
    return f"{len(hung)} requests got no answer at all" if hung and not first.met else None


_HANGS = Cause(
    code="HANGS",
    rung=Rung.PROXY,
    seen=cautious(_hangs),
    message="The client's proxy holds requests that it can send nowhere, instead of failing fast.",
    expected="504 when the time to fail fast is over",
    disproof="A request by hand is answered 504 with `service in fail-fast` in l5d-proxy-error.",
    remedy="See whether destination is up (a target that is not known yet hangs); then restart the client's pod.",
    command="linkerd diagnostics proxy-metrics po/<client> | grep -e failfast -e queue_gate",
)


def _still_told(_stage: Stage, evidence: Evidence) -> str | None:
    if evidence.effect("first").met:
        return None
    told = endpoints_told(evidence, TOLD_OF_NOBODY)
    if isinstance(told, NotTold):
        return None
    kept = {replica: sorted(each.ip for each in found) for replica, found in told.items() if found}
    return (
        f"without any ready pod: {'; '.join(f'{who} tells {ips}' for who, ips in sorted(kept.items()))}"
        if kept
        else None
    )


_STILL_TOLD = replace(
    CP_STALE, seen=cautious(_still_told), expected="of a Service without ready pods no endpoint is told"
)


def _burst_hangs(_stage: Stage, evidence: Evidence) -> str | None:
    replies = evidence.replies("burst")
    hung = [reply for reply in replies if reply.trouble is Trouble.TIMED_OUT]
    return f"{len(hung)} of {len(replies)} requests got no answer at all" if hung else None


def _stays(_stage: Stage, evidence: Evidence) -> str | None:
    first, recovered = evidence.effect("first"), evidence.effect("recovered")
    return f"still refused: {tally(recovered.replies)}" if first.met and not recovered.met else None


_BURST_HANGS = replace(_HANGS, seen=cautious(_burst_hangs))
_STAYS = Cause(
    code="FAILFAST_STAYS",
    rung=Rung.PROXY,
    seen=cautious(_stays),
    message="The client's proxy goes on failing fast, though there is an endpoint again.",
    expected="requests are answered as soon as an endpoint can be reached",
    disproof="Requests are answered again.",
    remedy="See whether destination tells the endpoint (CP_STALE); if it does, restart the client's pod.",
    command="linkerd diagnostics proxy-metrics po/<client> | grep queue_gate",
)
_COUNTERS = (failed("failfast"), failed("loadshed"))

PROBES: tuple[Probe, ...] = (
    Probe(
        id="failfast.unreachable",
        claim="Requests to endpoints that cannot be reached are given up in time, and answered once they can be.",
        tier=Tier.TRAFFIC,
        objects=lambda stage: (bare_service(stage, UNREACHABLE), unmeshed_endpoint(stage, UNREACHABLE)),
        steps=_failfast,
        proof=_failfast_holds,
        control=CLOSED_IS_CLOSED,
        diagnosis=Scene(service=UNREACHABLE, server="su").steps,
        causes=(_HANGS, _STAYS, *COMMON, done_in_vain("failing fast", lambda _stage: _COUNTERS), DATAPATH),
        bound=timedelta(seconds=90),
    ),
    Probe(
        id="lb.zero-endpoints",
        claim="A Service that loses all its endpoints fails fast, and is answered for when it has some again.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, EMPTY, EVERY),),
        steps=_zero,
        proof=_failfast_holds,
        diagnosis=Scene(service=EMPTY).steps,
        causes=(
            _HANGS,
            _STAYS,
            _STILL_TOLD,
            *COMMON,
            done_in_vain("failing fast", lambda _stage: _COUNTERS),
            DATAPATH,
        ),
        bound=timedelta(seconds=120),
    ),
    Probe(
        id="queue.loadshed",
        claim="A burst that nobody can take is refused by the client's proxy, which lives on and serves other targets.",
        tier=Tier.DISRUPTIVE,
        safety=Safety.DISRUPTIVE,
        alone=True,
        objects=lambda stage: (bare_service(stage, SHED), unmeshed_endpoint(stage, SHED)),
        steps=_shed,
        proof=_shed_holds,
        diagnosis=Scene(service=SHED, server="su").steps,
        causes=(_BURST_HANGS, *COMMON, done_in_vain("shedding load", lambda _stage: _COUNTERS), DATAPATH),
        bound=timedelta(seconds=90),
    ),
)

"""Circuit breakers and failing fast: who is opened, who is not, what a balancer without endpoints answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from services.conformance.core.controls import FAILURES_SEEN
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.fronts import PACE, calling, evenly, front, known, named, servers
from services.conformance.core.known_causes import COMMON, DATAPATH, SP_SHADOWS
from services.conformance.core.known_causes.breaking import BREAKER_AMPLIFIES
from services.conformance.core.known_causes.outbound import policy_stale, told
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.orders import Call, Reply
from services.conformance.core.outbound import PENDING, READY, endpoints
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.proofs import (
    Maker,
    all_ok,
    from_pods,
    gauge_is,
    good,
    maker,
    none_are,
    share,
    tally,
    together,
    within,
)
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Calls, Pages, Step, Until
from services.conformance.core.targets import CLIENT
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung

CONSECUTIVE, UNIFIED, PARTIAL, BIASED = "p-breaker", "p-breaker-rate", "p-breaker-partial", "p-biaser"
UNBIASED = "p-biaser-none"
FAILURES = 3
MARK = "failureAccrual"
BIAS_MARK = "penaltyPeakEwma"
FEW = 0.15
BOUND = timedelta(seconds=90)
_SLOWER = timedelta(milliseconds=100)
_SURELY_PENDING = 0.6
"""Penalties are made up to a fifth shorter by chance, and the page takes its time as well."""
BREAKER = "balancer.linkerd.io/failure-accrual"
ALPHA = "balancer.alpha.linkerd.io"


def _penalty(stage: Stage) -> timedelta:
    return stage.timings.accrual_penalty * 6


def _breaker(stage: Stage, kind: str, failures: int) -> dict[str, str]:
    least = _penalty(stage).total_seconds()
    return {
        BREAKER: kind,
        f"{BREAKER}-consecutive-max-failures": str(failures),
        f"{BREAKER}-consecutive-min-penalty": f"{least * 1000:.0f}ms",
        f"{BREAKER}-consecutive-max-penalty": f"{least * 10_000:.0f}ms",
    }


def _rate_breaker(stage: Stage) -> dict[str, str]:
    return _breaker(stage, "unified", 50) | {
        f"{ALPHA}/failure-accrual-success-rate-threshold": "0.8",
        f"{ALPHA}/failure-accrual-success-rate-window": "10s",
        f"{ALPHA}/failure-accrual-success-rate-min-requests": "5",
    }


def _victim(stage: Stage) -> str:
    """The one pod that fails while the others do well."""
    found = servers(stage)
    return found[0].pod if found else "no-pod-yet"


def _load(stage: Stage, name: str, status: int, times: int = 90) -> Call:
    """Requests that one pod alone answers badly."""
    return evenly(calling(stage, name, times=times), Wishes(status=status, only=_victim(stage)))


def _tripping(stage: Stage, name: str, status: int) -> tuple[Step, ...]:
    penalty = _penalty(stage)
    back = from_pods(_victim(stage))
    # A balancer that knew the pod as slow when it failed prefers the others for longer than its penalty.
    others_are_slower = Wishes(only=_victim(stage), others=_SLOWER)
    return (
        known(stage, name),
        Pages("before", CLIENT),
        Calls("failing", CLIENT, _load(stage, name, status)),
        Pages("tripped", CLIENT),
        Until(
            "recovered",
            CLIENT,
            calling(stage, name, others_are_slower.on()),
            lambda reply: good(reply) and back(reply),
            "an answer of the pod that had failed",
            penalty * 8 + stage.timings.slack,
            consecutive=1,
        ),
        Pages("after", CLIENT),
    )


def _trips(stage: Stage, evidence: Evidence, name: str, most: int) -> tuple[AssertionResult, ...]:
    replies, victim = evidence.replies("failing"), named(stage)[0]
    bad = [reply for reply in replies if from_pods(victim)(reply)]
    others = [reply for reply in replies if not from_pods(victim)(reply)]
    bound = _penalty(stage) * 8 + stage.timings.slack
    return together(
        lambda: (
            check(
                "the failing pod is left alone soon",
                expected=f"1 to {most}",
                observed=len(bad),
                ok=1 <= len(bad) <= most,
            ),
            all_ok("the others answer everything else", others),
            within("it is tried again, and comes back", evidence.effect("recovered"), bound),
        ),
        lambda: (_is_pending(stage, evidence, name, bad),),
    )


def _is_pending(stage: Stage, evidence: Evidence, name: str, bad: Sequence[Reply]) -> AssertionResult:
    """The page was read when all requests were over: on a busy node the penalty may be so as well."""
    pages = evidence.pages("tripped")
    begun = [reply.at for reply in bad]
    ended = [reply.at + timedelta(seconds=reply.seconds) for reply in evidence.replies("failing")]
    spent = max(ended) - min(begun) if begun else timedelta()
    if spent > _penalty(stage) * _SURELY_PENDING:
        seconds = spent.total_seconds()
        raise Unseen("tripped", f"requests went on for {seconds:.1f} s, by when the penalty may have been over")
    return gauge_is("its endpoint is pending", pages, endpoints(stage, name, PENDING), 1)


def _partial(stage: Stage) -> tuple[Step, ...]:
    half = Wishes(fail_percent=50, id=f"{stage.run}-{PARTIAL}").on()
    return (
        known(stage, PARTIAL),
        Pages("before", CLIENT),
        Calls("half", CLIENT, calling(stage, PARTIAL, half, times=120)),
        Pages("after", CLIENT),
    )


def _partial_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("half")
    return together(
        lambda: (
            none_are("no request is refused because others failed", replies, "refused by a proxy", _refused),
            share("half of them fail, as they were asked to", replies, 0.5, 0.12, lambda reply: not good(reply)),
        ),
        lambda: (
            gauge_is(
                "every endpoint stays ready",
                evidence.pages("after"),
                endpoints(stage, PARTIAL, READY),
                len(named(stage)),
            ),
        ),
    )


def _refused(reply: Reply) -> bool:
    return not good(reply) and maker(reply) in (Maker.CLIENT_PROXY, Maker.NOBODY)


def _stays_open(_stage: Stage, evidence: Evidence) -> str | None:
    recovered = evidence.effect("recovered")
    return (
        None if recovered.met else f"no answer of the pod within {recovered.seconds:.1f} s: {tally(recovered.replies)}"
    )


_STAYS_OPEN = Cause(
    code="BREAKER_STAYS_OPEN",
    rung=Rung.PROXY,
    seen=cautious(_stays_open),
    message="An endpoint that was opened is not tried again, though it is well.",
    expected="the endpoint is tried again after its penalty, and taken back",
    disproof="The pod answers requests again when its penalty is over.",
    remedy="Restart the client's pod; see that the maximal penalty of the Service is not too long.",
    command="linkerd diagnostics proxy-metrics po/<client> | grep balancer_endpoints",
)


def _causes(name: str) -> tuple[Cause, ...]:
    def untripped(stage: Stage, evidence: Evidence) -> str | None:
        pending = endpoints(stage, name, PENDING)
        totals = [page.total(pending.name, **pending.labels) for page in evidence.pages("tripped").values()]
        return None if any(totals) or told(evidence, MARK) is False else f"{pending} stayed 0"

    not_tripped = Cause(
        code="PROXY_STALE",
        rung=Rung.PROXY,
        seen=cautious(untripped),
        message="The control plane tells of the breaker, and the client's proxy opens no endpoint.",
        expected="the endpoint that fails is pending",
        disproof="outbound_http_balancer_endpoints counts a pending endpoint while the pod fails.",
        remedy="Restart the client's pod; if that does not help, compare its proxy's version with the control plane's.",
        command="linkerd diagnostics proxy-metrics po/<client> | grep balancer_endpoints",
    )
    own = (not_tripped, _STAYS_OPEN)
    return (BREAKER_AMPLIFIES, *own, SP_SHADOWS, *COMMON, policy_stale("the breaker", MARK), DATAPATH)


def _unbiased_cause() -> Cause:
    def seen(stage: Stage, evidence: Evidence) -> str | None:
        if told(evidence, BIAS_MARK) is False:
            return None
        found = _share_of_victim(stage, evidence.replies("biased"))
        return f"the pod that answers 429 gets {found:.1%}" if found >= FEW else None

    return Cause(
        code="PROXY_STALE",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="The control plane tells of the load biaser, and the client's proxy balances without it.",
        expected=f"a pod that answers 429 gets less than {FEW:.0%} of the requests",
        disproof="Its share is small.",
        remedy="Restart the client's pod; see that its proxy is of Linkerd 2.20 or later.",
        command="linkerd diagnostics policy -n <namespace> svc/<service> <port>",
    )


def _biased(stage: Stage, name: str, step: str) -> tuple[Step, ...]:
    path = Wishes(status=429, retry_after=5, only=_victim(stage), others=PACE).on()
    found = replace(known(stage, name), name=f"known-{step}")
    return (found, Calls(step, CLIENT, calling(stage, name, path, times=90).model_copy(update={"concurrency": 6})))


def _bias(stage: Stage) -> tuple[Step, ...]:
    return (
        *_biased(stage, UNBIASED, "unbiased"),
        Pages("before", CLIENT),
        *_biased(stage, BIASED, "biased"),
        Pages("after", CLIENT),
    )


def _share_of_victim(stage: Stage, replies: tuple[Reply, ...]) -> float:
    of_victim = from_pods(named(stage)[0])
    return sum(1 for reply in replies if of_victim(reply)) / max(len(replies), 1)


def _bias_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("biased")
    seen, usual = _share_of_victim(stage, replies), _share_of_victim(stage, evidence.replies("unbiased"))
    others = [reply for reply in replies if not from_pods(named(stage)[0])(reply)]
    return (
        check("a pod that answers 429 gets little", expected=f"below {FEW:.0%}", observed=f"{seen:.1%}", ok=seen < FEW),
        check("without penalize-failures it gets more", expected="more", observed=f"{usual:.1%}", ok=usual > seen),
        all_ok("the others answer the rest", others),
    )


PROBES: tuple[Probe, ...] = (
    Probe(
        id="cb.consecutive",
        claim="An endpoint that fails several times in a row is left alone, tried again, and taken back.",
        tier=Tier.TRAFFIC,
        objects=lambda stage: (front(stage, CONSECUTIVE, annotations=_breaker(stage, "consecutive", FAILURES)),),
        steps=lambda stage: _tripping(stage, CONSECUTIVE, 500),
        proof=lambda stage, evidence: _trips(stage, evidence, CONSECUTIVE, FAILURES + 8),
        control=FAILURES_SEEN,
        diagnosis=Scene(service=CONSECUTIVE).steps,
        causes=_causes(CONSECUTIVE),
        bound=BOUND,
    ),
    Probe(
        id="cb.unified",
        claim="An endpoint whose share of good answers is too low is left alone, also when it answers 429.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, UNIFIED, annotations=_rate_breaker(stage)),),
        steps=lambda stage: _tripping(stage, UNIFIED, 429),
        proof=lambda stage, evidence: _trips(stage, evidence, UNIFIED, 15),
        diagnosis=Scene(service=UNIFIED).steps,
        causes=_causes(UNIFIED),
        since="2.20",
        bound=BOUND,
    ),
    Probe(
        id="cb.partial-failure",
        claim="A breaker on consecutive failures refuses nothing while every endpoint fails half of its requests.",
        tier=Tier.DEPTH,
        objects=lambda stage: (front(stage, PARTIAL, annotations=_breaker(stage, "consecutive", 7)),),
        steps=_partial,
        proof=_partial_holds,
        diagnosis=Scene(service=PARTIAL).steps,
        causes=(BREAKER_AMPLIFIES, *COMMON),
        bound=BOUND,
    ),
    Probe(
        id="lb.biaser",
        claim="With penalize-failures a pod that refuses quickly does not draw requests to itself.",
        tier=Tier.DEPTH,
        objects=lambda stage: (
            front(stage, BIASED, annotations={f"{ALPHA}/penalize-failures": "true"}),
            front(stage, UNBIASED),
        ),
        steps=_bias,
        proof=_bias_holds,
        diagnosis=Scene(service=BIASED).steps,
        causes=(SP_SHADOWS, *COMMON, policy_stale("the load biaser", BIAS_MARK), _unbiased_cause()),
        since="2.20",
    ),
)

"""Circuit breakers, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Found
from services.conformance.core.outbound import PENDING, READY, endpoints
from services.conformance.core.probes import breakers
from tests.services.conformance.core.outbound_seen import (
    FAILURES_SEEN,
    NEVER,
    SHOWN,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    counted,
    healthy,
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, objects, refusal, told

_OTHERS = ("v1-1", "v2-0")
_SHED = refusal(503, "logical service 10.0.0.1:8080: route default.http: service unavailable")


def _load(status: int, bad: int) -> Found:
    return calls(*[answer(status=status)] * bad, *spread(90 - bad, *_OTHERS))


def _states(name: str, ready: int, pending: int) -> Found:
    return counted((endpoints(STAGE, name, READY), ready), (endpoints(STAGE, name, PENDING), pending))


def _tripped(name: str, status: int, bad: int) -> Steps:
    return {
        "known": SHOWN,
        "before": _states(name, 3, 0),
        "failing": _load(status, bad),
        "tripped": _states(name, 2, 1),
        "recovered": SHOWN,
        "after": _states(name, 3, 0),
    }


_HALF = calls(*[answer(status=503)] * 60, *spread(60, "v1-0", *_OTHERS))
_AMPLIFIED = calls(*[answer(status=503)] * 20, *spread(20, *_OTHERS), *[_SHED] * 80)
_ANNOTATED = objects({"metadata": {"name": "x", "annotations": {breakers.BREAKER: "unified"}}})
_TOLD = {why.OUTBOUND: told(policy={"failureAccrual": {"consecutiveFailures": {}}})}
_SMALL, _FAIR = (calls(*[answer(status=429)] * n, *spread(120 - n, *_OTHERS)) for n in (6, 40))

FAMILY = Family(
    probes=breakers.PROBES,
    healthy={
        "cb.consecutive": _tripped("p-breaker", 500, 4),
        "cb.unified": _tripped("p-breaker-rate", 429, 6),
        "cb.partial-failure": {"known": SHOWN, "half": _HALF, "after": _states("p-breaker-partial", 3, 0)},
        "lb.biaser": {"known-unbiased": SHOWN, "unbiased": _FAIR, "known-biased": SHOWN, "biased": _SMALL},
    },
    broken=(
        Broken(
            "cb.consecutive",
            {"failing": _load(500, 30), "tripped": _states("p-breaker", 3, 0), **_TOLD},
            "left alone soon",
            "PROXY_STALE",
        ),
        Broken(
            "cb.consecutive",
            {"failing": _load(500, 30), "tripped": _states("p-breaker", 3, 0), why.OUTBOUND: told(policy={"x": 1})},
            "is pending",
            "CP_STALE",
        ),
        Broken("cb.consecutive", {"recovered": NEVER}, "comes back"),
        Broken(
            "cb.consecutive",
            {"failing": calls(*[answer(status=500)] * 4, *spread(40, *_OTHERS), *[_SHED] * 46)},
            "answer everything else",
            "BREAKER_AMPLIFIES",
        ),
        Broken("cb.unified", {"failing": _load(429, 30)}, "left alone soon"),
        Broken(
            "cb.partial-failure",
            {"half": _AMPLIFIED, "after": _states("p-breaker-partial", 0, 3), why.SERVICE: _ANNOTATED},
            "refused because others failed",
            "BREAKER_AMPLIFIES",
        ),
        Broken("cb.partial-failure", {"after": _states("p-breaker-partial", 1, 2)}, "stays ready"),
        Broken("lb.biaser", {"biased": _FAIR}, "gets little", "PROXY_STALE"),
        Broken("lb.biaser", {"unbiased": _SMALL}, "gets more"),
    ),
    controls={"cb.consecutive": FAILURES_SEEN},
)


@healthy(FAMILY)
def test_a_healthy_mesh_passes(id: str) -> None:
    FAMILY.passes(id)


@cases(FAMILY)
def test_what_is_broken_is_noticed_and_named(case: Broken) -> None:
    FAMILY.notices(case)


@controls(FAMILY)
def test_a_broken_prober_is_not_believed(id: str) -> None:
    FAMILY.believes(id)


def test_nothing_is_left_out() -> None:
    FAMILY.complete()

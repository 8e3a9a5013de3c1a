"""Retries, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Found
from services.conformance.core.orders import Reply
from services.conformance.core.outbound import retries
from services.conformance.core.probes import retries as family
from tests.services.conformance.core.outbound_seen import (
    FAILURES_SEEN,
    NEVER,
    SHOWN,
    V2,
    Broken,
    Family,
    cases,
    controls,
    counted,
    healthy,
)
from tests.services.conformance.core.seen import NOW, STAGE, answer, calls, echoed, refusal, told


def _after(attempt: int, status: int | None = 200, **more: object) -> Reply:
    echo = echoed(pod=V2).model_copy(update={"attempt": attempt})
    return Reply.model_validate({"at": NOW, "status": status, "echo": echo, **more})


def _retried(name: str, what: str, count: float, protocol: str = "http") -> tuple[Found, Found]:
    series = retries(STAGE, name, what, protocol=protocol)
    return counted((series, 5)), counted((series, 5 + count))


_HTTP = (retries(STAGE, "p-retry", "requests"), retries(STAGE, "p-retry", "successes"))
_TOLD = {why.OUTBOUND: told(policy={"rules": [{"retry": {"maxRetries": 1}}]})}
_UNTOLD = {why.OUTBOUND: told(policy={"rules": [{}]})}
_GRPC_FINE = _after(2, status=200, grpc_status=0)
_LIMITED, _GRPC, _SLOW = (
    _retried("p-retry-limit", "limit_exceeded", 10),
    _retried("p-retry-grpc", "successes", 10, "grpc"),
    _retried("p-retry-timeout", "requests", 4),
)

FAMILY = Family(
    probes=family.PROBES,
    healthy={
        "retry.http": {
            "effect": SHOWN,
            "before": counted(),
            "retried": calls(_after(2), times=10),
            "posted": calls(_after(2), times=3),
            "after": counted((_HTTP[0], 13), (_HTTP[1], 13)),
        },
        "retry.limit": {
            "effect": SHOWN,
            "before": _LIMITED[0],
            "exhausted": calls(_after(2, 503), times=10),
            "after": _LIMITED[1],
        },
        "retry.grpc": {
            "effect": SHOWN,
            "before": _GRPC[0],
            "retried": calls(_GRPC_FINE, times=10),
            "after": _GRPC[1],
        },
        "retry.timeout": {
            "effect": SHOWN,
            "before": _SLOW[0],
            "slow": calls(_after(3, seconds=1.85), times=2),
            "after": _SLOW[1],
        },
        "retry.headers": {
            "policy": told(policy={"rules": [{}]}),
            "retry": calls(_after(1, 503), times=3),
            "timeout": calls(answer(seconds=0.8), times=3),
            "before": counted(),
            "after": counted(),
        },
    },
    broken=(
        Broken("retry.http", {"effect": NEVER, **_UNTOLD, "after": counted()}, "shows on traffic", "CP_STALE"),
        Broken(
            "retry.http",
            {"retried": calls(_after(1, 503), times=10), **_TOLD, "after": counted()},
            "no client sees",
            "PROXY_STALE",
        ),
        Broken("retry.http", {"posted": calls(_after(1, 503), times=3), **_TOLD}, "two attempts", "DATAPATH"),
        Broken("retry.limit", {"exhausted": calls(_after(6), times=10)}, "goes on failing fails"),
        Broken("retry.limit", {"exhausted": calls(_after(4, 503), times=10)}, "after two attempts"),
        Broken("retry.limit", {"after": _LIMITED[0], **_TOLD}, "limit is counted", "PROXY_STALE"),
        Broken("retry.grpc", {"retried": calls(_after(1, None, grpc_status=14), times=10)}, "no client sees"),
        Broken("retry.timeout", {"slow": calls(_after(1, seconds=1.0), times=2)}, "two attempts given up"),
        Broken("retry.timeout", {"slow": calls(refusal(504, "request timeout"), times=2)}, "last attempt"),
        Broken("retry.headers", {"retry": calls(_after(2), times=3)}, "may not ask for retries"),
        Broken("retry.headers", {"timeout": calls(refusal(504, "timeout"), times=3)}, "nor for timeouts"),
        Broken("retry.headers", {"policy": told(policy={"rules": [{"allowL5dRequestHeaders": True}]})}, "get them"),
    ),
    controls={"retry.http": FAILURES_SEEN},
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

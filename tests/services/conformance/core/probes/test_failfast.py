"""Failing fast, judged by evidence made by hand."""

from services.conformance.core.outbound import failed
from services.conformance.core.probes import failfast
from tests.services.conformance.core.outbound_seen import (
    APPLIED,
    CLOSED_IS_CLOSED,
    NEVER,
    SHOWN,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    effect,
    healthy,
    line,
)
from tests.services.conformance.core.seen import answer, calls, pages, refusal, sample, silence

_LATE = refusal(504, "backend: Service.x:8080: service in fail-fast", seconds=3.01)
_REFUSED = refusal(503, "logical service: service unavailable", seconds=0.01)
_BORN = sample("process_start_time_seconds", 1_700_000_000)
_COUNTS = (line(failed("failfast"), 1), line(failed("loadshed"), 8))


def _steps() -> Steps:
    return {
        "known": SHOWN,
        "before": pages(cm_0=[_BORN]),
        "first": effect(_LATE),
        "next": calls(_REFUSED, times=5),
        "after": pages(cm_0=[_BORN, *_COUNTS]),
        "recovered": SHOWN,
    }


_RESTARTED = pages(cm_0=[sample("process_start_time_seconds", 1_700_000_900), *_COUNTS])

FAMILY = Family(
    probes=failfast.PROBES,
    healthy={
        "failfast.unreachable": _steps() | {"repaired": APPLIED},
        "lb.zero-endpoints": _steps() | {"emptied": APPLIED, "filled": APPLIED},
        "queue.loadshed": {
            "before": pages(cm_0=[_BORN]),
            "burst": calls(*[_LATE] * 100, *[_REFUSED] * 140),
            "afterwards": calls(answer(), times=10),
            "after": pages(cm_0=[_BORN, *_COUNTS]),
        },
    },
    broken=(
        Broken(
            "failfast.unreachable", {"first": effect(silence("TimedOut"), met=False, seconds=30)}, "given up", "HANGS"
        ),
        Broken(
            "failfast.unreachable", {"first": effect(_LATE.model_copy(update={"seconds": 9.0}))}, "time to fail fast"
        ),
        Broken("failfast.unreachable", {"next": calls(_LATE, times=5)}, "refused at once"),
        Broken("failfast.unreachable", {"recovered": NEVER}, "ends it", "DATAPATH"),
        Broken("lb.zero-endpoints", {"next": calls(answer(), times=5)}, "proxy of the client"),
        Broken("lb.zero-endpoints", {"after": pages(cm_0=[_BORN])}, "failed fast"),
        Broken("queue.loadshed", {"burst": calls(*[silence("TimedOut")] * 240)}, "is refused"),
        Broken("queue.loadshed", {"after": _RESTARTED}, "lives on"),
        Broken("queue.loadshed", {"afterwards": calls(_REFUSED)}, "other targets"),
    ),
    controls={"failfast.unreachable": CLOSED_IS_CLOSED},
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

"""ServiceProfiles, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.outbound import profiled, routed
from services.conformance.core.probes import profiles
from services.conformance.core.proofs import Series
from tests.services.conformance.core.outbound_seen import (
    APPLIED,
    FAILURES_SEEN,
    NEVER,
    SHOWN,
    V1,
    V2,
    Broken,
    Family,
    cases,
    controls,
    counted,
    healthy,
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, echoed, objects, refusal, told

_MARK = ("l5d-dst-canonical", "p-sp-routes.steward-meshed.svc.cluster.local:8080")
_LATE = refusal(504, "logical service: HTTP response timeout after 300ms", seconds=0.31)
_SECOND = answer(echo=echoed(pod=V2).model_copy(update={"attempt": 2}))
_FAILED = answer(status=503)


def _of(name: str, counter: str, route: str = "", **labels: str) -> Series:
    return profiled(STAGE, name, counter, route=route, **labels)


_ROUTES = counted(
    (_of("p-sp-routes", "route_request_total", "GET one"), 5),
    (_of("p-sp-routes", "route_request_total", "GET teapot"), 5),
    (_of("p-sp-routes", "route_request_total"), 5),
    (_of("p-sp-routes", "route_actual_request_total", "GET one"), 5),
    (_of("p-sp-routes", "route_response_total", "GET teapot", classification="failure"), 5),
)
_NAMED = objects({"metadata": {"name": STAGE.service("p-sp-routes")}})

FAMILY = Family(
    probes=profiles.PROBES,
    healthy={
        "sp.routes": {
            "effect": SHOWN,
            "before": counted(),
            "one": calls(answer(_MARK), times=5),
            "teapot": calls(answer(_MARK, status=418), times=5),
            "neither": calls(answer(_MARK), times=5),
            "after": _ROUTES,
        },
        "sp.retry-budget": {
            "effect": SHOWN,
            "before": counted(),
            "again": calls(_SECOND, times=5),
            "once": calls(_FAILED, times=5),
            "after": counted(
                (_of("p-sp-retries", "route_actual_request_total", "GET again"), 10),
                (_of("p-sp-retries", "route_actual_request_total", "GET once"), 5),
            ),
        },
        "sp.timeout": {
            "effect": SHOWN,
            "slow": calls(_LATE, times=2),
            "patient": calls(answer(seconds=1.2)),
            "before": counted(),
            "after": counted((_of("p-sp-timeout", "route_request_total", "GET slow"), 2)),
        },
        "sp.precedence": {
            "route": SHOWN,
            "profile": APPLIED,
            "effect": SHOWN,
            "before": counted(),
            "both": calls(*spread(40, *V1)),
            "after": counted((_of("p-sp-wins", "route_request_total", "GET any"), 40)),
        },
    },
    broken=(
        Broken("sp.routes", {"effect": NEVER, why.PROFILES: objects()}, "in force", "SP_NAME"),
        Broken(
            "sp.routes",
            {"effect": NEVER, why.PROFILES: _NAMED, why.PROFILE: told(dst={"fullyQualifiedName": "x"})},
            "in force",
            "CP_STALE",
        ),
        Broken(
            "sp.routes",
            {"after": counted(), why.PROFILE: told(dst={"routes": [{"metricsLabels": {"route": "GET one"}}]})},
            "counts its requests",
            "PROXY_STALE",
        ),
        Broken("sp.routes", {"teapot": calls(answer(), times=5)}, "counts as failed", "DATAPATH"),
        Broken("sp.retry-budget", {"again": calls(_FAILED, times=5)}, "hides one failure"),
        Broken("sp.retry-budget", {"once": calls(_SECOND, times=5)}, "another route"),
        Broken("sp.timeout", {"slow": calls(answer(seconds=1.2), times=2)}, "given up"),
        Broken("sp.timeout", {"patient": calls(_LATE)}, "without a timeout"),
        Broken("sp.precedence", {"both": calls(*spread(40, V2))}, "own pods"),
        Broken("sp.precedence", {"after": counted((routed(STAGE, "p-sp-wins", "p-sp-wins"), 40))}, "not for the route"),
        Broken("sp.precedence", {"effect": NEVER}, "in force"),
    ),
    controls={"sp.routes": FAILURES_SEEN},
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

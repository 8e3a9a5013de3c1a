"""Matches of HTTPRoutes, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.outbound import routed
from services.conformance.core.probes import matches
from tests.services.conformance.core.outbound_seen import (
    NEVER,
    SHOWN,
    V1,
    V2,
    WHO_ANSWERS,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    counted,
    healthy,
    route,
    spread,
)
from tests.services.conformance.core.seen import STAGE, calls, objects, refusal, told

_NO_ROUTE = refusal(404, "logical service 10.0.0.1:8080: no route")


def _matching(name: str, hits: int, misses: int, each: tuple[int, int] = (25, 25)) -> Steps:
    total = hits * each[0] + misses * each[1]
    return {
        "effect": SHOWN,
        "before": counted(),
        **{f"match-{at}": calls(*spread(each[0], V2)) for at in range(hits)},
        **{f"other-{at}": calls(*spread(each[1], *V1)) for at in range(misses)},
        "after": counted((routed(STAGE, name, name), total)),
    }


_UNTOLD = {why.OUTBOUND: told(policy={"protocol": {"detect": {}}})}
_TOLD = {why.OUTBOUND: told(policy={"routes": [{"metadata": {"name": "p-route-path"}}]})}
_STILL = {"after": counted()}
_WRONG_POD = {"match-0": calls(*spread(10, *V1))}

FAMILY = Family(
    probes=matches.PROBES,
    healthy={
        "route.path": _matching("p-route-path", 4, 3, (10, 10)),
        "route.method": _matching("p-route-method", 1, 2) | {"other-1": calls(*spread(25, *V1))},
        "route.header": _matching("p-route-header", 2, 2),
        "route.query": _matching("p-route-query", 1, 1),
        "route.no-match": {
            "effect": SHOWN,
            "before": counted(),
            "other": calls(_NO_ROUTE, times=10),
            "after": counted(),
        },
    },
    broken=(
        Broken("route.path", {"effect": NEVER}, "shows on traffic"),
        Broken("route.path", _WRONG_POD | _STILL | _UNTOLD, "goes to v2", "CP_STALE"),
        Broken("route.path", _WRONG_POD | _STILL | _TOLD, "counts them all", "PROXY_STALE"),
        Broken("route.path", _WRONG_POD | _TOLD, "goes to v2", "DATAPATH"),
        Broken(
            "route.path",
            _WRONG_POD | {why.ROUTES: objects(route("p-route-path", accepted="False", reason="NoMatchingParent"))},
            "goes to v2",
            "ROUTE_NOT_ACCEPTED",
        ),
        Broken(
            "route.path",
            _WRONG_POD | {why.ROUTES: objects(route("p-route-path", resolved_refs="False"))},
            "goes to v2",
            "BACKEND_MISSING",
        ),
        Broken(
            "route.path",
            _WRONG_POD
            | {
                why.SERVICE: objects({"metadata": {"name": "p-route-path"}}),
                why.PROFILES: objects({"metadata": {"name": STAGE.service("p-route-path")}}),
            },
            "goes to v2",
            "SP_SHADOWS",
        ),
        Broken("route.path", {"other-1": calls(*spread(10, V2))}, "does not goes to v1"),
        Broken("route.method", {"other-0": calls(*spread(25, V2))}, "does not goes to v1"),
        Broken("route.header", {"match-1": calls(*spread(25, *V1))}, "goes to v2"),
        Broken("route.query", {"match-0": calls(_NO_ROUTE, times=25)}, "goes to v2"),
        Broken("route.no-match", {"other": calls(*spread(10, *V1))}, "not found", "PROXY_STALE"),
        Broken("route.no-match", {"other": calls(refusal(404), times=10)}, "proxy of the client"),
    ),
    controls={"route.path": WHO_ANSWERS},
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

"""Filters of routes, judged by evidence made by hand."""

from services.conformance.core.outbound import routed
from services.conformance.core.probes import filters
from tests.services.conformance.core.outbound_seen import (
    NEVER,
    SHOWN,
    Broken,
    Family,
    Steps,
    cases,
    counted,
    healthy,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, echoed, refusal

_CHANGED = (
    ("x-probe-set", "set"),
    ("x-probe-added", "client"),
    ("x-probe-added", "added"),
    ("x-probe-kept", "client"),
)
_MOVED = (("location", filters.LOCATION), ("l5d-proxy-error", "redirected"), ("content-length", "0"))


def _framed(name: str, steps: Steps) -> Steps:
    return {"effect": SHOWN, "before": counted(), "after": counted((routed(STAGE, name, name), 10)), **steps}


FAMILY = Family(
    probes=filters.PROBES,
    healthy={
        "route.request-headers": _framed("p-request-headers", {"changed": calls(answer(*_CHANGED), times=10)}),
        "route.response-headers": _framed(
            "p-response-headers", {"changed": calls(answer(headers=(("x-probe-set", "set"),)), times=10)}
        ),
        "route.redirect": _framed(
            "p-redirect",
            {
                "moved": calls(refusal(301).model_copy(update={"headers": _MOVED}), times=10),
                "stayed": calls(answer(), times=10),
            },
        ),
        "route.rewrite": _framed(
            "p-rewrite", {"rewritten": calls(answer(echo=echoed().model_copy(update={"path": "/there"})))}
        ),
    },
    broken=(
        Broken("route.request-headers", {"changed": calls(answer(*_CHANGED[1:]))}, "is set", "DATAPATH"),
        Broken("route.request-headers", {"changed": calls(answer(*_CHANGED[:2], _CHANGED[3]))}, "is added"),
        Broken("route.request-headers", {"changed": calls(answer(*_CHANGED, ("x-probe-removed", "c")))}, "is removed"),
        Broken("route.request-headers", {"effect": NEVER, "after": counted()}, "shows on traffic", "PROXY_STALE"),
        Broken(
            "route.response-headers",
            {"changed": calls(answer(headers=(("x-probe-set", "set"), ("retry-after", "7"))))},
            "is removed",
        ),
        Broken("route.response-headers", {"changed": calls(answer())}, "is set"),
        Broken("route.redirect", {"moved": calls(answer())}, "is redirected"),
        Broken("route.redirect", {"moved": calls(refusal(301, "redirected"))}, "scheme, host and port"),
        Broken("route.redirect", {"stayed": calls(refusal(301, "redirected"))}, "other paths"),
        Broken("route.rewrite", {"rewritten": calls(answer())}, "path of the filter"),
    ),
)


@healthy(FAMILY)
def test_a_healthy_mesh_passes(id: str) -> None:
    FAMILY.passes(id)


@cases(FAMILY)
def test_what_is_broken_is_noticed_and_named(case: Broken) -> None:
    FAMILY.notices(case)


def test_nothing_is_left_out() -> None:
    FAMILY.complete()

"""Weighted backends, judged by evidence made by hand."""

from services.conformance.core.outbound import attempts, routed, sent
from services.conformance.core.probes import splits
from tests.services.conformance.core.outbound_seen import (
    FAILURES_SEEN,
    NEVER,
    SHOWN,
    V1,
    V2,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    counted,
    healthy,
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, refusal

_EIGHTY_TWENTY = calls(*spread(240, *V1), *spread(60, V2))
_EVEN = calls(*spread(150, *V1), *spread(150, V2))
_W = "p-weights"
_BAD = refusal(502)


def _sent(name: str, first: float, second: float) -> Steps:
    after = counted(
        (sent(STAGE, name, "v1", route=name), first),
        (sent(STAGE, name, "v2", route=name), second),
        (routed(STAGE, name, name), first + second),
    )
    return {"before": counted(), "after": after}


FAMILY = Family(
    probes=splits.PROBES,
    healthy={
        "route.weights": {"effect": SHOWN, "sample": _EIGHTY_TWENTY} | _sent(_W, 240, 60),
        "route.weight-zero": {"effect": SHOWN, "sample": calls(*spread(60, V2))} | _sent("p-weight-zero", 0, 60),
        "route.change-under-load": {
            "effect": SHOWN,
            **{f"effect-{turn}": SHOWN for turn in range(splits.FLIPS)},
            "load": calls(answer(), times=120),
            "before": counted(),
            "after": counted(),
        },
        "fault.inject": {
            "effect": SHOWN,
            "before": counted(),
            "sample": calls(*spread(150, *V1), *[_BAD] * 150),
            "after": counted((attempts(STAGE, "p-fault", status="502"), 150)),
            "recovered": SHOWN,
            "afterwards": calls(answer(), times=30),
        },
        "split.trafficsplit": {"effect": SHOWN, "sample": calls(*spread(50, *V1), *spread(50, V2))},
    },
    broken=(
        Broken("route.weights", {"effect": NEVER}, "shows on traffic"),
        Broken("route.weights", {"sample": _EVEN} | _sent(_W, 150, 150), "share of 20 %", "DATAPATH"),
        Broken("route.weights", _sent(_W, 0, 0), "sent v2 as many", "PROXY_STALE"),
        Broken("route.weights", {"sample": calls(*spread(240, *V1), *[_BAD] * 60)}, "is answered"),
        Broken("route.weight-zero", {"sample": calls(*spread(59, V2), *spread(1, *V1))}, "gets nothing"),
        Broken("route.weight-zero", _sent("p-weight-zero", 1, 59), "count any"),
        Broken("route.change-under-load", {"effect-2": NEVER}, "every change of weights"),
        Broken("route.change-under-load", {"load": calls(answer(), _BAD)}, "no request is lost"),
        Broken("fault.inject", {"sample": calls(*spread(300, *V1))}, "half of the requests fail"),
        Broken("fault.inject", {"sample": calls(*spread(150, *V1), *[refusal(500, "x")] * 150)}, "502"),
        Broken("fault.inject", {"recovered": NEVER}, "goes with its route"),
        Broken("split.trafficsplit", {"sample": calls(*spread(100, *V1))}, "gets its half"),
    ),
    controls={"fault.inject": FAILURES_SEEN},
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

"""Load balancing, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Found
from services.conformance.core.outbound import READY, endpoints, opaque, routed
from services.conformance.core.probes import balancing
from services.conformance.core.stage import Port
from tests.services.conformance.core.outbound_seen import (
    APPLIED,
    NEVER,
    SHOWN,
    V1,
    V2,
    WHO_ANSWERS,
    Broken,
    Family,
    cases,
    controls,
    counted,
    healthy,
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, objects, refusal, slices, told
from tests.services.conformance.core.seen import endpoints as told_of

_ALL = (*V1, V2)
PORT = {"p-spread": Port.H2C}
_IPS = ("10.0.0.3", "10.0.0.4", "10.0.0.5")


def _ready(name: str, count: int, requests: int = 0) -> Found:
    return counted(
        (endpoints(STAGE, name, READY, port=PORT.get(name, Port.HTTP)), count),
        (routed(STAGE, name, port=PORT.get(name, Port.HTTP), http_status="200"), requests),
    )


_SLOW = tuple(answer(pod="v1-0", seconds=0.41) for _ in range(8))
_QUICK = tuple(answer(pod=pod, seconds=0.003) for _ in range(86) for pod in ("v1-1", V2))
_ROUND_ROBIN = tuple(answer(pod=pod, seconds=0.41 if pod == "v1-0" else 0.003) for _ in range(60) for pod in _ALL)
_OPAQUE = {
    why.CLIENT_BEFORE: counted(),
    why.CLIENT_AFTER: counted((opaque(STAGE, "p-spread", port=Port.H2C), 3)),
}
_STALE = {
    why.SERVICE: objects({"metadata": {"name": "p-removed"}}),
    why.SLICES: objects(slices("10.0.0.5")),
    why.DESTINATIONS: told(one=told_of("10.0.0.5")),
    why.CLIENT_AFTER: _ready("p-removed", 3),
}
_LYING = {
    why.SLICES: objects(slices(*_IPS)),
    why.DESTINATIONS: told(one=told_of("10.0.0.5")),
}


def _flood(of_first: int) -> Found:
    return calls(*spread(of_first, "p-flood-first-0"), *spread(240 - of_first, "p-flood-plain-0", "p-flood-plain-1"))


FAMILY = Family(
    probes=balancing.PROBES,
    healthy={
        "lb.spread": {
            "known": SHOWN,
            "before": _ready("p-spread", 3),
            "sample": calls(*spread(90, *_ALL)),
            "after": _ready("p-spread", 3, 90),
        },
        "lb.ewma": {"known": SHOWN, "sample": calls(*_SLOW, *_QUICK), "after": _ready("p-ewma", 3)},
        "lb.endpoint-add": {
            "known": SHOWN,
            "widened": APPLIED,
            "effect": SHOWN,
            "load": calls(answer(), times=50),
            "afterwards": calls(*spread(60, *_ALL)),
            "after": _ready("p-added", 3),
        },
        "lb.endpoint-remove": {
            "known": SHOWN,
            "narrowed": APPLIED,
            "effect": SHOWN,
            "load": calls(answer(), times=50),
            "afterwards": calls(*spread(60, V2)),
            "after": _ready("p-removed", 1),
        },
        "lb.staleness": {"known": SHOWN, "replaced": APPLIED, "resumed": calls(*spread(10, V2))},
        "lb.first-pod-flood": {"known": SHOWN, "effect": SHOWN, "flood": _flood(48)},
    },
    broken=(
        Broken("lb.first-pod-flood", {"flood": _flood(200)}, "thrice its share"),
        Broken("lb.first-pod-flood", {"effect": NEVER}, "gets requests"),
        Broken("lb.spread", {"sample": calls(*spread(90, V2))}, "all its pods answer", "NOT_BALANCED"),
        Broken("lb.spread", {"sample": calls(*spread(90, V2)), **_OPAQUE}, "all its pods", "APPPROTO_OPAQUE"),
        Broken("lb.spread", {"after": _ready("p-spread", 1, 90), **_LYING}, "counts as ready", "CP_STALE"),
        Broken(
            "lb.spread",
            {"sample": calls(*(answer(pod=_ALL[n % 3], connection=n) for n in range(90)))},
            "one connection",
        ),
        Broken("lb.ewma", {"sample": calls(*_ROUND_ROBIN)}, "less than its third", "NOT_BALANCED"),
        Broken("lb.endpoint-add", {"effect": NEVER}, "shows on traffic"),
        Broken("lb.endpoint-add", {"afterwards": calls(*spread(60, V2))}, "the right pods"),
        Broken("lb.endpoint-remove", {"load": calls(answer(), refusal(502))}, "no request is lost"),
        Broken(
            "lb.endpoint-remove",
            {"afterwards": calls(*spread(60, *_ALL)), "after": _ready("p-removed", 3), **_STALE},
            "no others",
            "PROXY_STALE",
        ),
        Broken("lb.staleness", {"resumed": calls(refusal(503), *spread(9, V2))}, "first request after a rest"),
        Broken("lb.staleness", {"resumed": calls(*spread(10, *V1)), **_LYING}, "came meanwhile", "CP_STALE"),
    ),
    controls={"lb.spread": WHO_ANSWERS},
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

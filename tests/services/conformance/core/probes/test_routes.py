"""Routes otherwise, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.outbound import routed
from services.conformance.core.probes import routes
from services.conformance.core.stage import Port
from tests.services.conformance.core.outbound_seen import (
    NEVER,
    SHOWN,
    V1,
    V2,
    Broken,
    Family,
    cases,
    counted,
    effect,
    healthy,
    route,
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, objects, refusal

_MISSING = refusal(500, "Service not found p-not-there")
_FRAME = {"effect": SHOWN, "before": counted(), "after": counted((routed(STAGE, "p-no-backend", "p-no-backend"), 20))}
_ORPHAN = route("p-status-orphan", accepted="False", reason="NoMatchingParent")
_GRPC = tuple(each.model_copy(update={"grpc_status": 0}) for each in spread(25, V2))
_GRPC_OTHER = tuple(each.model_copy(update={"grpc_status": 0}) for each in spread(25, *V1))
_OK = routed(STAGE, "p-grpc-route", "p-grpc-route", port=Port.GRPC, grpc_status="OK")

FAMILY = Family(
    probes=routes.PROBES,
    healthy={
        "route.invalid-backend": _FRAME
        | {"broken": calls(_MISSING, times=10), "sound": calls(*spread(10, V2)), "status": SHOWN},
        "route.status": {"p-status": SHOWN, "p-status-orphan": effect(things=(_ORPHAN,))},
        "route.producer-consumer": {"effect": SHOWN, "foreign": calls(answer(), times=20)},
        "route.grpc": {
            "effect": SHOWN,
            "before": counted(),
            "match": calls(*_GRPC),
            "other": calls(*_GRPC_OTHER),
            "after": counted((_OK, 50)),
        },
    },
    broken=(
        Broken("route.invalid-backend", {"broken": calls(*spread(10, V2))}, "fails its share", "DATAPATH"),
        Broken("route.invalid-backend", {"broken": calls(refusal(500), times=10)}, "says which"),
        Broken("route.invalid-backend", {"sound": calls(_MISSING, times=10)}, "other rules"),
        Broken("route.invalid-backend", {"status": NEVER}, "status of the route"),
        Broken(
            "route.status",
            {"p-status": NEVER, why.ROUTES: objects({"kind": "HTTPRoute", "metadata": {"name": "p-status"}})},
            "is accepted",
            "ROUTE_NOT_ACCEPTED",
        ),
        Broken("route.status", {"p-status-orphan": effect(met=False, things=(route("p-status-orphan"),))}, "is not"),
        Broken("route.producer-consumer", {"foreign": calls(answer((routes.MARK, "foreign")))}, "does not"),
        Broken("route.producer-consumer", {"effect": NEVER}, "holds for its clients"),
        Broken("route.grpc", {"match": calls(*_GRPC_OTHER)}, "goes to v2"),
        Broken("route.grpc", {"after": counted()}, "counts gRPC", "PROXY_STALE"),
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

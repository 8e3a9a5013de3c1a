"""Timeouts, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.probes import timeouts
from services.conformance.core.proofs import Series
from tests.services.conformance.core.outbound_seen import (
    NEVER,
    SHOWN,
    SLOWNESS_SEEN,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    counted,
    healthy,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, refusal, silence, told

_LATE = refusal(504, "backend: timed out waiting for response headers: request timeout: 250ms", seconds=0.26)

_EARLY = refusal(504, "request timeout", seconds=0.12)


def _given_up(name: str, error: str) -> Series:
    labels = {"parent_name": name, "parent_namespace": STAGE.meshed, "error": error}
    return Series("outbound_http_route_backend_response_statuses_total", labels)


def _limited(name: str, error: str) -> Steps:
    return {
        "effect": SHOWN,
        "before": counted(),
        "slow": calls(_LATE, times=5),
        "quick": calls(answer(), times=5),
        "after": counted((_given_up(name, error), 5)),
    }


_TOLD = {why.OUTBOUND: told(policy={"timeouts": {"request": "0.25s"}})}
_PATIENT = {"slow": calls(answer(seconds=0.76), times=5), "after": counted()}

FAMILY = Family(
    probes=timeouts.PROBES,
    healthy={
        "timeout.request": _limited("p-timeout-request", "REQUEST_TIMEOUT"),
        "timeout.response": _limited("p-timeout-response", "RESPONSE_STREAM_TIMEOUT"),
        "timeout.route": _limited("p-timeout-route", "REQUEST_TIMEOUT"),
        "timeout.idle": {
            "effect": SHOWN,
            "before": counted(),
            "silent": calls(silence("Closed", status=200, seconds=0.27)),
            "steady": calls(answer()),
            "late": calls(answer(seconds=0.76)),
            "after": counted((_given_up("p-timeout-idle", "IDLE_TIMEOUT"), 1)),
        },
    },
    broken=(
        Broken("timeout.request", {**_PATIENT, "effect": NEVER, **_TOLD}, "given up", "PROXY_STALE"),
        Broken("timeout.request", {**_PATIENT, why.OUTBOUND: told(policy={"timeouts": {}})}, "given up", "CP_STALE"),
        Broken(
            "timeout.request", {"slow": calls(refusal(504, "request timeout", seconds=0.12), times=5)}, "at the limit"
        ),
        Broken("timeout.request", {"slow": calls(refusal(504, seconds=0.26), times=5)}, "proxy of the client"),
        Broken("timeout.request", {"quick": calls(_LATE, times=5), **_TOLD}, "quick answer arrives", "DATAPATH"),
        Broken("timeout.response", {"after": counted()}, "counts it"),
        Broken("timeout.route", _PATIENT, "given up"),
        Broken("timeout.idle", {"silent": calls(answer(seconds=2.2))}, "falls silent is cut"),
        Broken("timeout.idle", {"steady": calls(silence("Closed"))}, "goes on is not"),
        Broken("timeout.idle", {"late": calls(_LATE)}, "slow to begin"),
    ),
    controls={"timeout.request": SLOWNESS_SEEN},
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

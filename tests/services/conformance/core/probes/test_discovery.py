"""Discovery, judged by evidence made by hand."""

from services.conformance.core import diagnosis as why
from services.conformance.core.outbound import routed
from services.conformance.core.probes import discovery
from tests.services.conformance.core.outbound_seen import (
    APPLIED,
    NEVER,
    SHOWN,
    V1,
    Broken,
    Family,
    cases,
    controls,
    counted,
    effect,
    healthy,
    resolved,
    spread,
)
from tests.services.conformance.core.seen import CLIENT, STAGE, answer, calls, not_told, objects, refusal, silence

_ID = ("l5d-client-id", CLIENT)
_PODS = ("10.0.0.7", "10.0.0.8")
_OF_SS = answer(_ID, pod="ss-0")
_HUNG = effect(silence("TimedOut"), silence("TimedOut"), met=False, seconds=30)


def _address(ip: str) -> dict[str, object]:
    return {"metadata": {"name": "p-moved"}, "spec": {"clusterIP": ip}}


FAMILY = Family(
    probes=discovery.PROBES,
    healthy={
        "disc.new-target": {
            "warm": calls(answer(), times=3),
            "new": APPLIED,
            "first": SHOWN,
            "warm-again": calls(answer(), times=3),
        },
        "disc.dns": {
            "meshed": resolved("10.96.0.1"),
            "unmeshed": resolved("10.96.0.1"),
            "headless": resolved(*_PODS, times=5),
        },
        "disc.headless": {"before": counted(), "one": calls(_OF_SS, times=20), "after": counted()},
        "disc.external-name": {"effect": SHOWN, "sample": calls(answer(_ID), times=20)},
        "disc.clusterip-change": {
            "effect": SHOWN,
            "old": objects(_address("10.96.0.7")),  # type: ignore[arg-type]
            "new": objects(_address("10.96.0.9")),  # type: ignore[arg-type]
            "recovered": SHOWN,
            "before": counted(),
            "sample": calls(*spread(20, *V1)),
            "after": counted((routed(STAGE, "p-moved", http_status="200"), 20)),
        },
    },
    broken=(
        Broken("disc.new-target", {"first": _HUNG}, "is new is answered", "NEW_TARGETS_HANG"),
        Broken(
            "disc.new-target", {"first": _HUNG, why.DESTINATIONS: not_told("Unavailable")}, "is new", "CP_UNREACHABLE"
        ),
        Broken("disc.new-target", {"warm-again": calls(refusal(503))}, "that is known"),
        Broken("disc.dns", {"meshed": resolved("10.96.0.1", failures=3)}, "no lookup fails", "DNS"),
        Broken("disc.dns", {"meshed": resolved("10.96.0.9")}, "told the same", "DNS"),
        Broken("disc.dns", {"headless": resolved("10.96.0.1")}, "addresses of its pods"),
        Broken("disc.dns", {"unmeshed": resolved("10.96.0.1", slowest=5.0)}, "in time"),
        Broken("disc.headless", {"one": calls(_OF_SS, answer(_ID, pod="ss-1"))}, "answers alone"),
        Broken("disc.headless", {"one": calls(answer(pod="ss-0"))}, "mutual TLS"),
        Broken("disc.external-name", {"effect": NEVER}, "leads to the Service"),
        Broken("disc.external-name", {"sample": calls(answer(pod="su-0"))}, "its pods only"),
        Broken("disc.clusterip-change", {"recovered": NEVER}, "found again"),
        Broken("disc.clusterip-change", {"after": counted()}, "through the mesh"),
    ),
    controls={"disc.dns": ({"control": resolved(failures=2)}, {"control": resolved("10.0.0.1", times=2)})},
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

"""Nodes and zones, judged by evidence made by hand."""

from dataclasses import replace

import pytest

from services.conformance.core.evidence import Unseen
from services.conformance.core.probes import topology
from services.conformance.core.proofs import series
from tests.services.conformance.core.outbound_seen import (
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
    spread,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, evidence, refusal, silence

_ZONED = STAGE.places | {
    "sm": tuple(replace(place, zone="b" if place.pod in V1 else "a") for place in STAGE.pods("sm")),
}
_COST = "outbound_tcp_transfer_cost_bytes_total"


def _sampled(*pods: str) -> Steps:
    return {
        "known": SHOWN,
        "before": counted(),
        "sample": calls(*spread(60, *pods)),
        "after": counted((series(_COST, zone_locality="Local"), 9000), (series(_COST, zone_locality="Remote"), 40)),
    }


_TIMES = {step: calls(answer(seconds=0.002), times=40) for step in ("none", "client-side", "server-side", "both")}
_NEAR = ("v1-0", "v2-0")
"""Those on the client's own node."""

FAMILY = Family(
    probes=topology.PROBES,
    healthy={
        "topo.zone-hints": _sampled(V2),
        "topo.local": _sampled(*_NEAR),
        "topo.hazl": _sampled(V2),
        "net.latency.same-node": _TIMES,
        "net.latency.other-node": _TIMES | {"both": calls(silence("UnknownName"), times=40)},
        "net.latency.other-zone": _TIMES,
    },
    broken=(
        Broken("topo.zone-hints", _sampled(V2, *V1), "client's own zone", "TOPOLOGY_IGNORED"),
        Broken(
            "topo.zone-hints",
            {"after": counted((series(_COST, zone_locality="Remote"), 9000))},
            "most bytes",
        ),
        Broken("topo.local", _sampled(*_NEAR, "v1-1"), "client's own node", "TOPOLOGY_IGNORED"),
        Broken("topo.hazl", _sampled(*V1), "client's own zone", "TOPOLOGY_IGNORED"),
        Broken("net.latency.same-node", {"both": calls(answer(seconds=0.1), refusal(503))}, "both proxies"),
        Broken("net.latency.other-node", {"none": calls(answer(), silence("Reset"))}, "no proxy"),
        Broken("net.latency.other-zone", {"client-side": calls(refusal(502))}, "client's proxy"),
    ),
    controls={"topo.zone-hints": WHO_ANSWERS},
)


@pytest.fixture(autouse=True)
def _two_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.services.conformance.core.outbound_seen.STAGE", replace(STAGE, places=_ZONED))


def test_servers_that_are_not_spread_prove_nothing() -> None:
    probe = FAMILY.probe("topo.zone-hints")
    with pytest.raises(Unseen, match="not spread"):
        probe.proof(STAGE, evidence(FAMILY.healthy["topo.zone-hints"]))


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

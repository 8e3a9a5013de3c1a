"""A drained node, judged by evidence made by hand."""

from collections.abc import Mapping

import pytest

from services.conformance.core.evidence import Drained, Effect, Found, Unseen
from services.conformance.core.orders import Reply
from services.conformance.core.probes.draining import PROBES
from steward.jsonvalue import JsonObject
from tests.services.conformance.core.seen import answer, calls, causes, evidence, failure, judged, silence

(DRAIN,) = PROBES
STAYED, NEW = ("a-1", "a-2"), ("c-1", "c-2")


def ready(name: str, *, well: bool = True) -> JsonObject:
    said: JsonObject = {"type": "Ready", "status": "True" if well else "False", "message": "no room"}
    return {"metadata": {"name": name}, "status": {"phase": "Running" if well else "Pending", "conditions": [said]}}


def back(*pods: JsonObject, met: bool = True) -> Found:
    return Found(effect=Effect(met=met, wish="4 pods are ready", seconds=3, objects=pods))


def drained(refused: Mapping[str, str] | None = None) -> Found:
    gone = ("b-1", "b-2") if refused is None else ()
    return Found(drained=Drained("node-b", (*STAYED, "b-1", "b-2"), gone, refused or {}))


def spread(*pods: str) -> list[Reply]:
    return [answer(pod=pods[number % len(pods)]) for number in range(60)]


def load(lost: int) -> Found:
    return calls(*[answer()] * (200 - lost), *[silence("Reset")] * lost)


HEALTHY = {
    "drained": drained(),
    "back": back(*map(ready, (*STAYED, *NEW))),
    "load": load(2),
    "after": calls(*spread(*STAYED, *NEW)),
}


def test_a_drain_within_its_budget_whose_new_pods_take_calls_is_well() -> None:
    assert judged(DRAIN, evidence(HEALTHY)) == []


@pytest.mark.parametrize(
    ("changed", "broken", "cause"),
    [
        pytest.param({"load": load(3)}, ["calls meanwhile"], "CALLS_LOST", id="over the budget"),
        pytest.param({"load": load(200)}, ["calls meanwhile"], "CALLS_LOST", id="nothing goes on"),
        pytest.param(
            {"drained": drained({"b-1": "429: the disruption budget does not allow it"})},
            ["every pod of the node was let go"],
            "EVICTION_REFUSED",
            id="not let go",
        ),
        pytest.param(
            {"back": back(*map(ready, (*STAYED, "c-1")), ready("c-2", well=False), met=False)},
            ["as many pods are ready again"],
            "PODS_NOT_BACK",
            id="one is not replaced",
        ),
        pytest.param(
            {"after": calls(*spread(*STAYED, "c-1")), "why_server_pods": Found(objects=tuple(map(ready, NEW)))},
            ["new pods that have no calls"],
            "NEW_PODS_IDLE",
            id="a new one has no calls",
        ),
        pytest.param(
            {"after": calls(*spread(*STAYED, *NEW, "b-1"))}, ["pods that are gone and answer"], "", id="one did not go"
        ),
    ],
)
def test_what_goes_wrong_is_seen_and_named(changed: dict[str, Found], broken: list[str], cause: str) -> None:
    found = evidence(HEALTHY, **changed)
    assert judged(DRAIN, found) == broken
    assert not cause or cause in causes(DRAIN, found)


def test_where_nothing_could_be_evicted_there_is_no_verdict() -> None:
    with pytest.raises(Unseen, match="not allowed"):
        judged(DRAIN, evidence(HEALTHY, drained=failure("NotSpread")))

"""What of tap's words is proof, and which cause follows from its silence."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from services.conformance.core.diagnosis import SERVER_PODS
from services.conformance.core.evidence import Evidence, Found, Heard
from services.conformance.core.orders import Reply
from services.conformance.core.probes.viz import PROBES, TAPPED
from steward.jsonvalue import Json, JsonObject
from steward.viz.events import Peer, TapEvent, TapRefused, Told
from tests.services.conformance.core.seen import CLIENT, STAGE, answer, calls, judged, objects, place, pod, wrong

_TAP = next(probe for probe in PROBES if probe.id == "obs.viz.tap")
_PLACE = place("tapped-0", 11)
_STAGE = replace(STAGE, places={**STAGE.places, TAPPED: (_PLACE,)})
_FROM = Peer("10.0.0.1", 40_000, {"tls": "true", "client_id": CLIENT})
_TO = Peer(_PLACE.ip, 8080)
_NUMBERS = range(20)
_NOTHING, _DENIED = Heard(), Heard(refused=TapRefused(403, "not yours"))


def _reply(number: int) -> Reply:
    found = answer(status=503 if number < 5 else 200)
    echo = found.echo
    assert echo is not None
    return found.model_copy(update={"echo": echo.model_copy(update={"path": f"/tapped/counted/{number}?status=503"})})


def _exchange(number: int, source: Peer = _FROM, status: int | None = None) -> list[TapEvent]:
    init = TapEvent(Told.REQUEST, (0, number), True, source, _TO, "tapped", f"/tapped/counted/{number}")
    told = status or (503 if number < 5 else 200)
    return [init, replace(init, told=Told.RESPONSE, status=told), replace(init, told=Told.END)]


def _found(events: Iterable[TapEvent]) -> Evidence:
    return _evidence(Heard(tuple(events), after=0.2))


def _evidence(heard: Heard, **more: Found) -> Evidence:
    known = {"tapped": Found(heard=heard), "calls": calls(*map(_reply, _NUMBERS))}
    return Evidence({**known, **{name.replace("_", "-"): found for name, found in more.items()}})


def _wrong(events: Iterable[TapEvent]) -> list[str]:
    return wrong(_TAP.proof(_STAGE, _found(events)))


def _all(source: Peer = _FROM) -> list[TapEvent]:
    return [event for number in _NUMBERS for event in _exchange(number, source)]


def _codes(found: Evidence) -> list[str]:
    return [cause.code for cause in _TAP.causes if cause.seen(_STAGE, found) is not None]


def test_twenty_requests_with_their_responses_are_proof() -> None:
    assert _wrong(_all()) == []


def test_events_of_exchanges_may_come_in_any_order_but_their_own() -> None:
    inits, rest = _all()[::3], [event for event in _all() if event.told is not Told.REQUEST]
    assert _wrong([*inits, *rest]) == []


def test_of_calls_that_were_not_counted_nothing_is_asked() -> None:
    lead = replace(_exchange(99)[0], path="/tapped/lead/1")
    assert _wrong([lead, *_all()]) == []


def test_a_request_that_is_not_told_of_is_missed() -> None:
    assert "tap tells of each call, once" in _wrong(_all()[3:])


def test_tap_that_ends_in_between_is_told_of() -> None:
    found = _evidence(Heard(tuple(_all()[:30]), after=0.2, refused=TapRefused(0, "connection broke")))
    seen = next(each for each in _TAP.proof(_STAGE, found) if each.name == "tap tells of each call, once")
    assert seen.observed == "10; 10 missing, 0 too many; then no answer: connection broke"


def test_a_request_that_is_told_of_twice_is_one_too_many() -> None:
    again = [replace(event, stream=(1, 0)) for event in _exchange(7)]
    assert _wrong([*_all(), *again])[0] == "tap tells of each call, once"


def test_a_response_without_an_end_is_none() -> None:
    assert _wrong(_all()[:-1]) == ["and of its response, as the client had it"]


def test_a_status_that_the_client_did_not_have_is_not_believed() -> None:
    changed = [*_all()[3:], *_exchange(0, status=200)]
    assert _wrong(changed) == ["and of its response, as the client had it"]


@pytest.mark.parametrize(
    ("source", "assertion"),
    [
        (replace(_FROM, labels={"tls": "no_tls_from_remote", "client_id": CLIENT}), "it came with TLS"),
        (replace(_FROM, labels={"tls": "true", "client_id": "somebody.else"}), "of the client"),
        (replace(_FROM, ip="10.0.0.99"), "from the client's address"),
    ],
)
def test_every_request_is_the_clients_and_came_with_tls(source: Peer, assertion: str) -> None:
    assert _wrong(_all(source)) == [assertion]
    assert _codes(_found(_all(source))) == ["TAP_UNTRUE"]


def test_the_control_fails_where_other_paths_are_told_of() -> None:
    control = _TAP.control
    assert control is not None
    other = replace(_exchange(0)[0], path="/passed-over/1")
    lead = replace(other, path="/tapped/lead/1", stream=(0, 1))
    for events, broken in (((lead,), []), ((lead, other), ["what was not asked for is not told"])):
        found = Evidence({"tapped-control": Found(heard=Heard(events, 0.1)), "others": calls(answer())})
        assert wrong(control.proof(_STAGE, found)) == broken


@pytest.mark.parametrize(
    ("heard", "code"),
    [
        (_DENIED, "TAP_FORBIDDEN"),
        (Heard(refused=TapRefused(503, "service unavailable")), "TAP_UNAVAILABLE"),
        (Heard(refused=TapRefused(404, "the server could not find the requested resource")), "TAP_UNAVAILABLE"),
        (Heard(refused=TapRefused(0, "connection broke")), "TAP_UNAVAILABLE"),
        (Heard(refused=TapRefused(200, "no pods to tap")), "TAP_SILENT"),
        (_NOTHING, "TAP_SILENT"),
    ],
)
def test_silence_has_a_cause(heard: Heard, code: str) -> None:
    assert judged(_TAP, _evidence(heard)) == ["tap tells of a call that it is asked for"]
    assert _codes(_evidence(heard)) == [code]


def _with_proxy(*names: str) -> JsonObject:
    made = pod("tapped-0")
    env: list[Json] = [{"name": name, "value": "x"} for name in names]
    return {**made, "spec": {"initContainers": [{"name": "linkerd-proxy", "env": env}]}}


def test_pods_without_the_word_of_taps_injector_are_named() -> None:
    refused = Heard(refused=TapRefused(200, "no pods to tap"))
    found = Evidence({**_evidence(refused).steps, SERVER_PODS: objects(_with_proxy("LINKERD2_PROXY_LOG"))})
    assert _codes(found)[0] == "TAP_NOT_ENABLED"
    enabled = _with_proxy("LINKERD2_PROXY_TAP_SVC_NAME")
    found = Evidence({**_evidence(_NOTHING).steps, SERVER_PODS: objects(enabled)})
    assert _codes(found) == ["TAP_SILENT"]

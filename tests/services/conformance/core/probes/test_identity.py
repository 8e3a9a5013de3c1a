"""Identity, judged by evidence made by hand."""

import pytest

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Found, Unseen
from services.conformance.core.probes.encryption import COVERAGE, OPEN_RELAY, PLAINTEXT, TCP
from services.conformance.core.probes.identity import ANTISPOOF, FORGED, IDENTITY, REQUIRE_ID
from steward.jsonvalue import JsonObject
from tests.services.conformance.core.seen import (
    CLIENT,
    MESHED,
    SERVER,
    STAGE,
    answer,
    calls,
    causes,
    endpoints,
    evidence,
    failure,
    judged,
    objects,
    pages,
    pod,
    refusal,
    sample,
    silence,
    told,
    wrong,
)

_ID = ("l5d-client-id", CLIENT)
_NOTHING: dict[str, Found] = {
    "client-before": pages(cm_0=[]),
    "client-after": pages(cm_0=[]),
    "server-before": pages(v1_0=[]),
    "server-after": pages(v1_0=[]),
}


def _inbound(value: float, **labels: str) -> Found:
    given = {"direction": "inbound", "target_port": "8080", "tls": "true", "client_id": CLIENT} | labels
    return pages(v1_0=[sample("request_total", value, **given)])


def _outbound(value: float, **labels: str) -> Found:
    given = {"direction": "outbound", "target_port": "8080", "tls": "true", "dst_service": "sm"} | labels
    return pages(cm_0=[sample("request_total", value, **given)])


_HEALTHY = _NOTHING | {
    "by-service": calls(answer(_ID), times=10),
    "by-pod": calls(answer(_ID), times=3),
    "client-after": _outbound(13),
    "server-after": _inbound(13),
}


def test_an_identity_that_both_proxies_and_the_server_saw_is_proven() -> None:
    assert judged(IDENTITY, evidence(_HEALTHY)) == []


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"by_service": calls(answer(), times=10)}, "by the Service, the server is told who calls"),
        ({"by_pod": calls(answer(("l5d-client-id", "other")))}, "by the pod's address too"),
        ({"by_service": calls(refusal(502, "x"))}, "calls by the Service are answered"),
        ({"server_after": _inbound(13, tls="no_identity")}, "the server's proxy authenticated them"),
        ({"server_after": _inbound(5)}, "the server's proxy authenticated them"),
        ({"client_after": _outbound(13, tls="no_identity")}, "the client's proxy made them with TLS"),
    ],
)
def test_an_identity_that_somebody_did_not_see_is_not(changed: dict[str, Found], broken: str) -> None:
    assert broken in judged(IDENTITY, evidence(_HEALTHY, **changed))


def test_an_unmeshed_client_that_has_an_identity_spoils_the_control() -> None:
    control = IDENTITY.control
    assert control is not None
    assert wrong(control.proof(STAGE, evidence({"unmeshed-control": calls(answer())}))) == []
    assert wrong(control.proof(STAGE, evidence({"unmeshed-control": calls(answer(_ID))})))


def test_a_control_that_nobody_answered_says_nothing() -> None:
    control = IDENTITY.control
    assert control is not None
    with pytest.raises(Unseen, match="no application answered"):
        control.proof(STAGE, evidence({"unmeshed-control": calls(silence("TimedOut"))}))


def test_what_is_broken_already_is_not_excused_by_a_page_that_is_missing() -> None:
    broken = evidence(_HEALTHY, by_service=calls(answer(), times=10), client_after=failure())
    assert judged(IDENTITY, broken) == ["by the Service, the server is told who calls"]
    with pytest.raises(Unseen):
        judged(IDENTITY, evidence(_HEALTHY, client_after=failure()))


def test_a_pod_without_proxy_is_named_as_the_cause() -> None:
    found = evidence(_HEALTHY, why_client_pods=objects(pod("cm-0")), why_server_pods=objects(pod("v1-0", proxy=False)))
    assert "NOT_INJECTED" in causes(IDENTITY, found)


def test_a_skipped_port_is_named_as_the_cause() -> None:
    skipping = pod("v1-0", {"config.linkerd.io/skip-inbound-ports": "8000-8100"})
    assert causes(IDENTITY, evidence({}, why_server_pods=objects(skipping))) == ["SKIPPED_PORT"]
    other = pod("v1-0", {"config.linkerd.io/skip-inbound-ports": "9999"})
    assert causes(IDENTITY, evidence({}, why_server_pods=objects(other))) == []


def test_a_meshed_endpoint_without_identity_is_named_as_the_cause() -> None:
    found = {why.SERVER_PODS: objects(pod("v1-0", ip="10.0.0.3")), why.SLICES: objects()}
    bare = evidence(found, **{why.DESTINATIONS: told(d=endpoints("10.0.0.3", identity=""))})
    assert "NO_ENDPOINT_IDENTITY" in causes(IDENTITY, bare)
    named = evidence(found, **{why.DESTINATIONS: told(d=endpoints("10.0.0.3"))})
    assert "NO_ENDPOINT_IDENTITY" not in causes(IDENTITY, named)


_HONEST = _NOTHING | {
    "unmeshed": calls(answer(), times=3),
    "meshed": calls(answer(_ID), times=3),
    "server-after": _inbound(3, tls="no_identity"),
}
_SPOOFED = calls(answer(("l5d-client-id", FORGED)))


def test_an_identity_that_cannot_be_forged_is_proven() -> None:
    assert judged(ANTISPOOF, evidence(_HONEST)) == []


@pytest.mark.parametrize("who", ["unmeshed", "meshed"])
def test_a_forged_identity_that_arrives_is_a_failure_of_the_proxy_that_counted_it(who: str) -> None:
    found = evidence(_HONEST, **{who: _SPOOFED})
    assert judged(ANTISPOOF, found)
    assert causes(ANTISPOOF, found)[0] == "HEADER_TRUSTED"


def test_a_forged_identity_that_no_proxy_counted_passed_it_by() -> None:
    found = evidence(_HONEST, unmeshed=_SPOOFED, server_after=pages(v1_0=[]))
    assert causes(ANTISPOOF, found)[0] == "INBOUND_BYPASSED"


def test_a_call_that_was_not_answered_proves_nothing_about_forging() -> None:
    assert judged(ANTISPOOF, evidence(_HONEST, unmeshed=calls(refusal(502))))


def test_the_forged_header_must_arrive_where_no_proxy_strips_it() -> None:
    control = ANTISPOOF.control
    assert control is not None
    assert wrong(control.proof(STAGE, evidence({"plain": _SPOOFED}))) == []
    assert wrong(control.proof(STAGE, evidence({"plain": calls(answer())})))


_WRONG_ID = "logical service 10.0.0.3:8080: required id other; found Some(ServerId(Dns(Name(x))))"
_INSISTED = {
    "client-before": pages(cm_0=[sample("outbound_http_errors_total", 2, error="identity required")]),
    "client-after": pages(cm_0=[sample("outbound_http_errors_total", 7, error="identity required")]),
    "right": calls(answer(_ID), times=3),
    "right-by-pod": calls(answer(_ID)),
    "wrong": calls(refusal(502, _WRONG_ID), times=3),
    "wrong-by-pod": calls(refusal(502, _WRONG_ID)),
    "nameless": calls(refusal(502, "required id x; found None")),
}


def test_insisting_on_an_identity_is_proven_by_both_outcomes_and_the_counter() -> None:
    assert judged(REQUIRE_ID, evidence(_INSISTED)) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"wrong": calls(answer(_ID))}, "REQUIREMENT_IGNORED"),
        ({"right": calls(refusal(502, _WRONG_ID))}, "OTHER_IDENTITY"),
    ],
)
def test_a_requirement_that_is_ignored_or_refused_is_named(changed: dict[str, Found], code: str) -> None:
    found = evidence(_INSISTED, **changed)
    assert judged(REQUIRE_ID, found)
    assert code in causes(REQUIRE_ID, found)


def test_a_refusal_that_nobody_counted_is_not_proof_enough() -> None:
    uncounted = evidence(_INSISTED, client_after=_INSISTED["client-before"])
    assert judged(REQUIRE_ID, uncounted) == ["and counts it"]


def _opened(direction: str, port: str, **labels: str) -> dict[str, str]:
    peer = "dst" if direction == "outbound" else "src"
    who = {"server_id": SERVER} if direction == "outbound" else {"client_id": CLIENT}
    return {"direction": direction, "peer": peer, "target_port": port, "tls": "true"} | who | labels


def _tcp_pages(pod_name: str, direction: str, **labels: str) -> Found:
    ports = ("8084", "8086")
    made = [sample("tcp_open_total", 3, **_opened(direction, port, **labels)) for port in ports]
    return pages(**{pod_name: made})


_RAW = _NOTHING | {
    "tcp": calls(answer(status=None), times=3),
    "opaque": calls(answer(status=None), times=3),
    "client-after": _tcp_pages("cm_0", "outbound"),
    "server-after": _tcp_pages("v1_0", "inbound"),
}


def test_raw_connections_are_proven_by_both_proxies() -> None:
    assert judged(TCP, evidence(_RAW)) == []


def test_raw_connections_in_plain_text_are_named_with_their_reason() -> None:
    plain = _tcp_pages("cm_0", "outbound", tls="no_identity", no_tls_reason="not_provided_by_service_discovery")
    found = evidence(_RAW, client_after=plain)
    assert judged(TCP, found) == [
        "the client's proxy knows whom it reached on tcp",
        "the client's proxy knows whom it reached on opaque",
    ]
    assert causes(TCP, found) == ["TCP_PLAINTEXT"]


def _plain_page(value: float, **labels: str) -> Found:
    given = {"direction": "outbound", "dst_service": "su"} | labels
    return pages(cm_0=[sample("request_total", value, **given)])


_REASON = {"tls": "no_identity", "no_tls_reason": "not_provided_by_service_discovery"}
_SEEN_PLAIN = {
    "client-before": pages(cm_0=[]),
    "client-after": _plain_page(3, **_REASON),
    "plain": calls(answer(pod="su-0"), times=3),
}


def test_plain_text_that_is_counted_as_such_is_proven() -> None:
    assert judged(PLAINTEXT, evidence(_SEEN_PLAIN)) == []


@pytest.mark.parametrize(
    ("after", "code"), [(_plain_page(3, tls="true"), "MISLABELLED"), (pages(cm_0=[]), "UNCOUNTED")]
)
def test_plain_text_that_is_called_something_else_is_named(after: Found, code: str) -> None:
    found = evidence(_SEEN_PLAIN, client_after=after)
    assert judged(PLAINTEXT, found)
    assert causes(PLAINTEXT, found) == [code]


def test_a_relay_that_nobody_gets_through_is_proven() -> None:
    refused = {"meshed": calls(refusal(502)), "unmeshed": calls(silence("Refused"))}
    assert judged(OPEN_RELAY, evidence(refused)) == []


@pytest.mark.parametrize("who", ["meshed", "unmeshed"])
def test_an_answer_by_way_of_another_proxy_is_an_open_relay(who: str) -> None:
    found = evidence({"meshed": calls(refusal(502)), "unmeshed": calls(silence("Refused")), who: calls(answer())})
    assert judged(OPEN_RELAY, found)
    assert causes(OPEN_RELAY, found) == ["OPEN_RELAY"]


def test_pods_that_asked_for_a_proxy_and_got_none_are_named() -> None:
    home: JsonObject = {"metadata": {"name": MESHED, "annotations": {"linkerd.io/inject": "enabled"}, "labels": {}}}
    opted_out = pod("b", {"linkerd.io/inject": "disabled"}, proxy=False)
    fine = {"namespaces": objects(home), "pods": objects(pod("a"), opted_out)}
    assert judged(COVERAGE, evidence(fine)) == []
    left_out = evidence(fine, pods=objects(pod("a"), pod("c", proxy=False)))
    assert judged(COVERAGE, left_out) == ["each has one"]
    assert causes(COVERAGE, left_out) == ["NOT_INJECTED"]

"""Protocols and ports, judged by evidence made by hand."""

import pytest

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Found
from services.conformance.core.pages import Sample
from services.conformance.core.probe import Probe
from services.conformance.core.probes import grpc, http, opaque, ports, raw, streams
from steward.jsonvalue import JsonObject
from tests.services.conformance.core.seen import (
    CLIENT,
    STAGE,
    answer,
    calls,
    causes,
    echoed,
    evidence,
    fetched,
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
_BEFORE = pages(cm_0=[])


def _page(*samples: Sample) -> Found:
    return pages(cm_0=list(samples))


def _detected(service: str, result: str, count: float) -> Sample:
    return sample("outbound_tcp_detect_http_results_total", count, result=result, parent_name=service)


def _treated(service: str, protocol: str, count: float, port: str = "") -> Sample:
    name = "outbound_tcp_protocol_connections_total"
    return sample(name, count, protocol=protocol, parent_name=service, parent_port=port)


def _opened(port: str, **labels: str) -> Sample:
    given = {"direction": "outbound", "peer": "dst", "target_port": port, "tls": "true"} | labels
    return sample("tcp_open_total", 3, **given)


def _raw_answer(**more: object) -> Found:
    given: dict[str, object] = {"status": None, "digest_ok": True, "first_byte_seconds": 0.01, "seconds": 0.02}
    return calls(answer(**(given | more)))  # type: ignore[arg-type]


_HTTP1 = {
    "client-before": _BEFORE,
    "client-after": _page(_detected("proto-http1", "http/1", 6)),
    "kept": calls(answer(_ID), times=10),
    "fresh": calls(*(answer(_ID, connection=number) for number in range(5))),
}
_STREAMS = calls(answer(_ID, echo=echoed(_ID, protocol="HTTP/2")), times=100)
_HTTP2 = {
    "client-before": _BEFORE,
    "client-after": _page(_detected("proto-http2", "http/2", 1)),
    "streams": _STREAMS,
}
_FINE = calls(answer(digest_ok=True))
_LARGE = {
    "headers": _FINE,
    "up": _FINE,
    "down": _FINE,
    "expect": _FINE,
    "head": calls(answer()),
    "empty": calls(answer(status=204)),
    "unmodified": calls(answer(status=304)),
}
_CODES = {"direction": "outbound", "dst_service": "proto-grpc-unary"}
_UNARY = {
    "client-before": _BEFORE,
    "client-after": _page(
        sample("response_total", 10, grpc_status="0", classification="success", **_CODES),
        sample("response_total", 3, grpc_status="14", classification="failure", **_CODES),
    ),
    "calls": calls(answer(("x-probe", "steward"), grpc_status=0), times=10),
    "failing": calls(answer(grpc_status=14), times=3),
    "late": calls(refusal(200, grpc_status=4, seconds=0.5)),
}
_WHOLE = answer(grpc_status=0, received_messages=50, digest_ok=True)
_STREAM = {"server": calls(_WHOLE), "both": calls(_WHOLE), "calls": calls(answer(grpc_status=0))}
_FRAMES = answer(status=101, received_messages=1_000, digest_ok=True, close_code=1000)
_WEBSOCKET = {"frames": calls(_FRAMES), "idle": calls(_FRAMES)}
_EVENTS = answer(received_messages=5, first_byte_seconds=0.01, seconds=2.41)
_SSE = {"events": calls(_EVENTS)}
_TCP = {
    "client-before": _BEFORE,
    "client-after": _page(_detected("proto-tcp", "not_http", 5)),
    "calls": _raw_answer(),
}
_SILENT = {
    "client-before": _BEFORE,
    "client-after": _page(_detected("proto-silent", "read_timeout", 1)),
    "silent": _raw_answer(seconds=12.1),
}
_OPAQUE = {"client-before": _BEFORE, "client-after": _page(_opened("8086")), "banner": _raw_answer()}
_DEFAULT = {
    "client-before": _BEFORE,
    "client-after": _page(_treated("proto-default-opaque", "opaq", 3)),
    "calls": _raw_answer(),
}
_TRAP = {"undeclared": _raw_answer(first_byte_seconds=10.02, seconds=10.03)}
_TLS = {
    "client-before": _BEFORE,
    "client-after": _page(_opened("8443")),
    "calls": _raw_answer(certificate="echo.steward-meshed"),
}
_WORDS = {"8301": "http/1", "8302": "http/2", "8303": "opaq", "8304": "opaq", "8305": "opaq"}
_DECLARED = {
    "client-before": _BEFORE,
    "client-after": _page(*(_treated("proto-declared", word, 2, port) for port, word in _WORDS.items())),
    **{f"to-{port}": calls(answer()) for port in _WORDS},
}
_UNDEFINED = {
    "client-before": _BEFORE,
    "client-after": _page(
        sample("outbound_tcp_route_open_total", 3, route_name="undefined-port", parent_name="proto-undefined")
    ),
    "undefined": calls(silence("Reset", seconds=0.01), times=3),
}
_AUTHORITY = f"{STAGE.service('proto-addressed')}:8080"
_ADDRESSED = {
    "client-before": _BEFORE,
    "client-after": _page(
        sample("request_total", 5, direction="outbound", authority=_AUTHORITY, target_ip="10.0.0.3"),
        sample("request_total", 5, direction="outbound", target_ip="10.0.0.3"),
    ),
    "by-service": calls(answer(_ID), times=5),
    "by-pod": calls(answer(_ID), times=5),
}
_ADMIN = {"meshed": fetched(200), "unmeshed": fetched(200)}
_STRICT: JsonObject = {
    "metadata": {"name": "ns", "annotations": {"config.linkerd.io/default-inbound-policy": "all-authenticated"}}
}

_HEALTHY: tuple[tuple[Probe, dict[str, Found]], ...] = (
    (http.HTTP1, _HTTP1),
    (http.HTTP2, _HTTP2),
    (http.LARGE, _LARGE),
    (grpc.UNARY, _UNARY),
    (grpc.STREAM, _STREAM),
    (streams.WEBSOCKET, _WEBSOCKET),
    (streams.SSE, _SSE),
    (raw.CLIENT_FIRST, _TCP),
    (raw.DETECTION, _SILENT),
    (opaque.OPAQUE, _OPAQUE),
    (opaque.DEFAULT_OPAQUE, _DEFAULT),
    (opaque.SERVER_FIRST, _TRAP),
    (raw.TLS, _TLS),
    (ports.APP_PROTOCOL, _DECLARED),
    (ports.UNDEFINED_PORT, _UNDEFINED),
    (ports.ADDRESSES, _ADDRESSED),
    (ports.ADMIN_PORT, _ADMIN),
)


@pytest.mark.parametrize(("probe", "steps"), _HEALTHY, ids=[probe.id for probe, _ in _HEALTHY])
def test_what_is_as_it_should_be_is_proven(probe: Probe, steps: dict[str, Found]) -> None:
    assert judged(probe, evidence(steps)) == []


@pytest.mark.parametrize(("probe", "steps"), _HEALTHY, ids=[probe.id for probe, _ in _HEALTHY])
def test_calls_that_nobody_answered_prove_nothing(probe: Probe, steps: dict[str, Found]) -> None:
    unanswered = fetched(None) if probe is ports.ADMIN_PORT else calls(silence("TimedOut", seconds=10))
    changed = {name: found if found.pages is not None else unanswered for name, found in steps.items()}
    assert judged(probe, evidence(changed))


_LEAKED = answer(_ID, ("l5d-orig-proto", "HTTP/1.1"))
_BROKEN: tuple[tuple[Probe, dict[str, Found], dict[str, Found], str], ...] = (
    (http.HTTP1, _HTTP1, {"kept": calls(_LEAKED, times=10)}, "UPGRADE_LEAKS"),
    (http.HTTP1, _HTTP1, {"fresh": calls(answer(echo=echoed(protocol="HTTP/2")))}, "UPGRADE_LEAKS"),
    (http.HTTP1, _HTTP1, {"client_after": _page(_treated("proto-http1", "opaq", 6))}, "TREATED_AS_OPAQUE"),
    (
        http.HTTP1,
        _HTTP1,
        {"client_after": _BEFORE, why.OUTBOUND: told(a={"protocol": {"opaque": {"routes": []}}})},
        "POLICY_SAYS_OPAQUE",
    ),
    (http.HTTP1, _HTTP1, {"kept": calls(*(answer(connection=number) for number in range(10)))}, ""),
    (
        http.HTTP2,
        _HTTP2,
        {"streams": calls(refusal(500), times=100), why.FROM_UNMESHED: calls(answer())},
        "WRONG_HTTP_VERSION",
    ),
    (http.HTTP2, _HTTP2, {"streams": calls(answer(echo=echoed(protocol="HTTP/1.1")), times=100)}, "DOWNGRADED"),
    (http.LARGE, _LARGE, {"up": calls(answer(digest_ok=False))}, "BODY_BROKEN"),
    (http.LARGE, _LARGE, {"headers": calls(refusal(431))}, "HEADERS_TOO_LARGE"),
    (http.LARGE, _LARGE, {"empty": calls(answer(status=200))}, ""),
    (grpc.UNARY, _UNARY, {"calls": calls(answer(grpc_status=None, status=200), times=10)}, "TRAILERS_LOST"),
    (grpc.UNARY, _UNARY, {"late": calls(answer(grpc_status=0))}, ""),
    (grpc.UNARY, _UNARY, {"failing": calls(refusal(200, "no endpoints", grpc_status=14), times=3)}, ""),
    (grpc.STREAM, _STREAM, {"both": calls(answer(grpc_status=1, received_messages=7, digest_ok=True))}, "STREAM_CUT"),
    (streams.WEBSOCKET, _WEBSOCKET, {"frames": calls(answer(status=200))}, "UPGRADE_LOST"),
    (streams.WEBSOCKET, _WEBSOCKET, {"idle": calls(answer(status=101, close_code=1006))}, "WEBSOCKET_CUT"),
    (
        streams.SSE,
        _SSE,
        {"events": calls(answer(received_messages=5, first_byte_seconds=2.4, seconds=2.4))},
        "BUFFERED",
    ),
    (streams.SSE, _SSE, {"events": calls(answer(received_messages=2, first_byte_seconds=0.01))}, "STREAM_CUT"),
    (raw.CLIENT_FIRST, _TCP, {"client_after": _page(_treated("proto-tcp", "http/1", 5))}, "DECLARED_HTTP"),
    (raw.CLIENT_FIRST, _TCP, {"calls": _raw_answer(digest_ok=False)}, ""),
    (raw.DETECTION, _SILENT, {"client_after": _page(_detected("proto-silent", "not_http", 1))}, "DETECT_PATIENCE"),
    (raw.DETECTION, _SILENT, {"silent": calls(silence("Closed", seconds=10))}, "SILENCE_CUT"),
    (raw.DETECTION, _SILENT, {"silent": _raw_answer(seconds=22)}, ""),
    (opaque.OPAQUE, _OPAQUE, {"banner": _raw_answer(first_byte_seconds=10.1)}, "NOT_OPAQUE"),
    (opaque.OPAQUE, _OPAQUE, {"client_after": _page(_opened("8086", tls="no_identity"))}, ""),
    (
        opaque.DEFAULT_OPAQUE,
        _DEFAULT,
        {"client_after": _page(_treated("proto-default-opaque", "detect", 3))},
        "OPAQUE_DEFAULTS_CHANGED",
    ),
    (opaque.SERVER_FIRST, _TRAP, {"undeclared": _raw_answer(first_byte_seconds=0.01)}, "DETECTION_PASSED_BY"),
    (raw.TLS, _TLS, {"calls": _raw_answer(certificate="sm.x.serviceaccount.identity.linkerd.y")}, "TLS_TERMINATED"),
    (
        ports.APP_PROTOCOL,
        _DECLARED,
        {"client_after": _page(*(_treated("proto-declared", "detect", 2, port) for port in _WORDS))},
        "APPPROTO_IGNORED",
    ),
    (
        ports.APP_PROTOCOL,
        _DECLARED,
        {"client_after": _page(*(_treated("proto-declared", "opaq", 2, port) for port in _WORDS))},
        "APPPROTO_OPAQUE",
    ),
    (
        ports.APP_PROTOCOL,
        _DECLARED,
        {"client_after": _BEFORE, why.OUTBOUND: told(a={"protocol": {"detect": {"timeout": "10s"}}})},
        "POLICY_IGNORES_APPPROTO",
    ),
    (ports.UNDEFINED_PORT, _UNDEFINED, {"undefined": calls(answer())}, "UNDEFINED_PORT_OPEN"),
    (ports.UNDEFINED_PORT, _UNDEFINED, {"undefined": calls(silence("TimedOut"))}, "UNDEFINED_PORT_OPEN"),
    (ports.UNDEFINED_PORT, _UNDEFINED, {"undefined": calls(silence("Reset", seconds=3), times=3)}, ""),
    (ports.ADDRESSES, _ADDRESSED, {"client_after": _BEFORE}, "SERVICE_NOT_RESOLVED"),
    (ports.ADDRESSES, _ADDRESSED, {"by_pod": calls(answer())}, ""),
    (ports.ADMIN_PORT, _ADMIN, {"unmeshed": fetched(403)}, "SCRAPE_REFUSED"),
    (ports.ADMIN_PORT, _ADMIN, {"unmeshed": fetched(403), "namespaces": objects(_STRICT)}, "STRICT_DEFAULT"),
)


@pytest.mark.parametrize(
    ("probe", "steps", "changed", "code"),
    _BROKEN,
    ids=[f"{probe.id} {code or '-'}" for probe, _, _, code in _BROKEN],
)
def test_what_is_broken_is_found_and_named(
    probe: Probe, steps: dict[str, Found], changed: dict[str, Found], code: str
) -> None:
    found = evidence(steps, **changed)
    assert judged(probe, found)
    assert not code or code in causes(probe, found)


def test_a_server_that_is_slow_without_a_mesh_spoils_the_control() -> None:
    control = opaque.OPAQUE.control
    assert control is not None
    assert wrong(control.proof(STAGE, evidence({"without-mesh": _raw_answer()}))) == []
    assert wrong(control.proof(STAGE, evidence({"without-mesh": _raw_answer(first_byte_seconds=10.0)})))


def test_a_strict_default_alone_is_no_cause_while_scrapers_are_let_in() -> None:
    strict = pod("v1-0", {"config.linkerd.io/default-inbound-policy": "deny"})
    assert causes(ports.ADMIN_PORT, evidence(_ADMIN, pods=objects(strict))) == []

"""`proto.websocket`, `proto.sse`: connections over which much is said and nothing may be held back."""

from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious, skipped_port
from services.conformance.core.orders import Call, Protocol
from services.conformance.core.probe import Cause, Probe
from services.conformance.core.proofs import all_are, bytes_equal, first_byte_took, status_is, took
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Calls, Step
from services.conformance.core.targets import CLIENT, at_service, prompt
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung

_FRAMES, _EVENTS = 1_000, 5
_NORMAL_CLOSE = 1000
_SWITCHED = 101


def _websocket_steps(stage: Stage) -> tuple[Step, ...]:
    target = at_service(stage, "sm", Port.WEBSOCKET)
    quiet = stage.timings.detect + stage.timings.slack
    many = Call(target=target, protocol=Protocol.WEBSOCKET, messages=_FRAMES, body_bytes=64, timeout_seconds=60)
    idle = many.model_copy(update={"messages": 2, "silence_seconds": quiet.total_seconds()})
    return (Calls("frames", CLIENT, many), Calls("idle", CLIENT, idle))


def _websocket_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    frames, idle = evidence.replies("frames"), evidence.replies("idle")
    both = (*frames, *idle)
    return (
        status_is("the connection is switched to WebSocket", both, _SWITCHED),
        all_are(f"{_FRAMES} frames come back", frames, "all", lambda reply: reply.received_messages == _FRAMES),
        bytes_equal("each as it was sent", both),
        all_are("it is closed as it should be", both, "1000", lambda reply: reply.close_code == _NORMAL_CLOSE),
    )


def _not_switched(_stage: Stage, evidence: Evidence) -> str | None:
    said = [reply for reply in evidence.replies("frames") if reply.status not in (None, _SWITCHED)]
    return f"the upgrade was answered with {said[0].status}" if said else None


def _dropped(_stage: Stage, evidence: Evidence) -> str | None:
    cut = [
        f"{name}: {reply.received_messages} frames, close code {reply.close_code}, {reply.trouble or 'no trouble'}"
        for name in ("frames", "idle")
        for reply in evidence.replies(name)
        if reply.status == _SWITCHED and (reply.trouble is not None or reply.close_code != _NORMAL_CLOSE)
    ]
    return "; ".join(cut) or None


WEBSOCKET = Probe(
    id="proto.websocket",
    claim="WebSockets are carried, many frames and long silences.",
    tier=Tier.TRAFFIC,
    steps=_websocket_steps,
    proof=_websocket_proof,
    causes=(
        *COMMON,
        skipped_port(PORTS[Port.WEBSOCKET]),
        Cause(
            code="UPGRADE_LOST",
            rung=Rung.PROXY,
            seen=cautious(_not_switched),
            message="The request to switch to WebSocket does not reach the server, or its answer not the client.",
            expected="101",
            disproof="The same request to the pod's address is answered 101.",
            remedy="Take kubernetes.io/h2c off the port: WebSockets begin in HTTP/1.1.",
            command="kubectl get service <service> -o jsonpath='{.spec.ports}'",
        ),
        Cause(
            code="WEBSOCKET_CUT",
            rung=Rung.TRAFFIC,
            seen=cautious(_dropped),
            message="An open WebSocket is cut off.",
            expected="all frames, then close code 1000",
            disproof="The same conversation is whole from an unmeshed client.",
            remedy="Look for timeout.linkerd.io/idle on Service and routes, and for proxies that restarted.",
            command="kubectl get service <service> -o jsonpath='{.metadata.annotations}'",
        ),
        DATAPATH,
    ),
    diagnosis=Scene(port=Port.WEBSOCKET).steps,
)


def _every(stage: Stage) -> timedelta:
    return prompt(stage) * 0.6


def _sse_steps(stage: Stage) -> tuple[Step, ...]:
    path = Wishes(stream=_EVENTS, every=_every(stage)).on("/events")
    return (Calls("events", CLIENT, Call(target=at_service(stage, "sm"), protocol=Protocol.SSE, path=path)),)


def _sse_proof(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("events")
    lasts = _every(stage) * (_EVENTS - 1)
    return (
        status_is("the stream begins", replies, 200),
        first_byte_took("the first event is not held back", replies, timedelta(), prompt(stage)),
        all_are(f"{_EVENTS} events come", replies, "all", lambda reply: reply.received_messages == _EVENTS),
        took("as they are made, not at the end", replies, lasts * 0.9, lasts + prompt(stage) * 3),
    )


def _held_back(stage: Stage, evidence: Evidence) -> str | None:
    late = [reply.first_byte_seconds for reply in evidence.replies("events") if reply.received_messages == _EVENTS]
    if not late or late[0] is None or late[0] <= prompt(stage).total_seconds():
        return None
    return f"the first of {_EVENTS} events came after {late[0]:.1f} s, with the last"


def _events_lost(_stage: Stage, evidence: Evidence) -> str | None:
    short = [reply for reply in evidence.replies("events") if 0 < reply.received_messages < _EVENTS]
    return f"{short[0].received_messages} of {_EVENTS} events, then {short[0].trouble or 'the end'}" if short else None


SSE = Probe(
    id="proto.sse",
    claim="Server-sent events arrive as they are made.",
    tier=Tier.TRAFFIC,
    steps=_sse_steps,
    proof=_sse_proof,
    causes=(
        *COMMON,
        skipped_port(PORTS[Port.HTTP]),
        Cause(
            code="BUFFERED",
            rung=Rung.TRAFFIC,
            seen=cautious(_held_back),
            message="Something on the way collects the answer before it passes it on.",
            expected="the first event within a moment",
            disproof="The first event comes at once from the pod's address.",
            remedy="Find what buffers answers on the way: an ingress, a gateway; Linkerd's proxies do not.",
            command="curl -N -H 'accept: text/event-stream' 'http://<service>/events?stream=5&every=0.3'",
        ),
        Cause(
            code="STREAM_CUT",
            rung=Rung.TRAFFIC,
            seen=cautious(_events_lost),
            message="The stream ends before it is over.",
            expected=f"{_EVENTS} events",
            disproof="The same stream is whole from an unmeshed client.",
            remedy="Look for timeout.linkerd.io/response on Service and routes, and for proxies that restarted.",
            command="kubectl get service <service> -o jsonpath='{.metadata.annotations}'",
        ),
        DATAPATH,
    ),
    diagnosis=Scene().steps,
)

PROBES = (WEBSOCKET, SSE)

"""`proto.grpc.*`: calls and streams, with their metadata, statuses and deadlines."""

from datetime import timedelta

from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import front, reachable
from services.conformance.core.known_causes import COMMON, DATAPATH, cautious, skipped_port
from services.conformance.core.objects import service_port
from services.conformance.core.orders import Call, Conversation, Reply, Trouble
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.http import policy_says_opaque, read_around, treated_as_opaque
from services.conformance.core.proofs import (
    Maker,
    all_are,
    between,
    bytes_equal,
    counter_grew,
    grpc_is,
    made_by,
    series,
    server_saw,
    took,
)
from services.conformance.core.stage import PORTS, Port, Stage
from services.conformance.core.steps import Applied, Calls, Step
from services.conformance.core.targets import CLIENT, headers, native
from services.conformance.core.wishes import Wishes
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung

_UNARY, _STREAM = "proto-grpc-unary", "proto-grpc-stream"
_TIMES, _MESSAGES = 10, 50
_UNAVAILABLE, _DEADLINE_EXCEEDED = 14, 4
_PATIENCE = timedelta(milliseconds=500)
_METADATA = "steward"


def _call(stage: Stage, name: str, **changes: object) -> Call:
    return native(stage, name, Port.GRPC).model_copy(update=changes)


def _unary_steps(stage: Stage) -> tuple[Step, ...]:
    late = Wishes(delay=_PATIENCE * 4).on()
    return (
        Applied("applied", (front(stage, _UNARY, {"app": "sm"}, service_port(Port.GRPC)),)),
        reachable(stage, _call(stage, _UNARY)),
        *read_around(
            Calls("calls", CLIENT, _call(stage, _UNARY, times=_TIMES, headers=headers(x_probe=_METADATA))),
            Calls("failing", CLIENT, _call(stage, _UNARY, times=3, path=Wishes(status=_UNAVAILABLE).on())),
            Calls("late", CLIENT, _call(stage, _UNARY, path=late, timeout_seconds=_PATIENCE.total_seconds())),
        ),
    )


def _unary_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    calls, failing, late = (evidence.replies(name) for name in ("calls", "failing", "late"))
    pages = between(evidence, "client-before", "client-after")
    labels = {"direction": "outbound", "dst_service": _UNARY}
    return (
        grpc_is("calls are answered OK", calls, 0),
        server_saw("metadata arrives", calls, "x-probe", _METADATA),
        grpc_is("a status of the application arrives", failing, _UNAVAILABLE),
        made_by("and is the application's", failing, Maker.APPLICATION),
        all_are("a call that is too slow ends by its deadline", late, "DeadlineExceeded", _too_late),
        took("when it is due", late, _PATIENCE * 0.9, _PATIENCE * 3),
        counter_grew(
            "the proxy counts OK as success",
            pages,
            series("response_total", grpc_status="0", classification="success", **labels),
            _TIMES,
        ),
        counter_grew(
            "and Unavailable as failure",
            pages,
            series("response_total", grpc_status=str(_UNAVAILABLE), classification="failure", **labels),
            len(failing),
        ),
    )


def _too_late(reply: Reply) -> bool:
    """The client gives up at the same moment as everybody else: either may be first."""
    return reply.grpc_status == _DEADLINE_EXCEEDED or reply.trouble is Trouble.TIMED_OUT


def _no_trailers(_stage: Stage, evidence: Evidence) -> str | None:
    without = [reply for reply in evidence.replies("calls") if reply.status == 200 and reply.grpc_status is None]
    return f"{len(without)} answers without a status in their trailers" if without else None


TRAILERS_LOST = Cause(
    code="TRAILERS_LOST",
    rung=Rung.TRAFFIC,
    seen=cautious(_no_trailers),
    message="The trailers in which gRPC tells the status are lost on the way.",
    expected="grpc-status in the trailers of each answer",
    disproof="A call to the pod's address shows grpc-status.",
    remedy="Find what speaks HTTP/1 on the way: an ingress, a port declared http, an old intermediary.",
    command="grpcurl -plaintext <service>:8082 list",
)
UNARY = Probe(
    id="proto.grpc.unary",
    claim="gRPC calls are carried with metadata, status and deadline.",
    tier=Tier.FOUNDATION,
    steps=_unary_steps,
    proof=_unary_proof,
    causes=(
        treated_as_opaque(_UNARY),
        policy_says_opaque(),
        *COMMON,
        skipped_port(PORTS[Port.GRPC]),
        TRAILERS_LOST,
        DATAPATH,
    ),
    diagnosis=Scene(service=_UNARY, port=Port.GRPC).steps,
)


def _stream_steps(stage: Stage) -> tuple[Step, ...]:
    many = {"messages": _MESSAGES, "timeout_seconds": 30}
    return (
        Applied("applied", (front(stage, _STREAM, {"app": "sm"}, service_port(Port.GRPC)),)),
        reachable(stage, _call(stage, _STREAM)),
        Calls("server", CLIENT, _call(stage, _STREAM, conversation=Conversation.SERVER_STREAM, **many)),
        Calls("both", CLIENT, _call(stage, _STREAM, conversation=Conversation.BIDIRECTIONAL, **many)),
        Calls("calls", CLIENT, _call(stage, _STREAM)),
    )


def _stream_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    server, both = evidence.replies("server"), evidence.replies("both")
    wanted = f"{_MESSAGES} messages"
    return (
        grpc_is("a stream of the server ends OK", server, 0),
        all_are("and is whole", server, wanted, lambda reply: reply.received_messages == _MESSAGES),
        grpc_is("a stream in both directions ends OK", both, 0),
        all_are("and is whole too", both, wanted, lambda reply: reply.received_messages == _MESSAGES),
        bytes_equal("each message comes back as it was sent", both),
        check("and calls beside it work", expected=0, observed=evidence.reply("calls").grpc_status),
    )


def _ended_early(_stage: Stage, evidence: Evidence) -> str | None:
    short = [
        f"{name} stream: {reply.received_messages} of {_MESSAGES} messages, then {reply.grpc_message or reply.message}"
        for name in ("server", "both")
        for reply in evidence.replies(name)
        if 0 < reply.received_messages < _MESSAGES
    ]
    return "; ".join(short) or None


STREAM = Probe(
    id="proto.grpc.stream",
    claim="gRPC streams are carried whole, in one direction and in both.",
    tier=Tier.FOUNDATION,
    steps=_stream_steps,
    proof=_stream_proof,
    causes=(
        *COMMON,
        skipped_port(PORTS[Port.GRPC]),
        TRAILERS_LOST,
        Cause(
            code="STREAM_CUT",
            rung=Rung.TRAFFIC,
            seen=cautious(_ended_early),
            message="A stream ends before it is over.",
            expected=f"{_MESSAGES} messages and a status",
            disproof="The same stream is whole from an unmeshed client.",
            remedy="Look for timeout.linkerd.io/idle and response on Service and routes, and for restarts of proxies.",
            command="kubectl get service <service> -o jsonpath='{.metadata.annotations}'",
        ),
        DATAPATH,
    ),
    diagnosis=Scene(service=_STREAM, port=Port.GRPC).steps,
)

PROBES = (UNARY, STREAM)

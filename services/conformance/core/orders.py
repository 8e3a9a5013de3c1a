"""What the service asks of an agent, and what the agent saw. Wire values: they travel over NATS and into a spool."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from steward.events.base import Part

Headers = tuple[tuple[str, str], ...]
EACH_CALL = "~call~"
"""In the path or a header of a call: becomes a word that no other call has, so that a server counts it by itself."""
EACH_ATTEMPT = "~attempt~"
"""In a header or the path of a call: becomes 32 hexadecimal digits, the same in all calls of one attempt of a probe."""


class Protocol(StrEnum):
    """How a call is made. HTTP2 is cleartext with prior knowledge."""

    HTTP1 = "http/1"
    HTTP2 = "http/2"
    GRPC = "grpc"
    WEBSOCKET = "websocket"
    SSE = "sse"
    TCP = "tcp"
    TLS = "tls"


class Conversation(StrEnum):
    """Who speaks first on a raw connection, and what a gRPC call streams."""

    CLIENT_FIRST = "ClientFirst"
    SERVER_FIRST = "ServerFirst"
    SILENT_THEN_CLIENT = "SilentThenClient"
    UNARY = "Unary"
    SERVER_STREAM = "ServerStream"
    BIDIRECTIONAL = "Bidirectional"


GRPC_SERVICE = "steward.exerciser.v1.Echo"
"""What gRPC calls without a path of their own go to; its methods are named as the conversations are."""


class Target(Part):
    """Where a call goes. `host` is dialled; `authority`, where given, is what the request names instead."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    authority: str = ""


class Call(Part):
    """The same call, `times` over. Replies come in the order of the calls, one for each, failed ones included."""

    do: Literal["Call"] = "Call"
    target: Target
    protocol: Protocol = Protocol.HTTP1
    method: str = "GET"
    path: str = "/"
    headers: Headers = ()
    body_bytes: Annotated[int, Field(ge=0, le=134_217_728)] = 0
    conversation: Conversation = Conversation.UNARY
    messages: Annotated[int, Field(ge=1, le=100_000)] = 1
    silence_seconds: Annotated[float, Field(ge=0, le=60)] = 0
    server_name: str = Field(default="", description="SNI of a TLS call.")
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=500)] = 1
    per_second: Annotated[float, Field(ge=0, le=5_000)] = Field(default=0, description="0: each after the other.")
    keep: bool = Field(default=True, description="One connection for all; else each call dials anew.")
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10

    def as_one(self, word: str) -> "Call":
        """The same call with `word`, which must be its alone (`<order>-<number>`), in place of each `~call~`."""
        return self._with(EACH_CALL, word)

    def of_attempt(self, word: str) -> "Call":
        """The same call with `word`, 32 hexadecimal digits, in place of each `~attempt~`."""
        return self._with(EACH_ATTEMPT, word)

    def _with(self, room: str, word: str) -> "Call":
        if room not in self.path and not any(room in value for _, value in self.headers):
            return self
        headers = tuple((name, value.replace(room, word)) for name, value in self.headers)
        return self.model_copy(update={"path": self.path.replace(room, word), "headers": headers})


class Fetch(Part):
    """One GET whose whole body is wanted: a page of metrics, `/ready`."""

    do: Literal["Fetch"] = "Fetch"
    target: Target
    path: str = "/metrics"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5


class Hold(Part):
    """Open a connection, keep it under a name, and use it every `every_seconds` until it is released."""

    do: Literal["Hold"] = "Hold"
    name: str
    target: Target
    protocol: Protocol = Protocol.TCP
    every_seconds: Annotated[float, Field(gt=0, le=300)] = 1


class Release(Part):
    """Close what was held under a name and tell how it fared."""

    do: Literal["Release"] = "Release"
    name: str


class Lookup(Part):
    """Resolve a name `times` over."""

    do: Literal["Lookup"] = "Lookup"
    name: str
    times: Annotated[int, Field(ge=1, le=10_000)] = 1


Doing = Annotated[Call | Fetch | Hold | Release | Lookup, Field(discriminator="do")]


class Order(Part):
    """One thing to do, by one agent, before a deadline: an order that comes late is refused, never done."""

    id: str
    agent: str
    deadline: AwareDatetime
    doing: Doing


class Trouble(StrEnum):
    """Why there was no answer at all."""

    REFUSED = "Refused"
    RESET = "Reset"
    CLOSED = "Closed"
    TIMED_OUT = "TimedOut"
    UNKNOWN_NAME = "UnknownName"
    UNREACHABLE = "Unreachable"
    BAD_TLS = "BadTLS"
    BAD_PROTOCOL = "BadProtocol"


class SpanKind(StrEnum):
    """Which end of a call a span is about."""

    SERVER = "Server"
    CLIENT = "Client"
    OTHER = "Other"


class Span(Part):
    """What a collector was told of one stretch of a request. Ids are hexadecimal; `host` is who told."""

    trace: str
    id: str
    parent: str = ""
    name: str = ""
    kind: SpanKind = SpanKind.OTHER
    service: str = ""
    host: str = ""
    attributes: Headers = ()


class Echo(Part):
    """What the server said of itself and of the request it saw."""

    pod: str
    node: str = ""
    zone: str = ""
    ip: str = ""
    remote: str = ""
    protocol: str = ""
    method: str = ""
    path: str = ""
    headers: Headers = ()
    attempt: int = Field(default=1, description="How often this id was seen by this server.")
    body_digest: str = ""
    spans: tuple[Span, ...] = Field(default=(), description="Where asked for: what this server collected of a trace.")


class Reply(Part):
    """What one call saw. Seconds are from the call's beginning."""

    at: AwareDatetime
    connection: int = Field(default=0, description="Told apart within one order: the same number, the same connection.")
    status: int | None = None
    grpc_status: int | None = None
    grpc_message: str = ""
    headers: Headers = ()
    trailers: Headers = ()
    http_version: str = ""
    echo: Echo | None = None
    trouble: Trouble | None = None
    message: str = ""
    first_byte_seconds: float | None = None
    seconds: float = 0
    late_seconds: float = Field(
        default=0, description="How long the agent was kept from its own work meanwhile: what `seconds` has too much."
    )
    received_bytes: int = 0
    received_messages: int = 0
    digest_ok: bool | None = Field(default=None, description="Whether what came back equals what was sent.")
    close_code: int | None = None
    certificate: str = Field(default="", description="Common name of the certificate that a TLS server showed.")


class Replies(Part):
    """Of a `Call`."""

    saw: Literal["Replies"] = "Replies"
    replies: tuple[Reply, ...]


class Fetched(Part):
    """Of a `Fetch`. `status` is None where nothing answered."""

    saw: Literal["Fetched"] = "Fetched"
    status: int | None = None
    body: str = ""
    trouble: Trouble | None = None
    message: str = ""


class Held(Part):
    """Of a `Hold` (opened or not) and of a `Release` (how it fared)."""

    saw: Literal["Held"] = "Held"
    name: str
    open: bool
    opened_at: AwareDatetime | None = None
    uses: int = 0
    failures: int = 0
    resets: int = 0
    pod: str = ""
    trouble: Trouble | None = None
    message: str = ""


class Answers(Part):
    """Of a `Lookup`: each distinct answer with how often it came."""

    saw: Literal["Answers"] = "Answers"
    addresses: tuple[tuple[str, int], ...] = ()
    failures: int = 0
    slowest_seconds: float = 0


class Refused(Part):
    """The order was not carried out, and why: it came late, or it makes no sense."""

    saw: Literal["Refused"] = "Refused"
    reason: str
    message: str


Seen = Annotated[Replies | Fetched | Held | Answers | Refused, Field(discriminator="saw")]


class Report(Part):
    """What an agent saw when it did what `order` asked. Told until it is known to have arrived."""

    order: str
    agent: str
    pod: str
    node: str = ""
    zone: str = ""
    started_at: AwareDatetime
    ended_at: AwareDatetime
    seen: Seen

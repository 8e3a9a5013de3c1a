"""Short ways to write calls: where they go, and who makes them. What is asked of the server is said with `Wishes`."""

from datetime import timedelta

from services.conformance.core.orders import Call, Conversation, Headers, Protocol, Target
from services.conformance.core.stage import PORTS, Place, Port, Stage

CLIENT = "cm"
OTHER = "cn"
UNMESHED = "cu"
CLIENT_ACCOUNT = "probe-client"
OTHER_ACCOUNT = "probe-other"
SERVER_ACCOUNT = "probe-server"
"""ServiceAccounts of `cm`, of `cn`, and of every echo server."""
_PROTOCOLS: dict[Port, Protocol] = {
    Port.H2C: Protocol.HTTP2,
    Port.GRPC: Protocol.GRPC,
    Port.WEBSOCKET: Protocol.WEBSOCKET,
    Port.TCP: Protocol.TCP,
    Port.SERVER_FIRST: Protocol.TCP,
    Port.OPAQUE: Protocol.TCP,
    Port.TLS: Protocol.TLS,
}
_SERVER_FIRST = (Port.SERVER_FIRST, Port.OPAQUE)


def at_service(stage: Stage, name: str, port: Port | int = Port.HTTP) -> Target:
    """A port of a Service, by its full name."""
    return Target(host=stage.service(name), port=number(port))


def place_of(stage: Stage, actor: str, index: int = 0) -> Place:
    """One pod of an actor; while it has none, one whose address says so and never answers."""
    pods = stage.pods(actor)
    return pods[index % len(pods)] if pods else Place(actor, stage.meshed, f"{actor}.no-pod-yet.invalid")


def at_pod(stage: Stage, actor: str, port: Port | int = Port.HTTP, index: int = 0) -> Target:
    """A port of one pod of an actor, by its address."""
    return Target(host=place_of(stage, actor, index).ip, port=number(port))


def number(port: Port | int) -> int:
    """The number of a port."""
    return PORTS[port] if isinstance(port, Port) else port


def get(target: Target, path: str = "/", *, times: int = 1, headers: Headers = (), timeout: float = 10) -> Call:
    """HTTP/1.1 GET, on one connection."""
    return Call(target=target, path=path, times=times, headers=headers, timeout_seconds=timeout)


def fresh(call: Call) -> Call:
    """The same call, each time on a new connection."""
    return call.model_copy(update={"keep": False})


def paced(call: Call, per_second: float) -> Call:
    """The same call, at a steady rate whatever the answers take."""
    return call.model_copy(update={"per_second": per_second})


def native(stage: Stage, name: str, port: Port, *, times: int = 1) -> Call:
    """What suits the port: HTTP/1.1, HTTP/2, gRPC, WebSocket, TCP (whoever speaks first there) or TLS."""
    spoken = Conversation.SERVER_FIRST if port in _SERVER_FIRST else Conversation.CLIENT_FIRST
    protocol = _PROTOCOLS.get(port, Protocol.HTTP1)
    return Call(
        target=at_service(stage, name, port),
        protocol=protocol,
        conversation=spoken if protocol in (Protocol.TCP, Protocol.TLS) else Conversation.UNARY,
        server_name="echo.invalid" if protocol is Protocol.TLS else "",
        times=times,
    )


def silently(call: Call, silence: timedelta) -> Call:
    """The same raw call, whose client says nothing for a while and then speaks."""
    said = {"conversation": Conversation.SILENT_THEN_CLIENT, "silence_seconds": silence.total_seconds()}
    return call.model_copy(update=said | {"timeout_seconds": silence.total_seconds() * 2 + 5})


def prompt(stage: Stage) -> timedelta:
    """What is at once: far from any time that a proxy waits for."""
    return min(timedelta(seconds=1), stage.timings.detect / 2)


def headers(**named: str) -> Headers:
    """Request headers: `headers(l5d_client_id="x")` is `l5d-client-id: x`."""
    return tuple((name.replace("_", "-"), value) for name, value in named.items())


def header_map(pairs: Headers) -> dict[str, str]:
    """Headers by lower-case name; of several with one name the last."""
    return {name.lower(): value for name, value in pairs}


def seconds(duration: timedelta) -> float:
    """A duration as the orders to agents have it."""
    return duration.total_seconds()

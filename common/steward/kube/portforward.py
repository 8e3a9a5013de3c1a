"""A way from a local port to a port of a pod, through the API server: how the CLI reaches NATS without an ingress.

    async with port_forward(kube, PodPort("linkerd-steward", "nats-0", 4222)) as way:
        await Bus.connect(BusSettings(servers=(f"nats://127.0.0.1:{way.local_port}",)), ...)

Each local connection gets a websocket of its own (`v4.channel.k8s.io`: channel 0 carries data, channel 1 the reason why
the pod's port cannot be reached).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType

from steward.kube.client import Kube
from steward.kube.errors import Answer, KubeError, ServerUnavailable, error_from
from steward.kube.resources import PODS
from steward.kube.transport import TransportFailure

_LOG = structlog.get_logger("steward.kube.portforward")
_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_PORT_NOTICE = 2
_CHUNK = 64 * 1024
_CONNECT_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class PodPort:
    """The far end."""

    namespace: str
    pod: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.port}"


@dataclass(slots=True)
class Forwarding:
    """An open way. `problem` is why the last connection failed, for the error message of whoever used it."""

    local_port: int
    problem: KubeError | None = None


@asynccontextmanager
async def port_forward(kube: Kube, to: PodPort) -> AsyncIterator[Forwarding]:
    """Listen on a free loopback port and carry every connection to the pod; fails at once where that is not allowed."""
    await (await _open(kube, to)).close()
    try:
        async with _listening(kube, to) as forwarding:
            yield forwarding
    except ExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        # Whoever uses the way is no task of ours: what went wrong there comes out as it went in.
        error = group.exceptions[0]
        raise error from error.__cause__


@asynccontextmanager
async def _listening(kube: Kube, to: PodPort) -> AsyncIterator[Forwarding]:
    forwarding = Forwarding(0)
    async with asyncio.TaskGroup() as connections:
        open_ones: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = connections.create_task(_serve(kube, to, forwarding, (reader, writer)))
            open_ones.add(task)
            task.add_done_callback(open_ones.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        forwarding.local_port = int(server.sockets[0].getsockname()[1])
        try:
            yield forwarding
        finally:
            server.close()
            for connection in tuple(open_ones):
                connection.cancel()


async def _open(kube: Kube, to: PodPort) -> ClientWebSocketResponse:
    act = f"forward to {to}"
    path = PODS.path(to.namespace, to.pod, "portforward") + f"?ports={to.port}"
    try:
        opened = await kube.transport.websocket(path, _PROTOCOL, _CONNECT_WITHIN)
    except TransportFailure as failure:
        raise ServerUnavailable(act, str(failure), reason="NoAnswer") from failure
    if isinstance(opened, Answer):
        raise error_from(act, opened)
    return opened


async def _serve(
    kube: Kube, to: PodPort, forwarding: Forwarding, ends: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    reader, writer = ends
    try:
        await _carry(kube, to, reader, writer)
    except* KubeError as group:
        forwarding.problem = next(error for error in group.exceptions if isinstance(error, KubeError))
        _LOG.warning("port-forward failed", to=str(to), error=str(forwarding.problem))
    finally:
        writer.close()


async def _carry(kube: Kube, to: PodPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    socket = await _open(kube, to)
    try:
        async with asyncio.TaskGroup() as ways:
            upward = ways.create_task(_upward(reader, socket))
            await _downward(socket, writer, to)
            upward.cancel()
    except* (OSError, ClientError) as broken:
        _LOG.debug("connection ended", to=str(to), reason=str(broken.exceptions[0]))
    finally:
        await socket.close()


async def _upward(reader: asyncio.StreamReader, socket: ClientWebSocketResponse) -> None:
    while chunk := await reader.read(_CHUNK):
        await socket.send_bytes(bytes([_DATA]) + chunk)
    await socket.close()


async def _downward(socket: ClientWebSocketResponse, writer: asyncio.StreamWriter, to: PodPort) -> None:
    """Channels 0 and 1 each begin with the port they stand for; what follows is data, or the reason of a failure."""
    noticed: set[int] = set()
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, payload = message.data[0], message.data[1:]
        if channel not in noticed:
            noticed.add(channel)
            payload = payload[_PORT_NOTICE:]
        if not payload:
            continue
        if channel == _ERROR:
            raise ServerUnavailable(f"forward to {to}", payload.decode("utf-8", "replace"), reason="PortForward")
        if channel == _DATA:
            writer.write(payload)
            await writer.drain()

"""What a kubelet does for port-forwarding: `pods/portforward` over a websocket, to listeners of the test itself."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from steward.kube.resources import PODS
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.faults import Asked
from steward.testing.kubernetes.refusal import bad_request
from steward.testing.kubernetes.routes import route

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = b"\x00", b"\x01"
_CHUNK = 64 * 1024


@dataclass(slots=True)
class PodPorts:
    """Which listener on loopback stands for which port of which pod."""

    cluster: ClusterState
    listeners: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def serves(self, asked: Asked) -> bool:
        """Whether this request wants a port."""
        return asked.path.endswith("/portforward") and "/pods/" in asked.path

    async def forward(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        """Carry bytes both ways until one side is done."""
        found = route(self.cluster.kinds, asked.path)
        self.cluster.get(PODS, found.name, found.namespace)
        port = asked.query.get("ports", "")
        if not port.isdigit():
            raise bad_request(f"query parameter ports is not a port: {port!r}")
        socket = web.WebSocketResponse(protocols=(_PROTOCOL,))
        await socket.prepare(request)
        notice = int(port).to_bytes(2, "little")
        for channel in (_DATA, _ERROR):
            await socket.send_bytes(channel + notice)
        listener = self.listeners.get((found.namespace, found.name, int(port)))
        if listener is None:
            await socket.send_bytes(_ERROR + f"nothing listens on port {port} of pod {found.name}".encode())
        else:
            await _carry(socket, listener)
        await socket.close()
        return socket


async def _carry(socket: web.WebSocketResponse, listener: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener)
    try:
        async with asyncio.TaskGroup() as ways:
            downward = ways.create_task(_downward(reader, socket))
            async for message in socket:
                if message.type is WSMsgType.BINARY and message.data[:1] == _DATA:
                    writer.write(message.data[1:])
                    await writer.drain()
            downward.cancel()
    finally:
        writer.close()


async def _downward(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    while chunk := await reader.read(_CHUNK):
        await socket.send_bytes(_DATA + chunk)
    await socket.close()

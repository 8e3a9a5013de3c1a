"""Connections to one endpoint: mutual TLS where it has a proxy, kept for reuse, every byte counted."""

import asyncio
from urllib.parse import urlsplit

from steward.testing.dataplane.config import Endpoint
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.exchange import Version
from steward.testing.dataplane.proxy.failures import ConnectFailed, HandshakeFailed, HandshakeProblem
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.dataplane.proxy.tls import TransportHeader, dial
from steward.testing.dataplane.proxy.transport_figures import TransportFigures

INBOUND_PORT = 4143


class EndpointConnections:
    """What one balancer has to one endpoint."""

    def __init__(self, context: OutboundContext, endpoint: Endpoint, authority: str) -> None:
        self.endpoint = endpoint
        self._context = context
        self._authority = authority
        self._shared: HttpConnection | None = None
        self._single: list[HttpConnection] = []
        self._opening = asyncio.Lock()

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken with it."""
        return _is_understood(self.endpoint) and not self._context.broken(broken.PLAINTEXT_TO_MESHED)

    @property
    def labels(self) -> labels.LabelSet:
        """Of requests to it."""
        told = self.secure and not self._context.broken(broken.TLS_LABEL_WRONG)
        return labels.server_side(self.endpoint, self._authority, secure=told)

    def version(self, asked: Version, *, upgrade: bool) -> Version:
        """What to speak with it: proxies carry HTTP/1.1 over HTTP/2, but no upgrades."""
        if upgrade or not (self.secure and self.endpoint.h2):
            return asked
        return Version.HTTP2

    async def http(self, version: Version) -> HttpConnection:
        """A connection that takes a request at once."""
        if version is Version.HTTP2:
            return await self._multiplexed()
        self._single = [connection for connection in self._single if not connection.closed]
        free = next((connection for connection in self._single if connection.ready), None)
        if free is None:
            free = connect_http(await self._open(version), version)
            self._single.append(free)
        return free

    async def raw(self) -> Stream:
        """A connection for bytes that are not HTTP; whoever asked for it closes it."""
        return await self._open("")

    def close(self) -> None:
        """Nobody will ask any more; exchanges under way are given up."""
        for connection in (self._shared, *self._single):
            if connection is not None:
                connection.close()
        self._shared, self._single = None, []

    async def _multiplexed(self) -> HttpConnection:
        async with self._opening:
            if self._shared is None or not self._shared.ready:
                self._shared = connect_http(await self._open(Version.HTTP2), Version.HTTP2)
            return self._shared

    async def _open(self, protocol: str) -> Stream:
        if not self.secure:
            return self._counted(await self._context.connect(self.endpoint.ip, self.endpoint.port))
        below = await self._context.connect(self.endpoint.ip, INBOUND_PORT)
        try:
            secure = await self._handshaken(below)
            # Bytes are counted where they are encrypted, as on the real wire.
            self._counted(below)
            await secure.send(TransportHeader(self.endpoint.port, protocol).encode())
        except BaseException:
            below.close()
            raise
        return secure

    async def _handshaken(self, below: Stream) -> Stream:
        own = self._context.identity()
        if own is None:
            raise ConnectFailed("this proxy has no certificate yet")
        if self._context.broken(broken.HANDSHAKES_FAIL):
            raise HandshakeFailed(HandshakeProblem.CLOSED, "handshakes fail here")
        anybody = self._context.broken(broken.FORGED_IDENTITY_PASSES)
        return await dial(
            below, own, self.endpoint.identity or "", server_name=self.endpoint.server_name, any_name=anybody
        )

    def _counted(self, stream: Stream) -> Stream:
        figures = TransportFigures(self._context, {**self.labels, "peer": "dst"}, self.endpoint)
        stream.meter = figures
        stream.on_close = figures.closed
        return stream


def _is_understood(endpoint: Endpoint) -> bool:
    """A URI without a scheme is none: the proxy warns in its log, and goes on as if no identity had been told."""
    if endpoint.server_name and not urlsplit(endpoint.identity or "").scheme:
        return False
    return endpoint.identity is not None

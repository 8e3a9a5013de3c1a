"""The inbound half of a proxy: connections from proxies of the mesh and from anybody else, towards the application."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from steward.testing.dataplane.config import InboundServer, Protocol
from steward.testing.dataplane.proxy import inbound_labels as labels
from steward.testing.dataplane.proxy.admin import Admin, guarding_admin
from steward.testing.dataplane.proxy.application import Application
from steward.testing.dataplane.proxy.connection_figures import ConnectionFigures
from steward.testing.dataplane.proxy.detect import Detected, Spoken, detect
from steward.testing.dataplane.proxy.exchange import Request, Response, Version, header
from steward.testing.dataplane.proxy.failures import ConnectFailed, HandshakeFailed
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_decision import Decider
from steward.testing.dataplane.proxy.inbound_faults import (
    BLOCKED,
    DETECTION_BROKEN,
    OPEN_RELAY,
    REVOKED_KEPT,
    SHUTDOWN_ABORTS,
    TLS_LABELS_WRONG,
    TLS_NOT_PASSED,
)
from steward.testing.dataplane.proxy.inbound_http import InboundHttp
from steward.testing.dataplane.proxy.inbound_labels import ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT, Arrival
from steward.testing.dataplane.proxy.policy import Peer
from steward.testing.dataplane.proxy.stream import Stream, copy_both_ways
from steward.testing.dataplane.proxy.tls import TlsStream, TransportHeader, answer, read_transport_header
from steward.testing.dataplane.proxy.vitals import Vitals

_SESSIONS = {"": "", Version.HTTP1.value: "http/1", Version.HTTP2.value: "http/2"}
_RESULTS = (Spoken.HTTP1, Spoken.HTTP2, Spoken.OTHER, Spoken.SILENT, Spoken.GONE)
_OWN_PORTS = frozenset({INBOUND_PORT, OUTBOUND_PORT})
_HANDSHAKE = timedelta(seconds=10)
"""Not scaled with the other waits: cryptography takes the time it takes, however busy the machine."""
_OVERRIDE = "l5d-dst-override"


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A connection whose bytes nobody looks at, so that only closing it can end what its policy allowed."""

    stream: Stream
    arrival: Arrival


class InboundProxy:
    """Takes over connections; each `accept_…` returns when its connection is over and raises nothing of the network."""

    def __init__(self, context: InboundContext) -> None:
        context = replace(context, policy=guarding_admin(context))
        self.context = context
        self.stopping = asyncio.Event()
        """Set when the pod asks for the end through `/shutdown`."""
        self.application = Application(context.reach, context.metrics, context.timings)
        self._http = InboundHttp(context, self.application)
        self._decider = Decider(context)
        self._opaque: set[_Open] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.vitals = Vitals(context)
        self._admin = Admin(context, self.vitals, self.stopping.set)
        self._stopping = False

    async def accept_mesh(self, stream: Stream) -> None:
        """Somebody connected to port 4143."""
        await self._owned(stream, self._mesh(stream))

    async def accept_plain(self, stream: Stream, port: int, peer_ip: str = "") -> None:
        """Somebody without a proxy connected to a port of the pod. Ports that are skipped never get here."""
        await self._owned(stream, self._plain(stream, port, peer_ip or stream.peer[0]))

    def policy_changed(self) -> None:
        """Close what is open and no longer allowed. Requests need no telling: each one asks anew."""
        if self.context.broken(REVOKED_KEPT):
            return
        for each in list(self._opaque):
            server = self.context.policy(each.arrival.port)
            if not self._decider.connection(server, each.arrival.peer).allowed:
                self._opaque.discard(each)
                self.context.metrics.count("inbound_tcp_authz_terminate_total", **self._named(each.arrival, server))
                each.stream.close()

    async def shutdown(self) -> None:
        """Take no more connections, let requests that are under way end, then close everything.

        Whoever streams without end is cut off after a grace of four times the outbound failfast.
        """
        self._stopping = True
        if not self.context.broken(SHUTDOWN_ABORTS):
            with suppress(TimeoutError):
                async with asyncio.timeout(self.context.timings.failfast.total_seconds() * 4):
                    await self._http.quiet()
        self._http.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.application.close()

    async def _owned(self, stream: Stream, serving: Awaitable[None]) -> None:
        task = asyncio.ensure_future(serving)
        self._tasks.add(task)
        try:
            if not self._stopping:
                with suppress(ConnectionError):
                    await asyncio.shield(task)
        except asyncio.CancelledError:
            stream.abort()
            raise
        finally:
            self._tasks.discard(task)
            if not task.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            stream.close()

    async def _mesh(self, stream: Stream) -> None:
        if self.context.broken(BLOCKED):
            # Nothing ever comes back, as when packets are dropped; the peer gives up by itself.
            while await stream.read():
                pass
            return
        secured = await self._secured(stream, INBOUND_PORT)
        if secured is None:
            return
        head = await read_transport_header(secured)
        arrival = self._arrival(secured, head.port, INBOUND_PORT, Peer(stream.peer[0], secured.remote, meshed=True))
        self._count_header(head, secured.remote)
        if head.port in _OWN_PORTS:
            await self._relay(secured, arrival)
            return
        if not head.protocol:
            await self._bytes(secured, arrival)
            return
        await self._requests(secured, arrival, Version(head.protocol))

    async def _plain(self, stream: Stream, port: int, peer_ip: str) -> None:
        arrival = Arrival(self.context.settings.ip, port, port, Peer(peer_ip), stream.peer, labels.NO_TLS)
        if port in _OWN_PORTS:
            await self._relay(stream, arrival)
            return
        server = self.context.policy(port)
        if server.protocol is Protocol.OPAQUE:
            await self._bytes(stream, replace(arrival, tls=labels.SKIPPED))
            return
        await self._detected(stream, arrival, server)

    async def _detected(self, stream: Stream, arrival: Arrival, server: InboundServer) -> None:
        begun = self.context.clock.monotonic()
        found = await detect(stream, min(server.detect, self.context.timings.detect))
        own = self.context.credentials()
        if found.spoken is Spoken.TLS and own is not None and found.sni == own.name and not arrival.peer.meshed:
            secured = await self._secured(stream, arrival.port)
            if secured is not None:
                peer = Peer(arrival.peer.ip, secured.remote, meshed=True)
                await self._detected(secured, self._arrival(secured, arrival.port, arrival.port, peer), server)
            return
        if found.spoken is Spoken.TLS and self.context.broken(TLS_NOT_PASSED):
            return
        if found.spoken is Spoken.TLS:
            await self._bytes(stream, replace(arrival, tls=labels.passed_tls(found.sni)))
            return
        if found.spoken is Spoken.SILENT and not arrival.peer.meshed and not await stream.peek(0):
            self._failed("tls detection timeout", arrival)
            return
        await self._spoken(stream, arrival, self._judged(found, arrival, server, begun))

    def _judged(self, found: Detected, arrival: Arrival, server: InboundServer, begun: float) -> Spoken:
        """What is spoken, detected or declared; only a detection is counted."""
        declared = {Protocol.HTTP1: Spoken.HTTP1, Protocol.HTTP2: Spoken.HTTP2, Protocol.GRPC: Spoken.HTTP2}
        if server.protocol in declared:
            return Spoken.GONE if found.spoken is Spoken.GONE else declared[server.protocol]
        spoken = found.spoken
        if self.context.broken(DETECTION_BROKEN) and arrival.port != ADMIN_PORT and spoken is not Spoken.GONE:
            spoken = Spoken.OTHER
        named = labels.server(server, arrival.port)
        for result in _RESULTS:
            hit = int(result is spoken)
            self.context.metrics.count("inbound_tcp_detect_http_results_total", hit, result=result.value, **named)
        elapsed = self.context.clock.monotonic() - begun
        self.context.metrics.observe("inbound_tcp_detect_http_duration_seconds", elapsed, **named)
        return spoken

    async def _spoken(self, stream: Stream, arrival: Arrival, spoken: Spoken) -> None:
        if spoken in (Spoken.HTTP1, Spoken.HTTP2):
            await self._requests(stream, arrival, Version.HTTP1 if spoken is Spoken.HTTP1 else Version.HTTP2)
        elif spoken is not Spoken.GONE:
            await self._bytes(stream, arrival)
        elif await stream.peek(0):
            self._failed("i/o", arrival)

    async def _requests(self, stream: Stream, arrival: Arrival, version: Version) -> None:
        inside = self._admin.handler(arrival) if arrival.port == ADMIN_PORT else None
        with self._measured(stream, arrival):
            await serve_http(stream, self._http.handler(arrival, inside), version)

    async def _bytes(self, stream: Stream, arrival: Arrival) -> None:
        server = self.context.policy(arrival.port)
        decision = self._decider.connection(server, arrival.peer)
        named = self._named(arrival, server)
        if not decision.allowed or decision.authorization is None:
            self.context.metrics.count("inbound_tcp_authz_deny_total", **named)
            self.context.log.write(f"INFO Connection denied {arrival.chain} server.name={server.meta.name}")
            return
        allowed = labels.authorization(decision.authorization)
        self.context.metrics.count("inbound_tcp_authz_allow_total", **named, **allowed)
        with self._measured(stream, arrival):
            await self._spliced(stream, arrival)

    async def _spliced(self, stream: Stream, arrival: Arrival) -> None:
        try:
            inside = await self.application.connect(arrival.port)
        except ConnectFailed:
            self._failed("i/o", arrival)
            stream.abort()
            return
        mine = _Open(stream, arrival)
        self._opaque.add(mine)
        try:
            await copy_both_ways(stream, inside)
        finally:
            self._opaque.discard(mine)

    async def _relay(self, stream: Stream, arrival: Arrival) -> None:
        """A port of the proxy itself was meant: never served, or anybody could go anywhere through us."""
        if not self.context.broken(OPEN_RELAY):
            self._failed("gateway loop", arrival)
            stream.abort()
            return
        found = await detect(stream, self.context.timings.detect)
        if found.spoken not in (Spoken.HTTP1, Spoken.HTTP2):
            stream.abort()
            return
        await serve_http(stream, self._relayed, Version.HTTP1 if found.spoken is Spoken.HTTP1 else Version.HTTP2)

    async def _relayed(self, request: Request) -> Response:
        _, _, port = (header(request.headers, _OVERRIDE) or request.authority).rpartition(":")
        return await self.application.send(int(port) if port.isdigit() else 80, request)

    async def _secured(self, stream: Stream, reached: int) -> TlsStream | None:
        own = self.context.credentials()
        if own is None:
            stream.abort()
            return None
        try:
            async with asyncio.timeout(_HANDSHAKE.total_seconds()):
                return await answer(stream, own)
        except (HandshakeFailed, TimeoutError) as failure:
            ip, peer = self.context.settings.ip, Peer(stream.peer[0])
            arrival = Arrival(ip, reached, reached, peer, stream.peer, labels.NO_TLS)
            self.context.log.write(f"INFO Connection closed {arrival.chain} error={str(failure) or 'no handshake'}")
            self._failed("i/o", arrival)
            return None

    def _arrival(self, stream: TlsStream, port: int, reached: int, peer: Peer) -> Arrival:
        return Arrival(self.context.settings.ip, port, reached, peer, stream.peer, labels.meshed_tls(stream.remote))

    def _count_header(self, head: TransportHeader, client_id: str) -> None:
        self.context.metrics.count(
            "inbound_tcp_transport_header_connections_total",
            session_protocol=_SESSIONS.get(head.protocol, head.protocol),
            target_port=str(head.port),
            target_name="",
            client_id=client_id,
        )

    def _failed(self, error: str, arrival: Arrival) -> None:
        self.context.metrics.count("inbound_tcp_errors_total", error=error, **arrival.door)

    def _named(self, arrival: Arrival, server: InboundServer) -> labels.LabelSet:
        tls = labels.NO_TLS if self.context.broken(TLS_LABELS_WRONG) else arrival.tls
        return {**arrival.target, **labels.server(server, arrival.port), **dict(tls)}

    @contextmanager
    def _measured(self, stream: Stream, arrival: Arrival) -> Iterator[None]:
        server = self.context.policy(arrival.port)
        named = {"direction": "inbound", "peer": "src", **self._named(arrival, server)}
        figures = ConnectionFigures(self.context.metrics, named)
        stream.meter = figures
        try:
            yield
        finally:
            figures.closed()

"""The outbound half of a proxy: takes every connection that its application makes."""

import asyncio
from dataclasses import dataclass, replace

from steward.testing.dataplane.config import Backend, Endpoint, Meta, OutboundTarget, Protocol
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.byte_way import ByteWay
from steward.testing.dataplane.proxy.detect import Detected, Spoken, detect
from steward.testing.dataplane.proxy.exchange import Version
from steward.testing.dataplane.proxy.failures import ConnectionClosed, ExchangeFailed
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.http_way import HttpWay
from steward.testing.dataplane.proxy.ingress import IngressWay
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.ports import Discover, Locate
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.dataplane.proxy.target import Settled, Target
from steward.testing.dataplane.proxy.transport_figures import TransportFigures

_UNKNOWN = Meta("", "default", "endpoint")
_NOBODY = Meta("", "default", "unknown")
_RESULTS = tuple(spoken for spoken in Spoken if spoken is not Spoken.TLS)
_VERSIONS = {Spoken.HTTP1: Version.HTTP1, Spoken.HTTP2: Version.HTTP2}
_DECLARED = {Protocol.HTTP1: Version.HTTP1, Protocol.HTTP2: Version.HTTP2, Protocol.GRPC: Version.HTTP2}


@dataclass(slots=True)
class _Used:
    """A target and who uses it."""

    target: Target
    http: HttpWay
    bytes: ByteWay
    following: asyncio.Task[None]
    users: int = 0
    leaving: asyncio.Task[None] | None = None


class OutboundProxy:
    """Of one pod. Nothing of it outlives `shutdown`."""

    def __init__(self, context: OutboundContext, discover: Discover, locate: Locate | None = None) -> None:
        self._context = replace(context, connect=self._connect)
        self._connected_by = context.connect
        self._discover = discover
        self._locate = locate or (lambda _name: "")
        self._used: dict[tuple[str, int], asyncio.Task[_Used]] = {}
        self._streams: set[Stream] = set()
        self._upstream: set[Stream] = set()

    async def accept(self, stream: Stream, original_ip: str, original_port: int) -> None:
        """Carry a connection of the application to its end. Never raises what goes wrong on it."""
        figures = TransportFigures(self._context, labels.client_side(original_ip, original_port))
        stream.meter = figures
        stream.on_close = figures.closed
        self._streams.add(stream)
        try:
            if self._by_header:
                await self._as_ingress(stream, original_ip, original_port)
            else:
                await self._to(stream, original_ip, original_port)
        except ExchangeFailed:
            stream.abort()
        finally:
            self._streams.discard(stream)
            stream.close()

    @property
    def _by_header(self) -> bool:
        if self._context.settings.ingress:
            return not self._context.broken(broken.OVERRIDE_IGNORED)
        return self._context.broken(broken.OVERRIDE_HEEDED)

    async def _to(self, stream: Stream, ip: str, port: int) -> None:
        used = await self._use(ip, port)
        try:
            await self._carry(stream, used)
        finally:
            self._release(used)

    async def _as_ingress(self, stream: Stream, ip: str, port: int) -> None:
        found = await detect(stream, self._context.timings.detect)
        if found.spoken not in _VERSIONS:
            await self._to(stream, ip, port)
            return
        way = IngressWay((ip, port), self._use, self._locate)
        try:
            await serve_http(stream, way, _VERSIONS[found.spoken])
        finally:
            for used in way.used.values():
                self._release(used)

    async def shutdown(self) -> None:
        """Reset whatever is still open and give up every target."""
        for stream in tuple(self._streams):
            stream.abort()
        tasks: list[asyncio.Task[None]] = []
        for asked in self._used.values():
            asked.cancel()
            if asked.done() and not asked.cancelled() and asked.exception() is None:
                used = asked.result()
                tasks += [task for task in (used.following, used.leaving) if task is not None]
                used.target.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._used.values(), return_exceptions=True)
        self._used.clear()
        for stream in self._upstream:
            stream.close()
        self._upstream.clear()

    async def _connect(self, ip: str, port: int) -> Stream:
        """Remembered, for an endpoint may be given up in the moment in which a connection to it comes about."""
        stream = await self._connected_by(ip, port)
        self._upstream.add(stream)
        return stream

    async def _use(self, ip: str, port: int) -> _Used:
        """What is known about the address. Those who ask at once wait together, for as long as it takes."""
        key = (ip, port)
        asked = self._used.get(key)
        if asked is None or (asked.done() and (asked.cancelled() or asked.exception() is not None)):
            asked = self._used[key] = asyncio.ensure_future(self._built(ip, port))
        try:
            used = await asyncio.shield(asked)
        except asyncio.CancelledError:
            if not asked.cancelled():
                raise
            raise ConnectionClosed(f"the proxy ended before it knew anything about {ip}:{port}") from None
        used.users += 1
        if used.leaving is not None:
            used.leaving.cancel()
            used.leaving = None
        return used

    async def _built(self, ip: str, port: int) -> _Used:
        discovery = await self._discover(ip, port) or Settled(_unknown(ip, port))
        target = Target(self._context, ip, port, discovery)
        following = asyncio.ensure_future(target.follow())
        return _Used(target, HttpWay(self._context, target), ByteWay(self._context, target), following)

    def _release(self, used: _Used) -> None:
        used.users -= 1
        if not used.users and not self._context.broken(broken.DISCOVERY_KEPT):
            used.leaving = asyncio.ensure_future(self._forget(used))

    async def _forget(self, used: _Used) -> None:
        """Unless somebody uses it again soon."""
        await self._context.clock.sleep(self._context.timings.discovery_idle)
        self._used.pop((used.target.ip, used.target.port), None)
        used.following.cancel()
        used.target.close()

    async def _carry(self, stream: Stream, used: _Used) -> None:
        used.target.streams.add(stream)
        try:
            await self._by_protocol(stream, used)
        finally:
            used.target.streams.discard(stream)

    async def _by_protocol(self, stream: Stream, used: _Used) -> None:
        target = used.target.current
        if target.undefined_port:
            self._taken("opaq", target.parent)
            if self._context.broken(broken.UNDEFINED_PORT_HANGS):
                await stream.peek(1 << 20)
            used.bytes.undefined(stream)
            return
        protocol = self._protocol(target)
        match protocol:
            case Protocol.OPAQUE:
                self._taken("opaq", target.parent)
                await used.bytes.carry(stream)
            case Protocol.TLS:
                self._taken("tls", target.parent)
                found = await detect(stream, self._context.timings.detect)
                await used.bytes.carry(stream, "tls", found.sni)
            case Protocol.DETECT:
                self._taken("detect", target.parent)
                await self._as_detected(stream, used, await self._detected(stream, target.parent))
            case _:
                version = _DECLARED[protocol]
                self._taken(labels.protocol(version), target.parent)
                await serve_http(stream, used.http, version)

    def _protocol(self, target: OutboundTarget) -> Protocol:
        if target.protocol is Protocol.OPAQUE and self._context.broken(broken.OPAQUE_AS_HTTP):
            return Protocol.DETECT
        if target.protocol is not Protocol.TLS and self._context.broken(broken.HTTP_AS_OPAQUE):
            return Protocol.OPAQUE
        return target.protocol

    async def _as_detected(self, stream: Stream, used: _Used, found: Detected) -> None:
        match found.spoken:
            case Spoken.HTTP1:
                await serve_http(stream, used.http, Version.HTTP1)
            case Spoken.HTTP2:
                await serve_http(stream, used.http, Version.HTTP2)
            case Spoken.GONE:
                stream.close()
            case Spoken.SILENT if self._context.broken(broken.SERVER_FIRST_BROKEN):
                stream.abort()
            case _:
                await used.bytes.carry(stream)

    async def _detected(self, stream: Stream, parent: Meta) -> Detected:
        named = labels.full("parent", parent)
        for result in _RESULTS:
            self._context.metrics.count("outbound_tcp_detect_http_results_total", 0, result=result, **named)
        begun = self._context.clock.monotonic()
        patience = self._context.timings.detect * (3 if self._context.broken(broken.DETECT_TOO_LONG) else 1)
        found = await detect(stream, patience)
        elapsed = self._context.clock.monotonic() - begun
        result = Spoken.OTHER if found.spoken is Spoken.TLS else found.spoken
        self._context.metrics.count("outbound_tcp_detect_http_results_total", result=result, **named)
        self._context.metrics.observe("outbound_tcp_detect_http_duration_seconds", elapsed, **named)
        return found

    def _taken(self, protocol: str, parent: Meta) -> None:
        named = labels.full("parent", parent)
        self._context.metrics.count("outbound_tcp_protocol_connections_total", protocol=protocol, **named)


def _unknown(ip: str, port: int) -> OutboundTarget:
    """An address that the control plane knows nothing about is connected to as it is."""
    backend = Backend(_NOBODY, (Endpoint(ip, port),))
    return OutboundTarget(_UNKNOWN, "", default=backend, balance=False)

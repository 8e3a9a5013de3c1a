"""The proxy of one pod: both halves, its certificate, and its ties to the control plane and the network."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from steward.clock import Clock
from steward.jsonvalue import JsonObject
from steward.kube.resources import PODS
from steward.testing.dataplane.config import InboundServer, ProxySettings, Timings
from steward.testing.dataplane.control.controller import ControlPlane
from steward.testing.dataplane.control.discovery import Client as Place
from steward.testing.dataplane.control.leaf import Leaf
from steward.testing.dataplane.control.settings import settings_of
from steward.testing.dataplane.control.world import labels_of, name_of, namespace_of
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.names import Names
from steward.testing.dataplane.network import Member, Network
from steward.testing.dataplane.proxy.control_figures import Client, ControlFigures
from steward.testing.dataplane.proxy.inbound import InboundProxy
from steward.testing.dataplane.proxy.inbound_context import InboundContext, ProxyLog
from steward.testing.dataplane.proxy.metrics import ProxyMetrics
from steward.testing.dataplane.proxy.outbound import OutboundProxy
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.ports import Discovery
from steward.testing.dataplane.proxy.span_exporter import SpanExporter
from steward.testing.dataplane.proxy.stream import Stream
from steward.testing.dataplane.proxy.taps import Taps
from steward.testing.dataplane.proxy.trust_drift import drifting
from steward.testing.linkerd.objects import COMPONENT
from steward.testing.linkerd.proxy import PROXY
from steward.testing.linkerd.values import NAMESPACE

Publish = Callable[[str, str, str, Callable[[], str]], None]
"""Namespace, pod, container, and what has its log."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all proxies of a data plane share."""

    control: ControlPlane
    network: Network
    faults: Faults
    clock: Clock
    timings: Timings
    names: Names
    publish: Publish
    """Lets everybody who may read the log of a container."""


class PodProxy:
    """Made when the pod has an address; `start` it, and `stop` it when the pod ends."""

    def __init__(self, pod: JsonObject, around: Surroundings) -> None:
        self.settings: ProxySettings = settings_of(around.control.world, pod)
        self.metrics = ProxyMetrics(self.settings, around.clock, around.timings, around.faults)
        self.log = ProxyLog()
        self.taps = Taps(self.settings, around.faults)
        self._around = around
        self._key = (namespace_of(pod), name_of(pod))
        self._pod = pod
        self._figures = ControlFigures(self.metrics)
        self._known: dict[int, InboundServer] = {}
        self._current: dict[int, InboundServer] = {}
        own = namespace_of(pod) == NAMESPACE and COMPONENT in labels_of(pod)
        self.leaf = Leaf(
            around.control.identity,
            self.settings,
            answered=lambda: self._identity_answered(well=True),
            failed=lambda: self._identity_answered(well=False),
            # Without a certificate of its own the control plane could not hand out any.
            unconditional=own,
        )
        credentials = drifting(lambda: self.leaf.current, self.settings, around.faults, around.clock)
        settings, metrics, clock, timings, faults = (
            self.settings,
            self.metrics,
            around.clock,
            around.timings,
            around.faults,
        )
        outbound = OutboundContext(settings, credentials, self._connect, metrics, clock, timings, faults, Random())
        self._exporter = SpanExporter(outbound, self._resolve) if settings.trace_identity else None
        tracing = self._exporter.tracing if self._exporter is not None else None
        self.inbound = InboundProxy(
            InboundContext(
                settings,
                credentials,
                self.policy,
                self._reach,
                metrics,
                clock,
                timings,
                faults,
                self.log,
                tracing,
                self.taps,
            )
        )
        self.member = Member(pod, settings, self)
        self.outbound = OutboundProxy(
            replace(outbound, tracing=tracing), self._discover, around.control.directory.cluster_ip
        )
        self._renewing: asyncio.Task[None] | None = None
        self._exporting: asyncio.Task[None] | None = None

    @property
    def place(self) -> Place:
        """Where the proxy is, as the control plane sees it."""
        return Place(self.settings.pod, self.settings.namespace, self.settings.node, self.settings.zone)

    async def start(self) -> None:
        """Get a certificate, then serve; returns when the proxy is ready, which may be never."""
        self._around.control.listeners.append(self._refreshed)
        self._around.publish(*self._key, PROXY, self.log.written)
        self._renewing = asyncio.create_task(self.leaf.run(), name=f"certificate of {self.settings.pod}")
        if self._exporter is not None:
            self._exporting = asyncio.create_task(self._exporter.run(), name=f"spans of {self.settings.pod}")
        issued = asyncio.ensure_future(self.leaf.issued.wait())
        try:
            await asyncio.wait({self._renewing, issued}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            issued.cancel()
        if self._renewing.done():
            self._renewing.result()
        self._refreshed()

    async def drain(self) -> None:
        """Take no more connections and let requests that are under way end, within the time of a failfast."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._around.timings.failfast.total_seconds()):
                await self.inbound.shutdown()

    async def stop(self) -> None:
        """Close everything."""
        with suppress(ValueError):
            self._around.control.listeners.remove(self._refreshed)
        for task in (self._renewing, self._exporting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.drain()
        await self.outbound.shutdown()

    async def accept_outbound(self, stream: Stream, ip: str, port: int) -> None:
        """The application dialled this address."""
        await self.outbound.accept(stream, ip, port)

    async def accept_mesh(self, stream: Stream) -> None:
        """Somebody connected to port 4143."""
        await self.inbound.accept_mesh(stream)

    async def accept_plain(self, stream: Stream, port: int, peer_ip: str) -> None:
        """Somebody connected to another port of the pod."""
        await self.inbound.accept_plain(stream, port, peer_ip)

    def policy(self, port: int) -> InboundServer:
        """What is in force on a port of this pod, or was when the controller was last heard."""
        if port in self._current:
            return self._current[port]
        control = self._around.control
        if not control.policy_is_up(self.settings) and port in self._known:
            return self._known[port]
        server = control.policy_of(self._object(), port)
        self._known[port] = self._current[port] = server
        return server

    def _refreshed(self) -> None:
        control = self._around.control
        if control.policy_is_up(self.settings):
            self._current.clear()
            self.inbound.policy_changed()
        up = control.runs("destination")
        for client in (Client.DESTINATION, Client.POLICY):
            self._figures.endpoints(client, ready=int(up), pending=int(not up))

    def _object(self) -> JsonObject:
        namespace, name = self._key
        found = self._around.control.world.find(PODS, name, namespace)
        if found is not None:
            self._pod = found
        return self._pod

    async def _discover(self, ip: str, port: int) -> Discovery | None:
        for client in (Client.DESTINATION, Client.POLICY):
            self._figures.asked(client)
        return await self._around.control.discover(self.place)(ip, port)

    async def _connect(self, ip: str, port: int) -> Stream:
        return await self._around.network.connect(self.member, ip, port)

    def _resolve(self, name: str) -> tuple[str, ...]:
        return self._around.names.resolve(name, self.settings.namespace, self.settings.pod)

    async def _reach(self, port: int) -> Stream:
        return await self._around.network.reach(self.settings.ip, port)

    def _identity_answered(self, *, well: bool) -> None:
        self._figures.asked(Client.IDENTITY)
        if well:
            self._figures.answered(Client.IDENTITY)
            self.inbound.vitals.renewed()
        else:
            self._figures.broke(Client.IDENTITY)

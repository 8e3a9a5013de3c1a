"""The simulated network: between pods, Services and what is outside, with redirection to proxies and without iptables.

Whoever connects is known by the loopback address it connects from. A connection of a meshed pod's application goes to
that pod's proxy, as iptables would have it; one of a proxy, or of a pod without one, goes where it was meant to.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from random import Random
from typing import Protocol

from steward.clock import Clock
from steward.jsonvalue import JsonObject, flag, rows, text, whole
from steward.kube.resources import ENDPOINT_SLICES, PODS, SERVICES
from steward.testing.dataplane import network_faults as broken
from steward.testing.dataplane.addresses import Addresses
from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.control.kinds import SERVERS
from steward.testing.dataplane.control.slices import SERVICE_NAME
from steward.testing.dataplane.control.world import (
    INBOUND_PORT,
    World,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
)
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.firewall import Firewall
from steward.testing.dataplane.listeners import Listeners
from steward.testing.dataplane.lost_queries import WithoutQueries
from steward.testing.dataplane.proxy.failures import ConnectFailed
from steward.testing.dataplane.proxy.stream import Stream, copy_both_ways, open_stream
from steward.testing.linkerd.values import NAMESPACE

PROXY_PORTS = (4140, INBOUND_PORT, 4191)
OUTSIDE_PORTS = (80, 443, 5432, 8080, 8443, 9090)
_SKIP_SUBNETS = "config.linkerd.io/skip-subnets"


class Sidecar(Protocol):
    """A proxy, as the network sees it."""

    @property
    def settings(self) -> ProxySettings: ...

    async def accept_outbound(self, stream: Stream, ip: str, port: int) -> None: ...

    async def accept_mesh(self, stream: Stream) -> None: ...

    async def accept_plain(self, stream: Stream, port: int, peer_ip: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that runs."""

    pod: JsonObject
    settings: ProxySettings
    proxy: Sidecar | None = None


class Network:
    """Everything that connects goes through here."""

    def __init__(self, world: World, faults: Faults, addresses: Addresses, clock: Clock, failfast: timedelta) -> None:
        self.world = world
        self.members: dict[str, Member] = {}
        self.hosts: dict[str, tuple[str, int | None]] = {}
        """Addresses outside of the cluster that answer, and where they really are (None: at the same port)."""
        self.extra_ports: tuple[int, ...] = ()
        self._faults = faults
        self._addresses = addresses
        self._clock = clock
        self._patience = failfast / 3
        self._firewall = Firewall(world)
        self._listeners = Listeners(self._handle)
        self._aliases: dict[str, str] = {}
        self._services: set[str] = set()
        self._changing = asyncio.Lock()
        self._chance = Random()

    async def join(self, member: Member) -> None:
        """Let a pod be reached."""
        self.members[member.settings.ip] = member
        await self.reconcile()

    async def leave(self, ip: str) -> None:
        """Nobody reaches it any more; what is open breaks."""
        self.members.pop(ip, None)
        async with self._changing:
            await self._listeners.close(ip)
        self._addresses.release(ip)

    async def stop(self) -> None:
        """Close everything."""
        async with self._changing:
            await self._listeners.stop()

    async def reconcile(self) -> None:
        """Listen where Services and pods are, on every port that somebody may try."""
        async with self._changing:
            ports = self._ports()
            services = {text(one, "spec", "clusterIP"): one for one in self.world.all(SERVICES)}
            for ip in self._services - set(services):
                await self._listeners.close(ip)
                self._addresses.release(ip)
            self._services = {ip for ip in services if ip.startswith("127.")}
            for ip in self._services:
                await self._listeners.open(ip, ports[namespace_of(services[ip])])
            for ip, member in list(self.members.items()):
                own = PROXY_PORTS if member.proxy is not None else ()
                await self._listeners.open(ip, {*ports[member.settings.namespace], *own})

    async def alias(self, ip: str) -> str:
        """The loopback address that stands for one outside of the cluster."""
        if ip_address(ip).is_loopback:
            return ip
        known = next((alias for alias, real in self._aliases.items() if real == ip), "")
        if known:
            return known
        made = self._addresses.outside()
        self._aliases[made] = ip
        async with self._changing:
            await self._listeners.open(made, {*OUTSIDE_PORTS, *self.extra_ports})
        return made

    async def connect(self, member: Member, ip: str, port: int) -> Stream:
        """A connection of a pod's proxy; raises ConnectFailed."""
        own = member.settings
        if not self._arrives(member.pod, own.ip, ip, port):
            await self._clock.sleep(self._patience)
            raise ConnectFailed(f"{ip}:{port} did not answer within {self._patience}")
        real = self._aliases.get(ip, ip)
        if not ip_address(real).is_loopback:
            return await self._outside(real, port)
        return await open_stream(ip, port, source=Addresses.proxy(own.ip))

    def lets(self, source: Member, ip: str, port: int) -> bool:
        """Whether what a pod sends arrives at a port of another one."""
        return self._arrives(source.pod, source.settings.ip, ip, port)

    async def reach(self, ip: str, port: int) -> Stream:
        """The application inside of a pod, as its own proxy reaches it."""
        return await open_stream(Addresses.inside(ip), port, source=ip)

    async def _handle(self, stream: Stream) -> None:
        local, port = stream.local
        ip = self._aliases.get(local, local)
        caller, by_proxy = Addresses.caller(stream.peer[0])
        stream.peer = (caller, stream.peer[1])
        member = self.members.get(caller)
        if member is not None and member.proxy is not None and not by_proxy and self._redirects(member, ip, port):
            await member.proxy.accept_outbound(stream, ip, port)
        else:
            await self._forward(stream, ip, port)

    def _redirects(self, member: Member, ip: str, port: int) -> bool:
        own = member.settings
        if self._faults.on(broken.REDIRECTION_BROKEN, own):
            return False
        networks = annotations_of(member.pod).get(_SKIP_SUBNETS, "")
        skipped = port in own.skip_outbound or any(
            ip_address(ip) in ip_network(one.strip(), strict=False) for one in networks.split(",") if one.strip()
        )
        return not skipped or self._faults.on(broken.SKIPPED_PORTS_CAUGHT, own)

    async def _forward(self, stream: Stream, ip: str, port: int) -> None:
        """What kube-proxy does with a ClusterIP, and the wire with everything else."""
        service = self.world.service_at(ip)
        if service is not None:
            found = backends(self.world, service, port)
            if not found:
                stream.abort()
                return
            ip, port = self._chance.choice(found)
        if not ip_address(ip).is_loopback:
            await copy_both_ways(stream, await self._outside(ip, port))
            return
        await self._arrive(stream, ip, port)

    async def _arrive(self, stream: Stream, ip: str, port: int) -> None:
        member = self.members.get(ip)
        if member is None:
            stream.abort()
            return
        if self._faults.on(broken.ADDRESSES_CROSSED, member.settings):
            member = self._neighbour(member)
            ip = member.settings.ip
        caller = stream.peer[0]
        source = self.members.get(caller)
        if not self._arrives(source.pod if source else None, caller, ip, port):
            # Dropped packets: the one who connected hears nothing, whatever it says.
            while await stream.read():
                pass
            return
        own = member.settings
        direct = port in own.skip_inbound and not self._faults.on(broken.SKIPPED_PORTS_CAUGHT, own)
        # What the proxy itself listens on needs no redirection.
        past = port not in PROXY_PORTS and self._faults.on(broken.INBOUND_REDIRECTION_BROKEN, own)
        if member.proxy is None or direct or past:
            try:
                inside = await open_stream(Addresses.inside(ip), port, source=caller if source else None)
            except ConnectFailed:
                stream.abort()
                return
            lossy = member.proxy is None and self._faults.on(broken.QUERIES_LOST, own)
            await copy_both_ways(stream, WithoutQueries(inside) if lossy else inside)
        elif port == INBOUND_PORT:
            await member.proxy.accept_mesh(stream)
        else:
            await member.proxy.accept_plain(stream, port, caller)

    def _neighbour(self, member: Member) -> Member:
        """Another pod of the same `app`; the pod itself where it is the only one."""
        alike = [one for one in self.members.values() if _app(one) == _app(member)]
        return alike[(alike.index(member) + 1) % len(alike)]

    def _arrives(self, source: JsonObject | None, source_ip: str, ip: str, port: int) -> bool:
        member = self.members.get(ip)
        sender = self.members.get(source_ip)
        if sender is not None and source_ip != ip and self._faults.on(broken.PARTITIONED, sender.settings):
            return False
        place = member.settings if member is not None else sender.settings if sender is not None else None
        if place is not None and self._faults.on(broken.NETWORK_POLICIES_IGNORED, place):
            return True
        return self._firewall.lets(source, source_ip, member.pod if member is not None else None, ip, port)

    async def _outside(self, ip: str, port: int) -> Stream:
        host = self.hosts.get(ip)
        if host is None:
            raise ConnectFailed(f"{ip}:{port} is unreachable: nothing outside of the cluster has this address")
        return await open_stream(host[0], port if host[1] is None else host[1])

    def _ports(self) -> "PortsByNamespace":
        found = PortsByNamespace(self.extra_ports)
        for service in self.world.all(SERVICES):
            declared = rows(service, "spec", "ports")
            numbers = [whole(one, "port") for one in declared] + [whole(one, "targetPort") for one in declared]
            found.add(namespace_of(service), numbers)
        for pod in self.world.all(PODS):
            found.add(namespace_of(pod), _ports_of(pod))
        for server in self.world.all(SERVERS):
            found.add(namespace_of(server), [whole(server, "spec", "port")])
        return found


class PortsByNamespace:
    """The ports that anything in a namespace has; the control plane's are known to itself only."""

    def __init__(self, everywhere: Iterable[int]) -> None:
        self._everywhere = frozenset(everywhere)
        self._found: dict[str, set[int]] = {}

    def add(self, namespace: str, numbers: Iterable[int]) -> None:
        """More of them."""
        self._found.setdefault(namespace, set()).update(number for number in numbers if number)

    def __getitem__(self, namespace: str) -> frozenset[int]:
        own = frozenset(self._found.get(namespace, ()))
        if namespace == NAMESPACE:
            return own
        return own | self._everywhere


def _app(member: Member) -> tuple[str, str]:
    return member.settings.namespace, labels_of(member.pod).get("app", "")


def _ports_of(pod: JsonObject) -> Iterator[int]:
    """The ports that its containers declare, or want to be probed on."""
    for container in (*rows(pod, "spec", "containers"), *rows(pod, "spec", "initContainers")):
        for port in rows(container, "ports"):
            yield whole(port, "containerPort")
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                yield whole(container, probe, way, "port")


def backends(world: World, service: JsonObject, port: int) -> list[tuple[str, int]]:
    """Where kube-proxy sends a connection to a Service: the ready endpoints of its slices."""
    wanted = next((one for one in rows(service, "spec", "ports") if whole(one, "port") == port), None)
    if wanted is None:
        return []
    return [
        (text(endpoint, "addresses", 0), whole(one, "port"))
        for slice_ in world.all(ENDPOINT_SLICES, namespace_of(service))
        if labels_of(slice_).get(SERVICE_NAME) == name_of(service)
        for one in rows(slice_, "ports")
        if text(one, "name") == text(wanted, "name") and whole(one, "port")
        for endpoint in rows(slice_, "endpoints")
        if flag(endpoint, "conditions", "ready")
    ]

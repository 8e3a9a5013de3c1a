"""From a target to a connected socket, by way of the resolver and of the address that calls are made from."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from services.conformance.core.orders import Target
from services.conformance.exerciser.calling.trouble import UnknownName

Resolve = Callable[[str], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Dialler:
    """Makes TCP connections. `source` is the address they come from; empty: whatever the kernel takes."""

    resolve: Resolve
    source: str = ""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of a host; raises UnknownName."""
        if _family(host) is not None and not self._is_beyond(host):
            return (host,)
        found = tuple(await self.resolve(host))
        if not found:
            raise UnknownName(f"{host} has no address")
        return found

    async def dial(self, target: Target) -> socket.socket:
        """Connect to the first address that lets us in; raises OSError or UnknownName of the last that did not."""
        family = _family(self.source)
        addresses = await self.addresses(target.host)
        usable = [each for each in addresses if family is None or _family(each) is family]
        if not usable:
            raise UnknownName(f"{target.host} has no address that {self.source} can reach: {', '.join(addresses)}")
        for address in usable[:-1]:
            with suppress(OSError):
                return await self._connect(address, target.port)
        return await self._connect(usable[-1], target.port)

    async def open(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, for what reads and writes bytes."""
        return await asyncio.open_connection(sock=await self.dial(target))

    def _is_beyond(self, address: str) -> bool:
        """From loopback nothing else can be reached: then the resolver says what stands for the address."""
        return bool(self.source) and ip_address(self.source).is_loopback and not ip_address(address).is_loopback

    async def _connect(self, address: str, port: int) -> socket.socket:
        connected = socket.socket(_family(address) or socket.AF_INET, socket.SOCK_STREAM)
        try:
            connected.settimeout(0)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.source:
                connected.bind((self.source, 0))
            await asyncio.get_running_loop().sock_connect(connected, (address, port))
        except BaseException:
            connected.close()
            raise
        return connected


async def system_resolve(host: str) -> Sequence[str]:
    """Ask the system."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UnknownName(f"{host}: {error}") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def resolving(hosts: Path | None) -> Resolve:
    """Look into a file like /etc/hosts first, where there is one."""
    if hosts is None:
        return system_resolve

    async def resolve(host: str) -> Sequence[str]:
        return _named(host, hosts) or await system_resolve(host)

    return resolve


def _named(host: str, hosts: Path) -> Sequence[str]:
    lines = (line.split("#")[0].split() for line in hosts.read_text().splitlines())
    return tuple(words[0] for words in lines if host in words[1:])


def _family(address: str) -> socket.AddressFamily | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, address)
            return family
    return None

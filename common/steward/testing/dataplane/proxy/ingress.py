"""Ingress mode: each request goes where its header `l5d-dst-override` says, and where its connection goes without it.

Whatever is dialled, the connection is looked into; what is no HTTP goes to the address that was dialled.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from steward.testing.dataplane.proxy.exchange import Request, Response, header, without
from steward.testing.dataplane.proxy.failures import ConnectionClosed
from steward.testing.dataplane.proxy.ports import Locate

OVERRIDE = "l5d-dst-override"
Address = tuple[str, int]
_USUAL_PORT = 80


class Target(Protocol):
    """Something that requests can be sent to."""

    @property
    def http(self) -> Callable[[Request], Awaitable[Response]]: ...


T = TypeVar("T", bound=Target)


@dataclass(slots=True)
class IngressWay(Generic[T]):
    """An `exchange.Handler` for one connection. What it uses is used until the connection ends: see `used`."""

    dialled: Address
    use: Callable[[str, int], Awaitable[T]]
    locate: Locate
    used: dict[Address, T] = field(default_factory=dict)

    async def __call__(self, request: Request) -> Response:
        address = self._meant(header(request.headers, OVERRIDE))
        if address not in self.used:
            self.used[address] = await self.use(*address)
        return await self.used[address].http(replace(request, headers=without(request.headers, (OVERRIDE,))))

    def _meant(self, override: str) -> Address:
        """An ingress that names nobody whom the control plane knows gets no answer at all."""
        if not override:
            return self.dialled
        name, _, port = override.partition(":")
        if port and not port.isdigit():
            raise ConnectionClosed(f"{OVERRIDE} is not a valid host:port: {override}")
        number = int(port or _USUAL_PORT)
        ip = self.locate(name)
        if not ip:
            raise ConnectionClosed(f"ingress-mode routing requires discovery: {override}")
        return ip, number

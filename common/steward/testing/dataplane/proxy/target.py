"""An address in use: what discovery says about it, and the balancers of its backends."""

import asyncio

from steward.testing.dataplane.config import Backend, Meta, OutboundTarget, Profile
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.balancer import Accrual, Balancer
from steward.testing.dataplane.proxy.balancer_figures import BalancerFigures
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.outdated import backends_of, outdated
from steward.testing.dataplane.proxy.ports import Discovery
from steward.testing.dataplane.proxy.routing import Shares
from steward.testing.dataplane.proxy.stream import Stream

_Key = tuple[str, Meta, str, Accrual]


class Target:
    """Built when an address is used for the first time, kept as long as it is used.

    Whether a ServiceProfile or routes are in force is decided once, when it is built.
    """

    def __init__(self, context: OutboundContext, ip: str, port: int, discovery: Discovery) -> None:
        self.ip = ip
        self.port = port
        self.shares = Shares()
        self.streams: set[Stream] = set()
        self._context = context
        self._discovery = discovery
        self._first = discovery.current
        self._balancers: dict[_Key, Balancer] = {}
        self._profile = discovery.current.profile if not context.broken(broken.PROFILE_IGNORED) else None

    @property
    def current(self) -> OutboundTarget:
        """What is known at present."""
        if self._context.broken(broken.ROUTES_STALE):
            return outdated(self._first, self._discovery.current)
        return self._discovery.current

    @property
    def logical(self) -> str:
        """As messages name it."""
        return f"{self.ip}:{self.port}"

    @property
    def profile(self) -> Profile | None:
        """The ServiceProfile, if one was there when the target was built. One that went away since is empty."""
        if self._profile is None:
            return None
        return self.current.profile or Profile(self._profile.authority)

    async def follow(self) -> None:
        """Take over whatever changes, for ever."""
        seen = self._discovery.current
        while True:
            seen = await self._discovery.changed(seen)
            self._renew()
            if self._context.broken(broken.CONNECTIONS_CUT):
                for stream in tuple(self.streams):
                    stream.abort()

    def balancer(self, family: str, backend: Backend) -> Balancer:
        """Of one backend; `family` is http, tcp or tls."""
        accrual = self.current.accrual if self._profile is None and family == "http" else None
        key = (family, backend.meta, backend.authority, accrual)
        balancer = self._balancers.get(key)
        if balancer is None:
            authority = (backend.authority or self.current.authority) if self.current.balance else ""
            balancer = Balancer(self._context, self._figures(family, backend), authority, accrual)
            self._balancers[key] = balancer
        balancer.update(backend.endpoints)
        return balancer

    def close(self) -> None:
        """Nobody uses it any more."""
        self._discovery.close()
        for balancer in self._balancers.values():
            balancer.close()
        self._balancers.clear()

    def _renew(self) -> None:
        backends = {(backend.meta, backend.authority): backend for backend in backends_of(self.current)}
        accrual = self.current.accrual if self._profile is None else None
        for key in list(self._balancers):
            backend = backends.get(key[1:3])
            if backend is None or (key[0] == "http" and key[3] != accrual):
                self._balancers.pop(key).retire()
            else:
                self._balancers[key].update(backend.endpoints)

    def _figures(self, family: str, backend: Backend) -> BalancerFigures | None:
        if not self.current.balance:
            return None
        named = {**labels.full("parent", self.current.parent), **labels.full("backend", backend.meta)}
        if family != "http":
            named |= {"logical": self.current.authority, "concrete": backend.authority or self.current.authority}
        return BalancerFigures(self._context, f"outbound_{family}_balancer", named)


class Settled:
    """A `ports.Discovery` of something that never changes."""

    def __init__(self, target: OutboundTarget) -> None:
        self.current = target

    async def changed(self, seen: OutboundTarget) -> OutboundTarget:
        """Never."""
        await asyncio.Event().wait()
        return seen

    def close(self) -> None:
        """There is nothing to let go."""

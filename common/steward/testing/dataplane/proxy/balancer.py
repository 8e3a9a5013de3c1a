"""Chooses an endpoint for each request: the better of two, among those that are ready; fails fast when none is."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta

from steward.testing.dataplane.config import ConsecutiveAccrual, Endpoint, RateAccrual
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.accrual import Breaker
from steward.testing.dataplane.proxy.balancer_figures import BalancerFigures
from steward.testing.dataplane.proxy.endpoint_connections import EndpointConnections
from steward.testing.dataplane.proxy.ewma import PeakEwma
from steward.testing.dataplane.proxy.exchange import Version
from steward.testing.dataplane.proxy.failures import ExchangeFailed
from steward.testing.dataplane.proxy.http_client import HttpConnection
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import fail_fast, load_shed

Accrual = ConsecutiveAccrual | RateAccrual | None
_DISLIKED = 5.0
"""Seconds that a failure counts for where failures are to be penalised."""
_FOR_EVER = timedelta(days=365)


@dataclass(slots=True)
class Slot:
    """One endpoint as a balancer sees it."""

    connections: EndpointConnections
    ewma: PeakEwma
    breaker: Breaker | None
    reachable: bool = True
    in_flight: int = 0
    attempts: int = 0
    waiting: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """Whom it is about."""
        return self.connections.endpoint


class Balancer:
    """One for each backend of a target. Without figures it forwards to a single address and counts nothing."""

    def __init__(
        self, context: OutboundContext, figures: BalancerFigures | None, authority: str, accrual: Accrual = None
    ) -> None:
        self._context = context
        self._figures = figures
        self._authority = authority
        self._accrual = accrual
        self._slots: dict[Endpoint, Slot] = {}
        self._leaving: list[Slot] = []
        self._shut = False
        self._queue = 0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, endpoints: tuple[Endpoint, ...]) -> None:
        """What discovery says at present. Endpoints that are gone finish what they are at."""
        if set(endpoints) == set(self._slots):
            return
        first = not self._slots
        gone = [endpoint for endpoint in self._slots if endpoint not in endpoints]
        for endpoint in gone:
            self._drop(self._slots.pop(endpoint))
        added = [endpoint for endpoint in endpoints if endpoint not in self._slots]
        for endpoint in added:
            self._slots[endpoint] = self._slot(endpoint)
        if self._figures is not None:
            self._tell(self._figures, first=first, added=len(added), gone=len(gone))
        self._refresh()

    @property
    def shedding(self) -> bool:
        """Whether requests are turned away at once."""
        return self._shut

    def retire(self) -> None:
        """No longer asked for; what is under way may end."""
        self.update(())

    def close(self) -> None:
        """Give everything up."""
        for task in list(self._tasks):
            task.cancel()
        for slot in (*self._slots.values(), *self._leaving):
            slot.connections.close()
        self._slots.clear()
        self._leaving.clear()
        if self._figures is not None:
            self._figures.endpoints(ready=0, pending=0)

    async def ready(self) -> Slot:
        """An endpoint for one connection of bytes."""
        return (await self._dispatched(None))[0]

    async def connected(self, version: Version, *, upgrade: bool) -> tuple[Slot, HttpConnection]:
        """An endpoint for one request, and a connection to it."""
        slot, connection = await self._dispatched((version, upgrade))
        if connection is None:
            raise load_shed()
        return slot, connection

    def begun(self, slot: Slot) -> None:
        """A request is on its way."""
        slot.in_flight += 1
        if slot.breaker is not None:
            slot.breaker.send()
            self._refresh()

    def answered_in(self, slot: Slot, seconds: float) -> None:
        """The head of a response came."""
        slot.ewma.observe(seconds, self._context.clock.monotonic())

    def dislike(self, slot: Slot) -> None:
        """A failure that came fast must not make the endpoint look good."""
        if not self._context.broken(broken.NO_PENALTY):
            slot.ewma.observe(_DISLIKED, self._context.clock.monotonic())

    def judged(self, slot: Slot, *, failed: bool) -> None:
        """Let the breaker know."""
        if slot.breaker is None or self._context.broken(broken.NO_ACCRUAL):
            return
        now = self._context.clock.monotonic()
        penalty = slot.breaker.record(now, failed=failed)
        if penalty is not None:
            self._later(penalty, slot)
        self._refresh()

    def doubt(self, slot: Slot, version: Version) -> None:
        """It leaves: do without it until it can be connected to again, if there are others."""
        if any(other is not slot and self._is_ready(other) for other in self._slots.values()):
            self._unreachable(slot, version)

    def over(self, slot: Slot) -> None:
        """The exchange ended, body and all."""
        slot.in_flight -= 1
        if slot.breaker is not None:
            slot.breaker.forget()
            self._refresh()
        if slot in self._leaving and not slot.in_flight:
            self._leaving.remove(slot)
            slot.connections.close()

    def _slot(self, endpoint: Endpoint) -> Slot:
        now = self._context.clock.monotonic()
        connections = EndpointConnections(self._context, endpoint, self._authority)
        accrual = self._accrual
        if accrual is not None and self._context.broken(broken.BREAKER_HASTY):
            accrual = ConsecutiveAccrual(1, accrual.min_penalty, accrual.max_penalty)
        return Slot(connections, PeakEwma(now), Breaker(accrual, self._context.chance) if accrual else None)

    def _drop(self, slot: Slot) -> None:
        if slot.waiting is not None:
            slot.waiting.cancel()
        if slot.in_flight:
            self._leaving.append(slot)
            return
        slot.connections.close()

    async def _dispatched(self, http: tuple[Version, bool] | None) -> tuple[Slot, HttpConnection | None]:
        if self._shut:
            raise load_shed()
        begun = self._context.clock.monotonic()
        self._queue += 1
        if self._figures is not None:
            self._figures.queued(self._queue)
        endless = self._context.broken(broken.NO_FAILFAST)
        try:
            async with asyncio.timeout(None if endless else self._context.timings.failfast.total_seconds()) as limit:
                return await self._first_that_connects(http, limit)
        except TimeoutError:
            self._shut_gate()
            raise fail_fast() from None
        finally:
            self._queue -= 1
            if self._figures is not None:
                self._figures.dispatched(self._queue, self._context.clock.monotonic() - begun)

    async def _first_that_connects(
        self, http: tuple[Version, bool] | None, limit: asyncio.Timeout
    ) -> tuple[Slot, HttpConnection | None]:
        ends = limit.when()
        while True:
            slot = self._pick()
            if slot is None:
                if self._shut:
                    raise fail_fast()
                self._changed.clear()
                await self._changed.wait()
                continue
            if http is None:
                return slot, None
            if ends is not None:
                limit.reschedule(asyncio.get_running_loop().time() + self._context.patience)
            connection = await self._connection(slot, http, limit)
            if connection is not None:
                return slot, connection
            limit.reschedule(ends)

    async def _connection(
        self, slot: Slot, http: tuple[Version, bool], limit: asyncio.Timeout
    ) -> HttpConnection | None:
        version, upgrade = http
        try:
            connection = await slot.connections.http(slot.connections.version(version, upgrade=upgrade))
        except ExchangeFailed:
            self._unreachable(slot, version)
            return None
        except asyncio.CancelledError:
            if limit.expired():
                # Whoever takes that long to connect is not ready: else the gate would stay shut before it for ever.
                self._unreachable(slot, version)
            raise
        slot.attempts = 0
        return connection

    def _unreachable(self, slot: Slot, version: Version) -> None:
        """Leave it alone and try to connect in the background, ever more slowly."""
        if not slot.reachable or slot.endpoint not in self._slots:
            return
        slot.reachable = False
        slot.waiting = self._background(self._reconnect(slot, version))
        self._refresh()

    async def _reconnect(self, slot: Slot, version: Version) -> None:
        while not slot.reachable:
            await self._context.clock.sleep(self._context.backoff(slot.attempts))
            slot.attempts += 1
            try:
                async with asyncio.timeout(self._context.patience):
                    await slot.connections.http(slot.connections.version(version, upgrade=False))
            except (ExchangeFailed, TimeoutError):
                continue
            slot.reachable = True
        self._refresh()

    def _pick(self) -> Slot | None:
        ready = [slot for slot in self._slots.values() if self._is_ready(slot)]
        if not ready or (self._shut and self._context.broken(broken.FAILFAST_FOR_EVER)):
            return None
        if self._context.broken(broken.MESHED_PREFERRED):
            ready = [slot for slot in ready if slot.endpoint.identity] or ready
        if len(ready) == 1 or self._context.broken(broken.NO_BALANCING):
            return ready[0]
        one, other = self._context.chance.sample(ready, 2)
        return one if self._load(one) <= self._load(other) else other

    def _load(self, slot: Slot) -> float:
        if self._context.broken(broken.NO_EWMA):
            return 0.0
        return slot.ewma.value(self._context.clock.monotonic()) * (slot.in_flight + 1)

    def _is_ready(self, slot: Slot) -> bool:
        now = self._context.clock.monotonic()
        admitted = slot.breaker is None or slot.breaker.admits(now) or self._context.broken(broken.NO_ACCRUAL)
        return slot.reachable and admitted

    def _later(self, penalty: timedelta, slot: Slot) -> None:
        if self._context.broken(broken.BREAKER_NEVER_CLOSES):
            slot.reachable = False
            penalty = _FOR_EVER
        self._background(self._admitted_again(penalty))

    async def _admitted_again(self, penalty: timedelta) -> None:
        await self._context.clock.sleep(penalty)
        self._refresh()

    def _refresh(self) -> None:
        """After anything that may have made an endpoint ready or not."""
        ready = sum(self._is_ready(slot) for slot in self._slots.values())
        if self._figures is not None:
            self._figures.endpoints(ready=ready, pending=len(self._slots) - ready)
        if not ready:
            return
        self._changed.set()
        if self._shut and not self._context.broken(broken.FAILFAST_FOR_EVER):
            self._shut = False
            if self._figures is not None:
                self._figures.opened()

    def _shut_gate(self) -> None:
        """Everybody who waits fails with the first one."""
        if self._shut:
            return
        self._shut = True
        self._changed.set()
        if self._figures is not None:
            self._figures.shut()

    def _background(self, work: Coroutine[object, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @staticmethod
    def _tell(figures: BalancerFigures, *, first: bool, added: int, gone: int) -> None:
        if first and added:
            figures.updated("Reset")
            return
        for op, times in (("Add", added), ("Remove", gone)):
            for _ in range(times):
                figures.updated(op)

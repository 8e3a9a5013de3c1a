"""Takes orders and tells what it saw: late or senseless ones are refused, never done."""

from datetime import datetime, timedelta

from services.conformance.core.orders import (
    Answers,
    Call,
    Fetch,
    Fetched,
    Hold,
    Lookup,
    Order,
    Refused,
    Release,
    Replies,
    Report,
    Seen,
)
from services.conformance.exerciser.calling.callers import callers_for
from services.conformance.exerciser.calling.dialling import Dialler
from services.conformance.exerciser.calling.http1 import Http1Caller
from services.conformance.exerciser.calling.pacing import RateCap, Round
from services.conformance.exerciser.calling.sight import Means
from services.conformance.exerciser.calling.trouble import UnknownName
from services.conformance.exerciser.holding import Holding
from services.conformance.exerciser.settings import ExerciserGroup
from steward.clock import Clock, within

_LARGEST_PAGE = 8_388_608


class Agent:
    """Does what orders say."""

    def __init__(self, settings: ExerciserGroup, dialler: Dialler, clock: Clock) -> None:
        self._settings = settings
        self._dialler = dialler
        self._clock = clock
        self._cap = RateCap(settings.most_per_second, clock)
        self._rounds: dict[str, Round] = {}
        self.holding = Holding(dialler, clock, self._cap, most=settings.most_held)

    async def close(self) -> None:
        """Let go of everything that is held."""
        await self.holding.close()

    def refusal(self, order: Order) -> Refused | None:
        """Why an order is not carried out, where it is not."""
        who, now = self._settings, self._clock.now()
        if order.agent not in (who.pod, ""):
            return Refused(reason="NotMine", message=f"the order is for {order.agent!r}, this is {who.pod!r}")
        if now >= order.deadline:
            late = (now - order.deadline).total_seconds()
            return Refused(
                reason="Late",
                message=f"the deadline {order.deadline.isoformat()} passed {late:.3f} s ago by the clock of "
                f"{who.node or who.pod}: it was on its way for too long, or the clocks differ",
            )
        return None

    def end(self, order: str) -> None:
        """Let the calls of an order end early; what was seen so far is reported."""
        if order in self._rounds:
            self._rounds[order].end()

    async def carry_out(self, order: Order) -> Report:
        """Do it, and tell what was seen."""
        started = self._clock.now()
        refused = self.refusal(order)
        return self.report(order.id, refused if refused is not None else await self._do(order), started_at=started)

    def report(self, order: str, seen: Seen, *, started_at: datetime | None = None) -> Report:
        """What was seen, signed."""
        who, now = self._settings, self._clock.now()
        return Report(
            order=order,
            agent=who.actor,
            pod=who.pod,
            node=who.node,
            zone=who.zone,
            started_at=started_at or now,
            ended_at=now,
            seen=seen,
        )

    async def _do(self, order: Order) -> Seen:
        match order.doing:
            case Call() as call:
                return await self._call(order, call)
            case Fetch() as fetch:
                return await self._fetch(fetch)
            case Hold() as hold:
                return await self.holding.hold(hold)
            case Release() as release:
                return await self.holding.release(release)
            case Lookup() as lookup:
                return await self._look_up(lookup, order.deadline - self._clock.now())

    async def _call(self, order: Order, call: Call) -> Seen:
        means = Means(call, self._dialler, self._clock)
        going = self._rounds[order.id] = Round(call, self._cap, self._clock)
        try:
            return Replies(replies=await going.run(callers_for(means), order.deadline))
        finally:
            del self._rounds[order.id]

    async def _fetch(self, fetch: Fetch) -> Fetched:
        call = Call(target=fetch.target, path=fetch.path, timeout_seconds=fetch.timeout_seconds, keep=False)
        caller = Http1Caller(Means(call, self._dialler, self._clock), keep=_LARGEST_PAGE)
        await self._cap.turn()
        reply = await caller.call()
        return Fetched(status=reply.status, body=caller.text, trouble=reply.trouble, message=reply.message)

    async def _look_up(self, lookup: Lookup, patience: timedelta) -> Answers:
        found: dict[str, int] = {}
        failures, slowest, made = 0, 0.0, 0
        try:
            async with within(self._clock, patience):
                for _ in range(lookup.times):
                    await self._cap.turn()
                    begun = self._clock.monotonic()
                    made += 1
                    try:
                        for address in await self._dialler.addresses(lookup.name):
                            found[address] = found.get(address, 0) + 1
                    except (UnknownName, OSError):
                        failures += 1
                    slowest = max(slowest, self._clock.monotonic() - begun)
        except TimeoutError:
            failures += lookup.times - made + 1
        return Answers(addresses=tuple(sorted(found.items())), failures=failures, slowest_seconds=round(slowest, 6))

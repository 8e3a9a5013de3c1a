"""The agents of a run: orders to them, their reports, and which of them are there.

An order is asked for: where nobody listens, that is known at once. Its report comes by JetStream; whoever listens hears
it in the same moment, and what came while the bus was away is read from the stream.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from pydantic import ValidationError

from services.conformance.core.carriage import (
    TAKEN,
    Gathered,
    Presence,
    Unreadable,
    orders_subject,
    presences_filter,
    report_subject,
    reports_filter,
    roll_call_subject,
    stop_subject,
)
from services.conformance.core.orders import Doing, Order, Report
from steward.bus.asking import Heard, Receive
from steward.bus.errors import AnswerLate, BusError, NobodyListens
from steward.bus.reading import Stored
from steward.clock import Clock, within
from steward.errors import StewardError
from steward.events.subjects import part

_ANSWER = timedelta(seconds=2)
_LOOK_AGAIN = timedelta(seconds=5)
_GRACE = timedelta(seconds=2)
_SEEN_WITHIN = timedelta(seconds=7)


class AgentSilent(StewardError):
    """An agent is not there, or did not tell what it saw before the deadline."""


class AgentBus(Protocol):
    """What is asked of the bus."""

    @property
    def cluster(self) -> str:
        """Name of the Kubernetes cluster that this process is about."""
        ...

    def on_reconnect(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Have `hook` awaited after each reconnect."""
        ...

    async def send(self, subject: str, payload: bytes = b"") -> None:
        """Tell whoever listens just now."""
        ...

    async def ask(self, subject: str, payload: bytes, *, timeout: timedelta) -> bytes:
        """Ask whoever listens just now."""
        ...

    def listen(self, subject: str, receive: Receive) -> AbstractAsyncContextManager[None]:
        """Have `receive` called with what comes."""
        ...

    def stored(self, subject_filter: str) -> AsyncGenerator[Stored, None]:
        """What JetStream keeps."""
        ...


@dataclass(slots=True)
class _Awaited:
    """A report that somebody waits for."""

    whole: asyncio.Future[Report]
    parts: Gathered = field(default_factory=Gathered)

    def add(self, headers: Mapping[str, str], data: bytes) -> None:
        """Take a part; what cannot be read is as good as not there."""
        try:
            report = self.parts.add(dict(headers), data)
        except Unreadable:
            return
        if report is not None and not self.whole.done():
            self.whole.set_result(report)


class Agents:
    """Within `listening` it hears agents and their reports:

    async with Agents(bus, clock).listening() as agents:
        report = await agents.do(run, pod, Fetch(target=target), deadline=timedelta(seconds=10))
    """

    def __init__(self, bus: AgentBus, clock: Clock, *, grace: timedelta = _GRACE) -> None:
        self._bus = bus
        self._clock = clock
        self._grace = grace
        self._awaited: dict[str, _Awaited] = {}
        self._seen: dict[tuple[str, str], tuple[datetime, Presence]] = {}
        self._appeared = asyncio.Event()
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Agents"]:
        """Hear reports and agents for as long as the context lasts."""
        cluster = self._bus.cluster
        self._bus.on_reconnect(self._back)
        async with (
            self._bus.listen(reports_filter(cluster), self._reported),
            self._bus.listen(presences_filter(cluster), self._present),
        ):
            yield self

    async def do(self, run: str, pod: str, doing: Doing, *, deadline: timedelta, order: str = "") -> Report:
        """Have an agent do something within `deadline`; raises AgentSilent, a moment of grace after it.

        `order` is the id to use, where it must be known beforehand: for `stop`, or to look for the report later.
        """
        order = order or uuid4().hex
        wanted = Order(id=order, agent=pod, deadline=self._clock.now() + deadline, doing=doing)
        awaited = self._awaited[order] = _Awaited(asyncio.get_running_loop().create_future())
        try:
            async with within(self._clock, deadline + self._grace):
                refused = await self._order(run, pod, wanted, min(deadline, _ANSWER))
                return refused or await self._report(run, order, awaited)
        except NobodyListens:
            raise AgentSilent(
                f"no agent in pod {pod!r} of run {run!r} takes orders: is the pod running, does it reach NATS, and has "
                "its container the role agent?"
            ) from None
        except TimeoutError:
            raise AgentSilent(
                f"the agent in pod {pod!r} of run {run!r} told nothing about {doing.do} within "
                f"{deadline.total_seconds():g} s (order {order}): look at its log; a report that comes later is kept"
            ) from None
        finally:
            del self._awaited[order]

    async def stop(self, run: str, pod: str, order: str) -> None:
        """Let the calls of an order end early; its report tells those that were made. Raises AgentSilent."""
        try:
            await self._bus.ask(stop_subject(self._bus.cluster, run, pod), order.encode(), timeout=_ANSWER)
        except (NobodyListens, AnswerLate) as error:
            raise AgentSilent(f"the agent in pod {pod!r} of run {run!r} does not answer: {error}") from None

    async def reported(self, run: str, order: str) -> Report | None:
        """The report of an order, where it has come: also to somebody who asked and has ended since."""
        subject, gathered = report_subject(self._bus.cluster, run, order), Gathered()
        for subject_filter in (subject, f"{subject}.>"):
            empty = True
            async with aclosing(self._bus.stored(subject_filter)) as messages:
                async for message in messages:
                    empty = False
                    if (report := gathered.add(message.headers, message.data)) is not None:
                        return report
            if empty:
                break
        return None

    async def call_roll(self, run: str) -> None:
        """Ask all agents of a run to say that they are there; they would do so by themselves, every few seconds."""
        await self._bus.send(roll_call_subject(self._bus.cluster, run))

    def present(self, run: str) -> tuple[Presence, ...]:
        """The agents of a run that were heard of in the last seconds, by pod."""
        since = self._clock.now() - _SEEN_WITHIN
        self._seen = {key: (heard, who) for key, (heard, who) in self._seen.items() if heard >= since}
        return tuple(who for (of, _), (_, who) in sorted(self._seen.items()) if of == run)

    async def until_present(self, run: str, pods: frozenset[str], *, within_time: timedelta) -> frozenset[str]:
        """Wait until these pods have an agent that takes orders; those that have none by then."""
        missing = pods
        try:
            async with within(self._clock, within_time):
                await self.call_roll(run)
                while missing := pods - {each.pod for each in self.present(run)}:
                    self._appeared.clear()
                    await self._appeared.wait()
        except TimeoutError:
            pass
        return missing

    async def _order(self, run: str, pod: str, order: Order, patience: timedelta) -> Report | None:
        """Ask; a refusal is a report at once. Without an answer the order may have arrived all the same."""
        subject = orders_subject(self._bus.cluster, run, pod)
        try:
            answer = await self._bus.ask(subject, order.model_dump_json(by_alias=True).encode(), timeout=patience)
        except AnswerLate:
            return None
        return None if answer == TAKEN else _refusal(answer, order.id)

    async def _report(self, run: str, order: str, awaited: _Awaited) -> Report:
        while True:
            cut_off = asyncio.create_task(self._returned.wait())
            looking = asyncio.create_task(self._clock.sleep(_LOOK_AGAIN))
            try:
                await asyncio.wait((awaited.whole, cut_off, looking), return_when=asyncio.FIRST_COMPLETED)
            finally:
                cut_off.cancel()
                looking.cancel()
            if awaited.whole.done():
                return awaited.whole.result()
            # It may have come while we were cut off from the bus.
            self._returned.clear()
            try:
                report = await self.reported(run, order)
            except (BusError, Unreadable):
                continue
            if report is not None:
                return report

    async def _back(self) -> None:
        self._returned.set()

    async def _reported(self, heard: Heard) -> None:
        order = _order_in(heard.subject)
        if order in self._awaited:
            self._awaited[order].add(heard.headers, heard.data)

    async def _present(self, heard: Heard) -> None:
        try:
            who = Presence.model_validate_json(heard.data)
        except ValidationError:
            return
        self._seen[who.run, who.pod] = (self._clock.now(), who)
        self._appeared.set()


def _order_in(subject: str) -> str:
    """The order in `steward.results.v1.<cluster>.agents.<run>.<order>[.n]`."""
    tokens = subject.split(".")
    return part(tokens[6]) if len(tokens) > 6 else ""


def _refusal(answer: bytes, order: str) -> Report | None:
    try:
        report = Report.model_validate_json(answer)
    except ValidationError:
        return None
    return report.model_copy(update={"order": order})

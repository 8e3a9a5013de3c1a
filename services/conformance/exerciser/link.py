"""An agent on the bus: takes orders, tells reports until they have arrived, says that it is there."""

import asyncio
from collections import OrderedDict
from contextlib import AsyncExitStack
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.conformance.core.carriage import (
    TAKEN,
    Presence,
    TooLarge,
    Unreadable,
    order_of,
    orders_subject,
    packed,
    pieces,
    presence_subject,
    roll_call_subject,
    stop_subject,
)
from services.conformance.core.orders import Order, Refused
from services.conformance.exerciser.agent import Agent
from services.conformance.exerciser.settings import ExerciserGroup
from services.conformance.exerciser.spool import Spool, Waiting
from steward.bus.asking import Heard
from steward.bus.errors import BusClosed, BusError
from steward.clock import Clock
from steward.service.patient_bus import PatientBus

_AGAIN = timedelta(seconds=1)
_MOST_REMEMBERED = 10_000


class Link:
    """Between one agent and the service."""

    def __init__(
        self,
        settings: ExerciserGroup,
        agent: Agent,
        bus: PatientBus,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._bus = bus
        self._clock = clock
        self._log = log
        self._spool = Spool(
            settings.spool, run=settings.run, most=settings.spool_reports, most_bytes=settings.spool_bytes
        )
        self._fuller = asyncio.Event()
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._doing: set[asyncio.Task[None]] = set()
        self._working = asyncio.TaskGroup()

    async def keep(self) -> None:
        """Work until cancelled."""
        for order in self._spool.interrupted():
            ended = Refused(reason="Interrupted", message="the agent ended while it did this, and is back")
            self._spool.keep(order, packed(self._agent.report(order, ended)))
        cluster, who = self._bus.cluster, self._settings
        async with self._working as working, AsyncExitStack() as listening:
            working.create_task(self._tell_always(), name="tell")
            for subject, receive in (
                (orders_subject(cluster, who.run, who.pod), self._ordered),
                (stop_subject(cluster, who.run, who.pod), self._stopped),
                (roll_call_subject(cluster, who.run), self._called),
            ):
                await listening.enter_async_context(self._bus.listen(subject, receive))
            self._bus.on_reconnect(self._back)
            await self._beat()

    async def _ordered(self, heard: Heard) -> bytes:
        try:
            order = order_of(heard.data)
        except Unreadable as error:
            self._log.warning("an order makes no sense", problem=str(error))
            report = self._agent.report("", Refused(reason="Senseless", message=str(error)))
            return report.model_dump_json(by_alias=True).encode()
        if order.id in self._taken:
            return TAKEN
        refused = self._agent.refusal(order) or self._too_much()
        if refused is not None:
            self._log.warning("an order is refused", order=order.id, reason=refused.reason)
            return self._agent.report(order.id, refused).model_dump_json(by_alias=True).encode()
        self._taken[order.id] = None
        if len(self._taken) > _MOST_REMEMBERED:
            self._taken.popitem(last=False)
        self._spool.take(order.id)
        task = self._working.create_task(self._carry_out(order), name=f"order {order.id}")
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        return TAKEN

    def _too_much(self) -> Refused | None:
        most = self._settings.most_orders
        if len(self._doing) < most:
            return None
        return Refused(reason="Busy", message=f"{most} orders are being done, which is the most: ask again later")

    async def _carry_out(self, order: Order) -> None:
        report = await self._agent.carry_out(order)
        self._log.info("order done", order=order.id, doing=order.doing.do, saw=report.seen.saw)
        try:
            # A report of many calls is worth a moment of another core.
            data = await asyncio.to_thread(packed, report)
        except TooLarge as error:
            data = packed(self._agent.report(order.id, Refused(reason="ReportTooLarge", message=str(error))))
        self._spool.keep(order.id, data)
        self._fuller.set()

    async def _stopped(self, heard: Heard) -> bytes:
        self._agent.end(heard.data.decode(errors="replace"))
        return TAKEN

    async def _called(self, heard: Heard) -> None:
        del heard
        await self._say_so()

    async def _back(self) -> None:
        self._fuller.set()
        await self._say_so()

    async def _beat(self) -> None:
        while True:
            await self._say_so()
            await self._clock.sleep(self._settings.heartbeat)

    async def _say_so(self) -> None:
        who = self._settings
        presence = Presence(
            run=who.run,
            actor=who.actor,
            pod=who.pod,
            node=who.node,
            zone=who.zone,
            at=self._clock.now(),
            waiting=len(self._spool),
            dropped=self._spool.dropped,
            held=self._agent.holding.names,
        )
        subject = presence_subject(self._bus.cluster, who.run, who.pod)
        await self._bus.send(subject, presence.model_dump_json(by_alias=True).encode())

    async def _tell_always(self) -> None:
        while True:
            for waiting in self._spool.waiting():
                if not await self._tell(waiting):
                    await self._clock.sleep(_AGAIN)
                    break
            else:
                await self._fuller.wait()
                self._fuller.clear()

    async def _tell(self, waiting: Waiting) -> bool:
        try:
            for piece in pieces(waiting.subject(self._bus.cluster), waiting.order, waiting.data()):
                await self._bus.store_once(
                    piece.subject, piece.data, message_id=piece.message_id, headers=piece.headers
                )
        except BusClosed:
            raise
        except BusError as error:
            self._log.warning("a report cannot be told yet", order=waiting.order, problem=str(error))
            return False
        except TooLarge as error:
            self._log.error("a report can never be told", order=waiting.order, problem=str(error))
        self._spool.told(waiting)
        return True

"""Connections that are held open and used now and then, for as long as the agent lives."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.conformance.core.orders import Call, Conversation, Held, Hold, Protocol, Refused, Release, Reply
from services.conformance.exerciser.calling.callers import held_caller
from services.conformance.exerciser.calling.dialling import Dialler
from services.conformance.exerciser.calling.pacing import RateCap
from services.conformance.exerciser.calling.sight import Caller, Means
from steward.clock import Clock

_LONGEST_USE = 10.0


@dataclass(slots=True)
class _Held:
    """One of them, and how it fares."""

    hold: Hold
    caller: Caller
    opened_at: datetime
    opening: asyncio.Future[None]
    task: asyncio.Task[None] | None = None
    connection: int = 0
    uses: int = 0
    failures: int = 0
    resets: int = 0
    pod: str = ""
    last: Reply | None = field(default=None)

    def used(self, reply: Reply) -> None:
        """Take note of a use: a connection with another number means that the one before was lost."""
        failed = reply.trouble is not None or (reply.grpc_status or 0) != 0 or (reply.status or 0) >= 500
        self.uses += not failed
        self.failures += failed
        if reply.connection and self.connection and reply.connection != self.connection:
            self.resets += 1
        self.connection = reply.connection or self.connection
        # Of a stream only its beginning says who is at the other end.
        self.pod = reply.echo.pod if reply.echo is not None else self.pod
        self.last = reply
        if not self.opening.done():
            self.opening.set_result(None)

    def told(self) -> Held:
        """How it fares."""
        last = self.last
        return Held(
            name=self.hold.name,
            open=last is not None and last.trouble is None,
            opened_at=self.opened_at,
            uses=self.uses,
            failures=self.failures,
            resets=self.resets,
            pod=self.pod,
            trouble=last.trouble if last is not None else None,
            message=last.message if last is not None else "",
        )


class Holding:
    """All that is held, by name."""

    def __init__(self, dialler: Dialler, clock: Clock, cap: RateCap, *, most: int) -> None:
        self._dialler = dialler
        self._clock = clock
        self._cap = cap
        self._most = most
        self._held: dict[str, _Held] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is held."""
        return tuple(sorted(self._held))

    async def hold(self, hold: Hold) -> Held | Refused:
        """Open a connection and keep using it; returns when it was used once. What cannot be opened is not held.

        Said again, it opens nothing and tells how the connection fares.
        """
        if (held := self._held.get(hold.name)) is not None:
            if held.hold == hold:
                return held.told()
            return Refused(reason="HeldAlready", message=f"another connection is held as {hold.name!r}: release it")
        if len(self._held) >= self._most:
            return Refused(reason="TooManyHeld", message=f"{self._most} connections are held, which is the most")
        call = Call(
            target=hold.target,
            protocol=hold.protocol,
            conversation=Conversation.BIDIRECTIONAL if hold.protocol is Protocol.GRPC else Conversation.CLIENT_FIRST,
            timeout_seconds=_LONGEST_USE,
        )
        held = _Held(
            hold=hold,
            caller=held_caller(Means(call, self._dialler, self._clock)),
            opened_at=self._clock.now(),
            opening=asyncio.get_running_loop().create_future(),
        )
        self._held[hold.name] = held
        held.task = asyncio.create_task(self._use(held), name=f"hold {hold.name}")
        await asyncio.wait((held.opening, held.task), return_when=asyncio.FIRST_COMPLETED)
        told = held.told()
        if not told.open:
            await self._let_go(hold.name)
        return told

    async def release(self, release: Release) -> Held:
        """Close what is held under a name."""
        held = self._held.get(release.name)
        if held is None:
            return Held(name=release.name, open=False, message="nothing is held under this name: the agent began anew?")
        told = held.told()
        await self._let_go(release.name)
        return told

    async def close(self) -> None:
        """Let go of everything."""
        for name in tuple(self._held):
            await self._let_go(name)

    async def _let_go(self, name: str) -> None:
        held = self._held.pop(name)
        if held.task is not None:
            held.task.cancel()
            await asyncio.wait([held.task])
        await held.caller.close()

    async def _use(self, held: _Held) -> None:
        while True:
            await self._cap.turn()
            held.used(await held.caller.call())
            await self._clock.sleep(timedelta(seconds=held.hold.every_seconds))

"""What arrived at a place, in its order, and waiting for what has not arrived."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from steward.testing.monitoring.waiting import PATIENCE

Message = TypeVar("Message")


class NothingCame(AssertionError):
    """What a test waited for did not arrive in time; the message lists what did."""


class Inbox(Generic[Message]):
    """Messages of one kind. Everything that arrives stays, until `clear`."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._arrived = asyncio.Condition()

    @property
    def messages(self) -> tuple[Message, ...]:
        """What arrived so far, oldest first."""
        return tuple(self._messages)

    def clear(self) -> None:
        """Forget what arrived."""
        self._messages.clear()

    async def put(self, message: Message) -> None:
        """Let a message arrive."""
        async with self._arrived:
            self._messages.append(message)
            self._arrived.notify_all()

    async def until(self, wanted: Callable[[Message], bool], *, within: timedelta = PATIENCE) -> Message:
        """The first message that is wanted, whether it is here already or comes within the time.

        Raises `NothingCame` with all that arrived instead.
        """
        try:
            async with asyncio.timeout(within.total_seconds()), self._arrived:
                await self._arrived.wait_for(lambda: any(map(wanted, self._messages)))
        except TimeoutError as late:
            others = "".join(f"\n- {message}" for message in self._messages) or " nothing"
            raise NothingCame(f"no such message within {within.total_seconds():g} s; what came:{others}") from late
        return next(filter(wanted, self._messages))

"""What only those hear who listen just now: messages, questions and answers that nothing keeps.

For what must not be done late: a question that nobody hears is lost, and the asker knows at once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import nats.errors
from nats.aio.msg import Msg

from steward.bus.connection import Connection
from steward.bus.errors import AnswerLate, EventTooLarge, NobodyListens


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came. What `receive` returns is the answer, where one is `asked` for."""

    subject: str
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    asked: bool = False


Receive = Callable[[Heard], Awaitable[bytes | None]]


async def ask(connection: Connection, subject: str, payload: bytes, *, timeout: timedelta) -> bytes:
    """Ask whoever listens; raises NobodyListens at once, AnswerLate after `timeout`."""
    try:
        answer = await connection.request(subject, payload, timeout=timeout.total_seconds())
    except nats.errors.NoRespondersError:
        raise NobodyListens(f"nobody listens on {subject}") from None
    except nats.errors.MaxPayloadError:
        raise EventTooLarge(f"{subject}: {len(payload)} bytes are more than the server takes") from None
    except (TimeoutError, nats.errors.OutboundBufferLimitError):
        raise AnswerLate(f"no answer on {subject} within {timeout.total_seconds():g} s") from None
    return bytes(answer.data)


@asynccontextmanager
async def listen(connection: Connection, subject: str, receive: Receive) -> AsyncIterator[None]:
    """Have `receive` called with every message on `subject`, one after another: whatever takes long is a task."""

    async def heard(message: Msg) -> None:
        answer = await receive(Heard(message.subject, message.data, message.headers or {}, asked=bool(message.reply)))
        if answer is not None and message.reply:
            await connection.send(message.reply, answer)

    subscription = await connection.subscribe(subject, heard)
    try:
        # A ping of nats-py overtakes what still waits to be sent, so that only the second one answers for the first.
        await connection.flush()
        connection.check_permitted(subject)
        yield
    finally:
        await connection.unsubscribe(subscription)

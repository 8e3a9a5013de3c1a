"""What was given up, why, and its replay.

A dead letter keeps the original bytes and headers, and says in headers of its own where the event came from, who gave
it up, why, and the command that replays it. A replay stores the event again, addressed to the one consumer that gave
it up: every other consumer passes over it.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from steward.bus.connection import Connection
from steward.bus.delivery import Held
from steward.bus.errors import ApiError, BusError, StreamMissing
from steward.bus.publishing import HEADROOM, MESSAGE_ID, REPLAY_FOR, Published, Publisher
from steward.bus.reading import Stored, stored_messages
from steward.bus.streams import CONSUMER_NAME, DEAD_LETTER_ROOT, DEAD_LETTERS
from steward.events.subjects import event_name

log = logging.getLogger("steward.bus")

_PREFIX = "Steward-Dead-"
_SUBJECT = f"{_PREFIX}Subject"
_STREAM = f"{_PREFIX}Stream"
_SEQUENCE = f"{_PREFIX}Sequence"
_CONSUMER = f"{_PREFIX}Consumer"
_REASON = f"{_PREFIX}Reason"
_DELIVERIES = f"{_PREFIX}Deliveries"
_TIME = f"{_PREFIX}Time"
_REPLAY = f"{_PREFIX}Replay"
_OMITTED = f"{_PREFIX}Payload-Omitted"
_LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up. `id` is what `dead-letters replay` wants."""

    id: str
    subject: str
    stream: str
    sequence: int
    consumer: str
    reason: str
    deliveries: int
    stored_at: str
    died_at: datetime
    replay_command: str
    payload: bytes
    headers: dict[str, str]
    letter: int

    @property
    def event(self) -> str:
        """Name of the event, or the subject where it is none of ours."""
        return event_name(self.subject) or self.subject


def letter_id(consumer: str, sequence: int) -> str:
    """How a dead letter is called: by whom it was given up, and its place in the stream."""
    return f"{consumer}.{sequence}"


def replay_command(consumer: str, sequence: int) -> str:
    """What a person types to have the event delivered again."""
    return f"linkerd-steward dead-letters replay {letter_id(consumer, sequence)}"


class DeadLetters:
    """The dead letters of one bus."""

    def __init__(self, connection: Connection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher

    async def bury(self, held: Held, path: tuple[str, str], reason: str) -> None:
        """Keep the event with `reason`. Burying the same delivery twice keeps one letter."""
        stream, consumer = path
        sequence = held.place.sequence
        headers = {name: value for name, value in held.headers.items() if not name.startswith(("Nats-", _PREFIX))}
        headers |= {
            MESSAGE_ID: f"dead:{stream}:{letter_id(consumer, sequence)}",
            _SUBJECT: held.subject,
            _STREAM: stream,
            _SEQUENCE: str(sequence),
            _CONSUMER: consumer,
            _REASON: " ".join(reason.split())[:_LONGEST_REASON] or "no reason given",
            _DELIVERIES: str(held.place.attempt),
            _TIME: held.place.stored_at.isoformat(),
            _REPLAY: replay_command(consumer, sequence),
        }
        payload = held.data
        if len(payload) > self._connection.max_payload - HEADROOM:
            # Somebody else's message of the largest size: with our headers it would not fit, so the stream keeps it.
            payload, headers[_OMITTED] = b"", "true"
        cluster = self._connection.settings.cluster
        await self._publisher.store(f"{DEAD_LETTER_ROOT}.{cluster}.{consumer}.{sequence}.{stream}", payload, headers)
        log.error("%s gave up %s: %s. To deliver it again: %s", consumer, held.subject, reason, headers[_REPLAY])

    async def list(self, *, consumer: str = "*", cluster: str = "*") -> AsyncGenerator[DeadLetter, None]:
        """The dead letters, oldest first."""
        subject = f"{DEAD_LETTER_ROOT}.{cluster}.{consumer}.>"
        async with aclosing(stored_messages(self._connection, DEAD_LETTERS.name, subject)) as messages:
            async for message in messages:
                yield _read(message)

    async def get(self, id: str) -> DeadLetter:
        """The dead letter called `id`."""
        consumer, _, sequence = id.rpartition(".")
        if not CONSUMER_NAME.fullmatch(consumer) or not sequence.isdigit():
            raise BusError(f"{id!r} names no dead letter: expected CONSUMER.SEQUENCE, as dead-letters list shows it")
        async with aclosing(
            stored_messages(self._connection, DEAD_LETTERS.name, f"{DEAD_LETTER_ROOT}.*.{consumer}.{sequence}.>")
        ) as messages:
            async for message in messages:
                return _read(message)
        raise BusError(f"there is no dead letter {id!r}: it was replayed, or is older than the stream keeps")

    async def replay(self, id: str) -> Published:
        """Store the event again for the consumer that gave it up, and drop the letter."""
        letter = await self.get(id)
        await self._check_consumer(letter)
        if letter.headers.get(_OMITTED):
            raise BusError(
                f"dead letter {id!r} cannot be replayed: its payload was too large to keep; the original is "
                f"message {letter.sequence} of {letter.stream} (nats stream get {letter.stream} {letter.sequence})"
            )
        headers = {name: value for name, value in letter.headers.items() if not name.startswith(("Nats-", _PREFIX))}
        headers |= {MESSAGE_ID: f"replay:{letter.letter}:{letter.id}", REPLAY_FOR: letter.consumer}
        published = await self._publisher.store(letter.subject, letter.payload, headers)
        await self._connection.api(f"STREAM.MSG.DELETE.{DEAD_LETTERS.name}", {"seq": letter.letter})
        log.info("replayed %s for %s as %s/%d", letter.subject, letter.consumer, published.stream, published.sequence)
        return published

    async def _check_consumer(self, letter: DeadLetter) -> None:
        try:
            await self._connection.api(f"CONSUMER.INFO.{letter.stream}.{letter.consumer}")
        except ApiError as error:
            if error.code != 404:
                raise
            raise StreamMissing(
                f"dead letter {letter.id!r} cannot be replayed: consumer {letter.consumer} of stream {letter.stream} "
                "does not exist any more, so nobody would hear it; start the subscriber first"
            ) from None


def _read(message: Stored) -> DeadLetter:
    headers = message.headers
    consumer, sequence = headers.get(_CONSUMER, "?"), int(headers.get(_SEQUENCE, "0"))
    return DeadLetter(
        id=letter_id(consumer, sequence),
        subject=headers.get(_SUBJECT, ""),
        stream=headers.get(_STREAM, ""),
        sequence=sequence,
        consumer=consumer,
        reason=headers.get(_REASON, ""),
        deliveries=int(headers.get(_DELIVERIES, "0")),
        stored_at=headers.get(_TIME, ""),
        died_at=message.stored_at,
        replay_command=headers.get(_REPLAY, ""),
        payload=message.data,
        headers=headers,
        letter=message.sequence,
    )

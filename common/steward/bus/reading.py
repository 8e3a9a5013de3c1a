"""Stored messages, from wherever you like, each exactly once and in order.

A reader is a consumer of its own that the server soon forgets. Its deliveries are numbered; a missing number, silence
or a reconnect means that something was lost on the way, so the reader begins anew behind the last message it got.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from nats.aio.msg import Msg

from steward.bus.connection import Connection
from steward.bus.delivery import place_of
from steward.bus.errors import ApiError, BusUnreachable, BusUnsuitable, StreamMissing
from steward.bus.publishing import MESSAGE_ID, REPLAY_FOR
from steward.bus.pulling import Disturbed, Pace, Pulling
from steward.bus.streams import EVENTS, Start, nanoseconds
from steward.events.base import Envelope, Event
from steward.events.codec import Known, decode
from steward.jsonvalue import JsonObject, whole

log = logging.getLogger("steward.bus")

_PACE = Pace(prefetch=512, resume=False)
_FORGET_AFTER = timedelta(minutes=1)
_PAUSE = timedelta(milliseconds=500)
_STREAM_NOT_FOUND = 10059


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream. `pending` says how many more match behind it."""

    subject: str
    sequence: int
    stored_at: datetime
    headers: dict[str, str]
    data: bytes
    order: int
    pending: int


async def event_ids(connection: Connection, subject_filter: str, *, stream: str = EVENTS.name) -> set[str]:
    """The message ids of everything that `stream` keeps on `subject_filter`. Payloads never leave the server."""
    async with aclosing(stored_messages(connection, stream, subject_filter, headers_only=True)) as messages:
        return {message.headers[MESSAGE_ID] async for message in messages if MESSAGE_ID in message.headers}


async def tail(
    connection: Connection, *subject_filters: str, start: Start | datetime, follow: bool = True
) -> AsyncGenerator[Envelope[Event], None]:
    """The events on any of `subject_filters`, and those to come where `follow` says so. What cannot be read is logged.

    The server takes no two filters that match the same subject.
    """
    messages = stored_messages(connection, EVENTS.name, *subject_filters, start=start, follow=follow)
    async with aclosing(messages):
        async for message in messages:
            if REPLAY_FOR in message.headers:
                # The same event again, for one consumer that gave it up.
                continue
            match decode(message.data):
                case Known(envelope):
                    yield envelope
                case other:
                    log.warning("%s at %d cannot be read: %s", message.subject, message.sequence, other)


async def stored_messages(
    connection: Connection,
    stream: str,
    *subject_filters: str,
    start: Start | datetime = Start.ALL,
    follow: bool = False,
    headers_only: bool = False,
) -> AsyncGenerator[Stored, None]:
    """Every message of `stream` on any of `subject_filters`; with `follow` also those to come, for ever."""
    begin: JsonObject = _begin(start)
    patience = connection.settings.publish_deadline.total_seconds()
    progress = connection.clock.monotonic()
    while True:
        connection.check_open()
        config: JsonObject = {"filter_subjects": [*subject_filters], "headers_only": headers_only, **begin}
        try:
            reader, pending = await _create(connection, stream, config)
            async with _deleted_afterwards(connection, stream, reader):
                if not follow and not pending:
                    return
                async with aclosing(_read(connection, stream, reader)) as messages:
                    async for message in messages:
                        progress = connection.clock.monotonic()
                        begin = {"deliver_policy": "by_start_sequence", "opt_start_seq": message.sequence + 1}
                        yield message
                        if not follow and not message.pending:
                            return
        except (BusUnreachable, BusUnsuitable, ApiError) as error:
            if not _may_pass(error) or (not follow and connection.clock.monotonic() - progress > patience):
                raise
            await connection.clock.sleep(_PAUSE)


async def _read(connection: Connection, stream: str, reader: str) -> AsyncGenerator[Stored, None]:
    """The messages of one reader, until it is finished or anything at all went wrong."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    expected = 1
    pulling = Pulling(connection, (stream, reader), take=arrived.put_nowait, load=arrived.qsize, pace=_PACE)
    async with pulling:
        watching = asyncio.create_task(pulling.run())
        try:
            while True:
                message = await _next(arrived, watching)
                if message is None:
                    return
                stored = _stored(message)
                if stored.order != expected:
                    return
                expected += 1
                yield stored
                if pulling.wants():
                    await pulling.refill()
        finally:
            watching.cancel()
            await asyncio.wait([watching])


@asynccontextmanager
async def _deleted_afterwards(connection: Connection, stream: str, reader: str) -> AsyncGenerator[None, None]:
    """The server forgets a reader by itself after a while, and has only so many places for them."""
    try:
        yield
    finally:
        if connection.connected:
            await connection.send(f"$JS.API.CONSUMER.DELETE.{stream}.{reader}")


async def _next(arrived: asyncio.Queue[Msg], watching: asyncio.Task[None]) -> Msg | None:
    """The next message; None when the reader must begin anew. A connection lost for good is raised."""
    if not arrived.empty():
        return arrived.get_nowait()
    getting = asyncio.create_task(arrived.get())
    try:
        await asyncio.wait((getting, watching), return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
    finally:
        getting.cancel()
    try:
        watching.result()
    except (Disturbed, StreamMissing):
        return None
    return None


async def _create(connection: Connection, stream: str, config: JsonObject) -> tuple[str, int]:
    name = f"steward-reader-{connection.inbox().rpartition('.')[2]}"
    wanted: JsonObject = {
        "name": name,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": nanoseconds(_FORGET_AFTER),
        **config,
    }
    try:
        answer = await connection.api(
            f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": wanted, "action": "create"}
        )
    except ApiError as error:
        if error.err_code == _STREAM_NOT_FOUND:
            raise StreamMissing(f"stream {stream} does not exist: start Linkerd Steward's services once") from None
        raise
    return name, whole(answer, "num_pending")


def _begin(start: Start | datetime) -> JsonObject:
    if isinstance(start, datetime):
        return {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}
    return {"deliver_policy": start.value}


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, ApiError) or error.code == 503


def _stored(message: Msg) -> Stored:
    place = place_of(message.reply)
    return Stored(
        subject=message.subject,
        sequence=place.sequence,
        stored_at=place.stored_at,
        headers=message.headers or {},
        data=message.data,
        order=place.order,
        pending=place.pending,
    )

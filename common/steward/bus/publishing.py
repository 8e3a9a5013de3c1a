"""An event, stored exactly once: its id is the message id, and what goes unanswered is asked again."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import nats.errors

from steward.bus.connection import Connection
from steward.bus.errors import EventTooLarge, PublishFailed, PublishUnknown, SubjectTaken
from steward.events.base import Envelope, Event
from steward.events.codec import CONTENT_TYPE, encode
from steward.events.subjects import event_name, subject_of
from steward.jsonvalue import JsonObject, flag, table, text, whole

MESSAGE_ID = "Nats-Msg-Id"
REPLAY_FOR = "Steward-Replay-For"
ONLY_IF_LAST = "Nats-Expected-Last-Subject-Sequence"
# What a dead letter adds to the headers must still fit beside an event of the largest size.
HEADROOM = 16 * 1024
_ATTEMPT_S = 2.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_WRONG_LAST_SEQUENCE = 10071


@dataclass(frozen=True, slots=True)
class Published:
    """Where an event is stored; `duplicate` when the stream had it already."""

    stream: str
    sequence: int
    duplicate: bool


class Publisher:
    """Stores messages through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clock = connection.clock

    async def publish(self, envelope: Envelope[Event]) -> Published:
        """Store `envelope`. When it returns the event is in the stream, once, however often it was sent."""
        headers = {
            MESSAGE_ID: envelope.id,
            "content-type": CONTENT_TYPE,
            "ce-id": envelope.id,
            "ce-type": envelope.type,
        }
        if envelope.traceparent is not None:
            headers["traceparent"] = envelope.traceparent
        return await self.store(subject_of(envelope.cluster, envelope.data), encode(envelope), headers)

    async def store_once(self, subject: str, payload: bytes, message_id: str, headers: Mapping[str, str]) -> Published:
        """Store the only message that `subject` will ever have, also where it is sent again after days."""
        only = {**headers, MESSAGE_ID: message_id, ONLY_IF_LAST: "0"}
        try:
            return await self.store(subject, payload, only)
        except SubjectTaken:
            return Published(stream="", sequence=0, duplicate=True)

    async def store(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> Published:
        """Store bytes under `headers`, which hold a message id, retrying until the deadline."""
        self._check_size(subject, payload)
        deadline = self._connection.settings.publish_deadline
        end = self._clock.monotonic() + deadline.total_seconds()
        # What is no event may have a subject of its own for each message, and a label has few values.
        name, pause = event_name(subject) or ".".join(subject.split(".")[:3]), _FIRST_PAUSE_S
        while True:
            self._connection.check_open()
            answer = await self._try(subject, payload, dict(headers), end - self._clock.monotonic())
            if isinstance(answer, Published):
                self._connection.metrics.published(name, duplicate=answer.duplicate)
                return answer
            remaining = end - self._clock.monotonic()
            if remaining <= 0:
                raise _gave_up(subject, headers.get(MESSAGE_ID, "?"), deadline, answer)
            self._connection.metrics.publish_retried(name, answer.reason)
            # Jitter: whoever lost the leader together must not come back together.
            await self._clock.sleep(timedelta(seconds=min(remaining, pause * random.uniform(0.5, 1.5))))
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _try(
        self, subject: str, payload: bytes, headers: dict[str, str], remaining: float
    ) -> "Published | _Unanswered":
        try:
            answer = await self._connection.request(
                subject, payload, timeout=max(0.1, min(_ATTEMPT_S, remaining)), headers=headers
            )
        except nats.errors.NoRespondersError:
            return _Unanswered("NoStream", "no stream answers", certain=True)
        except nats.errors.OutboundBufferLimitError:
            return _Unanswered("Disconnected", "the connection is down and its buffer full", certain=True)
        except nats.errors.MaxPayloadError:
            raise EventTooLarge(f"{subject}: {len(payload)} bytes are more than the server takes") from None
        except TimeoutError:
            # The message may be stored, lost, or still in the client's buffer.
            return _Unanswered("Timeout", "no answer", certain=False)
        return _read_ack(subject, cast("JsonObject", json.loads(answer.data)))

    def _check_size(self, subject: str, payload: bytes) -> None:
        largest = self._connection.max_payload - HEADROOM
        if len(payload) > largest:
            raise EventTooLarge(
                f"{subject}: the event has {len(payload)} bytes and {largest} fit: shorten it, or keep details in the "
                "object store and refer to them"
            )


@dataclass(frozen=True, slots=True)
class _Unanswered:
    reason: str
    sentence: str
    certain: bool


def _read_ack(subject: str, answer: JsonObject) -> Published | _Unanswered:
    error = table(answer, "error")
    if not error:
        return Published(text(answer, "stream"), whole(answer, "seq"), flag(answer, "duplicate"))
    if whole(error, "code") == 503:
        return _Unanswered("Unavailable", text(error, "description"), certain=True)
    if whole(error, "err_code") == _WRONG_LAST_SEQUENCE:
        raise SubjectTaken(f"{subject} was not stored: it holds a message already")
    raise PublishFailed(f"{subject} was not stored: {text(error, 'description')} ({whole(error, 'err_code')})")


def _gave_up(subject: str, message_id: str, deadline: timedelta, last: _Unanswered) -> PublishFailed | PublishUnknown:
    about = f"event {message_id!r} on {subject}: {last.sentence} for {deadline.total_seconds():g} s"
    if last.reason == "NoStream":
        return PublishFailed(f"{about}: does a stream take this subject, and has it a leader? (nats stream report)")
    if last.certain:
        return PublishFailed(f"{about}; it is not stored")
    return PublishUnknown(f"{about}; it may be stored or not. Publish it again, its id keeps it single")

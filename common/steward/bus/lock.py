"""Who leads: a key in a bucket that one process holds, renews, and loses in time.

Whoever stores the key with the revision it saw has the lock; the key dies by itself `ttl` after the last renewal. The
holder stops on its own at 0.8 `ttl` without a confirmed renewal, before anybody else can begin. `token` grows with
every holder: give it to whatever is written under the lock, and refuse a smaller one there.
"""

import asyncio
import base64
import json
import logging
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self, cast
from uuid import uuid4

import nats.errors

from steward.bus.connection import Connection
from steward.bus.errors import ApiError, BusClosed, BusError, BusUnreachable, BusUnsuitable, LockLost, StreamMissing
from steward.bus.streams import LOCKS
from steward.errors import ConfigurationError
from steward.events.subjects import token as one_token
from steward.jsonvalue import JsonObject, table, text, whole

log = logging.getLogger("steward.bus")

_SHORTEST_TTL = timedelta(seconds=2)
_POLL = timedelta(milliseconds=200)
_STEP_DOWN_AT = 0.8
_NO_MESSAGE = 10037
_STREAM_NOT_FOUND = 10059
_WRONG_REVISION = (10071, 10164)


@dataclass(frozen=True, slots=True)
class _Entry:
    revision: int
    holder: str


class _Taken(BusError):
    """The key has another revision than we thought."""


class KvLock:
    """An asynchronous context: entering waits for the lock, leaving gives it back.

        async with bus.lock("upgrader", timedelta(seconds=15)) as lock:
            await act(fencing_token=lock.token)

    When the lock is lost meanwhile, the body is cancelled and awaited, and `LockLost` is raised.
    """

    def __init__(self, connection: Connection, name: str, ttl: timedelta) -> None:
        if ttl < _SHORTEST_TTL or ttl.microseconds:
            raise ConfigurationError(f"lock {name!r}: ttl is whole seconds, at least 2; it is {ttl}")
        self.name = name
        self.token = 0
        self._connection = connection
        self._clock = connection.clock
        self._ttl = ttl
        self._subject = f"$KV.{LOCKS.bucket}.{one_token(name)}"
        self._me = uuid4().hex
        self._revision = 0
        self._valid_until = 0.0
        self._lost = False
        self._leaving = False
        self._body: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._cancellations = 0

    @property
    def held(self) -> bool:
        """Whether the lock is certainly ours at this moment."""
        return not self._lost and self._remaining() > 0

    async def __aenter__(self) -> Self:
        self._body = cast("asyncio.Task[None]", asyncio.current_task())
        self._cancellations = self._body.cancelling()
        self._lost = self._leaving = False
        while not await self._try_acquire():
            # Jitter: those who wait together must not ask together.
            await self._clock.sleep(_POLL * random.uniform(0.75, 1.25))
        self.token = self._revision
        log.info("lock %s is ours, token %d", self.name, self.token)
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        cancelled = await self._stop_renewing()
        if not self._lost:
            await self._release()
        elif self._body is not None and self._body.uncancel() <= self._cancellations:
            if kind is None or issubclass(kind, asyncio.CancelledError):
                raise LockLost(
                    f"lock {self.name!r} could not be renewed within {_STEP_DOWN_AT:.0%} of its {self._ttl}, so the "
                    "work under it was stopped: somebody else may hold it by now"
                ) from None
            return
        if cancelled and kind is None:
            raise asyncio.CancelledError

    async def _stop_renewing(self) -> bool:
        """End the renewals; whether this task was cancelled while it waited for that."""
        if self._renewing is None:
            return False
        self._renewing.cancel()
        try:
            await asyncio.wait([self._renewing])
        except asyncio.CancelledError:
            return True
        return False

    async def _try_acquire(self) -> bool:
        try:
            entry = await self._read()
            if entry is None or entry.holder not in {"", self._me}:
                return False
            # Also where it says that it is ours: an earlier attempt of unknown outcome is confirmed by writing again.
            return await self._write(entry.revision, self._me, self._ttl / 4)
        except _Taken:
            return False

    async def _renew(self) -> None:
        try:
            while True:
                await self._clock.sleep(self._ttl / 4)
                while not await self._renew_once():
                    if self._remaining() <= 0:
                        return
                    await self._clock.sleep(min(_POLL, timedelta(seconds=max(0.0, self._remaining()))))
        except BusError as error:
            log.warning("lock %s: %s", self.name, error)
        finally:
            # However the renewals ended: without them the lock is not ours any more.
            if not self._leaving:
                self._step_down()

    async def _renew_once(self) -> bool:
        try:
            return await self._write(self._revision, self._me, timedelta(seconds=max(0.1, self._remaining())))
        except _Taken:
            # Perhaps by ourselves: a renewal that went unanswered may have been stored.
            entry = await self._read()
            if entry is not None and entry.holder != self._me:
                raise _Taken(f"somebody else holds it, or held it (revision {entry.revision})") from None
            self._revision = entry.revision if entry is not None else self._revision
            return False

    async def _release(self) -> None:
        with suppress(BusError):
            await self._write(self._revision, "", timedelta(seconds=1))

    def _remaining(self) -> float:
        return self._valid_until - self._clock.monotonic()

    def _step_down(self) -> None:
        self._lost = True
        log.warning("lock %s (token %d) is lost; stopping the work under it", self.name, self.token)
        if self._body is not None:
            self._body.cancel()

    async def _read(self) -> _Entry | None:
        """Who holds the key; None where nobody answers."""
        try:
            answer = await self._connection.api(f"STREAM.MSG.GET.{LOCKS.name}", {"last_by_subj": self._subject})
        except ApiError as error:
            if error.err_code == _NO_MESSAGE:
                return _Entry(0, "")
            if error.err_code == _STREAM_NOT_FOUND:
                raise StreamMissing(
                    f"bucket {LOCKS.bucket} does not exist: reconcile the streams (steward.bus.streams.STORES) first"
                ) from None
            return None
        except (BusUnreachable, BusUnsuitable):
            return None
        message = table(answer, "message")
        # A marker that the server left when the key expired has no value: the key is free.
        value = base64.b64decode(text(message, "data"))
        return _Entry(whole(message, "seq"), text(json.loads(value), "holder") if value else "")

    async def _write(self, revision: int, holder: str, patience: timedelta) -> bool:
        """Write the key over `revision`; False when nobody knows whether that worked."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        if holder:
            headers["Nats-TTL"] = str(int(self._ttl.total_seconds()))
        value = json.dumps({"holder": holder, "lock": self.name}).encode() if holder else b""
        sent = self._clock.monotonic()
        try:
            message = await self._connection.request(
                self._subject, value, timeout=patience.total_seconds(), headers=headers
            )
        except BusClosed:
            raise
        except (nats.errors.NoRespondersError, nats.errors.OutboundBufferLimitError, TimeoutError):
            return False
        answer = cast("JsonObject", json.loads(message.data))
        error = table(answer, "error")
        if whole(error, "err_code") in _WRONG_REVISION:
            raise _Taken(text(error, "description"))
        if error:
            return False
        self._revision = whole(answer, "seq")
        # From when it was sent: the server counts from later, so it never ends before we stop.
        self._valid_until = sent + _STEP_DOWN_AT * self._ttl.total_seconds()
        return True

"""One connection to NATS: how it is made, kept and lost, and questions to JetStream over it."""

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Self, cast

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from steward.bus.access import authentication, tls
from steward.bus.errors import ApiError, BusClosed, BusError, BusRefused, BusUnreachable, BusUnsuitable
from steward.bus.metrics import BusMetrics
from steward.bus.nats_client import NatsClient
from steward.bus.settings import BusSettings
from steward.clock import Clock
from steward.jsonvalue import Json, JsonObject, table, text, whole

log = logging.getLogger("steward.bus")

OLDEST_SERVER = (2, 12)
_RECONNECT_WAIT_S = 0.25
_PING_S = 10
_LAST_WORDS_S = 1.0
_PATIENCE_WITH_REFUSALS = 8
_COLD_START_PAUSE_S = 0.25
_JETSTREAM_OFF_FOR_ACCOUNT = 10039


class Connection:
    """A connection that is kept for ever, until it is closed or lost for good."""

    def __init__(self, settings: BusSettings, *, name: str, clock: Clock, metrics: BusMetrics) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self._name = name
        self._client = NatsClient()
        self._client.tls_wanted = settings.wants_tls
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started = False
        self._closing = False
        self._denials: list[str] = []
        self._last_error: Exception | None = None
        self._hopeless: asyncio.Timeout | None = None
        self._refusals = 0
        self._giving_up: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: BusSettings, *, name: str, clock: Clock, metrics: BusMetrics) -> Self:
        """Connect, or say why not and what to do."""
        connection = cls(settings, name=name, clock=clock, metrics=metrics)
        try:
            await connection._connect()
            await connection._check_server()
        except BaseException:
            await connection.close()
            raise
        return connection

    @property
    def connected(self) -> bool:
        """Whether the connection is up, as far as one can know: a broken socket is noticed only when it is used."""
        return self._client.is_connected and not self._client.is_closed

    @property
    def server_version(self) -> str:
        """Version of the server at the other end."""
        version = self._client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"

    @property
    def max_payload(self) -> int:
        """How many bytes the server takes in one message, headers included."""
        return self._client.max_payload

    @property
    def denials(self) -> tuple[str, ...]:
        """Every permission violation that the server reported."""
        return tuple(self._denials)

    async def died(self) -> None:
        """Wait until the connection is gone for good, then raise `BusClosed`."""
        await asyncio.shield(self._gone)
        raise self._closed()

    def check_open(self) -> None:
        """Raise `BusClosed` where the connection is gone for good."""
        if self._client.is_closed:
            raise self._closed()

    def check_permitted(self, subject: str) -> None:
        """Raise `BusRefused` where the server said that we may not use `subject`; it says so on its own, and once."""
        inbox, wanted = self.settings.inbox_prefix.lower(), subject.lower()
        for denial in self._denials:
            if f'"{wanted}' in denial:
                raise BusRefused(f"the user may not use {subject} ({denial}): add it to the user's permissions in NATS")
            if "subscription" in denial and f'"{inbox}.' in denial:
                raise BusRefused(
                    f"the user may not hear answers ({denial}): allow it to subscribe to "
                    f"{self.settings.inbox_prefix}.>, or set inbox_prefix to a prefix that it may subscribe to"
                )

    async def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Hand a message to the connection; nobody says whether it arrived."""
        try:
            await self._client.publish(subject, payload, reply=reply, headers=headers)
        except nats.errors.ConnectionClosedError:
            raise self._closed() from None

    async def request(
        self, subject: str, payload: bytes = b"", *, timeout: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Ask and wait for the answer; raises nats' own `TimeoutError` and `NoRespondersError`."""
        try:
            return await self._client.request(subject, payload, timeout=timeout, headers=headers)
        except nats.errors.ConnectionClosedError:
            raise self._closed() from None
        except nats.errors.TimeoutError:
            # A denied request looks like silence; the reason came on its own.
            self.check_permitted(subject)
            raise

    async def api(self, subject: str, body: Mapping[str, Json] | None = None) -> JsonObject:
        """A question to the JetStream API: the answer, or a typed error."""
        full = f"$JS.API.{subject}"
        payload = json.dumps(body).encode() if body is not None else b""
        try:
            message = await self.request(full, payload, timeout=self.settings.request_timeout.total_seconds())
        except nats.errors.NoRespondersError:
            raise BusUnsuitable(
                f"nobody answers {full}: JetStream is off or has no leader; start nats-server with -js"
            ) from None
        except nats.errors.TimeoutError:
            seconds = self.settings.request_timeout.total_seconds()
            raise BusUnreachable(f"JetStream did not answer {full} in {seconds:g} s: is the cluster healthy?") from None
        answer = cast("JsonObject", json.loads(message.data))
        error = table(answer, "error")
        if error:
            raise ApiError(full, whole(error, "code"), whole(error, "err_code"), text(error, "description"))
        return answer

    def inbox(self) -> str:
        """A subject of our own that nobody else uses."""
        return self._client.new_inbox()

    async def subscribe(self, subject: str, receive: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Have `receive` called with every message on `subject`, one after another."""
        try:
            subscription = await self._client.subscribe(subject, cb=receive)
        except nats.errors.ConnectionClosedError:
            raise self._closed() from None
        try:
            # The server answers in order: after this a refusal has arrived.
            await self.flush()
            self.check_permitted(subject)
        except BaseException:
            await self.unsubscribe(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Have no more messages, after those that are under way."""
        with suppress(nats.errors.Error, TimeoutError):
            if self.connected:
                async with asyncio.timeout(_LAST_WORDS_S):
                    await subscription.drain()  # type: ignore[no-untyped-call] # nats-py left it so
            else:
                await subscription.unsubscribe()

    async def flush(self) -> None:
        """Wait until the server has read everything sent so far; a lost connection is not worth waiting for."""
        try:
            await self._client.flush(timeout=cast("int", self.settings.request_timeout.total_seconds()))
        except nats.errors.ConnectionClosedError:
            raise self._closed() from None
        except nats.errors.TimeoutError:
            log.warning("NATS did not confirm a flush within %s", self.settings.request_timeout)

    async def close(self) -> None:
        """Close it. Never `drain`: that hangs for half a minute on the left-overs of pull requests."""
        self._closing = True
        if self._started and not self._client.is_closed:
            try:
                if self.connected:
                    await self.flush()
            finally:
                self._client.forget_unsent()
                # As a task, so that a cancellation in the middle of it leaves nothing behind half closed.
                self._giving_up = self._giving_up or asyncio.create_task(self._client.close())
        if self._giving_up is not None:
            await asyncio.wait([self._giving_up], timeout=_LAST_WORDS_S)
        self._client.cut()
        if not self._gone.done():
            self._gone.set_result(None)

    async def _connect(self) -> None:
        settings = self.settings
        seconds = settings.connect_timeout.total_seconds()
        who, context = authentication(settings), tls(settings)
        try:
            async with asyncio.timeout(seconds) as self._hopeless:
                self._started = True
                await self._client.connect(
                    servers=list(settings.servers),
                    name=self._name,
                    tls=context,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnect,
                    reconnected_cb=self._on_reconnect,
                    closed_cb=self._on_close,
                    connect_timeout=2,
                    reconnect_time_wait=cast("int", _RECONNECT_WAIT_S),
                    # For ever: giving up is the chassis' decision, and by default the client closes itself after 2 min.
                    max_reconnect_attempts=-1,
                    ping_interval=_PING_S,
                    max_outstanding_pings=2,
                    inbox_prefix=settings.inbox_prefix,
                    **who,
                )
        except TimeoutError:
            raise self._unreachable(seconds) from None
        finally:
            self._hopeless = None
        self.metrics.connected(up=True)

    async def _check_server(self) -> None:
        version = self._client.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            oldest = ".".join(str(part) for part in OLDEST_SERVER)
            raise BusUnsuitable(
                f"the NATS server at {self._where()} is {self.server_version}, Steward needs {oldest} or newer "
                "(per-message TTL, filters, limits): upgrade nats-server"
            )
        try:
            async with asyncio.timeout(self.settings.connect_timeout.total_seconds()):
                await self._wait_for_jetstream()
        except TimeoutError:
            raise BusUnsuitable(
                f"the NATS server at {self._where()} has no JetStream: start it with -js, or add 'jetstream {{}}' to "
                "its configuration; in a cluster, look whether its servers see one another"
            ) from None

    async def _wait_for_jetstream(self) -> None:
        while True:
            try:
                await self.api("INFO")
            except ApiError as error:
                if error.err_code == _JETSTREAM_OFF_FOR_ACCOUNT:
                    raise BusUnsuitable(
                        f"JetStream is off for our account at {self._where()}: add 'jetstream: enabled' to the account"
                    ) from None
                if error.code != 503:
                    raise
            except (BusUnsuitable, BusUnreachable):
                # A server without JetStream says so in its greeting; a cluster that is electing does not answer yet.
                if not self._client.greeting.get("jetstream"):
                    raise TimeoutError from None
            else:
                return
            await asyncio.sleep(_COLD_START_PAUSE_S)  # noqa: TID251 - bounded by the timeout around it, not by our clock

    def _where(self) -> str:
        url = self._client.connected_url
        return f"{url.hostname}:{url.port}" if url else ", ".join(self.settings.servers)

    def _closed(self) -> BusClosed:
        why = "we closed it" if self._closing else f"last error: {self._last_error or 'none'}"
        return BusClosed(f"the connection to NATS is closed ({why}); this process must end and start again")

    def _unreachable(self, seconds: float) -> BusError:
        error, where = self._last_error, ", ".join(self.settings.servers)
        if isinstance(error, nats.errors.SecureConnWantedError):
            return BusRefused(f"TLS is asked for, but {where} offers none: configure tls on the server, or use nats://")
        if isinstance(error, ssl.SSLError):
            return BusRefused(f"the TLS handshake with {where} failed ({error}): check tls_ca, tls_cert and tls_key")
        if error is not None and "authorization" in str(error).lower():
            return BusRefused(f"{where} does not let us in ({error}): check the user, token, credentials or seed")
        return BusUnreachable(f"no NATS server at {where} within {seconds:g} s ({error or 'no answer'}): check servers")

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error
        said = str(error)
        if "permissions violation" in said:
            self._denials.append(said)
            log.error("NATS: %s", said)
        elif self._hopeless is not None and _is_final(error):
            # Trying again cannot help, so the time-out ends at once.
            self._hopeless.reschedule(asyncio.get_running_loop().time())
        elif "authorization violation" in said.lower():
            self._note_refusal(said)
        else:
            log.debug("NATS: %r", error)

    def _note_refusal(self, said: str) -> None:
        """The server came back and does not know us any more: a password was changed, and only a restart reads it."""
        self._refusals += 1
        if self._refusals == _PATIENCE_WITH_REFUSALS:
            log.error("NATS refuses us since it came back (%s); giving the connection up", said)
            self._giving_up = asyncio.create_task(self._client.close())

    async def _on_disconnect(self) -> None:
        if not self._closing:
            log.warning("the connection to NATS is down: %s", self._last_error)
        self.metrics.connected(up=False)

    async def _on_reconnect(self) -> None:
        log.info("the connection to NATS is back, to %s", self._where())
        self._denials.clear()
        self._refusals = 0
        self.metrics.connected(up=True)
        self.metrics.reconnected()
        for hook in tuple(self.on_reconnect):
            await hook()

    async def _on_close(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)


def _is_final(error: Exception) -> bool:
    return (
        isinstance(error, (ssl.SSLError, nats.errors.SecureConnWantedError))
        or "authorization violation" in str(error).lower()
    )

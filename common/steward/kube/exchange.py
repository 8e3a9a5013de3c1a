"""One logical request: sent, judged, repeated where that is safe, counted, and parsed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import orjson

from steward.clock import Clock
from steward.jsonvalue import Json, JsonObject
from steward.kube.errors import Answer, KubeError, ServerUnavailable, TooManyRequests, Unauthorized, error_from
from steward.kube.metrics import RequestObserver, resource_of
from steward.kube.retries import Repeat, RetryBudget, RetryPolicy, may_repeat, unavailable
from steward.kube.transport import Transport, TransportFailure, WireRequest

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is asked: `act` is how errors and people call it (`get deployments.apps 'web/api'`)."""

    act: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    content_type: str = JSON
    repeat: Repeat = Repeat.ALWAYS
    timeout: timedelta | None = None

    @property
    def writes(self) -> bool:
        """Whether it can change anything on the server."""
        return self.method not in ("GET", "HEAD") and self.query.get("dryRun") != "All"

    def on_the_wire(self, timeout: timedelta) -> WireRequest:
        """The same as bytes, with `timeout` where it names none of its own."""
        body = None if self.body is None else orjson.dumps(self.body)
        return WireRequest(self.method, self.path, self.query, body, self.content_type, self.timeout or timeout)


@dataclass(slots=True)
class _Attempts:
    started: float
    unknown: bool = False
    renewed: bool = False
    waited: timedelta = timedelta(0)


class Caller:
    """Sends exchanges over one transport under one retry policy and budget."""

    def __init__(
        self, transport: Transport, clock: Clock, policy: RetryPolicy, observer: RequestObserver, timeout: timedelta
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._policy = policy
        self._observer = observer
        self._timeout = timeout
        self._budget = RetryBudget()
        self._chance = random.Random()

    async def json(self, exchange: Exchange) -> JsonObject:
        """The parsed answer; anything but a JSON object is an error, and no content is an empty object."""
        answer = await self.answer(exchange)
        if not answer.body:
            return {}
        try:
            parsed: Json = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise _unreadable(exchange, str(error)) from error
        if not isinstance(parsed, dict):
            raise _unreadable(exchange, "not a JSON object")
        return parsed

    async def answer(self, exchange: Exchange) -> Answer:
        """The first answer that is a success, or the error of the last attempt."""
        wire = exchange.on_the_wire(self._timeout)
        attempts = _Attempts(self._clock.monotonic())
        self._budget.earn()
        for attempt in count(1):
            outcome = await self._attempt(exchange, wire)
            if isinstance(outcome, Answer):
                return outcome
            if isinstance(outcome, ServerUnavailable) and outcome.outcome_unknown:
                attempts.unknown = True
            if not await self._prepare_another(exchange, outcome, attempt, attempts):
                outcome.earlier_attempt_unknown = attempts.unknown and attempt > 1
                raise outcome
        raise AssertionError("count() never ends")

    async def _attempt(self, exchange: Exchange, wire: WireRequest) -> Answer | KubeError:
        started = self._clock.monotonic()
        code = 0
        try:
            answer = await self._transport.exchange(wire)
            code = answer.code
        except TransportFailure as failure:
            return unavailable(exchange.act, failure, writes=exchange.writes)
        finally:
            took = timedelta(seconds=self._clock.monotonic() - started)
            self._observer.on_answer(exchange.method, resource_of(exchange.path), code, took)
        if 200 <= code < 300:
            return answer
        error = error_from(exchange.act, answer)
        if isinstance(error, ServerUnavailable):
            # With a Retry-After the server says that it turned the request away before doing anything.
            error.outcome_unknown = exchange.writes and error.retry_after is None
        return error

    async def _prepare_another(self, exchange: Exchange, error: KubeError, attempt: int, attempts: _Attempts) -> bool:
        if isinstance(error, Unauthorized) and not attempts.renewed:
            attempts.renewed = True
            await self._transport.renew_credentials()
            return True
        if attempt >= self._policy.attempts or not may_repeat(exchange.repeat, error):
            return False
        asked = error.retry_after if isinstance(error, TooManyRequests | ServerUnavailable) else None
        delay = self._policy.delay(attempt, asked, self._chance)
        if attempts.waited + delay > self._policy.patience or not self._budget.spend():
            return False
        self._observer.on_retry(exchange.method, resource_of(exchange.path), error.reason or str(error.code))
        attempts.waited += delay
        await self._clock.sleep(delay)
        return True


def _unreadable(exchange: Exchange, why: str) -> ServerUnavailable:
    error = ServerUnavailable(exchange.act, f"the answer cannot be read: {why}", code=200, reason="Unreadable")
    error.outcome_unknown = exchange.writes
    return error

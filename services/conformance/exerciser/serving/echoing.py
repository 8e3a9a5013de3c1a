"""What the server answers, whatever the protocol: who it is, what it saw, and what it was asked to do about it."""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

from services.conformance.core.orders import Echo, Headers
from services.conformance.core.wishes import Senseless, Wishes, wishes_of
from services.conformance.exerciser.serving.spans import KeptSpans
from services.conformance.exerciser.settings import ExerciserGroup
from steward.clock import Clock

ECHO_HEADER = "x-echo"
POD_HEADER = "x-echo-pod"
DIGEST_HEADER = "x-body-digest"
BLOCK = hashlib.shake_256(b"steward").digest(65_536)
_MOST_IDS = 10_000
_LARGEST_HEADER = 6_000
_NO_BODY = frozenset({204, 304})


class Cut(Exception):
    """The answer breaks off here, because that was asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What came, in the words of the protocol."""

    protocol: str
    method: str = ""
    path: str = ""
    headers: Headers = ()
    remote: str = ""
    body_digest: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `problem` says why the request made no sense."""

    echo: Echo
    wishes: Wishes
    problem: str = ""


class Echoing:
    """Who answers, and how often it was asked for what."""

    def __init__(self, settings: ExerciserGroup, clock: Clock) -> None:
        self._settings = settings
        self.clock = clock
        self.spans = KeptSpans()
        self._attempts: OrderedDict[str, int] = OrderedDict()

    def answer(self, request: Request) -> Answer:
        """What to answer. Counts the request where it has an id."""
        problem, wishes = "", Wishes()
        try:
            wishes = wishes_of(request.path).of_pod(self._settings.pod)
        except Senseless as error:
            problem = str(error)
        who = self._settings
        echo = Echo(
            pod=who.pod,
            node=who.node,
            zone=who.zone,
            ip=who.pod_ip,
            remote=request.remote,
            protocol=request.protocol,
            method=request.method,
            path=request.path,
            headers=request.headers,
            attempt=self._attempt(wishes, request.path),
            body_digest=request.body_digest,
            spans=self.spans.of(wishes.spans) if wishes.spans else (),
        )
        return Answer(echo, wishes, problem)

    def _attempt(self, wishes: Wishes, path: str) -> int:
        if not wishes.id and not wishes.counted:
            return 1
        key = f"id {wishes.id}" if wishes.id else f"path {path}"
        attempt = self._attempts.pop(key, 0) + 1
        self._attempts[key] = attempt
        if len(self._attempts) > _MOST_IDS:
            self._attempts.popitem(last=False)
        return attempt


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer in the words of HTTP, for both its versions. `length` is None where it is not known beforehand."""

    answer: Answer
    status: int
    headers: Headers
    length: int | None
    method: str

    @property
    def has_body(self) -> bool:
        """Whether a body belongs to it."""
        return self.method != "HEAD" and self.status not in _NO_BODY

    async def body(self, clock: Clock) -> AsyncIterator[bytes]:
        """The body piece by piece; raises Cut where it is to break off."""
        wishes, sent = self.answer.wishes, 0
        counted = 1 if wishes.stream else 0
        async for piece in self._pieces(clock):
            if wishes.close_after is not None and sent + (counted or len(piece)) > wishes.close_after:
                if not counted:
                    yield piece[: wishes.close_after - sent]
                raise Cut
            sent += counted or len(piece)
            yield piece

    async def _pieces(self, clock: Clock) -> AsyncIterator[bytes]:
        wishes = self.answer.wishes
        if wishes.stream:
            events = ("accept", "text/event-stream") in self.answer.echo.headers
            for number in range(wishes.stream):
                if number:
                    await clock.sleep(wishes.every)
                said = encoded(self.answer.echo) if number == 0 else b"%d" % number
                yield b"data: %s\n\n" % said if events else said + b"\n"
        elif wishes.bytes is not None:
            for piece in filling(wishes.bytes):
                yield piece
        else:
            yield encoded(self.answer.echo)


def http_answer(answer: Answer) -> HttpAnswer:
    """The answer in the words of HTTP."""
    wishes, echo = answer.wishes, answer.echo
    headers = [(POD_HEADER, echo.pod)]
    status = 400 if answer.problem else wishes.answered(echo.attempt, fine=200, failing=503)
    status = status if 200 <= status <= 599 else 400
    # This is no proxy: a tunnel would begin behind any other answer.
    status = 405 if echo.method == "CONNECT" else status
    kind, length = "application/json", None if wishes.stream else len(encoded(echo))
    if answer.problem:
        headers.append(("x-echo-problem", answer.problem))
    if wishes.retry_after is not None:
        headers.append(("retry-after", str(wishes.retry_after)))
    if wishes.stream:
        kind = "text/event-stream" if ("accept", "text/event-stream") in echo.headers else "application/x-ndjson"
    elif wishes.bytes is not None:
        kind, length = "application/octet-stream", wishes.bytes
        headers.append((DIGEST_HEADER, digest(filling(wishes.bytes))))
    if echo.method == "HEAD" or status in _NO_BODY or wishes.bytes is not None:
        headers.append((ECHO_HEADER, encoded(brief(echo)).decode()))
    headers.append(("content-type", kind))
    return HttpAnswer(answer, status, tuple(headers), length, echo.method)


def brief(echo: Echo) -> Echo:
    """The echo as it fits into a header."""
    if len(encoded(echo)) <= _LARGEST_HEADER:
        return echo
    return echo.model_copy(update={"headers": (), "path": "", "spans": ()})


def encoded(echo: Echo) -> bytes:
    """The echo as JSON in one line, in ASCII so that it may stand in a header."""
    plain = echo.model_dump_json(by_alias=True)
    if plain.isascii():
        return plain.encode()
    return "".join(char if char.isascii() else _escaped(char) for char in plain).encode()


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def filling(size: int) -> Iterator[bytes]:
    """`size` bytes, always the same ones."""
    for _ in range(size // len(BLOCK)):
        yield BLOCK
    if size % len(BLOCK):
        yield BLOCK[: size % len(BLOCK)]


def digest(pieces: Iterator[bytes]) -> str:
    """SHA-256 of all pieces together."""
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
    return hashed.hexdigest()


async def delayed(answer: Answer, clock: Clock) -> None:
    """Wait as long as was asked for."""
    if answer.wishes.delay > timedelta():
        await clock.sleep(answer.wishes.delay)

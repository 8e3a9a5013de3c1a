"""A proxy in front of the API server that counts writes and can fail in every way an API server can.

Clients reach it over plain HTTP on loopback, which client-go (helm, kubectl) and every other client accept. It is how
a test learns which writes a program makes, and how it ends that program between any two of them: `after_write` runs
when the API server has answered and the client does not know it yet.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from steward.clock import Clock, SystemClock
from steward.testing.cluster.follow import leave
from steward.testing.cluster.kubeconfig import Kubeconfig

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# POST is also how these are asked; they change nothing.
_QUESTIONS = ("subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "tokenreviews")
# What belongs to one connection is not passed on (RFC 9110, section 7.6.1).
_OF_THE_HOP = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a client made."""

    method: str
    path: str
    query: str
    agent: str

    @property
    def writes(self) -> bool:
        """Whether it asks for a change; a dry run and a question about rights do not."""
        asks = self.path.rpartition("/")[2] in _QUESTIONS
        return self.method in _WRITES and not asks and "dryRun=All" not in self.query

    def __str__(self) -> str:
        return f"{self.method} {self.path} by {self.agent}"


@dataclass(frozen=True, slots=True)
class Write:
    """A change that the API server has answered; `number` counts from 1."""

    number: int
    call: Call
    status: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Say this instead of asking the API server."""

    status: int
    retry_after: timedelta | None = None
    message: str = "refused by the test's gate"


@dataclass(frozen=True, slots=True)
class Delay:
    """Pass the request on, later."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection without an answer; `after` the API server has acted, or instead of asking it."""

    after: bool = False


Verdict = Answer | Delay | Cut | None
"""What happens to a request: None passes it on untouched."""

Judge = Callable[[Call], Verdict]
AfterWrite = Callable[[Write], Awaitable[None]]


@dataclass(slots=True)
class Gate:
    """Open it with `async with Gate(cluster.access).open(directory) as gate:` and hand out `gate.kubeconfig`."""

    upstream: Kubeconfig
    as_client: bool = False
    """Pass the client's own token on, for tests of rights; else every request is made as the owner of `upstream`."""
    clock: Clock = field(default_factory=SystemClock)
    judge: Judge | None = None
    """Asked about every request before it is passed on."""
    after_write: AfterWrite | None = None
    """Awaited after each answered write, before the client sees the answer. It may end the client."""
    writes: list[Write] = field(default_factory=list)
    """Every write so far, in the order of the answers."""
    kubeconfig: Path = Path()
    url: str = ""
    _session: aiohttp.ClientSession | None = None
    _closed: bool = False

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Self]:
        """Listen on a free port of loopback until the end of the block; the kubeconfig is written to `directory`."""
        connector = aiohttp.TCPConnector(ssl=self.upstream.tls(with_certificate=not self.as_client), limit=0)
        # What the API server compressed stays compressed: bodies pass as they are.
        async with aiohttp.ClientSession(
            self.upstream.server, connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
        ) as self._session:
            server = web.Server(self._serve)
            runner = web.ServerRunner(server, shutdown_timeout=0)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                host, port = runner.addresses[0][:2]
                self.url = f"http://{host}:{port}"
                self.kubeconfig = self.upstream.by_way_of(self.url).write(directory / "gate.kubeconfig")
                yield self
            finally:
                await runner.cleanup()

    def close(self) -> None:
        """Cut every request from now on, as if the API server were gone. `reopen` ends that."""
        self._closed = True

    def reopen(self) -> None:
        """Pass requests on again."""
        self._closed = False

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "").partition(" ")[0]
        call = Call(request.method, request.path, request.query_string, agent)
        verdict = Cut() if self._closed else self.judge(call) if self.judge else None
        match verdict:
            case Answer():
                return _refusal(verdict)
            case Cut(after=False):
                return _cut(request)
            case Delay():
                await self.clock.sleep(verdict.by)
            case _:
                pass
        return await self._pass_on(request, call, cut=isinstance(verdict, Cut))

    async def _pass_on(self, request: web.BaseRequest, call: Call, *, cut: bool) -> web.StreamResponse:
        if self._session is None:
            return _cut(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_HOP}
        if not self.as_client:
            headers.pop("Authorization", None)
            if self.upstream.token:
                headers["Authorization"] = f"Bearer {self.upstream.token}"
        body = await request.read()
        try:
            async with self._session.request(
                call.method, request.raw_path, headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                if call.writes:
                    await self._record(call, answer)
                return _cut(request) if cut else await _copy(request, answer)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            # The API server went away; its clients see what they would see without a gate.
            return _cut(request)

    async def _record(self, call: Call, answer: aiohttp.ClientResponse) -> None:
        write = Write(len(self.writes) + 1, call, answer.status)
        self.writes.append(write)
        if self.after_write is not None:
            await self.after_write(write)


async def _copy(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    length = answer.headers.get("Content-Length")
    if length is not None:
        response.content_length = int(length)
    await response.prepare(request)
    try:
        # Whatever has arrived is passed on at once: an event of a watch must not wait for the next.
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionResetError, aiohttp.ClientConnectionResetError):
        # The client has gone, which is how every watch ends.
        leave(answer)
    return response


def _refusal(verdict: Answer) -> web.Response:
    headers = {}
    if verdict.retry_after is not None:
        headers["Retry-After"] = str(round(verdict.retry_after.total_seconds()))
    reasons = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": verdict.message,
        "reason": reasons.get(verdict.status, "Unknown"),
        "code": verdict.status,
    }
    return web.json_response(status, status=verdict.status, headers=headers)


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)

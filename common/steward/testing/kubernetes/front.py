"""From sockets to endpoints and back, and the place where faults strike."""

import asyncio
import inspect
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import orjson
from aiohttp import web

from steward.clock import Clock
from steward.jsonvalue import Json, dig
from steward.testing.kubernetes.access import Access
from steward.testing.kubernetes.aggregation import Aggregation
from steward.testing.kubernetes.endpoints import Endpoints, Reply
from steward.testing.kubernetes.faults import (
    Asked,
    AuditEntry,
    Delay,
    Fault,
    Faults,
    Garbage,
    HalfOpen,
    Hang,
    Refuse,
    Reset,
    WriteHook,
    WriteMoment,
)
from steward.testing.kubernetes.forwarding import PodPorts
from steward.testing.kubernetes.refusal import Refusal, bad_request
from steward.testing.kubernetes.store import as_json
from steward.testing.kubernetes.watch import Watch

_LARGEST_BODY = 3 * 1024 * 1024
_BYTES = "application/octet-stream"


@dataclass(slots=True)
class Front:
    """Handles HTTP requests one by one."""

    endpoints: Endpoints
    access: Access
    faults: Faults
    audit: deque[AuditEntry]
    clock: Clock
    ports: PodPorts
    aggregation: Aggregation
    hooks: list[WriteHook] = field(default_factory=list)
    watches: set[Watch] = field(default_factory=set)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer, or what a fault makes of it."""
        try:
            raw = await self._read(request)
            asked = self._asked(request, raw)
            met = list(self.faults.met_by(asked)) if self.faults.injected else []
            for fault in met:
                spoilt = await self._before(request, fault)
                if spoilt is not None:
                    return spoilt
            elsewhere = await self._elsewhere(request, asked, raw)
            if elsewhere is not None:
                return elsewhere
            reply = await self._carry_out(asked)
        except Refusal as refusal:
            return _response(Reply(refusal.code, refusal.status()))
        except ConnectionResetError:
            return _broken(request)
        if Reset(after=True) in met:
            return _broken(request)
        if Hang(after=True) in met:
            return await self._hang(request)
        return _response(reply) if reply.watch is None else await self._stream(request, reply.watch)

    async def _elsewhere(self, request: web.BaseRequest, asked: Asked, raw: bytes) -> web.StreamResponse | None:
        """The answer of somebody else: a kubelet, or whoever serves an API of their own."""
        if self.aggregation.serves(asked.path):
            return await self.aggregation.forward(request, asked, raw)
        return await self.ports.forward(request, asked) if self.ports.serves(asked) else None

    async def _before(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse | None:
        match fault:
            case Delay():
                await self.clock.sleep(fault.by)
            case Refuse():
                return _injected(fault)
            case Garbage():
                return web.Response(body=fault.body, content_type="text/html")
            case HalfOpen():
                return await self._half_open(request)
            case Hang(after=False):
                return await self._hang(request)
            case Reset(after=False):
                return _broken(request)
        return None

    async def _read(self, request: web.BaseRequest) -> bytes:
        raw = await request.content.read() if request.can_read_body else b""
        if len(raw) > _LARGEST_BODY:
            raise Refusal(413, "RequestEntityTooLarge", f"Request entity too large: limit is {_LARGEST_BODY}")
        return raw

    def _asked(self, request: web.BaseRequest, raw: bytes) -> Asked:
        headers = request.headers
        content_type = headers.get("Content-Type", "").partition(";")[0]
        try:
            # What is no text is for an API of others, or for nobody.
            body: Json = orjson.loads(raw) if raw and content_type != _BYTES else None
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from error
        return Asked(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.rel_url.query),
            body=body,
            content_type=content_type,
            agent=headers.get("User-Agent", ""),
            user=self.access.identify(headers.get("Authorization", "")),
        )

    async def _carry_out(self, asked: Asked) -> Reply:
        await self._tell(asked, "before", 0)
        try:
            reply = self.endpoints.answer(asked)
        except Refusal as refusal:
            reply = Reply(refusal.code, refusal.status())
        if asked.writes:
            version = self.endpoints.cluster.store.version
            self.audit.append(
                AuditEntry(
                    asked.method, asked.path, asked.query, asked.body, reply.code, asked.agent, asked.user, version
                )
            )
        await self._tell(asked, "after", reply.code)
        return reply

    async def _tell(self, asked: Asked, stage: Literal["before", "after"], code: int) -> None:
        if not self.hooks or not asked.writes or asked.query.get("dryRun") == "All":
            return
        for hook in tuple(self.hooks):
            answer = hook(WriteMoment(stage, asked.method, asked.path, asked.body, code))
            if inspect.isawaitable(answer):
                await answer

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        self.watches.add(watch)
        try:
            await response.prepare(request)
            async for batch in watch.lines():
                await response.write(batch)
            await response.write_eof()
        except ConnectionResetError:
            return response
        finally:
            self.watches.discard(watch)
        return response

    async def _half_open(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await self.stopped.wait()
        return response

    async def _hang(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.stopped.wait()
        return _broken(request)


def _broken(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def _injected(fault: Refuse) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.plain:
        return web.Response(status=fault.code, text=fault.message, headers=headers)
    body = as_json(Refusal(fault.code, fault.reason, fault.message, retry_after=fault.retry_after).status())
    return web.Response(status=fault.code, body=body, headers=headers, content_type="application/json")


def _response(reply: Reply) -> web.Response:
    if isinstance(reply.body, str):
        return web.Response(status=reply.code, text=reply.body)
    seconds = dig(reply.body, "details", "retryAfterSeconds") if reply.code >= 400 else None
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return web.Response(status=reply.code, body=as_json(reply.body), headers=headers, content_type="application/json")

"""One watch request as a stream of events; a stream that goes quiet or breaks ends in an error, never in silence."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import orjson

from steward.jsonvalue import Json, JsonObject, table, text
from steward.kube.errors import Answer, ServerUnavailable, error_from, error_in_stream
from steward.kube.resources import Resource
from steward.kube.retries import unavailable
from steward.kube.transport import Transport, TransportFailure, WireRequest

_LONGEST_LINE = 32 * 1024 * 1024
GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class WatchFrom:
    """Where a watch begins and how long the server should keep it open."""

    resource_version: str
    lasting: timedelta
    namespace: str | None = None
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`. An `ERROR` event is raised instead."""

    type: str
    object: JsonObject

    @property
    def resource_version(self) -> str:
        """The version to go on from after this event."""
        return text(self.object, "metadata", "resourceVersion")


async def watch_events(
    transport: Transport, resource: Resource, start: WatchFrom, timeout: timedelta
) -> AsyncGenerator[WatchEvent, None]:
    """Events until the server closes the stream. No byte for `lasting` + 10 s is a broken connection."""
    act = f"watch {resource}" + (f" in {start.namespace!r}" if start.namespace else "")
    request = WireRequest("GET", resource.path(start.namespace), _query(start), None, "", timeout)
    try:
        async with transport.stream(request, start.lasting + GRACE) as opened:
            if isinstance(opened, Answer):
                raise error_from(act, opened)
            async with aclosing(_lines(opened, act)) as lines:
                async for line in lines:
                    yield _event(line, act)
    except TransportFailure as failure:
        raise unavailable(act, failure, writes=False) from failure


def _query(start: WatchFrom) -> dict[str, str]:
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(max(1, round(start.lasting.total_seconds()))),
        "resourceVersion": start.resource_version,
        "labelSelector": start.labels,
        "fieldSelector": start.fields,
    }
    return {key: value for key, value in query.items() if value}


async def _lines(chunks: AsyncIterator[bytes], act: str) -> AsyncGenerator[bytes, None]:
    rest = bytearray()
    async for chunk in chunks:
        *complete, tail = chunk.split(b"\n")
        for part in complete:
            line = bytes(rest) + part if rest else part
            rest.clear()
            if line:
                yield line
        rest += tail
        if len(rest) > _LONGEST_LINE:
            raise ServerUnavailable(
                act, f"an event is larger than {_LONGEST_LINE} bytes", code=200, reason="Unreadable"
            )


def _event(line: bytes, act: str) -> WatchEvent:
    try:
        parsed: Json = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ServerUnavailable(act, f"an event cannot be read: {error}", code=200, reason="Unreadable") from error
    kind = text(parsed, "type")
    if kind == "ERROR":
        raise error_in_stream(act, table(parsed, "object"))
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise ServerUnavailable(act, f"an event of unknown type {kind!r}", code=200, reason="Unreadable")
    return WatchEvent(kind, table(parsed, "object"))

"""The wire between the service and NATS, cut at a publish: what a process that dies there leaves behind."""

import asyncio
import re
from types import TracebackType
from typing import Self

from steward.events.subjects import ROOT
from tests.services.alerting.running import CLUSTER

_PIECE = 64 * 1024
_TAIL = 256
"""Bytes of what went before, in which a publish may have begun."""


class Wire:
    """Passes everything on until an event is published; from then on nothing passes, and nobody gets through again.

    `before`: the publish is lost. `after`: it is stored, and the answer is lost.
    """

    def __init__(self, port: int, event: str, stage: str) -> None:
        self.struck = asyncio.Event()
        self._port = port
        self._publish = re.compile(rb"PUB %s\.%s\.%s[. ]" % (ROOT.encode(), CLUSTER.encode(), event.encode()))
        self._after = stage == "after"
        self._seen = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.struck.is_set():
                await self._joined(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        out = asyncio.create_task(self._out(reader, up_writer))
        back = asyncio.create_task(self._back(up_reader, writer))
        try:
            await asyncio.wait([out, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (out, back):
                each.cancel()
            await asyncio.wait([out, back])
            up_writer.close()

    async def _out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To NATS."""
        tail = b""
        while piece := await reader.read(_PIECE):
            if self._publish.search(tail + piece):
                self._seen = True
                if not self._after:
                    self.struck.set()
                    return
            tail = (tail + piece)[-_TAIL:]
            writer.write(piece)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From NATS; what is stored is answered with the name of its stream."""
        while piece := await reader.read(_PIECE):
            if self._seen and self._after and b'"stream"' in piece:
                self.struck.set()
                return
            writer.write(piece)
            await writer.drain()

"""A place on loopback that takes JSON posts: what Slack, PagerDuty, Teams and any webhook would have got.

async with WebhookSink() as sink:
    sink.answer(Reply(503), times=2)      # the third attempt succeeds
    ...
    post = await sink.until(lambda post: post.path == "/team-a")
    assert text(post.body, "status") == "firing"
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from aiohttp import web

from steward.jsonvalue import Json, JsonObject
from steward.testing.monitoring.inbox import Inbox
from steward.testing.monitoring.waiting import PATIENCE

_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Post:
    """One post, whatever was answered to it."""

    path: str
    query: str
    headers: dict[str, str] = field(hash=False)
    """By lower-case name."""
    body: JsonObject = field(hash=False)
    status: int
    """What it was answered; 0 for one that was left hanging."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Slack takes `ok` for a success and nothing else; the others look at the status only."""

    status: int = 200
    text: str = "ok"
    headers: tuple[tuple[str, str], ...] = ()
    hangs: bool = False
    """Give no answer until the sink is closed or the caller gives up."""

    @classmethod
    def of(cls, document: JsonObject, status: int = 200) -> "Reply":
        """JSON, as Slack's API answers to a bot."""
        return cls(status, json.dumps(document), (("Content-Type", "application/json"),))

    @classmethod
    def redirect(cls, url: str, status: int = 307) -> "Reply":
        """Go somewhere else."""
        return cls(status, "", (("Location", url),))


HANG = Reply(hangs=True)
_NO_JSON = Reply(400, "this takes JSON objects and nothing else")


class WebhookSink:
    """Records JSON posts to any path. Entering the context starts it on a free port, leaving ends it."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.port = 0
        self._usual = reply or Reply()
        self._planned: deque[Reply] = deque()
        self._inbox = Inbox[Post]()
        self._over = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to post to; any path may follow."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def posts(self) -> tuple[Post, ...]:
        """What was posted so far, refused ones included, in its order."""
        return self._inbox.messages

    def answer(self, reply: Reply, times: int = 1) -> None:
        """Answer the next posts like this, after those that were planned before; then as usual again."""
        self._planned.extend([reply] * times)

    def always(self, reply: Reply) -> None:
        """Answer everything like this from here on, and forget what was planned."""
        self._planned.clear()
        self._usual = reply

    def clear(self) -> None:
        """Forget what was posted."""
        self._inbox.clear()

    async def until(self, wanted: Callable[[Post], bool], *, within: timedelta = PATIENCE) -> Post:
        """The first post that is wanted. Raises `NothingCame` with what was posted instead."""
        return await self._inbox.until(wanted, within=within)

    async def __aenter__(self) -> Self:
        self._over.clear()
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        try:
            body: Json = json.loads(await request.text())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _response(_NO_JSON)
        reply = self._planned.popleft() if self._planned else self._usual
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = 0 if reply.hangs else reply.status
        await self._inbox.put(Post(request.path, request.query_string, headers, body, status))
        if reply.hangs:
            await self._over.wait()
        return _response(reply)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, text=reply.text, headers=dict(reply.headers))

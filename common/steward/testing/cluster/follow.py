"""Collections of the API server as they are, now and after each change, for programs that run beside a test."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

import aiohttp

from steward.clock import Clock
from steward.jsonvalue import Json, JsonObject, rows, text
from steward.testing.cluster.kubeconfig import Kubeconfig

_AGAIN = timedelta(seconds=0.2)
_CONNECT = aiohttp.ClientTimeout(total=None, connect=5)
_ANSWER = aiohttp.ClientTimeout(total=10)
# The API server ends a watch by itself after this long; a connection that died silently is noticed then, too.
_WATCH_SECONDS = "300"

OnState = Callable[[list[JsonObject]], None]


class Followed:
    """The API server as one user, read asynchronously."""

    def __init__(self, access: Kubeconfig, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._access.token}"} if self._access.token else {}
        connector = aiohttp.TCPConnector(ssl=self._access.tls(), limit=0)
        self._session = aiohttp.ClientSession(self._access.server, connector=connector, headers=headers)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._open().close()

    async def get(self, path: str) -> JsonObject:
        """The object at `path`, or an empty one where there is none."""
        async with self._open().get(path, timeout=_ANSWER) as answer:
            parsed: Json = await answer.json()
            return parsed if answer.ok and isinstance(parsed, dict) else {}

    async def follow(self, collection: str, on_state: OnState, *, labels: str = "") -> None:
        """Call `on_state` with the collection, and again after each change, until cancelled."""
        while True:
            try:
                await self._once(collection, on_state, labels)
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                # The API server is away; what is known stays known until it is back.
                await self._clock.sleep(_AGAIN)

    async def _once(self, collection: str, on_state: OnState, labels: str) -> None:
        query = {"labelSelector": labels} if labels else {}
        async with self._open().get(collection, params=query, timeout=_ANSWER, raise_for_status=True) as answer:
            listing: JsonObject = await answer.json()
        state = {text(item, "metadata", "uid"): item for item in rows(listing, "items")}
        on_state(list(state.values()))
        query |= {
            "watch": "true",
            "resourceVersion": text(listing, "metadata", "resourceVersion"),
            "timeoutSeconds": _WATCH_SECONDS,
        }
        async with self._open().get(collection, params=query, timeout=_CONNECT, raise_for_status=True) as answer:
            try:
                await self._take_in(answer, state, on_state)
            finally:
                leave(answer)

    async def _take_in(self, answer: aiohttp.ClientResponse, state: dict[str, JsonObject], on_state: OnState) -> None:
        # Objects can be longer than the limit of the stream reader's lines, so lines are put together here.
        rest = b""
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not _changed(state, json.loads(line)):
                    return
            on_state(list(state.values()))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise asyncio.InvalidStateError("use it as an asynchronous context manager")
        return self._session


def leave(answer: aiohttp.ClientResponse) -> None:
    """Give up an answer that has not ended. An orderly end of TLS would outlive the event loop."""
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()


def _changed(state: dict[str, JsonObject], event: JsonObject) -> bool:
    """Whether the event could be taken in; after an error the collection must be listed anew."""
    change, item = text(event, "type"), event.get("object")
    if change == "ERROR" or not isinstance(item, dict):
        return False
    if change == "DELETED":
        state.pop(text(item, "metadata", "uid"), None)
    else:
        state[text(item, "metadata", "uid")] = item
    return True

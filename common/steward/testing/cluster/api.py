"""A small synchronous client of the API server for fixtures: read, write, and wait by watching.

The product's own client is `steward.kube`; what sets the stage for it must not depend on it.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Self

import httpx

from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject, rows, text
from steward.testing.cluster.kubeconfig import Kubeconfig

_TIMEOUT = timedelta(seconds=30)
# Generous: it is spent only where something is broken, and the machine may be busy with other things.
_WAIT = timedelta(seconds=180)
_APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class ApiRefused(StewardError):
    """The API server answered with an error."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class NotInTime(StewardError):
    """What was waited for did not come true; the message says what was seen last."""


class Api:
    """The API server as one user."""

    def __init__(self, kubeconfig: Kubeconfig) -> None:
        headers = {"Authorization": f"Bearer {kubeconfig.token}"} if kubeconfig.token else {}
        verify = kubeconfig.tls() if kubeconfig.server.startswith("https") else True
        # trust_env would send requests for a loopback address through a machine's HTTP proxy.
        self._http = httpx.Client(
            base_url=kubeconfig.server,
            verify=verify,
            headers=headers,
            timeout=_TIMEOUT.total_seconds(),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        kind: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> JsonObject:
        """One request; any answer but success is `ApiRefused`."""
        content = None if body is None else json.dumps(body)
        answer = self._http.request(method, path, params=query, content=content, headers={"Content-Type": kind})
        parsed = _object(answer)
        if not answer.is_success:
            raise ApiRefused(method, path, answer.status_code, text(parsed, "message") or answer.text)
        return parsed

    def get(self, path: str) -> JsonObject:
        """The object at `path`."""
        return self.request("GET", path)

    def find(self, path: str) -> "JsonObject | None":
        """The object at `path`, or None if there is none."""
        try:
            return self.get(path)
        except ApiRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def items(self, path: str, *, labels: str = "") -> list[JsonObject]:
        """The objects of a collection."""
        return rows(self.request("GET", path, query={"labelSelector": labels} if labels else None), "items")

    def create(self, collection: str, body: JsonObject) -> JsonObject:
        """A further object of `collection`."""
        return self.request("POST", collection, body)

    def apply(self, path: str, body: JsonObject) -> JsonObject:
        """Server-side apply as the tests' own field manager."""
        return self.request("PATCH", path, body, kind=_APPLY, query={"fieldManager": "steward-tests", "force": "true"})

    def merge(self, path: str, patch: JsonObject) -> JsonObject:
        """A JSON merge patch."""
        return self.request("PATCH", path, patch, kind=MERGE)

    def delete(self, path: str) -> None:
        """Delete what is at `path`; one that is gone already is fine."""
        try:
            self.request("DELETE", path, query={"propagationPolicy": "Background"})
        except ApiRefused as refused:
            if refused.status != httpx.codes.NOT_FOUND:
                raise

    def until(
        self,
        what: str,
        collection: str,
        holds: Callable[[list[JsonObject]], bool],
        *,
        within: timedelta = _WAIT,
        labels: str = "",
    ) -> list[JsonObject]:
        """List and watch `collection` until `holds` is true of its objects; they are returned."""
        deadline = time.monotonic() + within.total_seconds()
        seen: dict[str, JsonObject] = {}
        while (left := deadline - time.monotonic()) > 0:
            try:
                for seen in self._states(collection, labels, left):
                    if holds(list(seen.values())):
                        return list(seen.values())
                    if time.monotonic() > deadline:
                        break
            except httpx.ReadTimeout:
                continue
        names = ", ".join(sorted(text(item, "metadata", "name") for item in seen.values())) or "nothing"
        raise NotInTime(f"not within {within.total_seconds():g} s: {what}; {collection} holds {names}")

    def _states(self, collection: str, labels: str, seconds: float) -> Iterator[dict[str, JsonObject]]:
        """The collection as it is, and again after each change, until the watch ends."""
        query = {"labelSelector": labels} if labels else {}
        listing = self.request("GET", collection, query=query)
        state = {text(item, "metadata", "uid"): item for item in rows(listing, "items")}
        yield state
        query |= {"watch": "true", "resourceVersion": text(listing, "metadata", "resourceVersion")}
        limits = httpx.Timeout(_TIMEOUT.total_seconds(), read=max(seconds, 0.01))
        with self._http.stream("GET", collection, params=query, timeout=limits) as answer:
            for line in answer.iter_lines():
                event: JsonObject = json.loads(line)
                change, item = text(event, "type"), event.get("object")
                if change == "ERROR" or not isinstance(item, dict):
                    return
                if change == "DELETED":
                    state.pop(text(item, "metadata", "uid"), None)
                else:
                    state[text(item, "metadata", "uid")] = item
                yield state


def _object(answer: httpx.Response) -> JsonObject:
    try:
        parsed: Json = answer.json()
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

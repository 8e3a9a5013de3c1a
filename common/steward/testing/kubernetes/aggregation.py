"""What the API server does for APIs of others: asks RBAC, and passes requests on to the Service of an APIService.

It calls the Service over TLS and believes it only with the APIService's own `caBundle`. Whether it could, stands in the
condition `Available`; while it cannot, whoever asks hears 503 and nothing of the reason, as from the real one.
"""

import asyncio
import ssl
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web

from steward.clock import Clock
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import API_SERVICES, Resource
from steward.testing.kubernetes.access import Access
from steward.testing.kubernetes.cluster import ClusterState
from steward.testing.kubernetes.faults import Asked
from steward.testing.kubernetes.refusal import Refusal, no_such_path

_UNAVAILABLE = "service unavailable"
_USER = "X-Remote-User"
_WATCH = "watch"
_GLANCE = timedelta(milliseconds=20)
_ENDLESS = ClientTimeout(total=None)


@dataclass(slots=True)
class Aggregation:
    """Which listeners on loopback stand for which Services, by namespace and name."""

    cluster: ClusterState
    access: Access
    clock: Clock
    listeners: dict[tuple[str, str], int] = field(default_factory=dict)

    def serves(self, path: str) -> bool:
        """Whether somebody else answers there."""
        return self._at(path) is not None

    async def forward(self, request: web.BaseRequest, asked: Asked, body: bytes) -> web.StreamResponse:
        """The Service's answer, as it comes; whoever asked and leaves ends it."""
        service = self._at(asked.path)
        if service is None:
            raise no_such_path()
        self._authorize(asked)
        passing = asyncio.ensure_future(self._pass(service, request, asked, body))
        leaving = asyncio.ensure_future(self._left(request))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            passing.cancel()
            await asyncio.gather(passing, leaving, return_exceptions=True)
        if passing.cancelled():
            raise ConnectionResetError("whoever asked has left")
        return passing.result()

    async def _pass(
        self, service: JsonObject, request: web.BaseRequest, asked: Asked, body: bytes
    ) -> web.StreamResponse:
        async with ClientSession(connector=TCPConnector(ssl=_trusting(service), force_close=True)) as session:
            problem = await self._problem(service, session)
            self._note(service, problem)
            if problem:
                return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=_UNAVAILABLE)
            headers = {_USER: asked.user, "Content-Type": request.headers.get("Content-Type", "")}
            where, name = self._address(service) + asked.path, _host(service)
            try:
                async with session.request(
                    asked.method, where, data=body, headers=headers, server_hostname=name, timeout=_ENDLESS
                ) as answer:
                    return await _passed_on(request, answer)
            except (ClientError, OSError) as error:
                raise Refusal(503, "ServiceUnavailable", f"error trying to reach service: {error}") from error

    async def _left(self, request: web.BaseRequest) -> None:
        """Return when whoever asked has hung up."""
        while request.transport is not None and not request.transport.is_closing():
            await self.clock.sleep(_GLANCE)

    def _at(self, path: str) -> JsonObject | None:
        parts = path.strip("/").split("/")
        if len(parts) < 3 or parts[0] != "apis":
            return None
        found = self.cluster.find(API_SERVICES, f"{parts[2]}.{parts[1]}")
        return found if found is not None and text(found, "spec", "service", "name") else None

    def _authorize(self, asked: Asked) -> None:
        """By the path, in which `watch` may stand before `namespaces` and is then the verb."""
        _, group, version, *rest = asked.path.strip("/").split("/")
        verb = _WATCH if rest[:1] == [_WATCH] else asked.method.lower()
        rest = rest[1:] if verb == _WATCH else rest
        namespace, rest = (rest[1], rest[2:]) if rest[:1] == ["namespaces"] and len(rest) > 2 else ("", rest)
        if rest:
            resource = Resource(group, version, rest[0], "")
            self.access.must_allow(asked.user, verb, resource, namespace, "/".join(rest[2:]))

    async def _problem(self, service: JsonObject, session: ClientSession) -> str:
        """Why it cannot be reached; nothing where it can."""
        if not self._address(service):
            return f"MissingEndpoints: endpoints for service/{_host(service)} have no addresses"
        path = f"/apis/{text(service, 'spec', 'group')}/{text(service, 'spec', 'version')}"
        try:
            async with session.get(self._address(service) + path, server_hostname=_host(service)) as answer:
                return (
                    ""
                    if answer.status == HTTPStatus.OK
                    else f"FailedDiscoveryCheck: bad status from {path}: {answer.status}"
                )
        except (ClientError, OSError) as error:
            return f"FailedDiscoveryCheck: failing or missing response from {path}: {error}"

    def _note(self, service: JsonObject, problem: str) -> None:
        reason, _, message = (problem or "Passed: all checks passed").partition(": ")
        status = "False" if problem else "True"
        condition: JsonObject = {"type": "Available", "status": status, "reason": reason, "message": message}
        if rows(service, "status", "conditions") != [condition]:
            self.cluster.set_status(API_SERVICES, text(service, "metadata", "name"), {"conditions": [condition]})

    def _address(self, service: JsonObject) -> str:
        key = (text(service, "spec", "service", "namespace"), text(service, "spec", "service", "name"))
        port = self.listeners.get(key)
        return f"https://127.0.0.1:{port}" if port else ""


async def _passed_on(request: web.BaseRequest, answer: ClientResponse) -> web.StreamResponse:
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
    response = web.StreamResponse(status=answer.status, headers=kept)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ClientError, ConnectionError):
        return response
    return response


_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"})


def _host(service: JsonObject) -> str:
    return f"{text(service, 'spec', 'service', 'name')}.{text(service, 'spec', 'service', 'namespace')}.svc"


def _trusting(service: JsonObject) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=b64decode(text(service, "spec", "caBundle")).decode())

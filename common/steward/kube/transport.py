"""Bytes to and from one API server: address, TLS, credentials and time-outs, and nothing about objects."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientTimeout,
    ClientWebSocketResponse,
    ConnectionTimeoutError,
    WSServerHandshakeError,
)
from multidict import CIMultiDict
from yaml import YAMLError

from steward.errors import ConfigurationError
from steward.kube.errors import Answer
from steward.kube.lean import Configuration, RestClient, library

_CONNECT_WITHIN = 10.0
_LARGEST_ANSWER = 128 * 1024 * 1024
_LARGEST_REFUSAL = 64 * 1024
_IN_ONE_PIECE = 256 * 1024


class TransportFailure(Exception):
    """No answer. `sent` is False only where the request provably never left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class ClusterSource:
    """Where the connection settings come from: a kubeconfig and one of its contexts, or the pod Steward runs in."""

    kubeconfig: Path | None = None
    context: str | None = None
    impersonate: "Impersonation | None" = None


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whose rights count instead of our own, as with `kubectl --as`; the API server asks whether we may do that."""

    user: str
    groups: tuple[str, ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """One header for the user and one for each group."""
        return [("Impersonate-User", self.user), *(("Impersonate-Group", group) for group in self.groups)]


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request as it is sent."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None
    content_type: str
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun and has no end."""

    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport:
    """An HTTP session with one API server. Make it with `Transport.open`."""

    def __init__(self, source: ClusterSource, configuration: Configuration, user_agent: str) -> None:
        self._source = source
        self._configuration = configuration
        self._rest: RestClient = library().new_rest_client(configuration)
        self._user_agent = user_agent

    @classmethod
    async def open(cls, source: ClusterSource, user_agent: str) -> "Transport":
        """Read the connection settings; nothing is sent yet."""
        return cls(source, await _configure(source), user_agent)

    @property
    def address(self) -> str:
        """The API server's address, for messages."""
        return self._configuration.host

    async def exchange(self, request: WireRequest) -> Answer:
        """Send one request and read the whole answer, within its time-out."""
        seconds = request.timeout.total_seconds()
        timeout = ClientTimeout(
            total=seconds,
            connect=min(seconds, _CONNECT_WITHIN),
            sock_connect=min(seconds, _CONNECT_WITHIN),
            sock_read=seconds,
        )
        try:
            response = await self._send(request, timeout)
            try:
                body = await _read_bounded(response, _LARGEST_ANSWER)
            finally:
                response.release()
        except (ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, request.timeout) from error
        return Answer(response.status, response.headers, body)

    @asynccontextmanager
    async def stream(self, request: WireRequest, silence: timedelta) -> AsyncIterator[Answer | AsyncIterator[bytes]]:
        """Chunks of an answer without an end, failing after `silence`; an `Answer` instead where it was refused."""
        async with self.opened(request, silence) as found:
            yield found if isinstance(found, Answer) else found.chunks

    @asynccontextmanager
    async def opened(self, request: WireRequest, silence: timedelta) -> AsyncIterator["Answer | Opened"]:
        """The same with the headers of the answer, for whoever needs them."""
        connect = min(request.timeout.total_seconds(), _CONNECT_WITHIN)
        timeout = ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=silence.total_seconds())
        try:
            response = await self._send(request, timeout)
        except (ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, silence) from error
        try:
            if response.status == 200:
                yield Opened(response.headers, self._chunks(response, silence))
            else:
                yield Answer(response.status, response.headers, await _read_bounded(response, _LARGEST_REFUSAL))
        finally:
            response.close()

    async def websocket(self, path: str, protocol: str, timeout: timedelta) -> ClientWebSocketResponse | Answer:
        """Upgrade to a websocket, as port-forwarding needs it; an `Answer` (without its body) where it was refused."""
        headers = self._headers({"User-Agent": self._user_agent, **await self._credentials()})
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._rest.pool_manager.ws_connect(
                    self.address + path,
                    protocols=[protocol],
                    headers=headers,
                    proxy=self._rest.proxy,
                    server_hostname=self._rest.server_hostname,
                )
        except WSServerHandshakeError as error:
            return Answer(error.status, error.headers or {}, b"")
        except (ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, timeout) from error

    async def renew_credentials(self) -> None:
        """Read the settings again after a 401: an exec plugin or a rotated token file may have a better answer."""
        if self._source.kubeconfig is not None:
            self._configuration = await _configure(self._source)

    async def close(self) -> None:
        """Close every connection, watches included."""
        await self._rest.close()

    async def _send(self, request: WireRequest, timeout: ClientTimeout) -> ClientResponse:
        headers = {
            "Accept": "application/json",
            # A page of pods is cheaper to send than to squeeze: the server would spend more on gzip than on JSON.
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
            **await self._credentials(),
        }
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        return await self._rest.pool_manager.request(
            request.method,
            self.address + request.path,
            params=request.query,
            data=_payload(request.body),
            headers=self._headers(headers),
            timeout=timeout,
            proxy=self._rest.proxy,
            proxy_headers=self._rest.proxy_headers,
            server_hostname=self._rest.server_hostname,
            allow_redirects=False,
        )

    def _headers(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        impersonate = self._source.impersonate
        return CIMultiDict([*headers.items(), *(impersonate.headers if impersonate else ())])

    async def _credentials(self) -> dict[str, str]:
        settings = await self._configuration.auth_settings()
        return {one["key"]: one["value"] for one in settings.values() if one.get("in") == "header" and one.get("value")}

    async def _chunks(self, response: ClientResponse, silence: timedelta) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, silence) from error

    def _failure(self, error: BaseException, limit: timedelta) -> TransportFailure:
        if isinstance(error, ClientConnectorError | ConnectionTimeoutError):
            return TransportFailure(f"cannot connect to {self.address}: {error}", sent=False)
        if isinstance(error, TimeoutError):
            return TransportFailure(f"no answer from {self.address} within {limit.total_seconds():g} s", sent=True)
        if isinstance(error, ClientConnectionError):
            return TransportFailure(
                f"connection to {self.address} broke: {str(error) or type(error).__name__}", sent=True
            )
        return TransportFailure(f"{self.address}: {str(error) or type(error).__name__}", sent=True)


def _payload(body: bytes | None) -> bytes | BytesIO | None:
    """Large bodies go out in pieces, so that they do not hold up the loop."""
    return BytesIO(body) if body is not None and len(body) > _IN_ONE_PIECE else body


async def _configure(source: ClusterSource) -> Configuration:
    parts = library()
    configuration = parts.new_configuration()
    try:
        if source.kubeconfig is None:
            parts.load_in_cluster(configuration)
        else:
            await parts.load_kubeconfig(
                config_file=str(source.kubeconfig),
                context=source.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (parts.config_error, YAMLError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        # The loader checks little: a file of another shape ends in whatever its code stumbles over first.
        where = f"kubeconfig {str(source.kubeconfig)!r}" if source.kubeconfig else "the pod's own service account"
        remedy = (
            "check the file and the name of its context" if source.kubeconfig else "outside a pod give a kubeconfig"
        )
        raise ConfigurationError(f"cannot use {where}: {error}; {remedy}") from error
    return configuration


async def _read_bounded(response: ClientResponse, limit: int) -> bytes:
    collected = bytearray()
    async for chunk in response.content.iter_any():
        collected += chunk
        if len(collected) > limit:
            raise ClientConnectionError(f"the answer is larger than {limit} bytes")
    return bytes(collected)

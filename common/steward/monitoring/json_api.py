"""An HTTP API that answers JSON: bounded in size and time, its failures in our words."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import cast

import httpx
import orjson

from steward.errors import ConfigurationError, StewardError
from steward.jsonvalue import Json

_LARGEST = 32 * 1024 * 1024
_LONGEST_ASIDE = 200
_TOKEN_WANTED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})
_SOMEBODY_ELSE = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_ACCEPTABLE})


class MonitoringError(StewardError):
    """Prometheus or Alertmanager did not do what was asked."""


class Unreachable(MonitoringError):
    """It gave no answer, or one that says to come again."""


class Refused(MonitoringError):
    """It said no. `status` is the HTTP status, `said` its own words."""

    def __init__(self, message: str, *, status: int, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.said = said

    @property
    def judges_files(self) -> bool:
        """Whether a reload was tried and failed; any other no is about who asks, or asks where."""
        return self.status == httpx.codes.INTERNAL_SERVER_ERROR

    @property
    def judges_query(self) -> bool:
        """Whether a query was read and not taken."""
        return self.status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True, slots=True)
class Address:
    """Where an API is and how to be let in."""

    url: str
    token_file: Path | None = None
    """Holds a bearer token; read for every request, because tokens are replaced while we run."""
    ca_file: Path | None = None
    """Whom to trust besides the system's authorities."""
    timeout: timedelta = timedelta(seconds=10)


class JsonApi:
    """One API."""

    def __init__(self, client: httpx.AsyncClient, address: Address, name: str) -> None:
        self._client = client
        self._address = address
        self._name = name
        self._url = _without_password(address.url)

    @classmethod
    @asynccontextmanager
    async def open(cls, address: Address, name: str) -> AsyncIterator["JsonApi"]:
        """`name` is what messages call it. Raise ConfigurationError where the authority's file cannot be used."""
        headers = {"user-agent": f"linkerd-steward/{version('linkerd-steward')}"}
        base = address.url.rstrip("/")
        async with httpx.AsyncClient(base_url=base, headers=headers, verify=_trust(address), timeout=None) as client:
            yield cls(client, address, name)

    @property
    def url(self) -> str:
        """Its address, as it may be shown."""
        return self._url

    def must_be_said(self, what: str, said: str) -> str:
        """`said`, which every such API says. Raise Unreachable where it does not: then it is somebody else."""
        if not said:
            raise Unreachable(f"{self._name} at {self.url} does not say {what}: look whether that is its address")
        return said

    async def get(self, path: str, query: Mapping[str, str | list[str]] | None = None) -> Json:
        """The answer to a question."""
        return await self._ask("GET", path, query=query)

    async def post(
        self, path: str, body: Json = None, *, form: Mapping[str, str] | None = None, patience: timedelta | None = None
    ) -> Json:
        """The answer to an order; JSON, or a form."""
        return await self._ask("POST", path, body=body, form=form, patience=patience)

    async def delete(self, path: str) -> None:
        """Take something away; what is not there is away."""
        try:
            await self._ask("DELETE", path)
        except Refused as refused:
            if refused.status != httpx.codes.NOT_FOUND:
                raise

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Json = None,
        form: Mapping[str, str] | None = None,
        patience: timedelta | None = None,
    ) -> Json:
        seconds = (patience or self._address.timeout).total_seconds()
        content = None if body is None else orjson.dumps(body)
        headers = self._headers(json=body is not None)
        try:
            async with asyncio.timeout(seconds):
                async with self._client.stream(
                    method, path, params=query, content=content, data=form, headers=headers
                ) as response:
                    raw = await self._read(response)
        except TimeoutError:
            raise Unreachable(
                f"{self._name} at {self.url} did not answer {method} {path} within {seconds:g} s"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = str(error) or type(error).__name__
            raise Unreachable(f"{self._name} at {self.url} cannot be reached: {problem}") from error
        return self._judged(method, path, response.status_code, raw)

    def _headers(self, *, json: bool) -> dict[str, str]:
        headers = {"content-type": "application/json"} if json else {}
        file = self._address.token_file
        if file is not None:
            try:
                headers["authorization"] = f"Bearer {file.read_text().strip()}"
            except OSError as error:
                raise Unreachable(f"the token for {self._name} cannot be read from {file}: {error.strerror}") from error
        return headers

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST:
                raise Unreachable(f"{self._name} answers more than {_LARGEST} bytes; that is not read")
        return bytes(body)

    def _judged(self, method: str, path: str, status: int, raw: bytes) -> Json:
        answers = f"{self._name} at {self.url} answers {method} {path}"
        if status >= httpx.codes.MULTIPLE_CHOICES:
            said = _said(raw)
            remedy = self._remedy(status)
            message = f"{answers} with {status}: {f'{remedy}: {said[:_LONGEST_ASIDE]}' if remedy else said}"
            if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE):
                raise Unreachable(message)
            raise Refused(message, status=status, said=said)
        if not raw.strip():
            return None
        try:
            return cast("Json", orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            # Metrics and the answer to an order are plain text; whoever has a page for everything is somebody else.
            if raw.lstrip().startswith(b"<"):
                raise Unreachable(f"{answers} with a page for people: look whether that is its address") from error
            return raw.decode(errors="replace")

    def _remedy(self, status: int) -> str:
        if status in _TOKEN_WANTED:
            file = self._address.token_file
            return f"the bearer token in {file} is not one that it takes" if file else "name the file of a bearer token"
        redirects = status < httpx.codes.BAD_REQUEST
        return "look whether that is its address" if redirects or status in _SOMEBODY_ELSE else ""


def _said(raw: bytes) -> str:
    """The `error` of Prometheus' JSON, or the text as it is."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        parsed = None
    found = parsed.get("error") or parsed.get("message") if isinstance(parsed, dict) else parsed
    return (found if isinstance(found, str) else raw.decode(errors="replace")).strip()[:2000] or "nothing"


def _without_password(url: str) -> str:
    scheme, sign, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{sign}{host.rpartition('@')[2]}{slash}{path}"


def _trust(address: Address) -> ssl.SSLContext | bool:
    if not address.url.lower().startswith("https:"):
        # It speaks no TLS. To read the system's authorities for nothing takes a tenth of a second, and megabytes.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.ca_file is None:
        return True
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(address.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the authority in {address.ca_file} cannot be used: {error}") from error
    return context

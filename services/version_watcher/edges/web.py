"""Documents from the web: conditional, bounded in size and time, retried, and never trusted before they are read."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version

import httpx

from services.version_watcher.core.reading import Nothing
from steward.clock import Clock

_LONGEST_PAUSE = timedelta(minutes=1)
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Document:
    """An answer with a body, and how to ask whether it has changed."""

    body: bytes
    marks: Mapping[str, str] = field(default_factory=dict)
    """Headers for the next request: `If-None-Match`, `If-Modified-Since`."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The server says that the document is the same as before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an answer is taken, and for how long it is waited."""

    largest_bytes: int
    timeout: timedelta
    attempts: int
    backoff: timedelta


@dataclass(frozen=True, slots=True)
class _Transient:
    nothing: Nothing
    retry_after: timedelta | None = None


_Answer = Document | Unchanged | Nothing | _Transient


class Web:
    """One HTTP client for all sources."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._chance = random.Random()

    @classmethod
    @asynccontextmanager
    async def open(cls, clock: Clock, *, redirects: int = 3) -> AsyncIterator["Web"]:
        """A client that says who it is and nothing of the cluster."""
        # No compression: a few bytes could unpack to gigabytes before they are counted.
        headers = {"user-agent": f"linkerd-steward/{version('linkerd-steward')}", "accept-encoding": "identity"}
        async with httpx.AsyncClient(headers=headers, follow_redirects=True, max_redirects=redirects) as client:
            yield cls(client, clock)

    async def get(
        self, url: str, marks: Mapping[str, str], limits: Limits, accept: str = ""
    ) -> Document | Unchanged | Nothing:
        """The document at `url`, tried again where that may help."""
        headers = {**marks, **({"accept": accept} if accept else {})}
        pause = limits.backoff
        for attempt in range(1, limits.attempts + 1):
            answer = await self._once(url, headers, limits)
            if not isinstance(answer, _Transient):
                return answer
            wait = answer.retry_after or pause * self._chance.uniform(0.75, 1.25)
            if attempt == limits.attempts or wait > _LONGEST_PAUSE:
                return answer.nothing
            await self._clock.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AssertionError("at least one attempt is made")

    async def _once(self, url: str, headers: Mapping[str, str], limits: Limits) -> _Answer:
        try:
            async with asyncio.timeout(limits.timeout.total_seconds()):
                async with self._client.stream("GET", url, headers=dict(headers), timeout=None) as response:
                    return await _read(response, limits)
        except TimeoutError:
            seconds = limits.timeout.total_seconds()
            return _Transient(Nothing("TimedOut", f"{url} did not answer within {seconds:g} s", reached=False))
        except httpx.TooManyRedirects:
            return Nothing("TooManyRedirects", f"{url} redirects again and again", reached=False)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Nothing("BadAddress", f"{url} cannot be asked: {error}", reached=False)
        except httpx.HTTPError as error:
            return _unreachable(url, error)


def _unreachable(url: str, error: httpx.HTTPError) -> Nothing | _Transient:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"the certificate of {url} is not trusted: {cause.verify_message}; is a proxy in between?"
            return Nothing("CertificateNotTrusted", message, reached=False)
        cause = cause.__cause__ or cause.__context__
    return _Transient(Nothing("Unreachable", f"{url} cannot be reached: {_said(error)}", reached=False))


async def _read(response: httpx.Response, limits: Limits) -> _Answer:
    url = str(response.url)
    if any(each.url.scheme == "https" for each in response.history) and response.url.scheme != "https":
        return Nothing("InsecureRedirect", f"an https address redirects to {url}, which is refused", reached=False)
    if response.status_code == httpx.codes.NOT_MODIFIED:
        return Unchanged()
    if response.status_code != httpx.codes.OK:
        return _refused(response)
    if response.headers.get("content-encoding", "identity") != "identity":
        return Nothing("Encoded", f"{url} answers compressed, though it was asked not to", reached=True)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limits.largest_bytes:
            message = f"{url} is larger than {limits.largest_bytes} bytes and was not read to its end"
            return Nothing("TooLarge", message, reached=True)
    return Document(bytes(body), _marks(response))


def _refused(response: httpx.Response) -> Nothing | _Transient:
    code, url = response.status_code, str(response.url)
    limited = code == httpx.codes.TOO_MANY_REQUESTS or response.headers.get("x-ratelimit-remaining") == "0"
    if limited:
        message = f"{url} answers {code}: too many requests; a longer interval or a mirror helps"
        return _Transient(Nothing("RateLimited", message, reached=False), _retry_after(response))
    nothing = Nothing(f"Http{code}", f"{url} answers {code} {response.reason_phrase}".rstrip(), reached=False)
    return _Transient(nothing, _retry_after(response)) if code in _TRANSIENT else nothing


def _retry_after(response: httpx.Response) -> timedelta | None:
    stated = response.headers.get("retry-after", "")
    return timedelta(seconds=int(stated)) if stated.isdigit() and len(stated) < 6 else None


def _marks(response: httpx.Response) -> dict[str, str]:
    pairs = (("etag", "if-none-match"), ("last-modified", "if-modified-since"))
    return {ask: response.headers[told] for told, ask in pairs if told in response.headers}


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__

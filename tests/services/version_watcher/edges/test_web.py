"""Documents from the web: conditional, bounded, retried, and every failure by its own name."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from aiohttp import web as aiohttp_web

from services.version_watcher.core.reading import Nothing
from services.version_watcher.edges.web import Document, Limits, Unchanged, Web
from steward.clock import SystemClock
from steward.testing.clock import ManualClock
from tests.services.version_watcher.upstream import Page, Upstream, forever

LIMITS = Limits(largest_bytes=1000, timeout=timedelta(seconds=5), attempts=1, backoff=timedelta(seconds=2))


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        yield made


async def get(
    upstream: Upstream, path: str = "/doc", limits: Limits = LIMITS, **marks: str
) -> Document | Unchanged | Nothing:
    async with Web.open(SystemClock()) as client:
        return await client.get(upstream.url(path), marks, limits)


async def reason(upstream: Upstream, path: str = "/doc", limits: Limits = LIMITS) -> str:
    found = await get(upstream, path, limits)
    assert isinstance(found, Nothing), found
    return found.reason


async def test_a_document_comes_with_the_marks_to_ask_again(upstream: Upstream) -> None:
    upstream.pages["/doc"] = page = Page(b"hello", headers={"Last-Modified": "Fri, 21 Aug 2026 10:00:00 GMT"})
    found = await get(upstream)
    assert isinstance(found, Document)
    assert found.body == b"hello"
    assert found.marks == {"if-none-match": page.etag, "if-modified-since": "Fri, 21 Aug 2026 10:00:00 GMT"}
    again = await get(upstream, "/doc", LIMITS, **{"if-none-match": page.etag})
    assert again == Unchanged()


async def test_it_says_who_asks_and_nothing_of_the_cluster(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(b"hello")
    await get(upstream)
    ((asked, _, headers),) = upstream.requests
    assert asked == "/doc", "no parameters"
    assert headers["User-Agent"].startswith("linkerd-steward/")
    assert headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in headers


async def test_a_document_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(b"x" * 1000)
    assert isinstance(await get(upstream), Document)
    upstream.pages["/doc"] = Page(b"x" * 1001)
    assert await reason(upstream) == "TooLarge"


async def test_an_endless_answer_is_cut_off(upstream: Upstream) -> None:
    async def endless(request: aiohttp_web.BaseRequest) -> aiohttp_web.StreamResponse:
        response = aiohttp_web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except ConnectionError:
            return response

    upstream.pages["/doc"] = Page(handler=endless)
    assert await reason(upstream) == "TooLarge"


async def test_a_compressed_answer_is_refused_before_it_is_unpacked(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(gzip.compress(b"0" * 1_000_000), headers={"Content-Encoding": "gzip"})
    assert await reason(upstream) == "Encoded"


async def test_an_answer_that_never_ends_times_out(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(handler=forever)
    limits = Limits(1000, timedelta(seconds=0.2), 1, timedelta(seconds=1))
    assert await reason(upstream, limits=limits) == "TimedOut"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(status=404), "Http404"),
        (Page(status=401), "Http401"),
        (Page(status=503), "Http503"),
        (Page(status=204), "Http204"),
        (Page(status=429), "RateLimited"),
        (Page(status=403, headers={"X-RateLimit-Remaining": "0"}), "RateLimited"),
        (Page(status=302, headers={"Location": "/doc"}), "TooManyRedirects"),
        (Page(status=302, headers={"Location": "ftp://example.org/"}), "BadAddress"),
    ],
)
async def test_an_answer_that_is_no_document_has_a_name(upstream: Upstream, page: Page, expected: str) -> None:
    upstream.pages["/doc"] = page
    assert await reason(upstream) == expected


async def test_a_redirect_is_followed(upstream: Upstream) -> None:
    upstream.pages["/old"] = Page(status=301, headers={"Location": "/doc"})
    upstream.pages["/doc"] = Page(b"hello")
    found = await get(upstream, "/old")
    assert isinstance(found, Document)


async def test_a_redirect_from_https_to_http_is_refused() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://example.org/doc"})
        return httpx.Response(200, text="hello")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
        found = await Web(client, SystemClock()).get("https://example.org/doc", {}, LIMITS)
    assert isinstance(found, Nothing)
    assert found.reason == "InsecureRedirect"


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    gone = Upstream()
    async with gone:
        url = gone.url("/doc")
    async with Web.open(SystemClock()) as client:
        found = await client.get(url, {}, LIMITS)
    assert isinstance(found, Nothing)
    assert (found.reason, found.reached) == ("Unreachable", False)


@pytest.mark.parametrize("failure", [Page(status=503), Page(status=429), Page(handler=None, status=500)])
async def test_what_may_pass_is_tried_again_after_a_pause(upstream: Upstream, failure: Page) -> None:
    upstream.pages["/doc"] = failure
    clock = ManualClock()
    limits = Limits(1000, timedelta(seconds=5), 3, timedelta(seconds=2))
    async with Web.open(clock) as client:
        asking = asyncio.create_task(client.get(upstream.url("/doc"), {}, limits))
        await clock.until_somebody_sleeps()
        upstream.pages["/doc"] = Page(b"hello")
        await clock.advance(timedelta(seconds=10))
        found = await asking
    assert isinstance(found, Document)
    assert upstream.count("/doc") == 2


async def test_the_server_says_when_to_come_back(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(status=503, headers={"Retry-After": "30"})
    clock = ManualClock()
    limits = Limits(1000, timedelta(seconds=5), 2, timedelta(seconds=1))
    async with Web.open(clock) as client:
        asking = asyncio.create_task(client.get(upstream.url("/doc"), {}, limits))
        await clock.until_somebody_sleeps()
        await clock.advance(timedelta(seconds=29))
        assert upstream.count("/doc") == 1
        await clock.advance(timedelta(seconds=1))
        found = await asking
    assert isinstance(found, Nothing)
    assert upstream.count("/doc") == 2


async def test_a_server_that_asks_for_an_hour_is_left_until_the_next_time(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(status=429, headers={"Retry-After": "3600"})
    limits = Limits(1000, timedelta(seconds=5), 5, timedelta(seconds=1))
    assert await reason(upstream, limits=limits) == "RateLimited"
    assert upstream.count("/doc") == 1


async def test_what_will_not_pass_is_not_tried_again(upstream: Upstream) -> None:
    upstream.pages["/doc"] = Page(status=404)
    limits = Limits(1000, timedelta(seconds=5), 5, timedelta(seconds=1))
    assert await reason(upstream, limits=limits) == "Http404"
    assert upstream.count("/doc") == 1

"""A file is used only when its digest is right; everything else is deleted and named."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from services.upgrader.edges.downloads import Downloads, NotFetched, NotVerified, Wanted, http_client

CONTENT = b"\x7fELF and so on" * 1000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@dataclass(slots=True)
class Origin:
    """A web server whose answers a test chooses."""

    url: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the end of the test: handlers that hang go on."""
    asked: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=dict)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        answer = self.answers.get(request.path)
        return await answer(request) if answer else web.Response(body=CONTENT)

    def wanted(self, path: str = "/linkerd", *, digest: str = DIGEST, largest: int = 1 << 20) -> Wanted:
        return Wanted(self.url + path, digest, largest, executable=True)


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    application = web.Application()
    application.router.add_get("/{path:.*}", origin.serve)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    origin.url = f"http://{host}:{port}"
    yield origin
    origin.over.set()
    await runner.cleanup()


@pytest_asyncio.fixture
async def downloads(tmp_path: Path) -> AsyncIterator[Downloads]:
    async with http_client() as http:
        yield Downloads(http, tmp_path / "tools")


async def test_a_file_with_the_right_digest_is_kept_and_not_fetched_again(origin: Origin, downloads: Downloads) -> None:
    path = await downloads.fetch(origin.wanted())
    assert path.read_bytes() == CONTENT
    assert path.name == "linkerd"
    assert path.stat().st_mode & 0o777 == 0o755
    assert downloads.folder.stat().st_mode & 0o777 == 0o700
    assert await downloads.fetch(origin.wanted()) == path
    assert origin.asked == ["/linkerd"]


async def test_another_digest_is_refused_and_nothing_is_left(origin: Origin, downloads: Downloads) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(NotVerified, match=f"has the digest {DIGEST}, and not {wrong}"):
        await downloads.fetch(origin.wanted(digest=wrong))
    assert _files(downloads) == []


async def test_a_kept_file_that_was_changed_is_fetched_again(origin: Origin, downloads: Downloads) -> None:
    path = await downloads.fetch(origin.wanted())
    path.write_bytes(b"#!/bin/sh\necho owned\n")
    assert (await downloads.fetch(origin.wanted())).read_bytes() == CONTENT
    assert len(origin.asked) == 2


async def test_a_file_that_is_too_large_is_given_up_on_the_way(origin: Origin, downloads: Downloads) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    origin.answers["/linkerd"] = endless
    with pytest.raises(NotFetched, match="is larger than 300000 bytes") as failed:
        await downloads.fetch(origin.wanted(largest=300_000))
    assert not failed.value.transient
    assert _files(downloads) == []


@pytest.mark.parametrize(("status", "transient"), [(404, False), (403, False), (500, True), (503, True), (429, True)])
async def test_a_refusal_is_named_and_known_to_pass_or_not(
    origin: Origin, downloads: Downloads, status: int, transient: bool
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>no</html>")

    origin.answers["/linkerd"] = refuse
    with pytest.raises(NotFetched, match=f"answered with HTTP {status}") as failed:
        await downloads.fetch(origin.wanted())
    assert failed.value.transient is transient


async def test_redirects_are_followed_and_limited(origin: Origin, downloads: Downloads) -> None:
    async def moved(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/store/linkerd?signature=abc")

    async def for_ever(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/round")

    origin.answers |= {"/linkerd": moved, "/round": for_ever}
    assert (await downloads.fetch(origin.wanted())).read_bytes() == CONTENT
    with pytest.raises(NotFetched, match="redirects more than 5 times"):
        await downloads.fetch(origin.wanted("/round"))


async def test_a_redirect_away_from_tls_is_refused(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://mirror.example.org/linkerd"})
        return httpx.Response(200, content=CONTENT)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        wanted = Wanted("https://releases.example.org/linkerd", DIGEST, 1 << 20)
        with pytest.raises(NotFetched, match="redirects to an address without TLS"):
            await Downloads(http, tmp_path / "tools").fetch(wanted)


async def test_a_slow_server_is_given_up(origin: Origin, downloads: Downloads) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(CONTENT[:100])
        await origin.over.wait()
        return response

    origin.answers["/linkerd"] = hang
    impatient = Downloads(downloads.http, downloads.folder, within=timedelta(milliseconds=200))
    with pytest.raises(NotFetched, match=r"was not complete after 0.2 s") as failed:
        await impatient.fetch(origin.wanted())
    assert failed.value.transient
    assert _files(downloads) == []


async def test_a_broken_connection_and_an_absent_server_may_pass(origin: Origin, downloads: Downloads) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"some")
        if request.transport is not None:
            request.transport.abort()
        return response

    origin.answers["/linkerd"] = cut
    for wanted in (origin.wanted(), Wanted("http://127.0.0.1:9/linkerd", DIGEST, 100)):
        with pytest.raises(NotFetched, match="could not be fetched") as failed:
            await downloads.fetch(wanted)
        assert failed.value.transient
    assert _files(downloads) == []


def _files(downloads: Downloads) -> list[Path]:
    return [path for path in downloads.folder.rglob("*") if path.is_file()]

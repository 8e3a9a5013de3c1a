"""A source remembers what it read, through silence and through 'nothing changed'."""

from collections.abc import AsyncIterator

import pytest_asyncio

from services.version_watcher.core.reading import Nothing, Read
from services.version_watcher.edges.sources import Sources
from services.version_watcher.edges.web import Web
from steward.clock import SystemClock
from tests.services.version_watcher.upstream import NOTES, VERSION, Page, Upstream, release


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        made.offer(edge="edge-26.8.3")
        made.publish(release("edge-26.8.3"))
        made.index("2026.8.3")
        yield made


@pytest_asyncio.fixture
async def sources(upstream: Upstream) -> AsyncIterator[Sources]:
    clock = SystemClock()
    async with Web.open(clock) as web:
        yield Sources.of(upstream.group(), web, clock)


async def test_an_unchanged_document_is_not_sent_again(upstream: Upstream, sources: Sources) -> None:
    first, second = await sources.feed.look(), await sources.feed.look()
    assert [status for _, status, _ in upstream.requests] == [200, 304]
    assert second.last == first.last
    assert second.succeeded_at is not None
    assert first.succeeded_at is not None
    assert second.succeeded_at > first.succeeded_at


async def test_silence_does_not_forget(upstream: Upstream, sources: Sources) -> None:
    first = await sources.feed.look()
    upstream.pages[VERSION] = Page(status=500)
    second = await sources.feed.look()
    assert isinstance(second.outcome, Nothing)
    assert (second.last, second.succeeded_at) == (first.last, first.succeeded_at)
    assert sources.feed.value == first.last.value if first.last is not None else False


async def test_a_document_with_problems_is_asked_for_in_full_again(upstream: Upstream, sources: Sources) -> None:
    upstream.offer(edge="edge-26.8.3", stable="edge-26.8.3")
    await sources.feed.look()
    await sources.feed.look()
    assert [status for _, status, _ in upstream.requests] == [200, 200]


async def test_garbage_after_a_good_document_is_asked_for_in_full_again(upstream: Upstream, sources: Sources) -> None:
    await sources.feed.look()
    upstream.pages[VERSION] = Page(b"<html>")
    await sources.feed.look()
    look = await sources.feed.look()
    assert isinstance(look.outcome, Nothing)
    assert [status for _, status, _ in upstream.requests] == [200, 200, 200]


async def test_every_source_is_read_by_its_own_reader(upstream: Upstream, sources: Sources) -> None:
    notes, index = await sources.notes.look(), await sources.index.look()
    assert isinstance(notes.outcome, Read)
    assert isinstance(index.outcome, Read)
    assert [str(each.version) for each in notes.outcome.value.releases] == ["edge-26.8.3"]
    assert index.outcome.value.releases[0].kubernetes_minimum == "1.31"
    asked = {path.split("?")[0]: headers for path, _, headers in upstream.requests}
    assert asked[NOTES]["Accept"] == "application/vnd.github+json"
